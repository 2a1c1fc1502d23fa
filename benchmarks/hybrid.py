"""The dense block: its kernel against BLAS, and hybrid features against libpecos.

    python benchmarks/hybrid.py                                # the kernel alone
    python benchmarks/hybrid.py ../shared/data/tate-subjects   # and fits, predictions

The kernel is compiled from the package's header: the margins of eight rows for 32
labels (``xmr_rows_times_weights``) on one thread, against NumPy's matrix product of the
same rows and weights. For the fits, the dense block is a truncated SVD of the tf-idf
rows; libpecos gets both blocks as one CSR matrix, the only form that it takes.
"""

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from compare_peers import interpreter, prepare
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

import sklearn_xmr
from sklearn_xmr import HybridFeatures, XRLinearClassifier
from sklearn_xmr.metrics import precision_at_k

KERNEL = """
#include "_row_products.h"
void margins(const float *x, const float *W, int n_rows, int n_dense, int n_vectors,
             float *out)
{
    for (int first = 0; first < n_rows; first += 8) {
        const float *rows[8];
        for (int r = 0; r < 8; r++) rows[r] = x + (first + r) * n_dense;
        for (int v = 0; v < n_vectors; v++)
            xmr_rows_times_weights(rows, (const xmr_v8f *)W + v * n_dense, n_dense,
                                   (xmr_v8f *)out + (first / 8 * n_vectors + v) * 8);
    }
}
"""
PEER = """
import sys, time
import numpy as np
import scipy.sparse as sp
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel
folder = sys.argv[1]
X, Y, Z, T = (sp.load_npz(f"{folder}/{n}.npz").astype(np.float32) for n in
              ("X.trn", "Y.trn", "X.tst", "S.trn"))
start = time.perf_counter()
chain = Indexer.gen(LabelEmbeddingFactory.create(Y, T, method="pifa"))
model = XLinearModel.train(X, Y, C=chain)
fit = time.perf_counter() - start
model.save(f"{folder}/model")
model = XLinearModel.load(f"{folder}/model", is_predict_only=True)
start = time.perf_counter()
P = model.predict(Z, beam_size=10, only_topk=10)
print(fit, time.perf_counter() - start)
P.sort_indices()
order = [P.indices[a:b][np.argsort(-P.data[a:b], kind="stable")][:5]
         for a, b in zip(P.indptr[:-1], P.indptr[1:])]
np.save(f"{folder}/labels.npy", np.array([np.pad(o, (0, 5 - len(o)),
        constant_values=-1) for o in order]))
"""


def aligned(shape):
    """Zeros at an address that is aligned for vector loads."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 16, dtype=np.float32)
    start = (-raw.ctypes.data // 4) % 16
    return raw[start : start + size].reshape(shape)


def compile_kernel(folder):
    """The header's kernel as a C function."""
    source, library = Path(folder, "kernel.c"), Path(folder, "kernel.so")
    source.write_text(KERNEL)
    headers = Path(sklearn_xmr.__file__).parent / "linear" / "_solver"
    flags = ["-O3", "-fno-math-errno", "-fno-loop-unroll-and-jam", "-w", "-fPIC"]
    command = ["cc", *flags, "-shared", f"-I{headers}", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library)).margins


def kernel_gflops(margins, n_dense, n_rows=4096, n_vectors=4, repeats=15):
    """Ours and BLAS in turn, 10**9 multiplications and additions a second, medians."""
    rng = np.random.RandomState(0)
    x, W, out = (
        aligned(s)
        for s in (
            (n_rows, n_dense),
            (n_vectors, n_dense, 8),
            (n_rows // 8, n_vectors, 8, 8),
        )
    )
    x[:], W[:] = rng.randn(*x.shape), rng.randn(*W.shape)
    merged = np.ascontiguousarray(W.transpose(1, 0, 2).reshape(n_dense, -1))
    args = [ctypes.c_void_p(a.ctypes.data) for a in (x, W)]
    args += [n_rows, n_dense, n_vectors, ctypes.c_void_p(out.ctypes.data)]
    times = {"ours": [], "blas": []}
    for _ in range(repeats):
        start = time.perf_counter()
        margins(*args)
        times["ours"].append(time.perf_counter() - start)
        with threadpool_limits(1):
            start = time.perf_counter()
            expected = x @ merged
            times["blas"].append(time.perf_counter() - start)
    got = out.transpose(0, 2, 1, 3).reshape(n_rows, -1)
    np.testing.assert_allclose(got, expected, atol=1e-3)
    work = 2e-9 * n_rows * n_dense * 8 * n_vectors
    return tuple(work / np.median(times[who]) for who in ("ours", "blas"))


def report_kernel():
    """A line per width of the dense block."""
    print("| dense features | ours, GFLOP/s | BLAS, GFLOP/s | ratio |")
    print("| --- " * 4 + "|")
    with tempfile.TemporaryDirectory() as folder:
        margins = compile_kernel(folder)
        for n_dense in (128, 384, 768):
            ours, blas = kernel_gflops(margins, n_dense)
            print(f"| {n_dense} | {ours:.1f} | {blas:.1f} | {ours / blas:.2f} |")


def report_fits(data, work, n_dense, repeats):
    """Fit and batch prediction on hybrid features, ours and libpecos in turn."""
    X, Y, X_test, Y_test = (
        sparse.csr_matrix(
            sparse.load_npz(data / f"{kind}.{part}.npz"), dtype=np.float32
        )
        for part in ("trn", "tst")
        for kind in "XY"
    )
    svd = TruncatedSVD(n_dense, n_iter=2, random_state=0).fit(X)
    blocks = [
        HybridFeatures(part, normalize(svd.transform(part))) for part in (X, X_test)
    ]
    rows, k = [], (1, 3, 5)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for name, part in zip(("X.trn", "X.tst"), blocks, strict=True):
            merged = sparse.hstack([part.sparse, sparse.csr_matrix(part.dense)], "csr")
            sparse.save_npz(f"{folder}/{name}.npz", merged, compressed=False)
        sparse.save_npz(f"{folder}/Y.trn.npz", Y, compressed=False)
        sparse.save_npz(f"{folder}/S.trn.npz", X, compressed=False)
        for _ in range(repeats):
            start = time.perf_counter()
            clf = XRLinearClassifier(random_state=0).fit(blocks[0], Y)
            fit = time.perf_counter() - start
            start = time.perf_counter()
            labels = clf.predict_topk(blocks[1], 10)[0]
            rows.append(("sklearn_xmr", fit, time.perf_counter() - start, labels))
            command = [interpreter("libpecos", work), "-c", PEER, folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            fit, predict = map(float, done.stdout.splitlines()[-1].split())
            rows.append(("libpecos", fit, predict, np.load(f"{folder}/labels.npy")))
    print(f"\n### {data.name}, {n_dense} dense features\n")
    print("| system | fit s | batch us/row | P@1 | P@3 | P@5 |\n" + "| --- " * 6 + "|")
    for system in ("sklearn_xmr", "libpecos"):
        own = [row for row in rows if row[0] == system]
        fit, predict = (np.median([row[i] for row in own]) for i in (1, 2))
        labels = own[-1][3]
        ranks = -np.arange(labels.shape[1], dtype=float)[None].repeat(len(labels), 0)
        scores = [100 * precision_at_k(Y_test, (labels, ranks), k=n) for n in k]
        print(
            f"| {system} | {fit:.2f} | {1e6 * predict / len(labels):.1f} | "
            + " | ".join(f"{score:.2f}" for score in scores)
            + " |"
        )
    sys.stdout.flush()


def main():
    """Kernel first, then each folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--dense", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "xmr-compare-peers"
    )
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    report_kernel()
    for folder in args.folders:
        data = prepare(folder.resolve(), args.work)
        report_fits(data, args.work, args.dense, args.repeats)


if __name__ == "__main__":
    main()
