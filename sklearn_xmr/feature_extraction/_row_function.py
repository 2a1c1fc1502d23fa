"""One text at a time, for services."""

import numpy as np
from scipy import sparse


class RowFunction:
    """Columns and values of one text, in buffers that are used again.

    What ``row_function`` of a vectorizer returns: it holds the settings and the
    vocabulary of that moment. Any number of threads may call it at once.

    Parameters
    ----------
    vectorizer : estimator
        The fitted vectorizer, which reads what is not a string.
    counter : TextCounter or None
        Rows of strings; None: by the vectorizer's ``transform``.

    Attributes
    ----------
    n_features : int
        Number of columns.
    """

    def __init__(self, vectorizer, counter):
        self.vectorizer, self.counter = vectorizer, counter
        self._takes_strings = counter is not None and vectorizer.input == "content"
        self._needs_utf8 = (
            counter is not None and counter.is_hashed and vectorizer.analyzer != "word"
        )
        if counter is not None:
            self.n_features = counter.n_features
        elif hasattr(vectorizer, "vocabulary_"):
            self.n_features = len(vectorizer.vocabulary_)
        else:
            self.n_features = vectorizer.n_features

    def __call__(self, text):
        """Return the columns and values of a text.

        Parameters
        ----------
        text : str, or what the vectorizer's ``input`` says
            One text.

        Returns
        -------
        indices : ndarray of int32 of shape (n_terms,)
            Ascending.
        values : ndarray of float32 of shape (n_terms,)
        """
        if self.counter is not None:
            if not (self._takes_strings and isinstance(text, str)):
                text = self.vectorizer.read(text)
            if not (self._needs_utf8 and has_surrogates([text])):
                return self.counter.row(text)
        X = sparse.csr_matrix(self.vectorizer.transform([text]))
        return X.indices.astype(np.int32), X.data.astype(np.float32)

    def __reduce__(self):
        return type(self), (self.vectorizer, self.counter)


def has_surrogates(texts):
    """Whether a text cannot be UTF-8, which scikit-learn's hasher refuses."""
    try:
        for text in texts:
            if not text.isascii():
                text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
