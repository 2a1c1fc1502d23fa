"""Fit, save and query one system on one set of texts; prints JSON.

``end_to_end.py`` runs this file in the peer's own virtual environment, so it imports
nothing of sklearn_xmr except in its own worker:

    python text_worker.py SYSTEM DATA_FOLDER WORK_FOLDER

The folder holds ``trn.json`` and ``tst.json`` (lists of texts), ``Y.trn.npz`` and
``config.json`` (``min_df``). Every system counts words of at least ``min_df`` texts,
with sublinear tf-idf of unit length: libpecos by its own vectorizer in C++, the others
by scikit-learn's.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from peer_worker import BEAM, TOP_K, csr_topk, folder_mb, pad, peak_mb
from peer_worker import Ours as OursOfMatrices

N_SINGLE = 500


class Ours:
    """The package's vectorizer and XR-Linear in a pipeline."""

    def __init__(self, min_df):
        from sklearn.pipeline import make_pipeline

        from sklearn_xmr import XRLinearClassifier

        clf = XRLinearClassifier(random_state=0)
        self.model = make_pipeline(self.vectorizer(min_df), clf)

    def vectorizer(self, min_df):
        """Of the package."""
        from sklearn_xmr.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(min_df=min_df, sublinear_tf=True)

    def fit(self, texts, Y):
        """Seconds of the vectorizer and of the model."""
        start = time.perf_counter()
        X = self.model[0].fit_transform(texts)
        middle = time.perf_counter()
        self.model[-1].fit(X, Y)
        return middle - start, time.perf_counter() - middle

    def save(self, path):
        """The package's own file; parts of scikit-learn are stored by skops."""
        from sklearn_xmr import save_model

        path = path.with_suffix(".xmr")
        save_model(self.model, path)
        return path

    def load(self, path):
        """Memory-mapped."""
        from sklearn_xmr import load_model, topk_predictor

        self.model = load_model(path)
        self.predict_one = topk_predictor(self.model, TOP_K)

    def transform(self, texts):
        """Features of texts."""
        return self.model[0].transform(texts)

    def rank(self, X):
        """What the model makes of features."""
        return self.model[-1].predict_topk(X, TOP_K)

    def labels(self, ranked):
        """Labels (n, 10), best first."""
        return ranked[0]


class OursWithSklearn(Ours):
    """scikit-learn's vectorizer before XR-Linear: what there was before."""

    def vectorizer(self, min_df):
        """Of scikit-learn."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(min_df=min_df, sublinear_tf=True)

    save = OursOfMatrices.save

    def load(self, path):
        """Memory-mapped."""
        import joblib

        from sklearn_xmr import topk_predictor

        self.model = joblib.load(path, mmap_mode="r")
        self.predict_one = topk_predictor(self.model, TOP_K)


class Libpecos:
    """libpecos' Tfidf and XR-Linear, with defaults but for min_df and sublinear tf."""

    def __init__(self, min_df):
        words = {
            "ngram_range": [1, 1],
            "analyzer": "word",
            "min_df_cnt": min_df,
            "sublinear_tf": True,
            "norm": "l2",
        }
        self.config = {"type": "tfidf", "kwargs": {"base_vect_configs": [words]}}

    def fit(self, texts, Y):
        """Seconds of the vectorizer and of the model."""
        from pecos.utils.featurization.text.vectorizers import Vectorizer
        from pecos.xmc import Indexer, LabelEmbeddingFactory
        from pecos.xmc.xlinear.model import XLinearModel

        start = time.perf_counter()
        self.words = Vectorizer.train(texts, self.config)
        X = self.words.predict(texts)
        middle = time.perf_counter()
        embedding = LabelEmbeddingFactory.create(Y, X, method="pifa")
        self.model = XLinearModel.train(X, Y, C=Indexer.gen(embedding))
        return middle - start, time.perf_counter() - middle

    def save(self, path):
        """Folders of the vectorizer and of the model."""
        self.words.save(str(path / "words"))
        self.model.save(str(path / "model"))
        return path

    def load(self, path):
        """Predict-only: its fastest mode."""
        from pecos.utils.featurization.text.vectorizers import Vectorizer
        from pecos.xmc.xlinear.model import XLinearModel

        self.words = Vectorizer.load(str(path / "words"))
        self.model = XLinearModel.load(str(path / "model"), is_predict_only=True)

    def transform(self, texts):
        """Features of texts."""
        return self.words.predict(texts)

    def rank(self, X, threads=-1):
        """What the model makes of features."""
        return self.model.predict(X, beam_size=BEAM, only_topk=TOP_K, threads=threads)

    def labels(self, ranked):
        """Labels (n, 10), best first."""
        return csr_topk(ranked)

    def predict_one(self, text):
        """One thread: more only cost time on one row."""
        self.rank(self.words.predict([text], threads=1), threads=1)


class Omikuji:
    """omikuji, one tree, behind scikit-learn's vectorizer; it trains from a file."""

    def __init__(self, min_df):
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.words = TfidfVectorizer(min_df=min_df, sublinear_tf=True)

    def fit(self, texts, Y):
        """Seconds of the vectorizer, and of writing the file and training."""
        import omikuji

        start = time.perf_counter()
        X = self.words.fit_transform(texts)
        middle = time.perf_counter()
        path = Path("omikuji-train.txt")
        write_file(path, X, Y)
        hyper = omikuji.Model.default_hyper_param()
        hyper.n_trees = 1
        self.model = omikuji.Model.train_on_data(str(path), hyper)
        path.unlink()
        return middle - start, time.perf_counter() - middle

    def save(self, path):
        """A folder, and the pickled vectorizer in it."""
        import joblib

        self.model.save(str(path))
        joblib.dump(self.words, path / "words.joblib")
        return path

    def load(self, path):
        """From the folder."""
        import joblib
        import omikuji

        self.words = joblib.load(path / "words.joblib")
        self.model = omikuji.Model.load(str(path))

    def transform(self, texts):
        """Features of texts."""
        return self.words.transform(texts)

    def rank(self, X):
        """Row by row: the API has no batches."""
        return [self._rank_row(X[row]) for row in range(X.shape[0])]

    def labels(self, ranked):
        """Labels (n, 10), best first."""
        return pad(ranked)

    def predict_one(self, text):
        """Labels of one text."""
        return self._rank_row(self.words.transform([text]))

    def _rank_row(self, x):
        pairs = list(zip(x.indices.tolist(), x.data.tolist(), strict=True))
        found = self.model.predict(pairs, beam_size=BEAM, top_k=TOP_K)
        return [label for label, _ in found]


class OneVsRest:
    """scikit-learn's OneVsRestClassifier of linear SVMs behind its vectorizer."""

    def __init__(self, min_df):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

        words = TfidfVectorizer(min_df=min_df, sublinear_tf=True)
        self.model = make_pipeline(words, OneVsRestClassifier(LinearSVC(), n_jobs=2))

    fit = Ours.fit
    save = Ours.save
    transform = Ours.transform

    def load(self, path):
        """From the file."""
        import joblib

        self.model = joblib.load(path)

    def rank(self, X):
        """Labels by descending margin."""
        margins = self.model[-1].decision_function(X)
        best = np.argpartition(-margins, TOP_K, axis=1)[:, :TOP_K]
        order = np.argsort(-np.take_along_axis(margins, best, axis=1), axis=1)
        return np.take_along_axis(best, order, axis=1)

    def labels(self, ranked):
        """Labels (n, 10), best first."""
        return ranked

    def predict_one(self, text):
        """Labels of one text."""
        return self.rank(self.transform([text]))


SYSTEMS = {
    "sklearn_xmr": Ours,
    "sklearn_xmr, scikit-learn's words": OursWithSklearn,
    "libpecos": Libpecos,
    "omikuji": Omikuji,
    "onevsrest": OneVsRest,
}


def write_file(path, X, Y):
    """The text format of the Extreme Classification Repository."""
    X, Y = sp.csr_matrix(X), sp.csr_matrix(Y)
    with path.open("w") as file:
        some = np.flatnonzero(np.diff(X.indptr))  # omikuji cannot read empty rows
        file.write(f"{len(some)} {X.shape[1]} {Y.shape[1]}\n")
        for row in some:
            labels = Y.indices[Y.indptr[row] : Y.indptr[row + 1]].tolist()
            x = slice(X.indptr[row], X.indptr[row + 1])
            pairs = zip(X.indices[x].tolist(), X.data[x].tolist(), strict=True)
            features = " ".join(f"{i}:{v:.7g}" for i, v in pairs)
            file.write(f"{','.join(map(str, labels))} {features}\n")


def batch(system, texts):
    """Labels, and the median seconds of three batches: features, and ranking."""
    times = []
    while len(times) < 3 and np.sum(times) < 20:
        start = time.perf_counter()
        X = system.transform(texts)
        middle = time.perf_counter()
        ranked = system.rank(X)
        times.append((middle - start, time.perf_counter() - middle))
    return system.labels(ranked), np.median(times, axis=0)


def single_times(predict_one, texts):
    """Seconds of each of some texts, asked one at a time."""
    chosen = np.random.RandomState(0).choice(len(texts), N_SINGLE)
    times = []
    for i in chosen:
        start = time.perf_counter()
        predict_one(texts[i])
        times.append(time.perf_counter() - start)
    return np.array(times[N_SINGLE // 10 :])


def main(name, folder, work):
    """Run one system and print what was measured."""
    folder, work = Path(folder), Path(work)
    texts = json.loads((folder / "trn.json").read_text())
    Y = sp.load_npz(folder / "Y.trn.npz").tocsr()
    before = peak_mb()
    system = SYSTEMS[name](json.loads((folder / "config.json").read_text())["min_df"])
    words, model = system.fit(texts, Y)
    result = {"fit_words_s": words, "fit_s": words + model, "peak_mb": peak_mb()}
    result["data_mb"] = before
    path = work / f"text-{name}-{folder.name}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    path = system.save(path)
    result["disk_mb"] = folder_mb(path)
    del texts
    texts = json.loads((folder / "tst.json").read_text())
    start = time.perf_counter()
    system.load(path)
    system.predict_one(texts[0])
    result["load_s"] = time.perf_counter() - start
    labels, (words, model) = batch(system, texts)
    np.save(work / f"text-{name}-{folder.name}.npy", labels)
    result["batch_words_us"] = 1e6 * words / len(texts)
    result["batch_us"] = 1e6 * (words + model) / len(texts)
    times = 1e6 * single_times(system.predict_one, texts)
    result["single_us"] = float(np.median(times))
    result["single_p99_us"] = float(np.percentile(times, 99))
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
