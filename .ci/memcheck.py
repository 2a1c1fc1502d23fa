"""Training and every way of prediction under valgrind's memcheck.

    python .ci/memcheck.py

Runs itself under valgrind and fails if a report has a frame of the package's extension
modules. Reports without one are the loader's and CPython's.
"""

import os
import re
import subprocess
import sys


def exercise():
    """Small problems through all kernels: losses, value types, modes, searches."""
    import numpy as np

    from sklearn_xmr import (
        HierarchicalLabelClusterer,
        XRLinearClassifier,
        XRNeighborsClassifier,
    )
    from sklearn_xmr.datasets import make_xmr_classification

    X, Y = make_xmr_classification(
        n_samples=120, n_features=90, n_labels=40, random_state=0
    )
    dense = np.random.RandomState(0).randn(120, 11).astype(np.float32)
    tree = HierarchicalLabelClusterer(max_leaf_size=10, random_state=0)
    cases = [
        ("squared_hinge", "int8", "rows", 11),
        ("squared_hinge", "float16", "gram", 0),
        ("hinge", "float32", "gram", 11),
        ("logistic", "int8", "rows", 0),
    ]
    for loss, dtype, mode, n_dense in cases:
        clf = XRLinearClassifier(
            tree, loss=loss, weight_dtype=dtype, random_state=0, max_iter=20
        )
        clf._solver_mode = mode
        Z = (X, dense[:, :n_dense]) if n_dense else X
        clf.fit(Z, Y, sample_weight=np.arange(120)).predict_topk(Z, 5)
        row = (X[0], dense[0, :n_dense]) if n_dense else X[0]
        clf.topk_predictor(5)(row)
        clf.set_params(beam_size=None).predict_topk(Z, 5)
        clf.score_pairs(Z, np.arange(40))
        clf.set_params(label_weight="inverse_propensity").predict_topk(Z, 5)
        clf.prune(energy=0.9, dtype="float16").predict_topk(Z, 5)
    XRNeighborsClassifier(7).fit(X[:100], Y[:100]).predict_topk(X, 5)


def main():
    """Count the reports that concern the package."""
    command = ["valgrind", "--error-limit=no", "--num-callers=12", sys.executable]
    done = subprocess.run(
        [*command, __file__, "--exercise"],
        env={**os.environ, "PYTHONMALLOC": "malloc", "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    reports = re.split(r"\n==\d+== \n", done.stderr)
    ours = [r for r in reports if re.search(r" (at|by) 0x.*sklearn_xmr/", r)]
    print(f"memcheck: {len(reports)} blocks, {len(ours)} of the package")
    if ours or done.returncode:
        print("\n\n".join(ours) or done.stderr[-3000:])
        sys.exit(1)


if __name__ == "__main__":
    exercise() if "--exercise" in sys.argv else main()
