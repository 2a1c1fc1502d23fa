"""Own data: texts and label names from CSV, JSON lines or Parquet."""

import codecs
import csv
import json
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

from sklearn.utils import Bunch

from sklearn_xmr.preprocessing import LabelNameBinarizer
from sklearn_xmr.utils._reading import named_errors
from sklearn_xmr.utils._texts_and_names import is_missing
from sklearn_xmr.utils._typing import NameList, PathOrStr

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


def load_labelled_texts(
    path: PathOrStr,
    *,
    text: str | list[str] = "text",
    labels: str = "labels",
    separator: str = ";",
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None = None,
    target_names: NameList | None = None,
    min_count: int = 1,
    encoding: str = "utf-8",
    return_X_y: bool = False,
) -> Any:
    """Load texts with label names from a CSV, TSV, JSON lines or Parquet file.

    Parameters
    ----------
    path : str or path-like
        The file; ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.parquet`` (which
        needs pandas with pyarrow). CSV and TSV have a header line.
    text : str or list of str, default="text"
        Column (or JSON key) of the text; the texts of several are joined by blanks.
        Missing values count as empty.
    labels : str, default="labels"
        Column of the labels: names in one string with ``separator`` between them, or,
        in JSON and Parquet, a list of names. Missing values are passed over; numbers
        become names, whole ones without a decimal point.
    separator : str, default=";"
        Between the names in a string; blanks around names are removed, empty names
        ignored.
    format : {"csv", "tsv", "jsonl", "parquet"}, default=None
        None: by the ending of the file's name.
    target_names : sequence of str, default=None
        The labels in the order of their columns, as for a test file those of the
        training file; other names are ignored. None: all in the file, sorted.
    min_count : int, default=1
        Labels of fewer instances are left out, where ``target_names`` is None.
    encoding : str, default="utf-8"
        Encoding of text files; a byte order mark is skipped.
    return_X_y : bool, default=False
        Return ``(data, target)`` only.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With attributes

        data : list of str
            The instances: one text for each row.
        target : csr_matrix of int64 of shape (n_samples, n_labels)
            Label indicator.
        target_names : list of str of length n_labels
            Name of each column.

    (data, target) : tuple if ``return_X_y`` is True
        The instances and the label indicator.

    Raises
    ------
    ValueError
        If a column is missing, a row is not as the others, nothing is in the file, or
        it is not in the encoding; the message names the file and line.
    ImportError
        If the file is Parquet, and pandas or pyarrow is not installed.

    See Also
    --------
    sklearn_xmr.preprocessing.LabelNameBinarizer : For data that is in memory.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_xmr.datasets import load_labelled_texts
    >>> path = Path(tempfile.mkdtemp()) / "books.csv"
    >>> rows = ["title,subjects", "Moby Dick,whales; sea", "Dracula,vampires"]
    >>> _ = path.write_text("\\n".join(rows))
    >>> books = load_labelled_texts(path, text="title", labels="subjects")
    >>> books.data, books.target_names
    (['Moby Dick', 'Dracula'], ['sea', 'vampires', 'whales'])
    >>> books.target.toarray().tolist()
    [[1, 0, 1], [0, 1, 0]]
    """
    path = Path(path)
    columns = [text] if isinstance(text, str) else list(text)
    read = _READERS[_format_of(path, format)]
    rows = read(path, [*columns, labels], _encoding_of(encoding))
    texts, names = [], []
    for place, row in rows:
        texts.append(" ".join(filter(None, (_as_text(row[c], place) for c in columns))))
        names.append(_as_names(row[labels], separator, place))
    if not texts:
        raise ValueError(f"{path} holds no rows")
    if target_names is None and not any(names):
        raise ValueError(f"{path} has no name in {labels!r}: there is nothing to learn")
    binarizer = LabelNameBinarizer(
        target_names, min_count=min_count, handle_unknown="ignore"
    )
    target = binarizer.fit_transform(names)
    if return_X_y:
        return texts, target
    return Bunch(data=texts, target=target, target_names=binarizer.classes_.tolist())


def _format_of(path, format):
    found = FORMATS.get(path.suffix.lower()) if format is None else format
    if found not in _READERS:
        raise ValueError(
            f"format must be one of {sorted(_READERS)}, or the file's name end in one "
            f"of {sorted(FORMATS)}, got format={format!r} and {path.name!r}"
        )
    return found


# Each reader yields (place, {column: value}); place says where, for errors.


def _read_csv(path, columns, encoding, delimiter=","):
    limit = csv.field_size_limit()
    csv.field_size_limit(2**31 - 1)  # long texts
    try:
        with open(path, newline="", encoding=encoding) as file:
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(rows, [])
            _check_columns(path, columns, header)
            for row in rows:
                place = f"{path}, line {rows.line_num}"
                if len(row) != len(header):
                    if not row:
                        continue
                    raise ValueError(
                        f"{place}: {len(row)} fields, but the header has {len(header)};"
                        " fields that hold delimiters or line ends need quotes"
                    )
                yield place, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}") from error
    except UnicodeError as error:
        raise _encoding_error(path, encoding, error) from error
    finally:
        csv.field_size_limit(limit)


def _read_tsv(path, columns, encoding):
    return _read_csv(path, columns, encoding, delimiter="\t")


def _read_jsonl(path, columns, encoding):
    try:
        with open(path, encoding=encoding) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    place = f"{path}, line {number}"
                    row = _json_object(line, place)
                    _check_columns(place, columns, row)
                    yield place, row
    except UnicodeError as error:
        raise _encoding_error(path, encoding, error) from error


def _json_object(line, place):
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: no valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(  # noqa: TRY004, the file's content is wrong
            f"{place}: expected a JSON object, found {line[:40]!r}"
        )
    return row


def _read_parquet(path, columns, encoding):
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "Parquet files need pandas and pyarrow: pip install pandas pyarrow"
        ) from error
    with named_errors(path, ValueError, "Parquet"):
        frame = pandas.read_parquet(path)
        _check_columns(path, columns, list(frame.columns))
        parts = [frame[column].tolist() for column in columns]
    for number, values in enumerate(zip(*parts, strict=True)):
        yield f"{path}, row {number}", dict(zip(columns, values, strict=True))


def _encoding_of(encoding):
    """The encoding, in which a byte order mark of UTF-8 is skipped."""
    try:
        name = codecs.lookup(encoding).name
    except (LookupError, TypeError) as error:
        raise ValueError(
            f"encoding must be one that Python knows, such as 'utf-8' or 'latin-1', "
            f"got {encoding!r}"
        ) from error
    return "utf-8-sig" if name == "utf-8" else encoding


def _encoding_error(path, encoding, error):
    return ValueError(
        f"{path} is no text in {encoding.removesuffix('-sig')}: {error}; say how it is "
        "encoded, as encoding='cp1252', and unpack compressed files"
    )


_READERS = {
    "csv": _read_csv,
    "tsv": _read_tsv,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
}


def _check_columns(place, wanted, found):
    missing = [column for column in wanted if column not in found]
    if missing:
        raise ValueError(
            f"{place}: no column {missing[0]!r}, found {sorted(map(str, found))}; name "
            "the columns by text= and labels="
        )
    if isinstance(found, list):
        twice = [column for column in wanted if found.count(column) > 1]
        if twice:
            raise ValueError(
                f"{place}: column {twice[0]!r} occurs {found.count(twice[0])} times: "
                "which one is meant?"
            )


def _as_text(value, place):
    if is_missing(value):
        return ""
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004, the file's content is wrong
            f"{place}: expected a text, found {value!r}"
        )
    return value


def _as_names(value, separator, place):
    """The label names of a row: of a string, a list, or nothing."""
    if is_missing(value):
        return []
    if isinstance(value, str):
        value = value.split(separator) if separator else [value]
    if not hasattr(value, "__iter__"):
        value = [value]
    if isinstance(value, bytes) or any(
        isinstance(name, (list, dict, bytes)) for name in value
    ):
        raise ValueError(f"{place}: expected label names, found {value!r}")
    names = (_as_name(name) for name in value if not is_missing(name))
    return [name for name in names if name]


def _as_name(value):
    """A name; a whole number as an integer, which a missing value makes a float."""
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{value:.0f}" if float(value).is_integer() else str(value)
    return str(value).strip()
