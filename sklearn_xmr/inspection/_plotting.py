"""What the displays share: matplotlib on demand, bars of contributions."""

import numpy as np

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


def as_it_is(text):
    """A name that is shown as it is: no formula, whatever dollar signs are in it."""
    text.set_parse_math(False)
    return text


def plot_contributions(explanation, n_features, axes):
    """Bars of an explanation's largest contributions, a panel for each level."""
    plt = pyplot()
    steps = explanation.steps
    if axes is None:
        _, axes = plt.subplots(
            1, len(steps), figsize=(4.5 * len(steps), 4), layout="constrained"
        )
    axes = np.atleast_1d(axes)
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
        title = axis.set_title(
            f"{shorten(step.name, 28)}\n{step.rank} of {step.n_siblings}, "
            f"score {step.score:.3f}",
            fontsize=10,
        )
        as_it_is(title)
        axis.set_xlabel("Contribution to the margin")
    return axes
