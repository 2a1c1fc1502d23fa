"""Static embeddings: the mean of word vectors, the cheapest encoder of all."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from sklearn_xmr.utils._storable import storable

WORD = re.compile(r"(?u)\b\w+\b")


@storable
class StaticEmbedder:
    """Mean of the vectors of a text's words.

    Parameters
    ----------
    words : sequence of str
        The vocabulary.
    vectors : array-like of shape (n_words, n_dense)
        A vector for each word.
    lowercase : bool, default=True
        Whether texts are lower-cased before words are looked up.

    Raises
    ------
    ValueError
        If there is not one vector for each word.

    Examples
    --------
    >>> from sklearn_xmr.transformer import StaticEmbedder
    >>> embed = StaticEmbedder(["red", "blue"], [[1.0, 0.0], [0.0, 1.0]])
    >>> embed(["Red, red!", "unknown"])
    array([[1., 0.],
           [0., 0.]], dtype=float32)
    """

    def __init__(
        self, words: Sequence[str], vectors: ArrayLike, lowercase: bool = True
    ) -> None:
        self.vectors = np.asarray(vectors, dtype=np.float32)
        self.place = {word: i for i, word in enumerate(words)}
        self.lowercase = lowercase
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.place):
            raise ValueError(
                f"vectors must have a row for each of the {len(self.place)} different "
                f"words, got shape {self.vectors.shape}"
            )

    def to_plain(self):
        """Return what model files store.

        Returns
        -------
        dict
            Arguments of the class.
        """
        words = np.array(list(self.place), dtype=object)
        return {"words": words, "vectors": self.vectors, "lowercase": self.lowercase}

    @classmethod
    def from_plain(cls, plain):
        """Make an embedder of what a model file holds.

        Parameters
        ----------
        plain : dict
            What :meth:`to_plain` returned.

        Returns
        -------
        StaticEmbedder
        """
        return cls(**plain)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings of texts, ndarray of float32 of shape (n_texts, n_dense)."""
        return np.array([self._mean(text) for text in texts], dtype=np.float32)

    def _mean(self, text):
        words = WORD.findall(text.lower() if self.lowercase else text)
        places = [self.place[word] for word in words if word in self.place]
        if not places:
            return np.zeros(self.vectors.shape[1], dtype=np.float32)
        return self.vectors[places].mean(axis=0)
