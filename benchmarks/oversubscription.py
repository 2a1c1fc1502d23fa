"""Searches side by side: time, and how many threads share the cores.

    python benchmarks/oversubscription.py --repeats 3

GridSearchCV of an XRLinearClassifier on tate-subjects, with one job, and with two in
processes (loky, the default) and in threads. A scorer says how many OpenMP threads each
job may use: times the jobs, there should be no more than cores.
"""

import argparse
import os
import time

import joblib
import numpy as np
from sklearn.model_selection import GridSearchCV

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import make_topk_scorer, precision_at_k
from sklearn_xmr.utils._openmp_helpers import effective_n_threads


def threads_of(estimator, X, y):
    """Not a score: the threads that a call in this job may use."""
    return effective_n_threads()


def search(n_jobs):
    """A search over C that scores precision and threads."""
    scoring = {"p": make_topk_scorer(precision_at_k, k=1), "threads": threads_of}
    grid = {"C": [0.3, 1.0, 3.0]}
    clf = XRLinearClassifier(random_state=0)
    return GridSearchCV(clf, grid, scoring=scoring, refit=False, cv=2, n_jobs=n_jobs)


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000)
    args = parser.parse_args()
    train = load_tate_subjects(subset="train")
    X = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(
        train.data[: args.rows]
    )
    y = train.target[: args.rows]
    print(f"{os.cpu_count()} cores\n| backend | jobs | threads of a job | seconds |")
    print("| --- | --- | --- | --- |")
    for backend, n_jobs in (("loky", 1), ("loky", 2), ("threading", 2)):
        seconds = []
        with joblib.parallel_config(backend):
            search(n_jobs).fit(X[:500], y[:500])  # starts the workers
            for _ in range(args.repeats):
                start = time.perf_counter()
                done = search(n_jobs).fit(X, y)
                seconds.append(time.perf_counter() - start)
        threads = np.unique(done.cv_results_["mean_test_threads"])
        print(f"| {backend} | {n_jobs} | {threads} | {np.median(seconds):.2f} |")


if __name__ == "__main__":
    main()
