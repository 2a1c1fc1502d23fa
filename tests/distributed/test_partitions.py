"""Tables in, tables out: the same rankings by all kinds, in any partition."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    LabelNamesClassifier,
    XRLinearClassifier,
    load_model,
    predict_topk,
    save_model,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.distributed import PartitionPredictor, predict_parquet
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def tate():
    found = load_tate_subjects()
    return list(found.data[:500]), found.target[:500], found.target_names


@pytest.fixture(scope="module")
def paths(tate, tmp_path_factory):
    """Model files: labels by number, and by name."""
    texts, Y, names = tate
    folder = tmp_path_factory.mktemp("models")
    plain = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    named = make_pipeline(
        TfidfVectorizer(), LabelNamesClassifier(XRLinearClassifier(random_state=0))
    )
    save_model(plain.fit(texts, Y), folder / "plain.xmr")
    lists = [[names[i] for i in row.indices] for row in Y]
    save_model(named.fit(texts, lists), folder / "named.xmr")
    return folder


TABLES = {
    "arrow": pa.table,
    "batch": pa.RecordBatch.from_pydict,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "dict": lambda columns: {n: np.array(c, dtype=object) for n, c in columns.items()},
}


def as_lists(table):
    """Columns of a table as lists."""
    if isinstance(table, (pa.Table, pa.RecordBatch)):
        return table.to_pydict()
    if isinstance(table, pl.DataFrame):
        return table.to_dict(as_series=False)
    return {
        name: [one.tolist() if hasattr(one, "tolist") else one for one in column]
        for name, column in table.items()  # of a dict or of pandas
    }


@pytest.fixture(params=TABLES)
def make_table(request):
    return TABLES[request.param]


@pytest.mark.parametrize("model", ["plain", "named"])
def test_rankings_are_those_of_the_model(model, make_table, paths, tate):
    texts = tate[0][:40]
    predictor = PartitionPredictor(paths / f"{model}.xmr", 3, text="title", id="key")
    table = make_table({"key": list(range(7, 47)), "title": texts})
    found = predictor(table)
    assert type(found) is type(table)
    columns = as_lists(found)
    assert list(columns) == ["id", "labels", "scores", "names"]
    assert list(columns["id"]) == list(range(7, 47))
    labels, scores = predict_topk(load_model(paths / f"{model}.xmr"), texts, 3)
    np.testing.assert_allclose(np.array(columns["scores"]), scores, rtol=1e-6)
    if model == "plain":
        assert columns["labels"] == labels.tolist()
        assert all(pd.isna(one) for one in columns["names"])
    else:
        assert [list(one) for one in columns["names"]] == labels.tolist()
        classes = load_model(paths / "named.xmr")[-1].classes_
        shown = [[classes[i] for i in row] for row in columns["labels"]]
        assert shown == labels.tolist()


def test_partitions_may_be_empty(make_table, paths):
    predictor = PartitionPredictor(paths / "named.xmr", text="title", id="key")
    table = make_table({"key": [1], "title": ["a portrait"]})
    empty = (
        table[:0]
        if not isinstance(table, (dict, pa.RecordBatch))
        else (
            {name: column[:0] for name, column in table.items()}
            if isinstance(table, dict)
            else table.slice(0, 0)
        )
    )
    found, full = predictor(empty), predictor(table)
    assert as_lists(found) == {"id": [], "labels": [], "scores": [], "names": []}
    for schema in ("schema", "dtypes"):
        if hasattr(found, schema):
            assert str(getattr(found, schema)) == str(getattr(full, schema))
            break


def test_missing_texts_and_empty_rows(paths, tate):
    predictor = PartitionPredictor(paths / "named.xmr", text="title", skip_empty=True)
    for missing in (None, float("nan"), pd.NA):
        table = pd.DataFrame({"title": [tate[0][0], missing]}, dtype=object)
        found = predictor(table)
        assert len(found["labels"][0]) == 5 and list(found["labels"][1]) == []
    with pytest.raises(ValueError, match="text must hold texts, found 3"):
        predictor(pd.DataFrame({"title": [3]}))


def test_features(tmp_path, tate):
    _, Y, names = tate
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 6)).astype(np.float32)
    save_model(XRLinearClassifier(random_state=0).fit(X, Y), tmp_path / "dense.xmr")
    predictor = PartitionPredictor(
        tmp_path / "dense.xmr", features="vector", label_names=names
    )
    table = pa.table({"vector": X.tolist()})
    found = as_lists(predictor(table))
    labels, _ = predict_topk(load_model(tmp_path / "dense.xmr"), X)
    assert found["labels"] == labels.tolist()
    assert found["names"][0] == [names[i] for i in labels[0]]


def test_columns(tmp_path, tate):
    pytest.importorskip("skops")  # stores what passes columns through
    texts, Y, _ = tate
    numbers = np.random.default_rng(0).normal(size=500)
    both = pd.DataFrame({"title": texts, "number": numbers})
    columns = make_column_transformer(
        (TfidfVectorizer(), "title"), ("passthrough", ["number"])
    )
    model = make_pipeline(columns, XRLinearClassifier(random_state=0)).fit(both, Y)
    save_model(model, tmp_path / "both.xmr")
    predictor = PartitionPredictor(tmp_path / "both.xmr", columns=["title", "number"])
    found = as_lists(predictor(pl.from_pandas(both[:50])))
    assert found["labels"] == predict_topk(model, both[:50])[0].tolist()


def test_it_travels_small_and_reads_a_new_model(paths, tate, tmp_path):
    texts, Y, _ = tate
    path = tmp_path / "model.xmr"
    path.write_bytes((paths / "plain.xmr").read_bytes())
    predictor = PartitionPredictor(path, text="title")
    content = pickle.dumps(predictor)
    assert len(content) < 1000
    again = pickle.loads(content)
    table = pa.table({"title": texts[:5]})
    assert again(table) == predictor(table)
    model = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    save_model(model.fit(texts, Y[:, ::-1]), path)
    assert again(table) != PartitionPredictor(paths / "plain.xmr", text="title")(table)


@pytest.mark.parametrize(
    "settings, error, words",
    [
        ({}, ValueError, "exactly one of text, columns and features"),
        ({"text": "a", "features": "b"}, ValueError, "exactly one of text, columns"),
        ({"text": "title", "k": 0}, ValueError, "k must be"),
    ],
)
def test_wrong_settings(settings, error, words):
    with pytest.raises(error, match=words):
        PartitionPredictor("model.xmr", **settings)


def test_wrong_tables(paths):
    predictor = PartitionPredictor(paths / "plain.xmr", text="title", id="key")
    with pytest.raises(ValueError, match=r"must have the columns \['key'\], found"):
        predictor(pd.DataFrame({"title": []}))
    with pytest.raises(TypeError, match="table must be a pyarrow Table"):
        predictor([1, 2])
    wrong = PartitionPredictor(paths / "plain.xmr", text="title", label_names=["a"])
    with pytest.raises(ValueError, match="label_names must have the"):
        wrong(pd.DataFrame({"title": ["a"]}))
    with pytest.raises(FileNotFoundError):
        PartitionPredictor(paths / "none.xmr", text="title")(
            pd.DataFrame({"title": ["a"]})
        )


@pytest.fixture
def parquet(tate, tmp_path):
    texts = tate[0]
    folder = tmp_path / "source"
    folder.mkdir()
    for number, first in enumerate((0, 200, 500)):
        part = texts[first : first + 300 if first else 200]
        keys = [f"k{first + i}" for i in range(len(part))]
        table = pa.table(
            {"key": pa.array(keys, pa.string()), "title": pa.array(part, pa.string())}
        )
        path = folder / f"part-{number}.parquet"
        pq.write_table(table, path, compression="gzip")  # not every Java has snappy
    return folder


def test_parquet_files(parquet, paths, tate, tmp_path):
    predictor = PartitionPredictor(paths / "named.xmr", 2, text="title", id="key")
    target = tmp_path / "target"
    assert predict_parquet(predictor, parquet, target, batch_size=64) == 500
    found = pq.read_table(target)
    assert found["id"].to_pylist() == [f"k{i}" for i in range(500)]
    labels, _ = predict_topk(load_model(paths / "named.xmr"), tate[0], 2)
    assert found["names"].to_pylist() == labels.tolist()
    before = (target / "part-1.parquet").stat().st_mtime_ns
    (target / "part-0.parquet").unlink()
    assert predict_parquet(predictor, parquet, target) == 500
    assert (target / "part-1.parquet").stat().st_mtime_ns == before
    assert pq.read_table(target).num_rows == 500
    with pytest.raises(FileNotFoundError, match="holds no file that ends in"):
        predict_parquet(predictor, tmp_path / "target" / "..", tmp_path / "other")


def test_the_command(parquet, paths, tmp_path):
    call = [sys.executable, "-m", "sklearn_xmr.distributed", "predict"]
    call += [paths / "named.xmr", parquet, tmp_path / "t", "--text", "title"]
    call += ["--id", "key", "-k", "1"]
    done = subprocess.run(
        list(map(str, call)), capture_output=True, text=True, check=True
    )
    assert done.stdout == "500 rows\n"
    assert pq.read_table(tmp_path / "t").column_names[0] == "id"
    failed = subprocess.run(
        [*map(str, call[:-4]), "--id", "none"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1 and "must have the columns" in failed.stderr


def test_results_of_others_are_not_taken_for_ones_own(parquet, paths, tmp_path):
    given = {"text": "title", "id": "key"}
    predict_parquet(
        PartitionPredictor(paths / "named.xmr", 2, **given), parquet, tmp_path
    )
    for other in (
        PartitionPredictor(paths / "named.xmr", 3, **given),
        PartitionPredictor(paths / "plain.xmr", 2, **given),
    ):
        with pytest.raises(ValueError, match="written by another predictor or model"):
            predict_parquet(other, parquet, tmp_path)
    with pytest.raises(ValueError, match="must be another folder than source"):
        predict_parquet(other, parquet, parquet)


def test_labels_with_names_of_other_kinds(tate, tmp_path):
    texts, Y, _ = tate
    classes = np.asarray(Y.argmax(axis=1)).ravel() * 100 + 7
    models = {
        "classes": (XRLinearClassifier(random_state=0), classes),
        "numbers": (
            LabelNamesClassifier(XRLinearClassifier(random_state=0)),
            [[int(one)] for one in classes],
        ),
    }
    for name, (clf, y) in models.items():
        model = make_pipeline(TfidfVectorizer(), clf).fit(texts, y)
        save_model(model, tmp_path / f"{name}.xmr")
        predictor = PartitionPredictor(tmp_path / f"{name}.xmr", 1, text="title")
        found = as_lists(predictor(pa.table({"title": texts[:30]})))
        shown = [[str(model[-1].classes_[i]) for i in row] for row in found["labels"]]
        assert found["names"] == shown
    shown = [f"label {i}" for i in range(len(model[-1].classes_))]
    predictor = PartitionPredictor(
        tmp_path / "numbers.xmr", 1, text="title", label_names=shown
    )
    found = as_lists(predictor(pa.table({"title": texts[:3]})))
    assert found["names"] == [[shown[i] for i in row] for row in found["labels"]]


@pytest.mark.parametrize("rows", [[[1.0, 2.0], [1.0]], [[1.0], None], [1.0, 2.0]])
def test_wrong_features_are_named(rows, paths):
    predictor = PartitionPredictor(paths / "plain.xmr", features="vector")
    with pytest.raises(ValueError, match="vector must hold lists of numbers"):
        predictor(pd.DataFrame({"vector": pd.Series(rows, dtype=object)}))


# --- engines ------------------------------------------------------------------------


def test_dask(parquet, paths, tmp_path):
    dd = pytest.importorskip("dask.dataframe")
    predictor = PartitionPredictor(paths / "named.xmr", 2, text="title", id="key")
    frame = dd.read_parquet(parquet, split_row_groups=False)
    found = frame.map_partitions(predictor, meta=predictor(frame._meta))
    found.to_parquet(tmp_path / "out", schema=None)
    assert pq.read_table(tmp_path / "out").num_rows == 500
    computed = found.compute(scheduler="threads")
    assert sorted(computed["id"]) == sorted(f"k{i}" for i in range(500))


def test_ray(parquet, paths):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, _node_ip_address="127.0.0.1")
    try:
        predictor = PartitionPredictor(paths / "named.xmr", 2, text="title", id="key")
        data = ray.data.read_parquet(str(parquet))
        for kind in ("pyarrow", "pandas"):
            found = data.map_batches(predictor, batch_format=kind)
            assert found.count() == 500
    finally:
        ray.shutdown()


def test_spark(parquet, paths, monkeypatch):
    sql = pytest.importorskip("pyspark.sql")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    try:
        session = sql.SparkSession.builder.master("local[1]").getOrCreate()
    except Exception as error:  # noqa: BLE001
        pytest.skip(f"no Java: {type(error).__name__}")
    predictor = PartitionPredictor(paths / "named.xmr", 2, text="title", id="key")
    frame = session.read.parquet(str(parquet))
    schema = predictor.spark_schema(frame.schema)
    assert schema.startswith("id string, labels array<bigint>")
    found = frame.mapInArrow(predictor.map_batches, schema).collect()
    assert sorted(row.id for row in found) == sorted(f"k{i}" for i in range(500))
    session.stop()
