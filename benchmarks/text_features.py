"""Words alone against make_text_classifier: precision on the test part, size and time.

    python benchmarks/text_features.py ../shared/data/tate-subjects=short \\
        ../shared/data/yso-finna-en=short ../shared/data/tibkat-gnd=long --seeds 3

A data folder belongs to a folder with a ``load.py``, as in ``end_to_end.py``. "before"
is what words took with scikit-learn's vectorizer: the time that there is. Medians of
times and sizes, means of precision over seeds. Run nothing else at the same time.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from end_to_end import load_texts
from sklearn.feature_extraction.text import TfidfVectorizer as SklearnTfidf
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    XRLinearClassifier,
    make_text_classifier,
    predict_topk,
    save_model,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import precision_at_k


def words_alone(vectorizer, min_df):
    """The pipeline of words with the default classifier."""
    words = vectorizer(min_df=min_df, sublinear_tf=True, dtype=np.float32)
    return make_pipeline(words, XRLinearClassifier())


def measure(model, data, seed):
    """Precision, seconds and megabytes of one fit."""
    model.steps[-1][1].set_params(random_state=seed)
    start = time.perf_counter()
    model.fit(data.text_train, data.Y_train)
    fitted = time.perf_counter()
    topk = predict_topk(model, data.text_test, 5)
    ranked = time.perf_counter()
    scores = {f"P@{k}": 100 * precision_at_k(data.Y_test, topk, k) for k in (1, 3, 5)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xmr"
        try:
            save_model(model, path)
            scores["MB"] = os.path.getsize(path) / 1e6
        except (TypeError, ImportError):
            scores["MB"] = np.nan
    scores["fit s"] = fitted - start
    scores["batch us/text"] = 1e6 * (ranked - fitted) / len(data.text_test)
    return scores


def main():
    """Fit all models on all sets and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", help="FOLDER=short or FOLDER=long")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--min-df", type=int, default=2)
    args = parser.parse_args()
    for given in args.folders:
        folder, _, texts = given.partition("=")
        data = load_texts(Path(folder))
        models = {
            "before": lambda: words_alone(SklearnTfidf, args.min_df),
            "words": lambda: words_alone(TfidfVectorizer, args.min_df),
            texts: lambda t=texts: make_text_classifier(t, min_df=args.min_df),
        }
        runs = {name: [] for name in models}
        for seed in range(args.seeds):
            for name, make in models.items():
                runs[name].append(measure(make(), data, seed))
        rows = [
            [name, *(f"{summary(key, found):.2f}" for key in found[0])]
            for name, found in runs.items()
        ]
        heads = ["features", *runs["words"][0]]
        print(f"\n### {Path(folder).name}\n")
        for row in (heads, ["---"] * len(heads), *rows):
            print("| " + " | ".join(row) + " |")


def summary(key, found):
    """Mean of precisions, median of the rest."""
    values = [one[key] for one in found]
    return np.mean(values) if key.startswith("P@") else np.median(values)


if __name__ == "__main__":
    main()
