"""Models in threads and processes: the contracts of the table in doc/trust.md."""

import io
import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import numpy as np
import process_answers
import pytest
from process_answers import X, Y, answer_and_threads, answer_of
from sklearn.base import clone

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    XRLinearClassifier,
    load_model,
    save_model,
)
from sklearn_xmr.inspection import explain
from sklearn_xmr.utils._openmp_helpers import HAS_OPENMP

LINEAR = XRLinearClassifier(
    HierarchicalLabelClusterer(branching_factor=3, max_leaf_size=5, random_state=0),
    random_state=0,
)


def by_joblib(clf, _):
    buffer = io.BytesIO()
    joblib.dump(clf, buffer)
    buffer.seek(0)
    return answer_of(joblib.load(buffer))


def by_file(clf, path):
    save_model(clf, path)
    return answer_of(load_model(path, verify=True))


ANSWERS = {
    "predict_topk": lambda clf, _: answer_of(clf),
    "predict": lambda clf, _: clf.predict(X[:40]).indices.tobytes(),
    "predict_proba": lambda clf, _: clf.predict_proba(X[:40]).data.tobytes(),
    "score_pairs": lambda clf, _: clf.score_pairs(X[:9], np.arange(20)).data.tobytes(),
    "transform": lambda clf, _: clf.transform(X[:40]).data.tobytes(),
    "score": lambda clf, _: clf.score(X, Y[:, : clf.n_labels_]),
    "explain": lambda clf, _: str(explain(clf, X[:1], 3)),
    "topk_predictor": lambda clf, _: clf.topk_predictor(3)(X[0])[1].tobytes(),
    "joblib.dump": by_joblib,
    "save_model": by_file,
}
OTHER = Y[:, ::-1].tocsr()
# From one state to another, and back.
CHANGES = {
    "fit": [lambda clf: clf.fit(X, OTHER), lambda clf: clf.fit(X, Y)],
    "add_labels and remove_labels": [
        lambda clf: clf.remove_labels(np.arange(20, 30)),
        lambda clf: clf.add_labels(X, Y),
    ],
    "refit_branch": [
        lambda clf: clf.refit_branch(X, OTHER, 0, 1),
        lambda clf: clf.refit_branch(X, Y, 0, 1),
    ],
    "prune": [lambda clf: clf.prune(energy=0.5), lambda clf: clf.fit(X, Y)],
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=list(CHANGES))
def test_answers_beside_a_change_are_those_of_one_state(changes, tmp_path):
    """To the bit, of the state before or after; asked without pause meanwhile."""
    steps = 3 * changes
    states = [clone(LINEAR).fit(X, Y)]
    for step in steps:
        states.append(step(clone_with_state(states[-1])))
    right = {
        name: {answer(state, tmp_path / "a.xmr") for state in states}
        for name, answer in ANSWERS.items()
        if not (name == "score" and len({state.n_labels_ for state in states}) > 1)
    }
    assert len(right["predict_topk"]) > 1
    clf, stop, asked = clone(LINEAR).fit(X, Y), threading.Event(), []

    def ask(path):
        while not stop.is_set():
            for name, expected in right.items():
                assert ANSWERS[name](clf, path) in expected, name
                asked.append(name)

    with ThreadPoolExecutor(2) as pool:
        threads = [pool.submit(ask, tmp_path / f"{number}.xmr") for number in range(2)]
        for step in steps:
            before = len(asked)
            step(clf)
            # Until both have asked of the new state.
            while len(asked) < before + 3 and not any(one.done() for one in threads):
                time.sleep(0.001)
        stop.set()
        for one in threads:
            one.result()


def clone_with_state(clf):
    """A copy with the same model."""
    again = clone(clf)
    vars(again).update(vars(clf))
    return again


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """A model that is mapped from a file, after it was used by all threads."""
    path = tmp_path_factory.mktemp("mapped") / "model.xmr"
    save_model(clone(LINEAR).fit(X, Y), path)
    clf = load_model(path)
    return clf, answer_of(clf)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_give_the_same_bits(method, mapped, monkeypatch):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    clf, expected = mapped
    monkeypatch.setitem(process_answers.shared, "model", clf)
    context = multiprocessing.get_context(method)
    asked = [clf, None] if method == "fork" else [clf]
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for answer, n_threads in pool.map(answer_and_threads, asked, timeout=120):
            assert answer == expected
            assert n_threads == 1 or method != "fork"
    assert answer_of(clf) == expected  # the parent's threads are as they were


@pytest.mark.parametrize("n_threads", [1, 3])
def test_workers_of_joblib_keep_to_their_threads(n_threads, mapped):
    """So that a search with n_jobs does not use more threads than there are cores."""
    clf, expected = mapped
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=n_threads):
        found = joblib.Parallel()(
            joblib.delayed(answer_and_threads)(clf) for _ in range(2)
        )
    assert found == [(expected, n_threads if HAS_OPENMP else 1)] * 2
