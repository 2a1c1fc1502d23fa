"""What the displays share: matplotlib on demand, bars of contributions."""

import numpy as np

from sklearn_xmr.inspection._names import contents
from sklearn_xmr.utils._texts_and_names import well_formed


def pyplot():
    """matplotlib.pyplot, or an ImportError that says how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib: pip install 'sklearn-xmr[plot]'"
        ) from error
    return plt


def figure_and_axes(ax, figsize=None):
    """The figure and axes to draw on, new ones where ax is None."""
    if ax is None:
        return pyplot().subplots(figsize=figsize, layout="constrained")
    return ax.figure, ax


def shorten(text, n=40):
    """A text of at most n characters, which can be drawn."""
    text = well_formed(text)
    return text if len(text) <= n else text[: n - 1] + "…"


def score_text(score, digits=4):
    """A score with some decimal places, or one digit where these would all be 0."""
    rounded = f"{score:.{digits}f}"
    if float(rounded) != 0 or not np.isfinite(score):
        return rounded
    return f"{score:.0e}" if score else "0"


def as_it_is(text):
    """A name that is shown as it is: no formula, whatever dollar signs are in it."""
    text.set_parse_math(False)
    return text


def _panels(n):
    """Axes in rows of two: wider figures are shrunk to the width of a page."""
    n_rows, n_columns = -(-n // 2), min(n, 2)
    size = (4.5 * n_columns, 3.6 * n_rows)
    _, axes = pyplot().subplots(n_rows, n_columns, figsize=size, layout="constrained")
    axes = np.ravel(axes)
    for spare in axes[n:]:
        spare.remove()
    return axes[:n]


def plot_contributions(explanation, n_features, axes):
    """Bars of an explanation's largest contributions, a panel for each level."""
    steps = explanation.steps
    axes = _panels(len(steps)) if axes is None else np.atleast_1d(axes)
    if len(axes) != len(steps):
        raise ValueError(
            f"axes must hold one for each of the {len(steps)} levels, got {len(axes)}"
        )
    for axis, step in zip(axes, steps, strict=True):
        bars = step.features[:n_features] + [("intercept", 1.0, step.intercept)]
        names = [shorten(name, 24) for name, _, _ in bars]
        values = [contribution for _, _, contribution in bars]
        colors = ["C0" if value >= 0 else "C3" for value in values]
        axis.barh(np.arange(len(bars)), values, color=colors)
        axis.set_yticks(np.arange(len(bars)), names)
        for label in axis.get_yticklabels():
            as_it_is(label)
        axis.invert_yaxis()
        axis.axvline(0, color="0.4", linewidth=0.8)
        name = step.name + contents(step.n_labels, step.examples)
        title = axis.set_title(
            f"{shorten(name, 42)}\n{step.rank} of {step.n_siblings}, "
            f"score {score_text(step.score, 3)}",
            fontsize=10,
        )
        as_it_is(title)
        axis.set_xlabel("Contribution to the margin")
        axis.locator_params(axis="x", nbins=5)
    return axes
