"""Fits and predictions over real engines: equal to one process, whoever dies.

    python benchmarks/engines.py ../shared/data/tate-subjects --engines dask ray

For each data set: a fit in this process; then, with each engine of two workers, the
same fit in tasks, undisturbed and with a worker killed on the way, compared bit for
bit; and the test texts as a folder of Parquet files, predicted with each engine and
without one. Prints times. Everything listens on loopback only.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from sklearn_xmr import XRLinearClassifier, predict_topk, save_model
from sklearn_xmr.distributed import (
    FitPlan,
    PartitionPredictor,
    fit_distributed,
    predict_parquet,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

N_FILES = 8


@contextmanager
def dask_client():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
        as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client, lambda: list(client.run(os.getpid).values())


@contextmanager
def ray_client():
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    yield ray, lambda: named_children("ray::")
    ray.shutdown()


@contextmanager
def spark_client():
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2,4]").config(
        "spark.ui.enabled", "false"
    )
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session, lambda: named_children("pyspark.daemon")
    session.stop()


@contextmanager
def executor():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool, None  # an executor does not survive its workers


ENGINES = {
    "executor": executor, "dask": dask_client, "ray": ray_client, "spark": spark_client,
}  # fmt: skip


def named_children(name):
    """Processes under this one whose command line has a name."""
    found = psutil.Process().children(recursive=True)
    return [p.pid for p in found if name in " ".join(p.cmdline()) and not p.children()]


@contextmanager
def killer(workers, directory, n_parts=3):
    """Within it, a worker is killed as soon as some parts are there; yields whether."""
    killed, ended = [], threading.Event()

    def watch():
        while not killed and not ended.wait(0.02):
            if len(list(Path(directory).glob("tree-*/parts/*.xmr"))) >= n_parts:
                pids = workers()
                if pids:
                    os.kill(pids[-1], signal.SIGKILL)
                    killed.append(pids[-1])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


def read(folder):
    """A data set, with its texts; ``load.py`` lies beside its folder."""
    sys.path.insert(0, str(folder.resolve().parent))
    from load import load

    return load(folder.name, text=True)


def content(estimator, folder):
    save_model(estimator, folder / "compared.xmr")
    return (folder / "compared.xmr").read_bytes()


def seconds(function):
    begin = time.perf_counter()
    result = function()
    return result, time.perf_counter() - begin


def fit_times(data, engines, n_tasks, work):
    """Rows of the table of fits."""
    X, Y = data.X_train, data.Y_train
    clf = XRLinearClassifier(random_state=0)
    local, took = seconds(lambda: clf.fit(X, Y))
    expected = content(local, work)
    yield "one process", took, "", ""
    with threadpool_limits(1):
        yield "one process, one thread", seconds(lambda: clf.fit(X, Y))[1], "", ""
    for name in engines:
        with ENGINES[name]() as (client, workers):
            for kills in (False, True) if workers else (False,):
                plan = work / f"plan-{name}-{kills}"
                given = {"directory": plan, "client": client, "n_tasks": n_tasks}
                with killer(workers if kills else list, plan) as killed:
                    fit = partial(fit_distributed, clf, X, Y, **given)
                    found, took = seconds(fit)
                equal = content(found, work) == expected
                what = "a worker killed" if killed else "undisturbed"
                yield f"{name}, {what}", took, equal, len(FitPlan(plan).tasks)
                shutil.rmtree(plan)


def write_parquet(texts, folder):
    """Texts as a folder of files."""
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(texts)), N_FILES)):
        table = pa.table({"id": part, "text": [texts[i] for i in part]})
        pq.write_table(table, folder / f"{number}.parquet", compression="gzip")


def by_dask(client, predictor, source):
    import dask.dataframe as dd

    frame = dd.read_parquet(source, split_row_groups=False)
    return len(frame.map_partitions(predictor, meta=predictor(frame._meta)).compute())


def by_ray(ray, predictor, source):
    return ray.data.read_parquet(str(source)).map_batches(
        predictor, batch_format="pyarrow"
    ).count()  # fmt: skip


def by_spark(spark, predictor, source):
    frame = spark.read.parquet(str(source))
    schema = predictor.spark_schema(frame.schema)
    return len(frame.mapInArrow(predictor.map_batches, schema).collect())


def prediction_times(data, engines, work):
    """Rows of the table of predictions, with a model that takes texts."""
    source, texts = work / "source", data.text_test
    write_parquet(texts, source)
    model = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    save_model(model.fit(data.text_train, data.Y_train), work / "model.xmr")
    predictor = PartitionPredictor(work / "model.xmr", text="text", id="id")
    tables = [pq.read_table(path)["text"].to_pylist() for path in source.iterdir()]
    ask = lambda: [predict_topk(model, some, 5) for some in tables]
    yield "predict_topk", seconds(ask)[1], len(texts)
    target = work / "target"
    n_rows, took = seconds(lambda: predict_parquet(predictor, source, target))
    yield "predict_parquet", took, n_rows
    by = {"dask": by_dask, "ray": by_ray, "spark": by_spark}
    for name in set(engines) & by.keys():
        with ENGINES[name]() as (client, _):
            run = lambda: by[name](client, predictor, source)  # noqa: B023
            n_rows, took = seconds(run)
            yield f"{name}, first time", took, n_rows
            yield f"{name}, again", seconds(run)[1], n_rows


def main():
    """Print the tables of each data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="data set folders")
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--n-tasks", type=int, default=16)
    args = parser.parse_args()
    for folder in args.folders:
        data = read(folder)
        with tempfile.TemporaryDirectory() as work:
            print(f"\n### {folder.name}\n\n| fit | s | equal | tasks |")
            print("| --- | --- | --- | --- |")
            for row in fit_times(data, args.engines, args.n_tasks, Path(work)):
                print_row(row)
            print("\n| prediction | s | rows |\n| --- | --- | --- |")
            for row in prediction_times(data, args.engines, Path(work)):
                print_row(row)


def print_row(row):
    """A row of a table."""
    cells = [f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row]
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
