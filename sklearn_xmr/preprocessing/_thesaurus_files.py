"""Thesauri in files: tables with a line for each concept, and SKOS."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from sklearn_xmr.utils._reading import named_errors

NO_LANGUAGE = ""


@dataclass
class ConceptList:
    """What a file says of concepts.

    Parameters
    ----------
    ids : list of str
        Identifiers, in the order of the file.
    broader : dict of str to list of str
        Identifiers of the broader concepts of a concept.
    names : dict of str to dict of str to str
        By language, the name of a concept.
    other_names : dict of str to dict of str to list of str
        By language, further names of a concept.
    """

    ids: list = field(default_factory=list)
    broader: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)
    other_names: dict = field(default_factory=dict)


def read_csv(path, delimiter, separator):
    """Read a table with the columns id, broader, name and name_LANGUAGE.

    Parameters
    ----------
    path : path-like
        The file, in UTF-8.
    delimiter : str
        What stands between columns.
    separator : str
        What stands between identifiers of several broader concepts.

    Returns
    -------
    ConceptList

    Raises
    ------
    ValueError
        If the file is no such table.
    OSError
        If it cannot be read.
    """
    with (
        named_errors(path, ValueError, "a table of concepts"),
        open(path, newline="", encoding="utf-8-sig") as file,
    ):
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        languages = _languages(reader.fieldnames or [])
        concepts = ConceptList(names={code: {} for code in languages.values()})
        for row in reader:
            _add_row(concepts, row, reader.line_num, languages, separator)
    return concepts


def _languages(columns):
    """Language of each column that holds names."""
    if "id" not in columns:
        raise ValueError(
            "the first line must name a column 'id', and may name 'broader', 'name' "
            f"and 'name_LANGUAGE' such as 'name_en', but it names {columns}"
        )
    names = [column for column in columns if column.partition("_")[0] == "name"]
    return {column: column.partition("_")[2] for column in names}


def _add_row(concepts, row, line, languages, separator):
    concept = (row["id"] or "").strip()
    if not concept:
        raise ValueError(f"line {line} has no id")
    if None in row:
        raise ValueError(f"line {line} has more columns than the first line")
    concepts.ids.append(concept)
    above = (row.get("broader") or "").split(separator)
    concepts.broader[concept] = [one.strip() for one in above if one.strip()]
    for column, language in languages.items():
        if (row[column] or "").strip():
            concepts.names[language][concept] = row[column].strip()


def import_rdflib():
    """The rdflib package.

    Raises
    ------
    ImportError
        With the command that installs it, if it is missing.
    """
    try:
        import rdflib
    except ImportError as error:
        raise ImportError(
            "SKOS files are read by the package rdflib: pip install 'sklearn-xmr[skos]'"
        ) from error
    return rdflib


def read_skos(path, format):
    """Read the concepts of a SKOS file, sorted by identifier.

    Parameters
    ----------
    path : path-like
        A local file in any format of RDF that rdflib reads.
    format : str or None
        Its format, as rdflib calls it; None: by the end of the file's name.

    Returns
    -------
    ConceptList

    Raises
    ------
    ValueError
        If the file is no RDF, or has no concept.
    OSError
        If it cannot be read.
    ImportError
        If rdflib is missing.
    """
    rdflib = import_rdflib()
    format = format or rdflib.util.guess_format(str(path))
    if format is None:
        raise ValueError(
            f"format must be given for {path}, whose name does not say it: 'turtle', "
            "'xml', 'json-ld', 'nt' or another format of rdflib"
        )
    graph = rdflib.Graph()
    # The open file, as rdflib would fetch what looks like an address.
    with (
        named_errors(path, ValueError, f"RDF in the format {format!r}"),
        Path(path).open("rb") as file,
    ):
        graph.parse(file=file, format=format)
    return _of_graph(graph, rdflib, path)


def _of_graph(graph, rdflib, path):
    skos = rdflib.namespace.SKOS
    ids = sorted(map(str, set(graph.subjects(rdflib.RDF.type, skos.Concept))))
    if not ids:
        raise ValueError(
            f"{path} must hold concepts, but none of its {len(graph)} statements says "
            f"that something is a {skos.Concept}"
        )
    above = list(graph.subject_objects(skos.broader))
    above += [(below, one) for one, below in graph.subject_objects(skos.narrower)]
    broader = {}
    for below, one in above:
        broader.setdefault(str(below), []).append(str(one))
    names = _by_language(graph.subject_objects(skos.prefLabel))
    return ConceptList(
        ids,
        {concept: sorted(broader.get(concept, [])) for concept in ids},
        # One name a language, as SKOS says: of several, the first of the alphabet.
        {language: {c: some[0] for c, some in of.items()} for language, of in names},
        dict(_by_language(graph.subject_objects(skos.altLabel))),
    )


def _by_language(labels):
    """Sorted names of each concept, by language: the more names, the earlier."""
    found = {}
    for concept, label in labels:
        language = getattr(label, "language", None) or NO_LANGUAGE
        found.setdefault(language, {}).setdefault(str(concept), []).append(str(label))
    for of_language in found.values():
        for some in of_language.values():
            some.sort()
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
