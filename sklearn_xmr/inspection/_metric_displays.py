"""Plots of how good a ranking is: by k, by frequency of labels, by confidence."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_xmr.inspection._plotting import figure_and_axes
from sklearn_xmr.metrics import (
    frequency_breakdown,
    get_topk_metrics,
)
from sklearn_xmr.utils._hits import ranked_hits
from sklearn_xmr.utils._response import (
    check_same_labels,
    predict_topk,
    topk_of_scores,
)
from sklearn_xmr.utils._typing import Axes, Estimator, MatrixLike, Self
from sklearn_xmr.utils._validation import check_count, check_label_indicator


class MetricAtKDisplay:
    """Metrics at k, against k.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    ks : ndarray of int of shape (n_ks,)
        Numbers of labels.
    values : dict of str to ndarray of shape (n_ks,)
        Values of each metric.
    estimator_name : str, default=None
        Name for the legend.

    Attributes
    ----------
    lines_ : list of matplotlib Artists
        The curves.
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn_xmr.inspection import MetricAtKDisplay
    >>> y_true = [[1, 0, 1, 0], [0, 1, 0, 0]]
    >>> y_score = [[0.9, 0.8, 0.7, 0.1], [0.2, 0.9, 0.4, 0.3]]
    >>> display = MetricAtKDisplay.from_predictions(y_true, y_score, max_k=3)
    >>> display.values["precision"]
    array([1. , 0.5, 0.5])
    """

    def __init__(
        self,
        ks: ArrayLike,
        values: dict[str, ArrayLike],
        *,
        estimator_name: str | None = None,
    ) -> None:
        self.ks, self.values, self.estimator_name = ks, values, estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: MatrixLike,
        y: MatrixLike,
        *,
        max_k: int = 10,
        name: str | None = None,
        **options: Any,
    ) -> Self:
        """Predict, and plot.

        Parameters
        ----------
        estimator : estimator, Pipeline or search object
            Any fitted classifier of many labels.
        X : array-like, sparse matrix or list of str
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            True labels.
        max_k : int, default=10
            Largest k.
        name : str, default=None
            Name for the legend.
        **options
            Other arguments of :meth:`from_predictions`.

        Returns
        -------
        MetricAtKDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        check_count(max_k, "max_k")
        check_same_labels(estimator, y)
        topk = predict_topk(estimator, X, max_k)
        return cls.from_predictions(y, topk, max_k=max_k, name=name, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true: MatrixLike,
        y_score: MatrixLike,
        *,
        max_k: int = 10,
        metrics: Sequence[str] = ("precision", "recall"),
        propensities: ArrayLike | None = None,
        name: str | None = None,
        ax: Axes = None,
        **kwargs: Any,
    ) -> Self:
        """Plot what was predicted.

        Parameters
        ----------
        y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Label indicator.
        y_score : sparse matrix, array-like or (labels, scores)
            Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
            returns; see :func:`sklearn_xmr.metrics.precision_at_k`.
        max_k : int, default=10
            Largest k.
        metrics : sequence of str, default=("precision", "recall")
            Names of :func:`sklearn_xmr.metrics.get_topk_metrics`.
        propensities : array-like of shape (n_labels,), default=None
            Propensities of the labels, for propensity-scored metrics.
        name : str, default=None
            Name for the legend.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        MetricAtKDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        known = get_topk_metrics()
        unknown = [metric for metric in metrics if metric not in known]
        if unknown:
            raise ValueError(
                f"metrics must be among {sorted(known)}, found {unknown[0]!r}"
            )
        scored = [metric for metric in metrics if metric.startswith("ps")]
        if scored and propensities is None:
            raise ValueError(f"propensities must be given for the metric {scored[0]!r}")
        ks = np.arange(1, check_count(max_k, "max_k") + 1)
        y_true = check_label_indicator(y_true, "y_true")
        if not isinstance(y_score, tuple):  # ranked once for all k
            is_matrix = hasattr(y_score, "shape")
            y_score = y_score if is_matrix else np.asarray(y_score)
            y_score = topk_of_scores(y_score, max_k)
        values = {}
        for metric in metrics:
            given = {"propensities": propensities} if metric in scored else {}
            of_k = [known[metric](y_true, y_score, int(k), **given) for k in ks]
            values[metric] = np.array(of_k)
        return cls(ks, values, estimator_name=name).plot(ax, **kwargs)

    def plot(self, ax: Axes = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        name : str, default=None
            Name for the legend.
        **kwargs
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        MetricAtKDisplay
            Itself.
        """
        self.figure_, self.ax_ = figure_and_axes(ax)
        name = self.estimator_name if name is None else name
        self.lines_ = []
        for metric, values in self.values.items():
            label = metric.replace("_", " ")
            label = label if name is None else f"{name}: {label}"
            style = {"marker": "o", "markersize": 4, "label": label, **kwargs}
            self.lines_ += self.ax_.plot(self.ks, values, **style)
        self.ax_.set(xlabel="k", ylabel="Value at k", ylim=(0, None))
        self.ax_.set_xticks(self.ks)
        self.ax_.legend()
        return self


class LabelFrequencyDisplay:
    """How well rare and frequent labels are found.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    lower : ndarray of int of shape (n_groups,)
        Least number of training instances of each group of labels.
    values : ndarray of float of shape (n_groups,)
        Value of the metric in each group.
    n_labels : ndarray of int of shape (n_groups,)
        Number of labels of each group.
    metric : str
        Name of the metric.
    k : int
        Number of labels that count.

    Attributes
    ----------
    bars_ : matplotlib BarContainer
        The bars.
    ax_ : matplotlib Axes
        Axes with the bars.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn_xmr.inspection import LabelFrequencyDisplay
    >>> display = LabelFrequencyDisplay.from_predictions(
    ...     [[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]], [[1, 0], [1, 0], [1, 1]],
    ...     k=1, bounds=[2])
    >>> display.values
    array([0., 1.])
    """

    def __init__(
        self,
        lower: ArrayLike,
        values: ArrayLike,
        n_labels: ArrayLike,
        *,
        metric: str,
        k: int,
    ) -> None:
        self.lower, self.values, self.n_labels = lower, values, n_labels
        self.metric, self.k = metric, k

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: MatrixLike,
        y: MatrixLike,
        Y_train: MatrixLike,
        *,
        k: int = 5,
        **options: Any,
    ) -> Self:
        """Predict, and plot.

        Parameters
        ----------
        estimator : estimator, Pipeline or search object
            Any fitted classifier of many labels.
        X : array-like, sparse matrix or list of str
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            True labels.
        Y_train : {array-like, sparse matrix} of shape (n_train, n_labels)
            Labels of the training data, which are counted.
        k : int, default=5
            Number of labels.
        **options
            Other arguments of :meth:`from_predictions`.

        Returns
        -------
        LabelFrequencyDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        check_same_labels(estimator, y)
        topk = predict_topk(estimator, X, k)
        return cls.from_predictions(y, topk, Y_train, k=k, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true: MatrixLike,
        y_score: MatrixLike,
        Y_train: MatrixLike,
        *,
        k: int = 5,
        metric: str = "recall",
        bounds: Sequence[int] = (1, 3, 10, 30, 100, 300, 1000),
        ax: Axes = None,
        **kwargs: Any,
    ) -> Self:
        """Plot what was predicted.

        Parameters
        ----------
        y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Label indicator.
        y_score : sparse matrix, array-like or (labels, scores)
            Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
            returns; see :func:`sklearn_xmr.metrics.precision_at_k`.
        Y_train : {array-like, sparse matrix} of shape (n_train, n_labels)
            Labels of the training data, which are counted.
        k : int, default=5
            Number of labels.
        metric : {"recall", "precision", "macro_f1", "coverage", "psprecision"}, \
                default="recall"
            "precision" and "psprecision": what each group adds to the whole; the bars
            sum to the metric at k.
        bounds : sequence of int, default=(1, 3, 10, 30, 100, 300, 1000)
            Numbers of training instances between the groups.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs
            Arguments of matplotlib's ``bar``.

        Returns
        -------
        LabelFrequencyDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        known = ("recall", "precision", "macro_f1", "coverage", "psprecision")
        if metric not in known:
            raise ValueError(f"metric must be one of {known}, got {metric!r}")
        parts = frequency_breakdown(y_true, y_score, Y_train, k, bounds=bounds)
        values, n_labels = parts[metric], parts["n_labels"]
        display = cls(parts["lower"], values, n_labels, metric=metric, k=k)
        return display.plot(ax, **kwargs)

    def plot(self, ax: Axes = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs
            Arguments of matplotlib's ``bar``.

        Returns
        -------
        LabelFrequencyDisplay
            Itself.
        """
        self.figure_, self.ax_ = figure_and_axes(ax)
        places = np.arange(len(self.values))
        self.bars_ = self.ax_.bar(places, self.values, **kwargs)
        self.ax_.bar_label(
            self.bars_, [f"{n:,}\nlabels" for n in self.n_labels], fontsize=8
        )
        ends = [str(upper - 1) for upper in self.lower[1:]] + [""]
        spans = [
            f"{low}+" if not end else str(low) if end == str(low) else f"{low}–{end}"
            for low, end in zip(self.lower, ends, strict=True)
        ]
        slanted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        self.ax_.set_xticks(places, spans, **slanted)  # or they overlap
        name = self.metric.replace("_", " ")
        self.ax_.set(
            xlabel="Training instances of a label", ylabel=f"{name} at {self.k}"
        )
        self.ax_.margins(y=0.15)
        return self


class CoveragePrecisionDisplay:
    """Precision of the instances that are answered, against their share.

    The surest instances, by the score of their best label, are answered first. The
    right end of the curve is the precision of all; where the curve falls, it pays to
    give no answer rather than a doubtful one.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    coverage : ndarray of float of shape (n_thresholds,)
        Share of instances that are answered, ascending.
    precision : ndarray of float of shape (n_thresholds,)
        Precision at k of these instances.
    thresholds : ndarray of float of shape (n_thresholds,)
        Best scores from which on instances are answered.
    k : int
        Number of labels.
    estimator_name : str, default=None
        Name for the legend.

    Attributes
    ----------
    line_ : matplotlib Artist
        The curve.
    ax_ : matplotlib Axes
        Axes with the curve.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    sklearn_xmr.XRConformalClassifier : With ``min_precision``, answers what is sure.

    References
    ----------
    Y. Geifman, R. El-Yaniv. "Selective Classification for Deep Neural Networks",
    NeurIPS 2017.

    Examples
    --------
    >>> from sklearn_xmr.inspection import CoveragePrecisionDisplay
    >>> display = CoveragePrecisionDisplay.from_predictions(
    ...     [[1, 0], [0, 1], [0, 1]], [[0.9, 0.1], [0.6, 0.4], [0.1, 0.7]])
    >>> display.coverage.round(2), display.precision.round(2)
    (array([0.33, 0.67, 1.  ]), array([1.  , 1.  , 0.67]))
    """

    def __init__(
        self,
        coverage: ArrayLike,
        precision: ArrayLike,
        thresholds: ArrayLike,
        *,
        k: int = 1,
        estimator_name: str | None = None,
    ) -> None:
        self.coverage, self.precision = coverage, precision
        self.thresholds, self.k = thresholds, k
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: MatrixLike,
        y: MatrixLike,
        *,
        k: int = 1,
        name: str | None = None,
        **options: Any,
    ) -> Self:
        """Predict, and plot.

        Parameters
        ----------
        estimator : estimator, Pipeline or search object
            Any fitted classifier of many labels.
        X : array-like, sparse matrix or list of str
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            True labels.
        k : int, default=1
            Number of labels.
        name : str, default=None
            Name for the legend.
        **options
            Other arguments of :meth:`from_predictions`.

        Returns
        -------
        CoveragePrecisionDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        check_count(k, "k")
        check_same_labels(estimator, y)
        topk = predict_topk(estimator, X, k)
        return cls.from_predictions(y, topk, k=k, name=name, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true: MatrixLike,
        y_score: MatrixLike,
        *,
        k: int = 1,
        name: str | None = None,
        ax: Axes = None,
        **kwargs: Any,
    ) -> Self:
        """Plot what was predicted.

        Parameters
        ----------
        y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Label indicator.
        y_score : sparse matrix, array-like or (labels, scores)
            Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
            returns; see :func:`sklearn_xmr.metrics.precision_at_k`.
        k : int, default=1
            Number of labels.
        name : str, default=None
            Name for the legend.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        CoveragePrecisionDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        if not isinstance(y_score, tuple):
            is_matrix = hasattr(y_score, "shape")
            y_score = y_score if is_matrix else np.asarray(y_score)
            y_score = topk_of_scores(y_score, check_count(k, "k"))
        precision = ranked_hits(y_true, y_score, k).hits.sum(axis=1) / k
        labels, scores = (np.asarray(part) for part in y_score)
        confidence = np.where(labels >= 0, scores, -np.inf).max(axis=1)
        curve = _by_coverage(confidence, precision)
        return cls(*curve, k=k, estimator_name=name).plot(ax, **kwargs)

    def plot(self, ax: Axes = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        name : str, default=None
            Name for the legend.
        **kwargs
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        CoveragePrecisionDisplay
            Itself.
        """
        self.figure_, self.ax_ = figure_and_axes(ax)
        name = self.estimator_name if name is None else name
        style = {"label": name, **kwargs}
        (self.line_,) = self.ax_.plot(self.coverage, self.precision, **style)
        self.ax_.set(
            xlabel="Share of instances answered",
            ylabel=f"Precision at {self.k}",
            xlim=(0, 1),
            ylim=(0, 1.02),
        )
        if name is not None:
            self.ax_.legend()
        return self


def _by_coverage(confidence, precision):
    """Coverage, mean precision and confidence at each distinct confidence."""
    order = np.argsort(-confidence, kind="stable")
    confidence = confidence[order]
    n_answered = np.arange(1, len(order) + 1)
    means = np.cumsum(precision[order]) / n_answered
    ends = np.append(confidence[1:] < confidence[:-1], True)
    return n_answered[ends] / len(order), means[ends], confidence[ends]
