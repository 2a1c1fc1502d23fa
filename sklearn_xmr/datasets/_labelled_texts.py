"""Own data: texts and label names from CSV, JSON lines, Parquet or peers' files."""

import codecs
import csv
import json
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import sparse
from sklearn.utils import Bunch

from sklearn_xmr.preprocessing import LabelNameBinarizer
from sklearn_xmr.utils._matrices import aligns_sparse
from sklearn_xmr.utils._reading import named_errors
from sklearn_xmr.utils._texts_and_names import is_missing, warn_of_separator
from sklearn_xmr.utils._typing import NameList, PathOrStr

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


@aligns_sparse
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
    columns: list[str] | None = None,
    relevance_separator: str | None = None,
    keep: str | Sequence[str] = (),
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
        ignored. A warning says where it splits (nearly) nothing, and another one would.
    format : {"csv", "tsv", "jsonl", "parquet"}, default=None
        None: by the ending of the file's name.
    target_names : sequence of str, default=None
        The labels in the order of their columns, as for a test file those of the
        training file; other names are ignored. None: all in the file, sorted.
    min_count : int, default=1
        Labels of fewer instances are left out, where ``target_names`` is None.
    encoding : str, default="utf-8"
        Encoding of text files; a byte order mark is skipped.
    columns : sequence of str, default=None
        Names of the columns of a CSV or TSV file without a header line, in which
        quotes are no more than characters, as other packages' files have them.
        ``format="tsv", columns=["labels", "text"]`` reads those of libpecos' text2text
        (with ``separator=","``), LibMultiLabel and napkinXC (with ``separator=" "``).
    relevance_separator : str, default=None
        Between a name and its relevance: "::" in ``5::0.5,7::2``. A name without it has
        1, and the last one counts where a row repeats a name. None: no relevance.
    keep : str or sequence of str, default=()
        Other columns that are returned beside the texts, such as an identifier.
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
        relevance : csr_matrix of float32 of the shape of target
            Relevance of each pair of target, as ``fit`` takes it; only with
            ``relevance_separator``.
        kept : dict of str to list
            Values of the columns of ``keep``, row by row, as they are in the file;
            only with ``keep``.

    (data, target) : tuple if ``return_X_y`` is True
        The instances and the label indicator.

    Raises
    ------
    ValueError
        If a column is missing, a row is not as the others, nothing is in the file, it
        is not in the encoding, or a relevance is no positive number; the message names
        the file and line.
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
    text_columns = [text] if isinstance(text, str) else list(text)
    keep = [keep] if isinstance(keep, str) else list(keep)
    found = _format_of(path, format)
    options = {} if columns is None else {"header": _checked_header(columns, found)}
    wanted = [*text_columns, labels, *keep]
    texts, names, kept = [], _Names(separator, relevance_separator), []
    for place, row in _READERS[found](path, wanted, _encoding_of(encoding), **options):
        parts = (_as_text(row[column], place) for column in text_columns)
        texts.append(" ".join(filter(None, parts)))
        names.append(row[labels], place)
        kept.append([row[column] for column in keep])
    if not texts:
        raise ValueError(f"{path} holds no rows")
    if target_names is None and not any(names.rows):
        raise ValueError(f"{path} has no name in {labels!r}: there is nothing to learn")
    names.warn_of_separator(path, labels)
    binarizer = LabelNameBinarizer(
        target_names, min_count=min_count, handle_unknown="ignore"
    )
    target = binarizer.fit_transform(names.rows)
    if return_X_y:
        return texts, target
    data = Bunch(data=texts, target=target, target_names=binarizer.classes_.tolist())
    if relevance_separator is not None:
        data.relevance = names.relevance_of(target, data.target_names)
    if keep:
        data.kept = dict(zip(keep, map(list, zip(*kept, strict=True)), strict=True))
    return data


class _Names:
    """Label names of all rows, with their relevance.

    Parameters
    ----------
    separator : str
        Between names.
    relevance_separator : str or None
        Between a name and its relevance.
    """

    def __init__(self, separator, relevance_separator):
        self.separator, self.relevance_separator = separator, relevance_separator
        self.rows, self.relevance = [], []
        self.strings = []

    def append(self, value, place):
        """Add a row, whose labels are a string, a list or nothing."""
        if isinstance(value, str):
            self.strings.append(value)
        names = _as_names(value, self.separator, place)
        if self.relevance_separator is not None:
            pairs = (_with_relevance(n, self.relevance_separator, place) for n in names)
            by_name = dict(pairs)
            self.relevance.append(by_name)
            names = list(by_name)
        self.rows.append(names)

    def relevance_of(self, target, target_names):
        """The relevance of each pair of the label indicator."""
        rows = np.repeat(np.arange(target.shape[0]), np.diff(target.indptr))
        pairs = zip(rows, target.indices, strict=True)
        data = [self.relevance[row][target_names[column]] for row, column in pairs]
        parts = np.array(data, dtype=np.float32), target.indices, target.indptr
        return sparse.csr_matrix(parts, shape=target.shape)

    def warn_of_separator(self, path, column):
        """Warn where another separator seems to be meant."""
        warn_of_separator(self.strings, self.separator, f"column {column!r} of {path}")


def _with_relevance(name, separator, place):
    """A name and its relevance."""
    name, found, number = name.rpartition(separator)
    if not found:
        return number, 1.0
    try:
        with np.errstate(over="ignore"):  # said below
            value = np.float32(number)
    except ValueError:
        value = np.nan
    if not 0 < value < np.inf:
        raise ValueError(
            f"{place}: the relevance of {name!r} must be a positive number, found "
            f"{number!r}"
        )
    return name.strip(), value


def _checked_header(columns, format):
    """Names of the columns of a file without a header line."""
    if format not in ("csv", "tsv"):
        raise ValueError(
            f"columns names those of CSV and TSV files without a header line; {format} "
            "files name their own"
        )
    if isinstance(columns, str):
        raise ValueError(  # noqa: TRY004, of the content of a list
            f"columns must list names, got the string {columns!r}"
        )
    return list(columns)


def _format_of(path, format):
    found = FORMATS.get(path.suffix.lower()) if format is None else format
    if found not in _READERS:
        raise ValueError(
            f"format must be one of {sorted(_READERS)}, or the file's name end in one "
            f"of {sorted(FORMATS)}, got format={format!r} and {path.name!r}"
        )
    return found


# Each reader yields (place, {column: value}); place says where, for errors.


def _read_csv(path, columns, encoding, delimiter=",", header=None):
    limit = csv.field_size_limit()
    csv.field_size_limit(2**31 - 1)  # long texts
    try:
        with open(path, newline="", encoding=encoding) as file:
            quoting = csv.QUOTE_MINIMAL if header is None else csv.QUOTE_NONE
            rows = csv.reader(file, delimiter=delimiter, strict=True, quoting=quoting)
            announced = "the header has" if header is None else "columns names"
            header = next(rows, []) if header is None else header
            _check_columns(path, columns, header)
            for row in rows:
                place = f"{path}, line {rows.line_num}"
                if len(row) != len(header):
                    if not row:
                        continue
                    raise ValueError(
                        f"{place}: {len(row)} fields, but {announced} {len(header)}; "
                        "fields that hold delimiters or line ends need quotes and a "
                        "header line"
                    )
                yield place, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}") from error
    except UnicodeError as error:
        raise _encoding_error(path, encoding, error) from error
    finally:
        csv.field_size_limit(limit)


def _read_tsv(path, columns, encoding, header=None):
    return _read_csv(path, columns, encoding, "\t", header)


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
            "the columns by text=, labels= and keep="
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
