"""Predict table after table with a saved model, in any process."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from sklearn_xmr.distributed._tables import Rankings, column_of, columns_of, kind_of
from sklearn_xmr.persistence import load_model
from sklearn_xmr.utils._folders import Folder
from sklearn_xmr.utils._response import last_estimator, predict_topk
from sklearn_xmr.utils._typing import PathOrStr
from sklearn_xmr.utils._validation import check_count
from sklearn_xmr.utils._whole_file import whole_file

_models: dict[tuple, Any] = {}
_loading = Lock()


class PartitionPredictor:
    """A function from a table to the table of its rows' best labels.

    It is made of the path of a model file, so that it is small to send to workers:
    each process loads the model at the first call, as a memory map that the processes
    of a machine share, and keeps it. It takes and gives what engines hand their
    functions: pyarrow tables and record batches, pandas and polars frames, dicts of
    arrays. Empty tables are fine.

    The result has these columns, a row for each row of the table:

    - ``id``: that column of the table; only where ``id`` is given;
    - ``labels``: list of int64, the numbers of the best labels, best first;
    - ``scores``: list of float32, their scores;
    - ``names``: list of str, their names; null where neither the model nor
      ``label_names`` knows them.

    In pandas, the lists are columns of Arrow's types where pyarrow is installed, so
    that empty partitions have the same.

    Parameters
    ----------
    model : path-like or str
        What :func:`~sklearn_xmr.save_model` has saved: a path or a URL that fsspec
        knows.
    k : int, default=5
        Number of labels.
    text : str, default=None
        Column of the texts that the model takes; null counts as an empty text.
    columns : list of str, default=None
        Columns that the model takes as a pandas frame.
    features : str, default=None
        Column of lists of numbers that the model takes as a matrix. Exactly one of
        ``text``, ``columns`` and ``features`` is given.
    id : str, default=None
        Column to keep, by which the result can be joined.
    label_names : sequence of str, default=None
        Names of the labels where the model has none.
    skip_empty : bool, default=False
        Whether a row that says nothing gets no label, as in
        :func:`~sklearn_xmr.predict_topk`.

    Raises
    ------
    ValueError
        If not exactly one of ``text``, ``columns`` and ``features`` is given, or ``k``
        is not a positive integer.

    See Also
    --------
    predict_parquet : Predict files without an engine.

    Notes
    -----
    Calls use as many threads as OpenMP may use in their process: Dask and Ray set one
    for each task, Spark ``spark.task.cpus``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_xmr import XRLinearClassifier, save_model
    >>> from sklearn_xmr.distributed import PartitionPredictor
    >>> from sklearn_xmr.feature_extraction.text import TfidfVectorizer
    >>> texts = ["red bird", "blue bird", "red fish", "blue fish"]
    >>> y = ["birds", "birds", "fish", "fish"]
    >>> model = make_pipeline(TfidfVectorizer(), XRLinearClassifier()).fit(texts, y)
    >>> folder = TemporaryDirectory()
    >>> save_model(model, folder.name + "/model.xmr")
    >>> predictor = PartitionPredictor(
    ...     folder.name + "/model.xmr", k=1, text="title", id="number")
    >>> table = pd.DataFrame({"number": [7, 8], "title": ["a fish", "a bird"]})
    >>> found = predictor(table)
    >>> found["id"].tolist(), [list(names) for names in found["names"]]
    ([7, 8], [['fish'], ['birds']])
    >>> folder.cleanup()
    """

    def __init__(
        self,
        model: PathOrStr,
        k: int = 5,
        *,
        text: str | None = None,
        columns: Sequence[str] | None = None,
        features: str | None = None,
        id: str | None = None,
        label_names: Sequence[str] | None = None,
        skip_empty: bool = False,
    ) -> None:
        self.model = os.fspath(model)
        self.k = check_count(k, "k")
        self.text, self.features, self.id = text, features, id
        self.columns = None if columns is None else list(columns)
        self.label_names = None if label_names is None else list(label_names)
        self.skip_empty = skip_empty
        given = {"text": text, "columns": columns, "features": features}
        named = [name for name, value in given.items() if value is not None]
        if len(named) != 1:
            raise ValueError(
                "exactly one of text, columns and features must name what the model "
                f"takes, got {named or 'none'}"
            )

    def __call__(self, table: Any) -> Any:
        """Rank the labels of each row.

        Parameters
        ----------
        table : pyarrow.Table, RecordBatch, pandas or polars DataFrame, or dict
            With the columns that were named.

        Returns
        -------
        table
            Of the same kind, with the columns above.

        Raises
        ------
        ValueError
            If a column is missing, or the model refuses the rows.
        TypeError
            If it is no such table.
        """
        kind = kind_of(table)
        needed = [self.text, self.features, self.id, *(self.columns or ())]
        missing = {name for name in needed if name is not None} - set(columns_of(table))
        if missing:
            raise ValueError(
                f"table must have the columns {sorted(missing)}, found "
                f"{list(columns_of(table))}"
            )
        rankings = self._rank(table)
        ids = None if self.id is None else column_of(table, self.id)
        return kind(rankings, ids)

    def map_batches(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Rank the labels of table after table, for Spark's ``mapInArrow``.

        Parameters
        ----------
        batches : iterable of tables
            See :meth:`__call__`.

        Yields
        ------
        table
        """
        for batch in batches:
            yield self(batch)

    def spark_schema(self, schema: Any) -> str:
        """Return the schema of the result, as ``mapInArrow`` wants it.

        Parameters
        ----------
        schema : pyspark.sql.types.StructType
            Schema of the frame: it knows the type of the ``id``.

        Returns
        -------
        str
            A schema in Spark's own language.
        """
        columns = "labels array<bigint>, scores array<float>, names array<string>"
        if self.id is None:
            return columns
        return f"id {schema[self.id].dataType.simpleString()}, {columns}"

    def _rank(self, table):
        """Rankings of the rows of a table."""
        loaded = _loaded(self.model)
        X = self._instances(table)
        if len(X) == 0:
            return Rankings.none()
        skip = {"skip_empty": self.skip_empty}
        labels, scores = predict_topk(loaded.model, X, self.k, **skip)
        if labels.dtype.kind not in "iu":
            labels = loaded.numbers_of(labels)
        return Rankings.of(labels, scores, self._names(loaded))

    def _instances(self, table):
        if self.text is not None:
            texts = column_of(table, self.text)
            return [text if isinstance(text, str) else _text_of(text) for text in texts]
        if self.features is not None:
            return _matrix_of(column_of(table, self.features), self.features)
        return _as_pandas(table, self.columns)

    def _names(self, loaded):
        """Names to show, by the numbers of the labels; None for none."""
        if self.label_names is None:
            return loaded.names
        if len(self.label_names) != len(loaded.classes):
            raise ValueError(
                f"label_names must have the {len(loaded.classes)} names of the model's "
                f"labels, got {len(self.label_names)}"
            )
        return self.label_names


class _LoadedModel:
    """A model of this process, with what it calls its labels, made once.

    Parameters
    ----------
    model : estimator
    """

    def __init__(self, model):
        self.model = model
        self.classes = last_estimator(model).classes_

    @cached_property
    def names(self):
        """Names of the labels (list of str); None for the columns of an indicator."""
        if np.array_equal(self.classes, np.arange(len(self.classes))):
            return None
        return [str(name) for name in self.classes]

    def numbers_of(self, names):
        """Numbers of labels that the model names (ndarray of int64); -1 for none."""
        numbers = [[self._number_of.get(name, -1) for name in row] for row in names]
        return np.array(numbers, dtype=np.int64).reshape(names.shape)

    @cached_property
    def _number_of(self):
        return {name: number for number, name in enumerate(self.classes)}


def predict_parquet(
    predictor: PartitionPredictor,
    source: PathOrStr,
    target: PathOrStr,
    *,
    batch_size: int = 8192,
) -> int:
    """Predict Parquet files, row group by row group, without an engine.

    Parameters
    ----------
    predictor : PartitionPredictor
        What to predict, and with which model.
    source : path-like
        A Parquet file, or a folder of such.
    target : path-like
        Folder of the results: files of the same names, each written whole or not at
        all. A file that is there is passed over, so that a run that was ended goes on.
    batch_size : int, default=8192
        Rows that are in memory at once.

    Returns
    -------
    int
        Number of rows of all files, those passed over included.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    FileNotFoundError
        If there is no Parquet file.
    ValueError
        If a column is missing, a file is damaged, or ``target`` is the folder of
        ``source`` or holds files that this predictor has not written.

    Examples
    --------
    >>> from sklearn_xmr.distributed import PartitionPredictor, predict_parquet
    >>> predictor = PartitionPredictor("model.xmr", text="title", id="number")
    >>> predict_parquet(predictor, "titles/", "subjects/")  # doctest: +SKIP
    100000
    """
    import pyarrow.parquet as pq

    check_count(batch_size, "batch_size")
    source, target = Path(source), Path(target)
    files = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    if not files:
        raise FileNotFoundError(f"{source} holds no file that ends in .parquet")
    target.mkdir(parents=True, exist_ok=True)
    if target.resolve() in (path.resolve().parent for path in files):
        raise ValueError(f"target must be another folder than source, got {target}")
    n_rows = 0
    for path in files:
        file, result = pq.ParquetFile(path), target / path.name
        n_rows += file.metadata.num_rows
        schema = _schema(predictor, file)
        if result.exists():
            _check_written(result, schema)
        else:
            _predict_file(predictor, file, result, schema, batch_size)
    return n_rows


def _schema(predictor, file):
    """Schema of the results of a file, which says what has made them."""
    import pyarrow as pa

    empty = predictor(pa.Table.from_batches([], file.schema_arrow))
    said = {"settings": vars(predictor), "model": _version(predictor.model)}
    return empty.schema.with_metadata({"sklearn_xmr": json.dumps(said)})


def _check_written(result, schema):
    """ValueError unless a file of results was written by the same predictor."""
    import pyarrow.parquet as pq

    if (pq.read_schema(result).metadata or {}).get(b"sklearn_xmr") != schema.metadata[
        b"sklearn_xmr"
    ]:
        raise ValueError(
            f"{result} was written by another predictor or model: give another target, "
            "or delete what is there"
        )


def _predict_file(predictor, file, result, schema, batch_size):
    import pyarrow as pa
    import pyarrow.parquet as pq

    with whole_file(result) as out, pq.ParquetWriter(out, schema) as writer:
        for batch in file.iter_batches(batch_size):
            found = pa.Table.from_batches([predictor(batch)])
            writer.write_table(found.replace_schema_metadata(schema.metadata))


def _place(model):
    """Folder and name of a model file."""
    folder, _, name = model.replace(os.sep, "/").rpartition("/")
    return Folder(folder or ("/" if model.startswith("/") else ".")), name


def _version(model):
    """What changes when a model file is replaced (str)."""
    place, name = _place(model)
    return place.version(name)


def _loaded(model):
    """The model of a path, loaded once in a process and again when it has changed."""
    place, name = _place(model)
    key = model, place.version(name)
    with _loading:
        if key not in _models:
            for old in [old for old in _models if old[0] == model]:
                del _models[old]
            _models[key] = _LoadedModel(load_model(place.read(name)))
        return _models[key]


def _matrix_of(rows, name):
    """Rows of numbers, of one length, as a matrix."""
    lengths = {len(row) if hasattr(row, "__len__") else None for row in rows}
    if len(lengths) > 1 or None in lengths:
        raise ValueError(
            f"{name} must hold lists of numbers of one length, found the lengths "
            f"{sorted(map(str, lengths))}"
        )
    return np.array([np.asarray(row) for row in rows], dtype=np.float32)


def _text_of(value):
    """The empty text for a missing one, as None, NaN and pandas' NA say it."""
    if value is None or value is getattr(sys.modules.get("pandas"), "NA", None):
        return ""
    if isinstance(value, float) and np.isnan(value):
        return ""
    raise ValueError(f"text must hold texts, found {value!r:.40}")


def _as_pandas(table, columns):
    import pandas as pd

    return pd.DataFrame({name: column_of(table, name) for name in columns})
