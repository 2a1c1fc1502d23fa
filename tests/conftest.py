"""Fixtures that all tests share."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # tests side by side share the cores
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(share, 1)))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest
from hypothesis import settings
from joblib import cpu_count
from scipy import sparse

from sklearn_xmr.datasets import make_xmr_classification

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # models come from packages and tests

# The same examples on every run: a failure in CI can be repeated at a desk.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """A worker for each core, and one for each process that keeps others waiting.

    Where eight processes compute, two workers would get a quarter of two cores.
    """
    cores = cpu_count()
    waiting = round(os.getloadavg()[0]) - cores if hasattr(os, "getloadavg") else 0
    return min(cores + max(waiting, 0), 4 * cores)


@pytest.fixture
def global_random_seed():
    """Tests hold for any seed: XMR_TEST_SEED=7 pytest tries another."""
    return int(os.environ.get("XMR_TEST_SEED", "42"))


@pytest.fixture(scope="session")
def small():
    """X, Y: 600 x 400, 60 labels, sparse float32."""
    return make_xmr_classification(600, 400, 60, random_state=0)


@pytest.fixture
def random_problem(global_random_seed):
    """X, Y without structure: 200 x 40, 7 labels."""
    rng = np.random.RandomState(global_random_seed)
    X = sparse.random(200, 40, 0.3, format="csr", random_state=rng, dtype=np.float32)
    Y = sparse.csr_matrix((rng.rand(200, 7) < 0.3).astype(np.float32))
    return X, Y
