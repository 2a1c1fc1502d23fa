"""Choose a pipeline for texts by held-out instances, within a time."""

import pickle
import time
import warnings
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import check_random_state

from sklearn_xmr.compose import (
    LabelNamesClassifier,
    XREnsembleClassifier,
    XRStackingClassifier,
    make_text_classifier,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.metrics import get_topk_scorer, make_topk_scorers
from sklearn_xmr.neighbors import XRLabelTextClassifier, XRNeighborsClassifier
from sklearn_xmr.preprocessing import LabelNameBinarizer
from sklearn_xmr.utils._response import topk_predictor
from sklearn_xmr.utils._seeding import draw_seed, seeded
from sklearn_xmr.utils._texts_and_names import check_texts
from sklearn_xmr.utils._typing import Estimator, MatrixLike, NameList, RandomState

SHORT = 30  # words of a text up to which pairs of words pay, and not their beginnings
HELD_OUT = 0.1
MOST_HELD_OUT = 5000
N_ASKED = 200  # held-out texts that are asked one at a time
# Time of a candidate by that of the first, rounded up: on tate-subjects.
COSTS = {
    "words, fast": 1,
    "words": 1.5,
    "words and beside": 2,
    "words and beside, precise": 2,
    "two trees": 3,
    "labels' names": 1,
    "stack": 6,
    "stack with labels' names": 8,
}
SHOWN = ("precision_at_1", "precision_at_5", "ndcg_at_5", "recall_at_5")
FAST = {"negative_sampling": "tfn", "path_weight": 1.0, "beam_size": 10}
PRECISE = {"beam_size": 20}


@dataclass
class Choice:
    """What :func:`choose_text_classifier` found.

    Parameters
    ----------
    classifier : estimator
        The best candidate, fitted on all texts.
    name : str
        Its name in the table.
    results : dict of str to list
        Columns of what was tried, in the order of the candidates: "candidate",
        metrics at k as shares, "fit_s" (seconds), "size_mb" (megabytes of the pickled
        pipeline), "answer_us" (microseconds for one text, the median). NaN where the
        time did not suffice or the candidate failed.

    Examples
    --------
    >>> from sklearn_xmr.model_selection import Choice
    >>> print(Choice(None, "words", {"candidate": ["words"], "fit_s": [0.25]}))
    | candidate | fit_s |
    | --- | --- |
    | words | 0.25 |
    """

    classifier: object
    name: str
    results: dict

    def __str__(self):
        """The table, as Markdown."""
        columns = list(self.results)
        lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
        for row in zip(*self.results.values(), strict=True):
            cells = [each if isinstance(each, str) else f"{each:.4g}" for each in row]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)


def choose_text_classifier(
    texts: MatrixLike,
    y: MatrixLike,
    *,
    label_texts: NameList | None = None,
    time_budget: float = 60,
    scoring: Any = "precision_at_1",
    candidates: dict[str, Estimator] | None = None,
    random_state: RandomState = None,
    verbose: int = 0,
) -> Choice:
    """Try what is sensible for texts, and return the best, fitted, with a table.

    Candidates are trained one after another, cheap ones first, on nine tenths of the
    texts, and compared on the others; one that would not end within the time, fit of
    the best on all texts included, is left out. The time of the first is not known
    before: it is tried in any case.

    Parameters
    ----------
    texts : sequence of str of length n_samples
        The texts.
    y : sequence of collections of str, or {ndarray, sparse matrix, table} of shape \
            (n_samples, n_labels)
        The names of each text's labels, or a label indicator.
    label_texts : sequence of str of length n_labels, default=None
        With an indicator, a text for each label: its name or description. Names serve
        themselves.
    time_budget : float or None, default=60
        Seconds for all; None for no limit.
    scoring : str, default="precision_at_1"
        The metric that chooses, by its name for
        :func:`sklearn_xmr.metrics.get_topk_scorer`.
    candidates : dict of str to estimator, default=None
        What to try, cheap ones first: pipelines from texts to a label indicator. None
        means words, words with what :func:`~sklearn_xmr.make_text_classifier` puts
        beside them, more trees, labels' names, and the stack of all.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out texts, and seeds the candidates.
    verbose : int, default=0
        1 prints a line for each candidate.

    Returns
    -------
    Choice
        With ``classifier``, ``name`` and ``results``; printed, it is the table.

    Raises
    ------
    TypeError
        If ``texts`` are no texts, or ``candidates`` is no dict.
    ValueError
        If there are fewer than ten texts, ``time_budget`` is not positive, no metric is
        named ``scoring``, or no candidate could be trained.

    See Also
    --------
    sklearn_xmr.make_text_classifier : One of the candidates, made in one call.
    sklearn.model_selection.GridSearchCV : What does the comparison.

    Examples
    --------
    >>> from sklearn_xmr.datasets import load_tate_subjects
    >>> from sklearn_xmr.model_selection import choose_text_classifier
    >>> texts, Y = load_tate_subjects(subset="test", return_X_y=True)
    >>> choice = choose_text_classifier(
    ...     texts[:2000], Y[:2000], time_budget=2, random_state=0)
    >>> choice.classifier.predict(texts[:1]).shape
    (1, 8046)
    """
    texts, start = check_texts(texts, "texts"), time.perf_counter()
    _check_arguments(texts, time_budget, scoring, candidates)
    seed, indicator, named = draw_seed(check_random_state(random_state)), y, False
    if not (sparse.issparse(y) or getattr(y, "ndim", 1) == 2):
        binarizer, named = LabelNameBinarizer().fit(y), True
        indicator, label_texts = binarizer.transform(y), binarizer.classes_
    costs = dict.fromkeys(candidates, 1) if candidates else COSTS
    candidates = candidates or _text_candidates(texts, label_texts)
    deadline = np.inf if time_budget is None else start + time_budget
    trials = _Trials(len(texts), scoring, deadline, seed)
    for name, candidate in candidates.items():
        row = trials.try_one(
            name,
            seeded(candidate, np.random.RandomState(seed)),
            costs[name],
            texts,
            indicator,
        )
        if verbose:
            print(f"{name}: {scoring} {row[scoring]:.4f}, fit {row['fit_s']:.1f} s")
    best = seeded(candidates[trials.best()], np.random.RandomState(seed))
    best = LabelNamesClassifier(best) if named else best
    columns = {
        column: [row[column] for row in trials.rows] for column in trials.rows[0]
    }
    return Choice(best.fit(texts, y), trials.best(), columns)


def _check_arguments(texts, time_budget, scoring, candidates):
    """Raise the errors of choose_text_classifier, before any work."""
    if len(texts) < 1 / HELD_OUT:
        raise ValueError(f"texts must be at least {1 / HELD_OUT:.0f}, got {len(texts)}")
    if time_budget is not None and (
        not isinstance(time_budget, Real) or not time_budget > 0
    ):
        raise ValueError(
            f"time_budget must be a number of seconds above 0, or None, got "
            f"{time_budget!r}"
        )
    get_topk_scorer(scoring)
    if candidates is not None and (not isinstance(candidates, dict) or not candidates):
        raise TypeError(
            "candidates must be a dict from names to estimators, got "
            f"{type(candidates).__name__}"
        )


def _words(**how):
    return TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32, **how)


def _text_candidates(texts, label_texts):
    """What is sensible for such texts, cheap ones first."""
    few = texts[:: max(1, len(texts) // 1000)]
    kind = "short" if np.median([len(t.split()) for t in few]) <= SHORT else "long"
    beside = partial(
        make_text_classifier, kind, beside_min_df=2 + min(len(texts) // 500, 8)
    )
    trees = XREnsembleClassifier(XRLinearClassifier(C=0.5), 2)
    parts = [
        ("trees", beside(trees)),
        ("neighbors", make_pipeline(_words(), XRNeighborsClassifier(power=4.0))),
    ]
    found = {
        "words, fast": make_pipeline(_words(), XRLinearClassifier(**FAST)),
        "words": make_pipeline(_words(), XRLinearClassifier()),
        "words and beside": beside(None),
        "words and beside, precise": beside(XRLinearClassifier(**PRECISE)),
        "two trees": parts[0][1],
    }
    if label_texts is not None:
        names = ("names", XRLabelTextClassifier(list(map(str, label_texts))))
        found["labels' names"] = names[1]
    found["stack"] = XRStackingClassifier(parts)
    if label_texts is not None:
        found["stack with labels' names"] = XRStackingClassifier([*parts, names])
    return found


class _Bytes:
    """A file that only counts."""

    n = 0

    def write(self, data):
        self.n += memoryview(data).nbytes


def _megabytes(estimator):
    """The size of an estimator, pickled."""
    file = _Bytes()
    pickle.Pickler(file, protocol=5).dump(estimator)
    return file.n / 1e6


def _answer_us(estimator, texts):
    """Microseconds for one text, the median."""
    best, taken = topk_predictor(estimator), []
    for text in texts[:N_ASKED]:
        start = time.perf_counter()
        best(text)
        taken.append(time.perf_counter() - start)
    return 1e6 * float(np.median(taken))


class _Trials:
    """Candidates compared one after another, but for those that would not end in time.

    Parameters
    ----------
    n_texts : int
        Number of texts, from which the held-out ones are drawn.
    scoring : str
        The metric that chooses.
    deadline : float
        When all has to be done, by ``time.perf_counter``.
    seed : int
        Of the split, and of the candidates without a seed of their own.
    """

    def __init__(self, n_texts, scoring, deadline, seed):
        self.scoring, self.deadline, self.seed = scoring, deadline, seed
        self.metrics = list(dict.fromkeys([scoring, *SHOWN]))
        n_held_out = min(MOST_HELD_OUT, max(1, round(HELD_OUT * n_texts)))
        self.split = ShuffleSplit(1, test_size=n_held_out, random_state=seed)
        self.rows, self.failures, self.seconds_per_cost = [], [], None

    def try_one(self, name, estimator, cost, texts, Y):
        """Compare a candidate, unless its time would not suffice: its row."""
        row = dict.fromkeys([*self.metrics, "fit_s", "size_mb", "answer_us"], np.nan)
        row = {"candidate": name, **row}
        if self.is_in_time(cost):
            start = time.perf_counter()
            try:
                row.update(self.measured(estimator, texts, Y))
            except Exception as error:  # noqa: BLE001 - whatever it raises
                message = f"candidate {name!r} failed: {type(error).__name__}: {error}"
                warnings.warn(message, FitFailedWarning, stacklevel=3)
                self.failures.append(message)
            else:
                self.seconds_per_cost = (time.perf_counter() - start) / cost
        self.rows.append(row)
        return row

    def is_in_time(self, cost):
        """Whether a comparison, and the fit of the best on all texts, can still end."""
        if self.seconds_per_cost is None:
            return True  # nobody knows what the first one takes
        expected = cost * self.seconds_per_cost
        refit = max([expected, *(r["fit_s"] for r in self.tried())])
        return time.perf_counter() + expected + refit <= self.deadline

    def measured(self, estimator, texts, Y):
        """Metrics, seconds, megabytes and microseconds of a candidate."""
        search = GridSearchCV(
            Pipeline([("model", None)]),
            {"model": [estimator]},
            scoring=self.scores,
            cv=self.split,
            refit=False,
            error_score="raise",
        )
        found = search.fit(texts, Y).cv_results_
        names = [*self.metrics, "size_mb", "answer_us"]
        row = {name: float(found[f"mean_test_{name}"][0]) for name in names}
        return {**row, "fit_s": float(found["mean_fit_time"][0])}

    def scores(self, estimator, texts, Y):
        """What a fitted candidate does on held-out texts: a scorer of scikit-learn."""
        values = make_topk_scorers(self.metrics)(estimator, texts, Y)
        measures = {
            "size_mb": _megabytes(estimator[-1]),
            "answer_us": _answer_us(estimator, texts[:N_ASKED]),
        }
        return {**values, **measures}

    def tried(self):
        """Rows of the candidates whose time sufficed."""
        return [row for row in self.rows if np.isfinite(row["fit_s"])]

    def best(self):
        """Name of the best candidate; of equals, the first."""
        if not self.tried():
            raise ValueError(
                "no candidate could be trained: " + "; ".join(self.failures)
            )
        return max(self.tried(), key=lambda row: row[self.scoring])["candidate"]
