"""Tables of pyarrow, pandas and polars, and dicts of arrays: read and made alike."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rankings:
    """Lists of labels, one after another.

    Parameters
    ----------
    ends : ndarray of int32 of shape (n_rows + 1,)
        First label of each row, and their number.
    labels : ndarray of int64 of shape (n_labels,)
    scores : ndarray of float32 of shape (n_labels,)
    names : ndarray of object of shape (n_labels,), or None
    """

    ends: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    names: np.ndarray | None

    @classmethod
    def none(cls):
        """Of no row."""
        empty = np.empty(0)
        return cls(np.zeros(1, np.int32), empty.astype(np.int64), empty, None)

    @classmethod
    def of(cls, labels, scores, names):
        """Of top-k lists.

        Parameters
        ----------
        labels : ndarray of int of shape (n_rows, k)
            Numbers; -1 for none.
        scores : ndarray of float of shape (n_rows, k)
        names : sequence of str of length n_labels, or None
            Names to show.
        """
        found = labels >= 0
        numbers = labels[found]
        shown = None
        if names is not None:
            shown = np.array([names[number] for number in numbers], dtype=object)
        ends = np.append(0, np.cumsum(found.sum(axis=1))).astype(np.int32)
        return cls(ends, numbers.astype(np.int64), scores[found], shown)

    def __len__(self):
        return len(self.ends) - 1

    def lists(self, name):
        """Values of a column, an array for each row (list)."""
        values = getattr(self, name)
        if values is None:
            return [None] * len(self)
        bounds = zip(self.ends[:-1], self.ends[1:], strict=True)
        return [values[first:last] for first, last in bounds]


COLUMNS = ("labels", "scores", "names")


def kind_of(table):
    """What makes a table of this kind from rankings and ids (callable).

    Parameters
    ----------
    table : table

    Raises
    ------
    TypeError
        If it is none.
    """
    module = type(table).__module__.partition(".")[0]
    name = type(table).__name__
    if isinstance(table, dict):
        return _as_dict
    makers = {
        ("pandas", "DataFrame"): lambda *found: _as_pandas(table, *found),
        ("polars", "DataFrame"): _as_polars,
        ("pyarrow", "Table"): _as_arrow,
        ("pyarrow", "RecordBatch"): lambda *found: _as_batch(_as_arrow(*found)),
    }
    if (module, name) not in makers:
        raise TypeError(
            "table must be a pyarrow Table or RecordBatch, a pandas or polars "
            f"DataFrame or a dict of columns, got {type(table).__name__}"
        )
    return makers[module, name]


def columns_of(table):
    """Names of the columns (list)."""
    if hasattr(table, "column_names"):  # pyarrow
        return list(table.column_names)
    if hasattr(table, "schema") and not hasattr(table, "columns"):
        return list(table.schema.names)
    return list(table if isinstance(table, dict) else table.columns)


def column_of(table, name):
    """Values of a column, of Python's types where the table has others."""
    if type(table).__module__.partition(".")[0] == "pyarrow":
        return _ArrowColumn(table.column(name))
    return table[name]


class _ArrowColumn(list):
    """Values of an Arrow column, which remembers its type."""

    def __init__(self, column):
        super().__init__(column.to_pylist())
        self.column = column


def _as_dict(rankings, ids):
    columns = {} if ids is None else {"id": np.asarray(ids)}
    for name in COLUMNS:
        lists = np.empty(len(rankings), dtype=object)
        lists[:] = rankings.lists(name)
        columns[name] = lists
    return columns


def _as_pandas(table, rankings, ids):
    import pandas as pd

    columns = {} if ids is None else {"id": ids}
    for name in COLUMNS:
        lists = [_plain(one) for one in rankings.lists(name)]
        columns[name] = pd.Series(lists, index=table.index, dtype=_list_type(name))
    return pd.DataFrame(columns, index=table.index)


def _list_type(name):
    """Type of a column of lists in pandas: object says nothing of empty ones."""
    import pandas as pd

    try:
        return pd.ArrowDtype(_arrow_list(name))
    except ImportError:
        return object


def _arrow_list(name):
    import pyarrow as pa

    types = {"labels": pa.int64(), "scores": pa.float32(), "names": pa.string()}
    return pa.list_(types[name])


def _as_polars(rankings, ids):
    import polars as pl

    lists = {name: [_plain(one) for one in rankings.lists(name)] for name in COLUMNS}
    types = {"labels": pl.Int64, "scores": pl.Float32, "names": pl.String}
    series = [
        pl.Series(name, lists[name], dtype=pl.List(types[name])) for name in COLUMNS
    ]
    return pl.DataFrame(([] if ids is None else [ids.alias("id")]) + series)


def _plain(values):
    return None if values is None else values.tolist()


def _as_arrow(rankings, ids):
    import pyarrow as pa

    columns = {} if ids is None else {"id": ids.column}
    for name in COLUMNS:
        values, kind = getattr(rankings, name), _arrow_list(name)
        if values is None:
            columns[name] = pa.nulls(len(rankings), kind)
            continue
        column = pa.array(values, type=kind.value_type)
        columns[name] = pa.ListArray.from_arrays(pa.array(rankings.ends), column)
    return pa.table(columns)


def _as_batch(table):
    import pyarrow as pa

    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
