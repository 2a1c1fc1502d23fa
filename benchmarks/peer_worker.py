"""Fit, save and query one system on one prepared data set; prints JSON.

``compare_peers.py`` runs this file in the peer's own virtual environment, so it
imports nothing of sklearn_xmr except in the workers for sklearn_xmr itself:

    python peer_worker.py SYSTEM DATA_FOLDER WORK_FOLDER [JSON PARAMETERS]

Times are wall-clock seconds. ``peak_mb`` is the process's peak resident memory at
the end of the fit: interpreter, libraries and data included.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

TOP_K = BEAM = 10
N_SINGLE = 500  # rows asked one at a time


def peak_mb():
    """Peak resident memory of this process so far.

    Not ru_maxrss: a child starts with its parent's.
    """
    status = Path("/proc/self/status").read_text()
    line = next(row for row in status.splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def folder_mb(path):
    """Size of a file or of all files of a folder."""
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return sum(f.stat().st_size for f in files) / 2**20


class Ours:
    """sklearn_xmr with default parameters, or with those given as JSON."""

    def __init__(self, parameters):
        from sklearn_xmr import HierarchicalLabelClusterer, XRLinearClassifier

        parameters = {"random_state": 0, **parameters}
        tree = parameters.pop("clusterer", None)
        self.is_flat = tree == "flat"
        clusterer = (
            HierarchicalLabelClusterer(**tree) if tree and not self.is_flat else None
        )
        self.model = XRLinearClassifier(clusterer, **parameters)

    def fit(self, folder):
        """Fit from CSR in memory."""
        X, Y = load(folder, "trn")
        if getattr(self, "is_flat", False):
            from sklearn_xmr import LabelTree

            self.model.set_params(clusterer=LabelTree.flat(Y.shape[1]))
        start = time.perf_counter()
        self.model.fit(X, Y)
        return time.perf_counter() - start

    def save(self, path):
        """Uncompressed joblib file: it can be memory-mapped."""
        import joblib

        path = path.with_suffix(".joblib")
        joblib.dump(self.model, path)
        return path

    def load(self, path):
        """Memory-mapped."""
        import joblib

        self.model = joblib.load(path, mmap_mode="r")
        self.predict_one = self.model.topk_predictor(TOP_K)

    def predict(self, X):
        """Labels (n, 10), best first."""
        return self.model.predict_topk(X, TOP_K)[0]


class Libpecos:
    """libpecos' XR-Linear with its defaults (PIFA, nr_splits 16, leaves of 100)."""

    def __init__(self, parameters):
        self.parameters = dict(parameters)
        self.beam_size = self.parameters.pop("beam_size", BEAM)
        self.indexer = self.parameters.pop("indexer", {})

    def fit(self, folder):
        """Tree and training, from CSR in memory."""
        from pecos.xmc import Indexer, LabelEmbeddingFactory
        from pecos.xmc.xlinear.model import XLinearModel

        X, Y = load(folder, "trn")
        start = time.perf_counter()
        embedding = LabelEmbeddingFactory.create(Y, X, method="pifa")
        chain = Indexer.gen(embedding, **self.indexer)
        self.model = XLinearModel.train(X, Y, C=chain, **self.parameters)
        return time.perf_counter() - start

    def save(self, path):
        """Folder of npz files."""
        self.model.save(str(path))
        return path

    def load(self, path):
        """Predict-only: its fastest mode."""
        from pecos.xmc.xlinear.model import XLinearModel

        self.model = XLinearModel.load(str(path), is_predict_only=True)

    def predict(self, X, threads=-1):
        """Labels (n, 10), best first."""
        out = self.model.predict(
            X, beam_size=self.beam_size, only_topk=TOP_K, threads=threads
        )
        return csr_topk(out)

    def predict_one(self, X):
        """One thread: more only cost time on one row."""
        self.model.predict(X, beam_size=BEAM, only_topk=TOP_K, threads=1)


class LibpecosTuned(Libpecos):
    """The settings that its authors publish for the best precision.

    KDD 2022 tutorial: leaves of 16, relevance induced and l1-normalised, Cp of 4,
    threshold of 0.001, teacher-forced and matcher-aware negatives, beam of 100.
    """

    def __init__(self, parameters):
        tuned = {"Cp": 4.0, "threshold": 1e-3, "rel_mode": "induce", "rel_norm": "l1"}
        tuned |= {"beam_size": 100, "indexer": {"max_leaf_size": 16}}
        super().__init__({**tuned, "negative_sampling_scheme": "tfn+man", **parameters})


class Stacking:
    """sklearn_xmr's most precise recipe, with its defaults or parameters as JSON."""

    def __init__(self, parameters):
        from sklearn_xmr import XRStackingClassifier

        self.model = XRStackingClassifier(**{"random_state": 0, **parameters})

    fit = Ours.fit
    save = Ours.save
    predict = Ours.predict
    predict_one = Ours.predict

    def load(self, path):
        """Memory-mapped."""
        import joblib

        self.model = joblib.load(path, mmap_mode="r")


class Ensemble(Stacking):
    """sklearn_xmr's trees alone."""

    def __init__(self, parameters):
        from sklearn_xmr import XREnsembleClassifier, XRLinearClassifier

        parameters = {"random_state": 0, **parameters}
        if "estimator" in parameters:
            parameters["estimator"] = XRLinearClassifier(**parameters["estimator"])
        self.model = XREnsembleClassifier(**parameters)


class Omikuji:
    """omikuji, one tree, defaults; it trains from a text file only."""

    def __init__(self, parameters):
        self.parameters = parameters

    def fit(self, folder):
        """Reading the text file is part of its fit: the API has no other way."""
        import omikuji

        hyper = omikuji.Model.default_hyper_param()
        hyper.n_trees = 1
        for name, value in self.parameters.items():
            setattr(hyper, name, value)
        start = time.perf_counter()
        self.model = omikuji.Model.train_on_data(str(folder / "trn.txt"), hyper)
        return time.perf_counter() - start

    def save(self, path):
        """Folder."""
        self.model.save(str(path))
        return path

    def load(self, path):
        """From the folder."""
        import omikuji

        self.model = omikuji.Model.load(str(path))

    def predict(self, X):
        """Row by row: the API has no batches."""
        return pad([self.predict_one(X[row]) for row in range(X.shape[0])])

    def predict_one(self, x):
        """Labels of one row."""
        pairs = list(zip(x.indices.tolist(), x.data.tolist(), strict=True))
        found = self.model.predict(pairs, beam_size=BEAM, top_k=TOP_K)
        return [label for label, _ in found]


class Napkinxc:
    """napkinXC's probabilistic label tree with its defaults."""

    def __init__(self, parameters):
        self.parameters = parameters

    def fit(self, folder):
        """From CSR in memory, into a folder."""
        from napkinxc.models import PLT

        X, Y = load(folder, "trn")
        self.path = folder / "napkinxc-model"
        shutil.rmtree(self.path, ignore_errors=True)
        start = time.perf_counter()
        self.model = PLT(str(self.path), verbose=False, **self.parameters)
        self.model.fit(X, Y)
        return time.perf_counter() - start

    def save(self, path):
        """Already there."""
        return self.path

    def load(self, path):
        """From the folder."""
        from napkinxc.models import PLT

        self.model = PLT(str(path), verbose=False, **self.parameters)
        self.model.load()

    def predict(self, X):
        """Labels (n, 10), best first."""
        return pad(self.model.predict(X, top_k=TOP_K))

    predict_one = predict


SYSTEMS = {
    "sklearn_xmr": Ours,
    "libpecos": Libpecos,
    "libpecos-tuned": LibpecosTuned,
    "stacking": Stacking,
    "ensemble": Ensemble,
    "omikuji": Omikuji,
    "napkinxc": Napkinxc,
}


def load(folder, part):
    """CSR float32 features and labels of a part of the data."""
    return tuple(
        sp.csr_matrix(sp.load_npz(folder / f"{kind}.{part}.npz"), dtype=np.float32)
        for kind in "XY"
    )


def pad(lists):
    """Ragged lists of labels as an array, -1 at the end of short rows."""
    out = np.full((len(lists), TOP_K), -1, dtype=np.int64)
    for row, labels in enumerate(lists):
        labels = list(labels)[:TOP_K]
        out[row, : len(labels)] = labels
    return out


def csr_topk(scores):
    """Labels by descending score of each row of a CSR matrix."""
    bounds = scores.indptr
    rows = (slice(*bounds[row : row + 2]) for row in range(scores.shape[0]))
    return pad([scores.indices[r][np.argsort(-scores.data[r])] for r in rows])


def batch(system, X):
    """Labels, and the median seconds of three batch predictions (slow ones: of one)."""
    times = []
    while len(times) < 3 and sum(times) < 20:
        start = time.perf_counter()
        if isinstance(system, Libpecos):
            # Without turning the result into an array.
            system.model.predict(X, beam_size=system.beam_size, only_topk=TOP_K)
        else:
            labels = system.predict(X)
        times.append(time.perf_counter() - start)
    if isinstance(system, Libpecos):
        labels = system.predict(X)
    return labels, float(np.median(times))


def single_times(predict_one, X):
    """Seconds of each of some rows, asked one at a time."""
    chosen = np.random.RandomState(0).choice(X.shape[0], N_SINGLE)
    rows = [X[row] for row in chosen]
    times = []
    for row in rows:
        start = time.perf_counter()
        predict_one(row)
        times.append(time.perf_counter() - start)
    return np.array(times[N_SINGLE // 10 :])


def main(name, folder, work, parameters="{}"):
    """Run one system and print what was measured."""
    folder, work = Path(folder), Path(work)
    system = SYSTEMS[name](json.loads(parameters))
    result = {"fit_s": system.fit(folder), "peak_mb": peak_mb()}
    if os.environ.get("XMR_FIT_ONLY"):
        print("RESULT " + json.dumps(result))
        return
    model = work / f"{name}-{folder.name}"
    shutil.rmtree(model, ignore_errors=True)
    model = system.save(model)
    result["model_mb"] = folder_mb(model)
    X, _ = load(folder, "tst")
    start = time.perf_counter()
    system.load(model)
    system.predict_one(X[0])
    result["load_s"] = time.perf_counter() - start
    labels, seconds = batch(system, X)
    np.save(work / f"{name}-{folder.name}.npy", labels)
    result["batch_us"] = 1e6 * seconds / X.shape[0]
    ways = {"single": system.predict_one}
    if isinstance(system, Ours):
        ways["plain"] = system.predict
    for way, predict_one in ways.items():
        times = single_times(predict_one, X)
        result[f"{way}_us"] = 1e6 * float(np.median(times))
        result[f"{way}_p99_us"] = 1e6 * float(np.percentile(times, 99))
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
