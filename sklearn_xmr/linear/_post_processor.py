"""Post-processors: how the margins along the path to a label become its score."""

from functools import lru_cache
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from sklearn_xmr.linear._constants import COMBINERS

POST_PROCESSORS = (*COMBINERS, *(f"log_{name}" for name in COMBINERS if name != "noop"))
LARGEST_MARGIN = 80  # beyond, exp would overflow; its sigmoid is 0 or 1


class PostProcessor:
    """Turn the margins along a path into a score.

    The score of a margin v is ``sigmoid(v)`` or, for "l<p>_hinge",
    ``exp(-max(0, 1 - v) ** p)``; a label's score is the product along its path, where
    the score of a node that is d levels above the label has the exponent
    ``path_weight ** d``. The search sums logarithms. "noop" scores a node by its own
    margin.

    Parameters
    ----------
    name : str
        "sigmoid", "l1_hinge" to "l4_hinge", one of these with the prefix ``"log_"``,
        for scores that are logarithms, or "noop".
    path_weight : float in [0, 1], default=1.0
        How much a level counts, by the level below it.

    Attributes
    ----------
    name : str
        Name of the post-processor.
    path_weight : float
        As it was given.
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

    def __init__(self, name: str, path_weight: float = 1.0) -> None:
        if name not in POST_PROCESSORS:
            raise ValueError(
                f"post_processor must be one of {POST_PROCESSORS}, got {name!r}"
            )
        if not (isinstance(path_weight, Real) and 0 <= path_weight <= 1):
            raise ValueError(f"path_weight must be 0 to 1, got {path_weight!r}")
        self.name, self.path_weight = name, float(path_weight)
        self.code = COMBINERS[name.removeprefix("log_")]
        self.is_margin = name == "noop"
        self._is_raw = self.is_margin or name.startswith("log_")

    def restore(self, log_scores: np.ndarray) -> np.ndarray:
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

    def probabilities(self, log_scores: np.ndarray) -> np.ndarray:
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

    def of_scores(self, scores: np.ndarray) -> np.ndarray:
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

    def of_paths(
        self, above: float | np.ndarray, margins: ArrayLike, n_below: int = 0
    ) -> np.ndarray:
        """Extend paths by one node each, and return their scores.

        Parameters
        ----------
        above : float or ndarray
            Scores of the paths so far.
        margins : array-like of float
            Margins of the next nodes.
        n_below : int, default=0
            Number of levels below these nodes.

        Returns
        -------
        ndarray of float64
            Scores of the longer paths, without logarithm.
        """
        margins, weight = (
            np.asarray(margins, dtype=np.float64),
            self.path_weight**n_below,
        )
        if self.is_margin:
            return margins
        if self.code == COMBINERS["sigmoid"]:
            return above * sigmoid(margins) ** weight
        return above * np.exp(-weight * np.maximum(0, 1 - margins) ** self.code)


def sigmoid(margins):
    """The logistic function, without overflow."""
    return 1 / (1 + np.exp(-np.clip(margins, -LARGEST_MARGIN, LARGEST_MARGIN)))


_known = lru_cache(maxsize=64)(PostProcessor)


def post_processor_of(given, path_weight=1.0):
    """The post-processor of a name, made once; one that is given as it is.

    Raises
    ------
    ValueError
        If ``given`` is not a post-processor or the name of one.
    """
    if isinstance(given, PostProcessor):
        return given
    make = _known if isinstance(given, str) else PostProcessor
    return make(given, path_weight)
