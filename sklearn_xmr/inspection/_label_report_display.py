"""A plot of how well each label is predicted."""

from typing import Any

import numpy as np

from sklearn_xmr.inspection._label_report import LabelReport, label_report
from sklearn_xmr.inspection._names import Names
from sklearn_xmr.inspection._plotting import as_it_is, figure_and_axes, shorten
from sklearn_xmr.utils._response import check_same_labels, predict_topk
from sklearn_xmr.utils._typing import Axes, Estimator, MatrixLike, Self


class LabelReportDisplay:
    """Recall of each label against its number of instances, coloured by precision.

    The labels that are missed in most instances are named, with the label that each is
    most often taken for. Make it of a report, or with :meth:`from_estimator` or
    :meth:`from_predictions`.

    Parameters
    ----------
    report : LabelReport
        What to draw.

    Attributes
    ----------
    points_ : matplotlib PathCollection
        A point for each label that has instances.
    texts_ : list of matplotlib Annotation
        The names.
    ax_ : matplotlib Axes
        Axes with the points.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn_xmr.inspection import LabelReportDisplay
    >>> display = LabelReportDisplay.from_predictions(
    ...     [[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]], k=1)
    >>> display.points_.get_offsets().tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """

    def __init__(self, report: LabelReport) -> None:
        self.report = report

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
            Any fitted classifier of many labels.
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
        LabelReportDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        check_same_labels(estimator, y)
        return cls.from_predictions(y, predict_topk(estimator, X, k), k=k, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true: MatrixLike,
        y_score: MatrixLike,
        *,
        k: int = 5,
        label_names: Any = None,
        n_named: int = 6,
        ax: Axes = None,
        **kwargs: Any,
    ) -> Self:
        """Plot what was predicted.

        Parameters
        ----------
        y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Label indicator.
        y_score : HeldOutScores, sparse matrix, array-like or (labels, scores)
            As :func:`label_report` takes them.
        k : int, default=5
            Number of labels that count as predicted.
        label_names : sequence of str, default=None
            Names of the columns of y.
        n_named : int, default=6
            Number of labels to name.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs
            Arguments of matplotlib's ``scatter``.

        Returns
        -------
        LabelReportDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        report = label_report(y_true, y_score, k=k, label_names=label_names)
        return cls(report).plot(ax, n_named=n_named, **kwargs)

    def plot(self, ax: Axes = None, *, n_named: int = 6, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        n_named : int, default=6
            Number of labels to name.
        **kwargs
            Arguments of matplotlib's ``scatter``.

        Returns
        -------
        LabelReportDisplay
            Itself.
        """
        self.figure_, self.ax_ = figure_and_axes(ax, (8, 5))
        shown = self.report[self.report.support > 0]
        style: dict[str, Any] = {"s": 12, "alpha": 0.7}
        is_coloured = not {"c", "color"} & set(kwargs)
        if is_coloured:
            style |= {"c": shown.precision, "vmin": 0, "vmax": 1}
        style |= kwargs
        self.points_ = self.ax_.scatter(shown.support, shown.recall, **style)
        if is_coloured:
            name = f"Precision at {self.report.k}"
            self.figure_.colorbar(self.points_, ax=self.ax_, label=name)
        missed = shown.support - shown.hits
        worst = np.argsort(-missed, kind="stable")[:n_named]
        self.texts_ = [self._name(shown[one]) for one in worst if missed[one]]
        self.ax_.set(xscale="log", ylim=(-0.03, 1.03), xlabel="Instances of the label")
        self.ax_.set_ylabel(f"Recall at {self.report.k}")
        return self

    def _name(self, one):
        """Name a label, and the one that it is most often taken for."""
        names, other = Names(labels=one.label_names), one.confused_with[0, 0]
        text = shorten(names.label(one.labels[0]), 24)
        if other >= 0:
            text += f" → {shorten(names.label(other), 24)}"
        place = (one.support[0], one.recall[0])
        beside = {"xytext": (-5, 0), "textcoords": "offset points", "ha": "right"}
        return as_it_is(
            self.ax_.annotate(text, place, va="center", fontsize=7, **beside)
        )
