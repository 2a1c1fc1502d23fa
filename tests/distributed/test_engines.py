"""Real clusters of two workers: equal models, killed workers, tasks that fail."""

import os
import sys

import pytest
from same_models import assert_same

from sklearn_xmr import HierarchicalLabelClusterer, XRLinearClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.distributed import FitPlan, fit_distributed, plan_fit
from sklearn_xmr.linear import StoredTraining

DEEP = HierarchicalLabelClusterer(branching_factor=3, max_leaf_size=6, random_state=0)


def dask_client():
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        worker_dashboard_address=None,
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


def ray_client():
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80_000_000,
        _node_ip_address="127.0.0.1",
    )
    yield ray
    ray.shutdown()


def spark_client():
    sql = pytest.importorskip("pyspark.sql")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = sql.SparkSession.builder.master("local[2,4]")
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:  # noqa: BLE001
        pytest.skip(f"no Java: {type(error).__name__}")
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


CLIENTS = {"dask": dask_client, "ray": ray_client, "spark": spark_client}


@pytest.fixture(scope="module", params=CLIENTS)
def client(request):
    yield from CLIENTS[request.param]()


@pytest.fixture(scope="module")
def problem():
    return make_xmr_classification(700, 300, 120, random_state=0)


@pytest.fixture(scope="module")
def clf():
    return XRLinearClassifier(DEEP, random_state=0)


def test_the_model_is_that_of_one_process(client, problem, clf, tmp_path):
    found = fit_distributed(
        clf, *problem, directory=tmp_path / "a", client=client, n_tasks=9
    )
    assert_same(found, clf.fit(*problem), tmp_path)


def dying_once(marker):
    """Does tasks, but kills the process in the first, as a machine may die."""

    def do(directory, number):  # a closure: engines send it as code
        import os
        import signal
        import time

        from sklearn_xmr.distributed import run_fit_task

        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return run_fit_task(directory, number)
        time.sleep(0.2)
        return os.kill(os.getpid(), signal.SIGKILL)

    return do


def test_a_killed_worker_costs_its_task_only(
    client, problem, clf, tmp_path, monkeypatch
):
    dying = dying_once(str(tmp_path / "killed"))
    monkeypatch.setattr("sklearn_xmr.distributed._fitting._run_or_say", dying)
    found = fit_distributed(
        clf, *problem, directory=tmp_path / "a", client=client, n_tasks=9
    )
    assert (tmp_path / "killed").exists()
    assert_same(found, clf.fit(*problem), tmp_path)


def test_a_task_that_fails_for_good(client, problem, clf, tmp_path):
    plan_fit(clf, *problem, tmp_path / "a", n_tasks=9)
    target = max((tmp_path / "a" / "tree-1").glob("target-*.xmr"))
    content = target.read_bytes()
    target.write_bytes(content[:-64])
    with pytest.raises(RuntimeError, match=f"failed: ValueError: .*{target.name}"):
        fit_distributed(
            clf, *problem, directory=tmp_path / "a", client=client, n_tasks=9
        )
    plan = FitPlan(tmp_path / "a")
    assert any(plan.is_done(task) for task in plan.tasks)
    target.write_bytes(content)
    found = fit_distributed(clf, *problem, directory=tmp_path / "a", client=client)
    assert_same(found, clf.fit(*problem), tmp_path)


def test_nothing_large_travels(client, problem, clf, tmp_path, monkeypatch):
    """Only names of folders and numbers go through the engine."""
    sent = []
    from sklearn_xmr.distributed import _fitting

    driver_of = _fitting.driver_of

    def watched(given):
        driver = driver_of(given)

        def drive(function, arguments):
            sent.extend(arguments)
            return driver(function, arguments)

        return drive

    monkeypatch.setattr(_fitting, "driver_of", watched)
    fit_distributed(clf, *problem, directory=tmp_path, client=client, n_tasks=9)
    assert len(sent) == len(StoredTraining(tmp_path / "tree-1").tasks)
    assert {tuple(map(type, args)) for args in sent} == {(str, int)}
