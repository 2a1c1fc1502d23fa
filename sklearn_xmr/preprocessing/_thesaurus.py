"""A thesaurus: concepts with names in several languages, and which are broader."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from sklearn_xmr.preprocessing._broader_graph import (
    closure_of,
    find_cycle,
    heights_of,
    relation,
    without,
)
from sklearn_xmr.preprocessing._thesaurus_files import (
    NO_LANGUAGE,
    read_csv,
    read_skos,
)
from sklearn_xmr.preprocessing._thesaurus_parts import (
    checked_ids,
    checked_names,
    checked_other_names,
    checked_relation,
    frozen,
)
from sklearn_xmr.utils._matrices import (
    align_sparse_type,
    aligns_sparse,
)
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import CSR, MatrixLike, NameList, PathOrStr
from sklearn_xmr.utils._validation import check_label_indicator

STEP = " > "  # between the terms of a path
_CACHED = ("_closure", "_heights", "_numbers")


@storable
class Thesaurus:
    """Concepts, which of them are broader than which, and what they are called.

    Concept ``j`` is column ``j`` of a label indicator. A thesaurus may have more
    concepts than an indicator has columns: broader ones that nobody assigns stand
    behind the labels (:meth:`aligned_with` brings concepts into this order). A concept
    may have several broader ones. A thesaurus is never changed.

    It is not the label tree of a search, :class:`LabelTree`, which a model makes for
    itself and whose groups have no meaning of their own.

    Make one with :meth:`from_paths`, :meth:`from_parents`, :meth:`from_csv` or
    :meth:`from_skos`.

    Parameters
    ----------
    ids : sequence of str of length n_concepts
        Different identifiers.
    broader : {array-like, sparse matrix} of shape (n_concepts, n_concepts)
        Non-zero at (i, j) where j is directly broader than i.
    names : sequence of str, or dict of str to sequence of str, default=None
        A name for each concept, by language where it is a dict. "", None or NaN stands
        for no name.
    other_names : dict of str to sequence, default=None
        By language, a sequence of further names for each concept.

    Raises
    ------
    ValueError
        If an identifier occurs twice, a concept is broader than itself (the error shows
        the cycle), or there is not a name for each concept.
    TypeError
        If an identifier or a name is no string.

    See Also
    --------
    sklearn_xmr.XRHierarchyClassifier : Answers that a thesaurus makes consistent.
    sklearn_xmr.metrics.hierarchical_f1_at_k : A near miss counts more than a far one.

    Examples
    --------
    >>> from sklearn_xmr import Thesaurus
    >>> thesaurus = Thesaurus.from_parents(
    ...     {"cat": "animal", "oak": "plant", "animal": None, "plant": None},
    ...     names={"de": ["Katze", "Eiche", "Tier", "Pflanze"],
    ...            "fi": ["kissa", "", "", ""]})
    >>> thesaurus
    Thesaurus(4 concepts, 2 without a broader one, names: de, fi)
    >>> thesaurus.names(["fi", "de"])
    ['kissa', 'Eiche', 'Tier', 'Pflanze']
    >>> thesaurus.path("oak", "de")
    'Pflanze > Eiche'
    >>> thesaurus.with_ancestors([[1, 0, 0, 0]]).toarray()
    array([[1, 0, 1, 0]])
    """

    def __init__(
        self,
        ids: NameList,
        broader: MatrixLike,
        names: Any = None,
        other_names: Mapping[str, Sequence] | None = None,
    ) -> None:
        self._ids = checked_ids(ids)
        self._broader = checked_relation(broader, len(self._ids))
        self._names = checked_names(names, len(self._ids))
        self._other_names = checked_other_names(other_names, len(self._ids))
        self._check_cycles()

    # --- construction ----------------------------------------------------------

    @classmethod
    def from_parents(
        cls,
        parents: Any,
        *,
        ids: NameList | None = None,
        names: Any = None,
        handle_unknown: Literal["error", "ignore"] = "error",
    ) -> "Thesaurus":
        """From the broader concepts of each concept.

        Parameters
        ----------
        parents : array-like of int of shape (n_concepts,), dict, or sparse matrix
            The number of each concept's broader one, -1 for none; or identifiers: a
            dict whose values are an identifier, a list of some, or None; or a sparse
            matrix of shape (n_concepts, n_concepts), non-zero at (i, j) where j is
            broader than i.
        ids : sequence of str, default=None
            Identifiers; numbers by default. Of a dict they are its keys.
        names : sequence of str, or dict of str to sequence of str, default=None
            A name for each concept, by language where it is a dict.
        handle_unknown : {"error", "ignore"}, default="error"
            Whether a broader concept that is no key of a dict is an error, or ignored.

        Returns
        -------
        Thesaurus

        Raises
        ------
        ValueError
            If a broader concept is not known, or there is a cycle.

        Examples
        --------
        >>> from sklearn_xmr import Thesaurus
        >>> Thesaurus.from_parents([2, 2, -1], names=["cat", "dog", "animal"])
        Thesaurus(3 concepts, 1 without a broader one)
        """
        if isinstance(parents, Mapping):
            if ids is not None:
                raise ValueError(
                    "ids must be None for a dict of parents, whose keys they are, got "
                    f"{len(ids)}"
                )
            above = {one: _as_list(found) for one, found in parents.items()}
            return cls._of_lists(list(above), above, names, None, handle_unknown)
        if not sparse.issparse(parents):
            parents = _of_parent_array(parents)
        ids = [str(i) for i in range(parents.shape[0])] if ids is None else ids
        return cls(ids, parents, names)

    @classmethod
    def from_paths(
        cls, paths: Sequence, *, separator: str = ">", language: str = ""
    ) -> "Thesaurus":
        """From the terms above each concept.

        Parameters
        ----------
        paths : sequence of str or of sequences of str
            Terms from the broadest to the concept itself, in one string as in
            "people > adults > man", or as a list.
        separator : str, default=">"
            What stands between the terms of a string.
        language : str, default=""
            Language of the names.

        Returns
        -------
        Thesaurus
            The concepts of the paths in their order, so that they are the columns of
            an indicator; behind them the terms above that are no path of their own.
            Identifiers are the paths as strings, names the last terms.

        Raises
        ------
        ValueError
            If a path occurs twice, or has an empty term.

        Examples
        --------
        >>> from sklearn_xmr import Thesaurus
        >>> thesaurus = Thesaurus.from_paths(["people > adults > man", "nature > snow"])
        >>> thesaurus.names()
        ['man', 'snow', 'adults', 'people', 'nature']
        """
        given = [_terms(path, separator) for path in paths]
        above = [terms[:n] for terms in given for n in range(len(terms) - 1, 0, -1)]
        known = dict.fromkeys([*given, *above])
        ids = [STEP.join(terms) for terms in given]
        ids += [STEP.join(terms) for terms in list(known)[len(set(given)) :]]
        broader = {STEP.join(terms): _above(terms) for terms in known}
        last = {STEP.join(terms): terms[-1] for terms in known}
        names = {language: [last[one] for one in ids]}
        return cls._of_lists(ids, broader, names, None, "error")

    @classmethod
    def from_csv(
        cls,
        path: PathOrStr,
        *,
        delimiter: str = ",",
        separator: str = ";",
        handle_unknown: Literal["error", "ignore"] = "error",
    ) -> "Thesaurus":
        r"""From a table with a line for each concept.

        Parameters
        ----------
        path : path-like
            The file, in UTF-8. Its first line names the columns: "id"; "broader", the
            identifiers of broader concepts, empty for none; "name", or "name_en",
            "name_de" and so on for names in several languages. Others are ignored.
        delimiter : str, default=","
            What stands between columns.
        separator : str, default=";"
            What stands between several broader concepts.
        handle_unknown : {"error", "ignore"}, default="error"
            Whether a broader concept that has no line is an error, or ignored.

        Returns
        -------
        Thesaurus

        Raises
        ------
        ValueError
            If the file is no such table.
        OSError
            If it cannot be read.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> from sklearn_xmr import Thesaurus
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "animals.csv"
        >>> _ = path.write_text("id,broader,name_en,name_fi\nc,a,cat,kissa\na,,pet,\n")
        >>> Thesaurus.from_csv(path).names("fi")
        ['kissa', 'pet']
        """
        found = read_csv(path, delimiter, separator)
        return cls._of_file(found, path, handle_unknown)

    @classmethod
    def from_skos(
        cls,
        path: PathOrStr,
        *,
        format: str | None = None,
        handle_unknown: Literal["error", "ignore"] = "error",
    ) -> "Thesaurus":
        """From a file in SKOS, the form in which libraries publish thesauri.

        Needs rdflib: ``pip install 'sklearn-xmr[skos]'``.

        Parameters
        ----------
        path : path-like
            A local file: Turtle, RDF/XML, N-Triples, JSON-LD. rdflib fetches a context
            at an address that a file of JSON-LD names.
        format : str, default=None
            As rdflib calls it; None: by the end of the file's name.
        handle_unknown : {"error", "ignore"}, default="error"
            Whether a broader concept that the file does not describe, such as one of
            another thesaurus, is an error, or ignored.

        Returns
        -------
        Thesaurus
            What the file calls a ``skos:Concept``, sorted by identifier, with its
            ``broader`` concepts (or those whose ``narrower`` one it is), ``prefLabel``
            as name and ``altLabel`` as other names, by language.

        Raises
        ------
        ValueError
            If the file cannot be read as RDF, or has no concept.
        OSError
            If the system cannot read it.
        ImportError
            If rdflib is missing.
        """
        return cls._of_file(read_skos(path, format), path, handle_unknown)

    @classmethod
    def _of_file(cls, found, path, handle_unknown):
        names = {
            language: [of_language.get(one, "") for one in found.ids]
            for language, of_language in found.names.items()
        }
        other_names = {
            language: [of_language.get(one, []) for one in found.ids]
            for language, of_language in found.other_names.items()
        }
        try:
            return cls._of_lists(
                found.ids, found.broader, names, other_names, handle_unknown
            )
        except ValueError as error:
            raise ValueError(f"{path} is no thesaurus: {error}") from error

    @classmethod
    def _of_lists(cls, ids, broader, names, other_names, handle_unknown):
        """From identifiers and those of each one's broader concepts."""
        if handle_unknown not in ("error", "ignore"):
            raise ValueError(
                f"handle_unknown must be 'error' or 'ignore', got {handle_unknown!r}"
            )
        number = {one: i for i, one in enumerate(checked_ids(ids))}
        pairs = [(one, wider) for one in number for wider in broader[one]]
        unknown = [pair for pair in pairs if pair[1] not in number]
        if unknown and handle_unknown == "error":
            raise ValueError(
                f"{unknown[0][0]!r} has the broader concept {unknown[0][1]!r}, which "
                f"is not known ({len(unknown)} such relations); add it, or ignore "
                "these with handle_unknown='ignore'"
            )
        known = [(number[a], number[b]) for a, b in pairs if b in number]
        narrower, wider = np.array(known, dtype=np.int64).reshape(-1, 2).T
        return cls(ids, relation(narrower, wider, len(ids)), names, other_names)

    # --- what is in it ---------------------------------------------------------

    @property
    def ids(self) -> np.ndarray:
        """Identifiers (read-only ndarray of object of shape (n_concepts,))."""
        return self._ids

    @property
    def n_concepts(self) -> int:
        """Number of concepts (int)."""
        return len(self._ids)

    @property
    def languages(self) -> list[str]:
        """Languages of names (list of str); "" for names without one."""
        return list(self._names)

    @property
    def broader(self) -> CSR:
        """Which concepts are directly broader (read-only csr_matrix of bool).

        Row by row.
        """
        return align_sparse_type(self._broader)

    @property
    def closure(self) -> CSR:
        """Each concept with all that are broader (read-only csr_matrix of float32).

        Ones; row by row the concept itself and its ancestors.
        """
        return align_sparse_type(self._closure)

    @property
    def heights(self) -> np.ndarray:
        """Steps from each concept down to its farthest narrower one (ndarray)."""
        return self._heights

    @cached_property
    def _closure(self):
        return frozen(closure_of(self._broader))

    @cached_property
    def _heights(self):
        heights = heights_of(self._broader)
        heights.flags.writeable = False
        return heights

    @cached_property
    def _numbers(self):
        return {one: number for number, one in enumerate(self._ids)}

    @aligns_sparse
    def ancestors(self) -> CSR:
        """Which concepts are broader, directly or not.

        Returns
        -------
        csr_matrix of float32 of shape (n_concepts, n_concepts)
            Ones; row by row the ancestors of a concept, without itself.

        Examples
        --------
        >>> from sklearn_xmr import Thesaurus
        >>> thesaurus = Thesaurus.from_paths(["people > adults > man"])
        >>> thesaurus.ancestors().indices[:2].tolist()
        [1, 2]
        """
        out = self._closure.copy()
        out.setdiag(0)
        out.eliminate_zeros()
        return out

    def positions(self, ids: NameList) -> np.ndarray:
        """Look up the numbers of concepts.

        Parameters
        ----------
        ids : sequence of str
            Identifiers.

        Returns
        -------
        ndarray of int64 of shape (n,)
            In the order given.

        Raises
        ------
        ValueError
            If one is not known.
        """
        ids = [ids] if isinstance(ids, str) else list(ids)
        unknown = [one for one in ids if one not in self._numbers]
        if unknown:
            raise ValueError(
                f"ids must be identifiers of the thesaurus, but {len(unknown)} of "
                f"{len(ids)} are not, such as {unknown[0]!r}; it has "
                f"{self._ids[:2].tolist()} and so on"
            )
        return np.array([self._numbers[one] for one in ids], dtype=np.int64)

    def names(self, language: str | Sequence[str] | None = None) -> list[str]:
        """Name of each concept.

        Parameters
        ----------
        language : str or sequence of str, default=None
            Languages in the order of preference. A concept that has no name in any of
            them has its name in another language, in the order of ``languages``, and
            one without a name its identifier.

        Returns
        -------
        list of str of length n_concepts
            In the order of the concepts.

        Raises
        ------
        ValueError
            If no concept has a name in one of the languages.
        """
        return self._names_at(range(self.n_concepts), language)

    def other_names(self, language: str | None = None) -> list[list[str]]:
        """Further names of each concept, such as synonyms.

        Parameters
        ----------
        language : str, default=None
            Language of the names; None for all.

        Returns
        -------
        list of list of str
            Of length n_concepts.

        Raises
        ------
        ValueError
            If there are none in the language.
        """
        if language is not None and language not in self._other_names:
            raise ValueError(
                f"language must be one of {list(self._other_names)}, got {language!r}"
            )
        chosen = list(self._other_names) if language is None else [language]
        out: list[list[str]] = [[] for _ in self._ids]
        for one in chosen:
            for names, more in zip(out, self._other_names[one], strict=True):
                names.extend(more)
        return out

    def names_of(
        self, labels: ArrayLike, language: str | Sequence[str] | None = None
    ) -> list[list[str]]:
        """Translate top-k lists, as ``predict_topk`` returns them, into names.

        Parameters
        ----------
        labels : array-like of shape (n_samples, k), or the pair of arrays that \
                ``predict_topk`` returns
            Numbers of concepts, -1 for none; or identifiers, None for none.
        language : str or sequence of str, default=None
            Languages in the order of preference, see :meth:`names`.

        Returns
        -------
        list of list of str
            Names in the order of the lists, without the gaps.

        Raises
        ------
        ValueError
            If ``labels`` is no 2-D array, or a concept is not known.

        Examples
        --------
        >>> from sklearn_xmr import Thesaurus
        >>> thesaurus = Thesaurus.from_parents(
        ...     {"c": "a", "a": None}, names={"en": ["cat", "animal"]})
        >>> thesaurus.names_of([["a", "c"], ["c", None]])
        [['animal', 'cat'], ['cat']]
        """
        if isinstance(labels, tuple) and len(labels) == 2 and np.ndim(labels[0]) == 2:
            labels = labels[0]
        labels = np.asarray(labels)
        if labels.ndim != 2:
            raise ValueError(
                "labels must be a 2-D array, or the pair that predict_topk returns, "
                f"got shape {labels.shape}"
            )
        return [self._names_at(self._numbers_of(row), language) for row in labels]

    def _numbers_of(self, row):
        """Numbers of a list of concepts, by number or identifier, without gaps."""
        if row.dtype.kind not in "iu":
            return self.positions([one for one in row if one is not None])
        row = row[row >= 0]
        if row.size and row.max() >= self.n_concepts:
            raise ValueError(
                f"labels must lie in -1 to {self.n_concepts - 1}, found {row.max()}"
            )
        return row

    def path(self, concept: str, language: str | Sequence[str] | None = None) -> str:
        """The names from a broadest concept down to one.

        Parameters
        ----------
        concept : str
            Its identifier.
        language : str or sequence of str, default=None
            Languages in the order of preference, see :meth:`names`.

        Returns
        -------
        str
            As "people > adults > man"; of several broader concepts, through the first.

        Raises
        ------
        ValueError
            If the concept is not known.
        """
        steps = self.positions(concept).tolist()
        while True:
            start, end = self._broader.indptr[steps[-1] : steps[-1] + 2]
            if start == end:
                return STEP.join(self._names_at(steps[::-1], language))
            steps.append(int(self._broader.indices[start]))

    def _names_at(self, numbers, language):
        """Names of some concepts."""
        given = [self._names[one] for one in self._preferred(language)]
        given.append(self._ids)
        return [next(n[i] for n in given if n[i]) for i in numbers]

    def _preferred(self, language):
        wanted = [] if language is None else language
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        unknown = [one for one in wanted if one not in self._names]
        if unknown:
            raise ValueError(
                f"language must be of {self.languages}, in which there are names, got "
                f"{unknown[0]!r}"
            )
        return list(dict.fromkeys([*wanted, *self._names]))

    # --- labels ----------------------------------------------------------------

    @aligns_sparse
    def with_ancestors(self, Y: MatrixLike) -> CSR:
        """Add the broader concepts of each positive label.

        Parameters
        ----------
        Y : {array-like, sparse matrix} of shape (n_samples, at most n_concepts)
            Label indicator; column j is concept j.

        Returns
        -------
        csr_matrix of int64 of shape (n_samples, n_concepts)
            Label indicator, with a column for each concept.

        Raises
        ------
        ValueError
            If Y is no label indicator, or has more columns than there are concepts.
        """
        out = sparse.csr_matrix(self._widened(Y) @ self._closure, dtype=np.int64)
        out.data[:] = 1
        out.sort_indices()
        return out

    @aligns_sparse
    def most_specific(self, Y: MatrixLike) -> CSR:
        """Leave out labels that a narrower one implies.

        Parameters
        ----------
        Y : {array-like, sparse matrix} of shape (n_samples, at most n_concepts)
            Label indicator; column j is concept j.

        Returns
        -------
        csr_matrix of int64 of shape (n_samples, n_concepts)
            Label indicator, with a column for each concept, of the positives without a
            positive narrower one.

        Raises
        ------
        ValueError
            If Y is no label indicator, or has more columns than there are concepts.
        """
        Y = self._widened(Y)
        implied = Y.multiply((Y @ self._closure) > 1)
        out = sparse.csr_matrix(Y - implied, dtype=np.int64)
        out.eliminate_zeros()
        out.sort_indices()
        return out

    def _widened(self, Y):
        """An indicator with a column for each concept."""
        Y = check_label_indicator(Y)
        if Y.shape[1] > self.n_concepts:
            raise ValueError(
                f"Y must have at most {self.n_concepts} columns, the number of "
                f"concepts of the thesaurus, got {Y.shape[1]}"
            )
        shape = Y.shape[0], self.n_concepts
        return sparse.csr_matrix((Y.data, Y.indices, Y.indptr), shape=shape)

    # --- other thesauri --------------------------------------------------------

    def aligned_with(self, labels: NameList) -> "Thesaurus":
        """The part that labels need, in their order.

        Parameters
        ----------
        labels : sequence of str
            Identifiers of the columns of a label indicator, such as ``classes_``.

        Returns
        -------
        Thesaurus
            First these concepts, so that concept j is column j, then all that are
            broader than one of them.

        Raises
        ------
        ValueError
            If a label is not known, or occurs twice.

        Examples
        --------
        >>> from sklearn_xmr import Thesaurus
        >>> everything = Thesaurus.from_parents(
        ...     {"animal": None, "cat": "animal", "dog": "animal", "stone": None})
        >>> everything.aligned_with(["dog", "cat"]).ids.tolist()
        ['dog', 'cat', 'animal']
        """
        first = self.positions(labels)
        checked_ids([self._ids[number] for number in first])
        needed = np.zeros(self.n_concepts, dtype=bool)
        needed[self._closure[first].indices] = True
        needed[first] = False
        order = np.concatenate([first, np.flatnonzero(needed)])
        return self._selected(order, self._broader[order][:, order])

    def without(self, concepts: NameList) -> "Thesaurus":
        """Leave concepts out.

        What is broader than all, and so says nothing, can be left out for metrics and
        answers.

        Parameters
        ----------
        concepts : sequence of str
            Identifiers.

        Returns
        -------
        Thesaurus
            The others in their order. Concepts below one that is left out stand below
            those above it.

        Raises
        ------
        ValueError
            If one is not known, or none would be left.

        Examples
        --------
        >>> from sklearn_xmr import Thesaurus
        >>> thesaurus = Thesaurus.from_parents({"cat": "animal", "animal": "thing",
        ...                                     "thing": None})
        >>> thesaurus.without(["thing"])
        Thesaurus(2 concepts, 1 without a broader one)
        """
        gone = np.zeros(self.n_concepts, dtype=bool)
        gone[self.positions(concepts)] = True
        if gone.all():
            raise ValueError("concepts must leave at least one concept, got all")
        return self._selected(np.flatnonzero(~gone), without(self._broader, gone))

    def _selected(self, order, broader):
        """Some concepts, with a relation of theirs."""
        names = {code: given[order] for code, given in self._names.items()}
        other_names = {
            code: [given[number] for number in order]
            for code, given in self._other_names.items()
        }
        return Thesaurus(self._ids[order], broader, names, other_names)

    # --- object protocol -------------------------------------------------------

    def __repr__(self):
        n_top = int((np.diff(self._broader.indptr) == 0).sum())
        languages = ", ".join(code for code in self._names if code != NO_LANGUAGE)
        names = f", names: {languages}" if languages else ""
        return (
            f"Thesaurus({self.n_concepts} concepts, {n_top} without a broader one"
            f"{names})"
        )

    def __eq__(self, other):
        return (
            isinstance(other, Thesaurus)
            and np.array_equal(self._ids, other._ids)
            and (self._broader != other._broader).nnz == 0
            and self._names.keys() == other._names.keys()
            and all(
                np.array_equal(self._names[c], other._names[c]) for c in self._names
            )
            and self._other_names == other._other_names
        )

    __hash__ = None  # type: ignore[assignment]

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self  # never changed: clones of an estimator share it

    def __getstate__(self):
        return {name: part for name, part in vars(self).items() if name not in _CACHED}

    def __setstate__(self, state):
        Thesaurus.__init__(
            self,
            state["_ids"],
            state["_broader"],
            state["_names"],
            state["_other_names"],
        )

    def _check_cycles(self):
        cycle = find_cycle(self._broader)
        if cycle is not None:
            shown = STEP.join(repr(self._ids[number]) for number in cycle[:9])
            more = "" if len(cycle) <= 9 else f" and {len(cycle) - 9} more"
            raise ValueError(
                "no concept may be broader than itself, but each of these has the next "
                f"as a broader one: {shown}{more}"
            )


def _as_list(broader):
    if broader is None:
        return []
    return [broader] if isinstance(broader, str) else list(broader)


def _of_parent_array(parents):
    """The relation of an array of one broader concept each."""
    parents = np.asarray(parents)
    n_concepts = len(parents) if parents.ndim == 1 else 0
    if n_concepts == 0 or parents.dtype.kind not in "iu":
        raise ValueError(
            "parents must be a 1-D array of the number of each concept's broader one, "
            "-1 for none, a dict of identifiers, or a sparse matrix, got shape "
            f"{parents.shape}, dtype {parents.dtype}"
        )
    if parents.min() < -1 or parents.max() >= n_concepts:
        wrong = int(np.argmax((parents < -1) | (parents >= n_concepts)))
        raise ValueError(
            f"parents must lie in -1 to {n_concepts - 1}, found {parents[wrong]} for "
            f"concept {wrong}"
        )
    below = np.flatnonzero(parents >= 0)
    return relation(below, parents[below], n_concepts)


def _terms(path, separator):
    """The terms of a path as a tuple."""
    terms = path.split(separator) if isinstance(path, str) else list(path)
    terms = tuple(term.strip() for term in terms)
    if not all(terms):
        raise ValueError(
            f"paths must have no empty term, found {path!r}; terms are separated by "
            f"{separator!r}"
        )
    return terms


def _above(terms):
    """Identifier of the concept above, in a list; none for a path of one term."""
    return [STEP.join(terms[:-1])] if len(terms) > 1 else []
