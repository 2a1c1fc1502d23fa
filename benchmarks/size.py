"""Model size against precision: thresholds, energy, budgets and value types.

    python benchmarks/size.py ../shared/data/tate-subjects ../shared/data/tibkat-gnd

One model per data set is trained with a low threshold in float32; each row of the table
prunes a copy of it. Sizes are those of the model's arrays, which make up its file.
"""

import argparse
import copy
from pathlib import Path

from compare_peers import prepare
from scipy import sparse

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.metrics import precision_at_k

SETTINGS = [
    {},
    {"dtype": "float16"},
    {"dtype": "int8"},
    {"dtype": "int8", "threshold": 0.05},
    {"dtype": "int8", "threshold": 0.1},
    {"dtype": "int8", "threshold": 0.15},
    {"dtype": "int8", "threshold": 0.2},
    {"dtype": "int8", "energy": 0.98},
    {"dtype": "int8", "energy": 0.95},
    {"dtype": "int8", "energy": 0.9},
    {"dtype": "int8", "max_weights_per_label": 1000},
    {"dtype": "int8", "max_weights_per_label": 300},
    {"dtype": "int8", "max_weights_per_label": 100},
]


def main():
    """One table per data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "xmr-compare-peers"
    )
    args = parser.parse_args()
    for folder in args.folders:
        data = prepare(folder.resolve(), args.work)
        X, Y, X_test, Y_test = (
            sparse.load_npz(data / f"{kind}.{part}.npz")
            for part in ("trn", "tst")
            for kind in "XY"
        )
        full = XRLinearClassifier(
            weight_threshold=0.03, weight_dtype="float32", random_state=0
        ).fit(X, Y)
        print(f"\n### {folder.name}\n\n| pruning | MB | P@1 | P@3 | P@5 |")
        print("| --- " * 5 + "|")
        for setting in SETTINGS:
            clf = copy.deepcopy(full).prune(**setting)
            topk = clf.predict_topk(X_test, 5)
            scores = (100 * precision_at_k(Y_test, topk, k=k) for k in (1, 3, 5))
            name = ", ".join(f"{k}={v}" for k, v in setting.items()) or "none (float32)"
            values = " | ".join(f"{score:.2f}" for score in scores)
            print(f"| {name} | {clf.nbytes_ / 2**20:.1f} | {values} |", flush=True)


if __name__ == "__main__":
    main()
