"""Loss and validation metric of a training run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_xmr.inspection._plotting import figure_and_axes
from sklearn_xmr.utils._response import last_estimator
from sklearn_xmr.utils._typing import Axes, Estimator, Self


class TrainingHistoryDisplay:
    """Loss, and validation metric where there is one, against the optimiser's steps.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    history : list of dict
        The ``history_`` of an :class:`sklearn_xmr.XTransformerClassifier`: records with
        "level", "step" and "loss" or "metric" (with its "name").

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
    >>> from sklearn_xmr.inspection import TrainingHistoryDisplay
    >>> history = [{"level": 0, "step": step, "loss": 1 / step} for step in (10, 20)]
    >>> display = TrainingHistoryDisplay(history).plot()
    >>> display.lines_[0].get_ydata()
    array([0.1 , 0.05])
    """

    def __init__(self, history: Sequence[dict[str, Any]]) -> None:
        self.history = history

    @classmethod
    def from_estimator(
        cls, estimator: Estimator, *, ax: Axes = None, **kwargs: Any
    ) -> Self:
        """Plot the history of a fitted estimator.

        Parameters
        ----------
        estimator : estimator, Pipeline or search object
            Fitted, with ``history_``: an XTransformerClassifier that fine-tunes.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        TrainingHistoryDisplay
            With the plot in ``ax_``.

        Raises
        ------
        ValueError
            If there is no history.
        """
        history = getattr(last_estimator(estimator), "history_", None)
        if not history:
            raise ValueError(
                f"estimator must have trained step by step, but {estimator!r} has no "
                "history_: fit an XTransformerClassifier that fine-tunes its encoder "
                "(fine_tuning=FineTuning())"
            )
        return cls(history).plot(ax, **kwargs)

    def plot(self, ax: Axes = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        **kwargs
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        TrainingHistoryDisplay
            Itself.
        """
        self.figure_, self.ax_ = figure_and_axes(ax)
        self.lines_ = self._lines(self.ax_, "loss", **kwargs)
        self.ax_.set(xlabel="Step", ylabel="Loss")
        if any("metric" in record for record in self.history):
            other = self.ax_.twinx()
            self.lines_ += self._lines(other, "metric", color="C1", marker="o")
            names = {r["name"] for r in self.history if "metric" in r}
            other.set_ylabel(f"Validation {', '.join(sorted(names))}")
        self.ax_.legend(self.lines_, [line.get_label() for line in self.lines_])
        return self

    def _lines(self, axes, kind, **kwargs):
        """A line for each level; steps of later levels follow those before."""
        records = [record for record in self.history if kind in record]
        lines, before = [], 0
        for level in sorted({record["level"] for record in self.history}):
            own = [record for record in records if record["level"] == level]
            if own:
                steps = before + np.array([record["step"] for record in own])
                values = np.array([record[kind] for record in own])
                style = {"label": f"{kind}, level {level}", **kwargs}
                lines += axes.plot(steps, values, **style)
            before += max(r["step"] for r in self.history if r["level"] == level)
        return lines
