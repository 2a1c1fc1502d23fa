"""Fit a matrix of a folder while the process may take a quarter of its size more.

    python tests/helpers/small_memory.py FOLDER [SHARE]

FOLDER holds X and Y, as ``CSRWriter`` writes them. A small fit comes first, so that
libraries and threads have what they need. The limit is one of private memory
(RLIMIT_DATA): mapped files do not count, their pages can be given back at any time.
Prints the hash of the model file and the limit in MB; SHARE "inf" sets none.
"""

import hashlib
import resource
import sys
import tempfile
from pathlib import Path

from sklearn_xmr import XRLinearClassifier, save_model
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.distributed import fit_distributed


def private_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if "VmData" in line))


def fit(X, y, folder):
    clf = XRLinearClassifier(random_state=0)
    return fit_distributed(clf, X, y, directory=folder)


def main(folder, share="0.25"):
    with tempfile.TemporaryDirectory() as small:
        fit(*make_xmr_classification(600, 400, 150, random_state=0), small)
    folder, limit = Path(folder), float("inf")
    n_bytes = sum(path.stat().st_size for path in (folder / "X").glob("*.npy"))
    if share != "inf":
        limit = private_bytes() + int(float(share) * n_bytes)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with tempfile.TemporaryDirectory(dir=folder) as plan:
        clf = fit(folder / "X", folder / "Y", plan)
        save_model(clf, folder / "model.xmr")
    content = (folder / "model.xmr").read_bytes()
    print(hashlib.sha256(content).hexdigest(), limit / 1e6, n_bytes / 1e6)


if __name__ == "__main__":
    main(*sys.argv[1:])
