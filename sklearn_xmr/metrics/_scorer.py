"""Scorers that ask an estimator for its k best labels only."""

import re
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from sklearn.utils.metadata_routing import (
    MetadataRequest,
    MetadataRouter,
    MethodMapping,
    process_routing,
)

from sklearn_xmr.metrics._calibration import (
    ece_at_k,
)
from sklearn_xmr.metrics._label_wise import (
    coverage_at_k,
    macro_f1_at_k,
    macro_precision_at_k,
    macro_recall_at_k,
)
from sklearn_xmr.metrics._ranking import (
    abandonment_at_k,
    f1_at_k,
    hit_rate_at_k,
    mrr_at_k,
    ndcg_at_k,
    precision_at_k,
    psndcg_at_k,
    psprecision_at_k,
    psrecall_at_k,
    recall_at_k,
)
from sklearn_xmr.utils._indicator import one_hot_of_known
from sklearn_xmr.utils._response import (
    check_same_labels,
    last_estimator,
    last_step,
    predict_topk,
)
from sklearn_xmr.utils._sklearn import routing_enabled
from sklearn_xmr.utils._validation import check_count, is_column

METRICS = {
    "abandonment": abandonment_at_k,
    "coverage": coverage_at_k,
    "ece": ece_at_k,
    "f1": f1_at_k,
    "hit_rate": hit_rate_at_k,
    "macro_f1": macro_f1_at_k,
    "macro_precision": macro_precision_at_k,
    "macro_recall": macro_recall_at_k,
    "mrr": mrr_at_k,
    "ndcg": ndcg_at_k,
    "precision": precision_at_k,
    "psndcg": psndcg_at_k,
    "psprecision": psprecision_at_k,
    "psrecall": psrecall_at_k,
    "recall": recall_at_k,
}
LOWER_IS_BETTER = ("abandonment", "ece")
OF_ESTIMATOR = "estimator"  # propensities: those that the fitted estimator knows


class _RequestMixin:
    """Which metadata a scorer asks for, where scikit-learn's routing is enabled.

    A subclass implements ``takes(name)`` and ``_request(metadata)``.
    """

    def set_score_request(self, **metadata):
        """Ask for metadata, as scikit-learn's scorers do.

        Parameters
        ----------
        **metadata : bool, None or str
            ``sample_weight=True`` asks for it, False refuses it, None makes giving it
            an error, and a string is the name under which it is given.

        Returns
        -------
        self
            The scorer.

        Raises
        ------
        RuntimeError
            If metadata routing is not enabled.
        TypeError
            If no metric takes an argument of the name.
        """
        if not routing_enabled():
            raise RuntimeError(
                "set_score_request needs metadata routing: enable it with "
                "sklearn.set_config(enable_metadata_routing=True)"
            )
        wrong = [name for name in metadata if not self.takes(name)]
        if wrong:
            raise TypeError(f"{self!r} takes no {wrong[0]!r}, so cannot ask for it")
        self._request(metadata)
        return self

    def _accept_sample_weight(self):
        """What scikit-learn's searches ask where routing is not enabled."""
        return self.takes("sample_weight")


class _TopkScorer(_RequestMixin):
    """What :func:`make_topk_scorer` returns; picklable, with a repr that says what."""

    def __init__(self, metric, k, kwargs, sign=1):
        self.metric = metric
        self.k = k
        self.kwargs = kwargs
        self.sign = sign
        self.requests = {"sample_weight": None} if self.takes("sample_weight") else {}

    def __call__(self, estimator, X, y_true, sample_weight=None, **metadata):
        estimator, X, y_true, n_known = _of_indicators(estimator, X, y_true)
        topk = predict_topk(estimator, X, self.k)
        metadata["sample_weight"] = sample_weight
        return self.of_topk(estimator, topk, y_true, n_known, **metadata)

    def of_topk(self, estimator, topk, y_true, n_known=None, **metadata):
        """The score of lists of at least k labels; n_known: of names, see below."""
        given = {name: value for name, value in metadata.items() if value is not None}
        kwargs = {**self.kwargs, **given}
        if isinstance(kwargs.get("propensities"), str):
            kwargs["propensities"] = _propensities(estimator)
            if n_known is not None:  # names that training lacks have no propensity
                y_true = y_true[:, :n_known]
        return self.sign * self.metric(y_true, topk, k=self.k, **kwargs)

    def takes(self, name):
        """Whether the metric has an argument of this name."""
        return name in signature(self.metric).parameters

    def _request(self, metadata):
        self.requests = dict(metadata)

    def get_metadata_routing(self):
        """Which metadata the scorer asks for (MetadataRequest)."""
        request = MetadataRequest(owner=repr(self))
        for name, alias in self.requests.items():
            request.score.add_request(param=name, alias=alias)
        return request

    def __repr__(self):
        extra = "".join(f", {name}=..." for name in self.kwargs)
        extra += "" if self.sign > 0 else ", greater_is_better=False"
        return f"make_topk_scorer({self.metric.__name__}, k={self.k}{extra})"


class _TopkScorers(_RequestMixin):
    """What :func:`make_topk_scorers` returns: a scorer of several values."""

    def __init__(self, scorers):
        self.scorers = scorers

    def __call__(self, estimator, X, y_true, **metadata):
        given = self._given(metadata)
        estimator, X, y_true, n_known = _of_indicators(estimator, X, y_true)
        topk = predict_topk(estimator, X, max(s.k for s in self.scorers.values()))
        return {
            name: scorer.of_topk(estimator, topk, y_true, n_known, **given[name])
            for name, scorer in self.scorers.items()
        }

    def _given(self, metadata):
        """The metadata for each scorer: what it requests, or what its metric takes."""
        if routing_enabled():
            routed = process_routing(self, "score", **metadata)
            return {name: routed[name]["score"] for name in self.scorers}
        wrong = [name for name in metadata if not self.takes(name)]
        if wrong:
            raise TypeError(f"no metric of {self!r} takes {wrong[0]!r}")
        return {
            name: {key: v for key, v in metadata.items() if scorer.takes(key)}
            for name, scorer in self.scorers.items()
        }

    def takes(self, name):
        """Whether any metric has an argument of this name."""
        return any(scorer.takes(name) for scorer in self.scorers.values())

    def _request(self, metadata):
        for scorer in self.scorers.values():
            taken = {name: v for name, v in metadata.items() if scorer.takes(name)}
            if taken:
                scorer.set_score_request(**taken)

    def get_metadata_routing(self):
        """Which scorer is given which metadata (MetadataRouter)."""
        mapping = MethodMapping().add(caller="score", callee="score")
        return MetadataRouter(owner=repr(self)).add(
            method_mapping=mapping, **self.scorers
        )

    def __repr__(self):
        return f"make_topk_scorers({list(self.scorers)})"


def get_topk_metrics() -> dict[str, Callable[..., float]]:
    """All metrics at k by name.

    Returns
    -------
    dict of str to callable
        As ``{"precision": precision_at_k}``, in alphabetical order; see
        :func:`get_topk_scorer` for scorers.

    Examples
    --------
    >>> from sklearn_xmr.metrics import get_topk_metrics
    >>> get_topk_metrics()["precision"]([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]], k=1)
    0.5
    """
    return dict(METRICS)


def make_topk_scorer(
    metric: Callable[..., float],
    k: int = 5,
    *,
    greater_is_better: bool = True,
    **kwargs: Any,
) -> Callable[..., float]:
    """Turn a metric at k into a scorer for ``GridSearchCV(scoring=...)``.

    The estimator is asked for k labels, through ``predict_topk`` where it (or the
    last step of a pipeline) has it, so that scoring costs no more than it needs.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, (labels, scores), k=k, **kwargs) -> float`` like
        :func:`precision_at_k`.
    k : int, default=5
        Number of labels.
    greater_is_better : bool, default=True
        If False, the scorer returns the negative value, as scikit-learn's do.
    **kwargs
        Arguments of the metric. ``propensities``, for :func:`psprecision_at_k` and the
        like, is an array of shape (n_labels,) or "estimator": the ``propensities_`` of
        the fitted estimator, those of the data that it was trained on.

    Returns
    -------
    callable
        ``scorer(estimator, X, y_true, sample_weight=None) -> float``. The scorer of a
        label-wise metric, such as :func:`macro_f1_at_k`, takes no ``sample_weight``.
        With scikit-learn's metadata routing enabled, searches and cross-validation
        hand on what ``set_score_request(sample_weight=True)`` asks for.

    Raises
    ------
    TypeError
        If ``metric`` is not callable.
    ValueError
        If k is no positive integer, or ``propensities`` another string.

    See Also
    --------
    get_topk_scorer : The same by name.
    make_topk_scorers : Several metrics for the price of one prediction.

    Examples
    --------
    >>> from sklearn_xmr.metrics import make_topk_scorer, ndcg_at_k
    >>> make_topk_scorer(ndcg_at_k, k=3)
    make_topk_scorer(ndcg_at_k, k=3)
    """
    if not callable(metric):
        raise TypeError(f"metric must be callable, got {metric!r}")
    check_count(k, "k")
    propensities = kwargs.get("propensities")
    if isinstance(propensities, str) and propensities != OF_ESTIMATOR:
        raise ValueError(
            "propensities must be an array of one value per label or "
            f"{OF_ESTIMATOR!r}, got {propensities!r}"
        )
    return _TopkScorer(metric, k, kwargs, 1 if greater_is_better else -1)


def get_topk_scorer(name: str) -> Callable[..., float]:
    """A scorer by name, as ``"precision_at_1"``.

    Parameters
    ----------
    name : str
        The name of a metric of this module with its k, as ``"ndcg_at_5"``; see
        :func:`get_topk_scorer_names`. Metrics where lower is better have the prefix
        ``"neg_"``. Propensity-scored ones take the propensities of the fitted
        estimator (its ``propensities_``, those of the data that it was trained on).

    Returns
    -------
    callable
        ``scorer(estimator, X, y_true, sample_weight=None) -> float``.

    Raises
    ------
    ValueError
        If there is no such metric.

    Examples
    --------
    >>> from sklearn_xmr.metrics import get_topk_scorer
    >>> get_topk_scorer("precision_at_1")
    make_topk_scorer(precision_at_k, k=1)
    >>> get_topk_scorer("neg_ece_at_5")
    make_topk_scorer(ece_at_k, k=5, greater_is_better=False)
    """
    parts = re.fullmatch(r"(.+)_at_([1-9]\d*)", name) if isinstance(name, str) else None
    if parts is None or f"{parts[1]}_at_k" not in get_topk_scorer_names():
        raise ValueError(
            f"name must be one of {get_topk_scorer_names()} with a number for k, such "
            f"as 'precision_at_1', got {name!r}"
        )
    metric = parts[1].removeprefix("neg_")
    kwargs = {"propensities": OF_ESTIMATOR} if metric.startswith("ps") else {}
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return _TopkScorer(METRICS[metric], int(parts[2]), kwargs, sign)


def get_topk_scorer_names() -> list[str]:
    """List the names that :func:`get_topk_scorer` knows, "k" for a number.

    Returns
    -------
    list of str
        In alphabetical order, as ``"neg_ece_at_k"``.

    Examples
    --------
    >>> from sklearn_xmr.metrics import get_topk_scorer_names
    >>> get_topk_scorer_names()[:2]
    ['coverage_at_k', 'f1_at_k']
    """
    signed = (f"neg_{m}" if m in LOWER_IS_BETTER else m for m in METRICS)
    return sorted(f"{name}_at_k" for name in signed)


def make_topk_scorers(scorers: Any) -> Callable[..., dict[str, float]]:
    """Several scorers at k as one that predicts once.

    For ``scoring`` of ``GridSearchCV`` (with ``refit="precision_at_1"``, say) and of
    :func:`sklearn_xmr.model_selection.cross_validate`: the estimator is asked once for
    as many labels as the largest k.

    Parameters
    ----------
    scorers : list of str or dict of str to scorer
        Names for :func:`get_topk_scorer`, or scorers of :func:`make_topk_scorer` by
        any name.

    Returns
    -------
    callable
        ``scorer(estimator, X, y_true, sample_weight=None) -> dict of float``. Weights
        count for the metrics that take them; with metadata routing enabled, where
        the scorer of a metric, or all by ``set_score_request``, asks for them.

    Raises
    ------
    TypeError
        If ``scorers`` holds anything else, or nothing.
    ValueError
        If there is no metric of a name.

    Examples
    --------
    >>> from sklearn_xmr.metrics import make_topk_scorers
    >>> make_topk_scorers(["precision_at_1", "ndcg_at_5"])
    make_topk_scorers(['precision_at_1', 'ndcg_at_5'])
    """
    if not isinstance(scorers, dict):
        scorers = {name: get_topk_scorer(name) for name in scorers}
    wrong = [n for n, scorer in scorers.items() if not isinstance(scorer, _TopkScorer)]
    if wrong or not scorers:
        raise TypeError(
            "scorers must be names such as 'precision_at_1' or a dict of what "
            f"make_topk_scorer returns, got {scorers!r}"
        )
    return _TopkScorers(scorers)


def _of_indicators(estimator, X, y_true):
    """Where y holds names or classes: the classifier of numbers, and y as an indicator.

    The last value is how many of the columns training knew, None for an indicator.
    """
    clf = last_estimator(estimator)
    if hasattr(clf, "indicator"):
        named, X = last_step(estimator, X)
        return named.estimator_, X, named.indicator(y_true), named.n_labels_
    if is_column(y_true) and hasattr(clf, "classes_"):
        _, Y = one_hot_of_known(np.asarray(y_true), clf.classes_)
        return estimator, X, Y, len(clf.classes_)
    check_same_labels(estimator, y_true)
    return estimator, X, y_true, None


def _propensities(estimator):
    """Propensities that a fitted estimator learned from its training labels."""
    estimator = last_estimator(estimator)
    if not hasattr(estimator, "propensities_"):
        raise TypeError(
            f"{type(estimator).__name__} has no propensities_; use "
            "make_topk_scorer(psprecision_at_k, propensities=...) with those of "
            "the training labels"
        )
    return estimator.propensities_
