"""Plots of how far to trust probabilities, and of what a model's size buys."""

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_xmr.inspection._classifier import find_classifier
from sklearn_xmr.inspection._plotting import figure_and_axes
from sklearn_xmr.metrics import (
    calibration_curve_at_k,
    ece_at_k,
    precision_at_k,
)
from sklearn_xmr.utils._response import (
    check_same_labels,
    inner_step,
    predict_topk,
)
from sklearn_xmr.utils._typing import Axes, Estimator, MatrixLike, Self


class CalibrationAtKDisplay:
    """Whether the k best labels are right as often as their probabilities say.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    prob_pred : ndarray of float of shape (n_bins,)
        Mean probability of each bin.
    prob_true : ndarray of float of shape (n_bins,)
        Share of right labels.
    counts : ndarray of int of shape (n_bins,)
        Number of labels in each bin.
    ece : float
        Expected calibration error at k.
    k : int
        Number of labels that count.
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

    Examples
    --------
    >>> from sklearn_xmr.inspection import CalibrationAtKDisplay
    >>> labels, scores = [[0], [0], [0], [0]], [[0.9], [0.9], [0.9], [0.9]]
    >>> y_true = [[1, 0], [1, 0], [0, 1], [1, 0]]
    >>> display = CalibrationAtKDisplay.from_predictions(y_true, (labels, scores), k=1)
    >>> display.prob_true
    array([0.75])
    """

    def __init__(
        self,
        prob_pred: ArrayLike,
        prob_true: ArrayLike,
        counts: ArrayLike,
        *,
        ece: float,
        k: int,
        estimator_name: str | None = None,
    ) -> None:
        self.prob_pred, self.prob_true, self.counts = prob_pred, prob_true, counts
        self.ece, self.k, self.estimator_name = ece, k, estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: MatrixLike,
        y: MatrixLike,
        *,
        k: int = 5,
        **options: Any,
    ) -> Self:
        """Predict, and plot.

        Parameters
        ----------
        estimator : estimator, Pipeline or search object
            Fitted, with probabilities between 0 and 1 as scores.
        X : array-like, sparse matrix or list of str
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            True labels.
        k : int, default=5
            Number of labels.
        **options
            Other arguments of :meth:`from_predictions`.

        Returns
        -------
        CalibrationAtKDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        check_same_labels(estimator, y)
        topk = predict_topk(estimator, X, k)
        return cls.from_predictions(y, topk, k=k, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true: MatrixLike,
        y_score: MatrixLike,
        *,
        k: int = 5,
        n_bins: int = 10,
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
            Probabilities of shape (n_samples, n_labels), or the pair that
            ``predict_topk`` returns; see :func:`sklearn_xmr.metrics.precision_at_k`.
        k : int, default=5
            Number of labels of each instance that count.
        n_bins : int, default=10
            Number of bins of equal width.
        name : str, default=None
            Name for the legend.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        CalibrationAtKDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        given = {"k": k, "n_bins": n_bins}
        prob_true, prob_pred, counts = calibration_curve_at_k(y_true, y_score, **given)
        error = ece_at_k(y_true, y_score, **given)
        display = cls(prob_pred, prob_true, counts, ece=error, k=k, estimator_name=name)
        return display.plot(ax, **kwargs)

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
        CalibrationAtKDisplay
            Itself.
        """
        self.figure_, self.ax_ = figure_and_axes(ax)
        if not any(line.get_label() == "as they should be" for line in self.ax_.lines):
            self.ax_.plot([0, 1], [0, 1], "k:", label="as they should be")
        name = self.estimator_name if name is None else name
        label = f"ECE@{self.k} = {self.ece:.3f}"
        label = label if name is None else f"{name} ({label})"
        style = {"marker": "s", "markersize": 4, "label": label, **kwargs}
        (self.line_,) = self.ax_.plot(self.prob_pred, self.prob_true, **style)
        self.ax_.set(
            xlabel=f"Probability of the {self.k} best labels",
            ylabel="Share of right labels",
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
        )
        self.ax_.legend(loc="upper left")
        return self


class ModelSizeDisplay:
    """Size of a model against its precision, when small weights are dropped.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    sizes : ndarray of float of shape (n_points,)
        Megabytes (10**6 bytes).
    precisions : ndarray of float of shape (n_points,)
        Precision at k.
    thresholds : ndarray of float of shape (n_points,)
        Weights below were dropped.
    k : int
        Number of labels that count.
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

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.inspection import ModelSizeDisplay
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRLinearClassifier(random_state=0).fit(X, Y)
    >>> display = ModelSizeDisplay.from_estimator(
    ...     clf, X, Y, k=1, thresholds=[0, 0.3, 0.6])
    >>> bool((display.sizes[1:] < display.sizes[:-1]).all())
    True
    """

    def __init__(
        self,
        sizes: ArrayLike,
        precisions: ArrayLike,
        thresholds: ArrayLike,
        *,
        k: int,
        estimator_name: str | None = None,
    ) -> None:
        self.sizes, self.precisions, self.thresholds = sizes, precisions, thresholds
        self.k, self.estimator_name = k, estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: MatrixLike,
        y: MatrixLike,
        *,
        k: int = 5,
        thresholds: Sequence[float] = (0.0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6),
        name: str | None = None,
        ax: Axes = None,
        **kwargs: Any,
    ) -> Self:
        """Prune copies of the model more and more, predict, and plot.

        Parameters
        ----------
        estimator : XRLinearClassifier, or a pipeline or search that ends in one
            Fitted; it is not changed.
        X : array-like, sparse matrix or list of str
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            True labels.
        k : int, default=5
            Number of labels.
        thresholds : sequence of float, default=(0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
            Smallest absolute values of weights to keep, see
            :meth:`XRLinearClassifier.prune`.
        name : str, default=None
            Name for the legend.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        ModelSizeDisplay
            With the plot in ``ax_``.

        Raises
        ------
        TypeError
            If ``estimator`` does not end in an XRLinearClassifier.
        ValueError
            If an argument is not as described.
        """
        clf = find_classifier(estimator)
        _, X = inner_step(estimator, X)
        check_same_labels(clf, y)
        sizes, precisions = [], []
        for threshold in thresholds:
            pruned = copy(clf).prune(threshold=threshold)
            sizes.append(pruned.nbytes_ / 1e6)
            precisions.append(precision_at_k(y, pruned.predict_topk(X, k=k), k))
        points = (np.array(sizes), np.array(precisions), np.array(thresholds))
        return cls(*points, k=k, estimator_name=name).plot(ax, **kwargs)

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
        ModelSizeDisplay
            Itself.
        """
        self.figure_, self.ax_ = figure_and_axes(ax)
        name = self.estimator_name if name is None else name
        style = {"marker": "o", "markersize": 4, "label": name, **kwargs}
        (self.line_,) = self.ax_.plot(self.sizes, self.precisions, **style)
        for place in zip(self.thresholds, self.sizes, self.precisions, strict=True):
            self.ax_.annotate(
                f"{place[0]:g}",
                place[1:],
                xytext=(4, -10),
                textcoords="offset points",
                fontsize=8,
            )
        self.ax_.set(xlabel="Model, MB", ylabel=f"Precision at {self.k}")
        if name is not None:
            self.ax_.legend()
        return self
