"""X four times as large as what the process may take: the same model."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from sklearn_xmr.datasets import CSRWriter, write_csr

HELPER = Path(__file__).parents[1] / "helpers" / "small_memory.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """12,000 rows of 1,000 features (80 MB) with two of 300 labels each."""
    folder = tmp_path_factory.mktemp("large")
    rng, targets = np.random.default_rng(0), []
    with CSRWriter(folder / "X") as writer:
        for _ in range(12):
            labels = rng.integers(0, 300, (1000, 2))
            typical = (labels[:, :1] * 37 + rng.integers(0, 400, (1000, 1000))) % 8000
            any_ = rng.integers(0, 8000, (1000, 1000))
            columns = np.where(rng.random((1000, 1000)) < 0.3, typical, any_)
            writer.append(rows_of(columns, 8000) / np.float32(32))
            targets.append(rows_of(labels, 300).minimum(1))
    write_csr(sparse.vstack(targets, format="csr"), folder / "Y")
    return folder


def rows_of(columns, n_columns):
    n_rows, width = columns.shape
    ones = np.ones(columns.size, dtype=np.float32)
    indptr = np.arange(0, columns.size + 1, width)
    shape = n_rows, n_columns
    matrix = sparse.csr_matrix((ones, columns.ravel(), indptr), shape=shape)
    matrix.sum_duplicates()
    return matrix


def fit_with(folder, share):
    call = [sys.executable, str(HELPER), str(folder), share]
    return subprocess.run(call, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_a_quarter_of_the_size_of_X_is_enough(folder):
    free, limited = fit_with(folder, "inf"), fit_with(folder, "0.25")
    assert limited.returncode == 0, limited.stderr
    assert limited.stdout.split()[0] == free.stdout.split()[0]
    assert "MemoryError" in fit_with(folder, "0.01").stderr  # the limit is felt
