"""Post-processors: how the margins along the path to a label become its score."""

from functools import cache

import numpy as np

from sklearn_xmr.linear._constants import COMBINERS

POST_PROCESSORS = (*COMBINERS, *(f"log_{name}" for name in COMBINERS if name != "noop"))
LARGEST_MARGIN = 80  # beyond, exp would overflow; its sigmoid is 0 or 1


class PostProcessor:
    """Turn the margins along a path into a score.

    The score of a margin v is ``sigmoid(v)`` or, for "l<p>_hinge",
    ``exp(-max(0, 1 - v) ** p)``; a label's score is the product along its path. The
    search sums logarithms. "noop" scores a node by its own margin.

    Parameters
    ----------
    name : str
        "sigmoid", "l1_hinge" to "l4_hinge", one of these with the prefix ``"log_"``,
        for scores that are logarithms, or "noop".

    Attributes
    ----------
    name : str
        Name of the post-processor.
    code : int
        Number of the function in the search.
    is_margin : bool
        Whether scores are margins ("noop").

    Raises
    ------
    ValueError
        If ``name`` is not the name of a post-processor.

    Examples
    --------
    >>> from sklearn_xmr.linear import PostProcessor
    >>> hinge = PostProcessor("l3_hinge")
    >>> hinge.of_paths(0.5, [1.0, 2.0])
    array([0.5, 0.5])
    """

    def __init__(self, name):
        if name not in POST_PROCESSORS:
            raise ValueError(
                f"post_processor must be one of {POST_PROCESSORS}, got {name!r}"
            )
        self.name = name
        self.code = COMBINERS[name.removeprefix("log_")]
        self.is_margin = name == "noop"
        self._is_raw = self.is_margin or name.startswith("log_")

    def restore(self, log_scores):
        """Return scores in the form that ``name`` requests.

        Parameters
        ----------
        log_scores : ndarray of float
            Logarithms of scores, or margins for "noop".

        Returns
        -------
        ndarray of float
            Scores; unchanged for names with the prefix ``"log_"`` and for "noop".
        """
        return log_scores if self._is_raw else np.exp(log_scores)

    def probabilities(self, log_scores):
        """Return scores between 0 and 1.

        Parameters
        ----------
        log_scores : ndarray of float
            Logarithms of scores, or margins for "noop".

        Returns
        -------
        ndarray of float
            Scores; for "noop" the logistic function of the margins.
        """
        return sigmoid(log_scores) if self.is_margin else np.exp(log_scores)

    def of_scores(self, scores):
        """Return the probabilities that scores stand for.

        Parameters
        ----------
        scores : ndarray of float
            As :meth:`restore` gives them: scores, logarithms or margins.

        Returns
        -------
        ndarray of float
            Probabilities, between 0 and 1.
        """
        return self.probabilities(scores) if self._is_raw else scores

    def of_paths(self, above, margins):
        """Extend paths by one node each, and return their scores.

        Parameters
        ----------
        above : float or ndarray
            Scores of the paths so far.
        margins : array-like of float
            Margins of the next nodes.

        Returns
        -------
        ndarray of float64
            Scores of the longer paths, without logarithm.
        """
        margins = np.asarray(margins, dtype=np.float64)
        if self.is_margin:
            return margins
        if self.code == COMBINERS["sigmoid"]:
            return above * sigmoid(margins)
        return above * np.exp(-(np.maximum(0, 1 - margins) ** self.code))


def sigmoid(margins):
    """The logistic function, without overflow."""
    return 1 / (1 + np.exp(-np.clip(margins, -LARGEST_MARGIN, LARGEST_MARGIN)))


@cache
def _known(name):
    return PostProcessor(name)


def post_processor_of(name):
    """The post-processor of a name, made once.

    Raises
    ------
    ValueError
        If ``name`` is not the name of a post-processor.
    """
    return _known(name) if isinstance(name, str) else PostProcessor(name)
