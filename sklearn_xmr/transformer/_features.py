"""What an X-Transformer sees of texts: sparse features beside unit embeddings."""

import numpy as np
from sklearn.base import clone

from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.transformer._cached_encoder import CachedEncoder
from sklearn_xmr.transformer._encoder import embed_with
from sklearn_xmr.transformer._texts import split_pair
from sklearn_xmr.utils._matrices import as_csr_float32

MANY_TEXTS = 1000  # from which on a word must occur in two of them


class TextFeaturesMixin:
    """Features of an estimator with ``vectorizer`` and a loaded ``encoder_``.

    The estimator has the parameters ``precision``, ``device`` and ``cache_dir`` too.
    """

    def _fit_sparse(self, texts, features):
        """Sparse features of the training texts, or None."""
        self.vectorizer_ = self.n_ready_features_ = None
        if features is not None:
            self.n_ready_features_ = features.shape[1]
            return features
        if self.vectorizer is None:
            return None
        if isinstance(self.vectorizer, str):
            self.vectorizer_ = default_vectorizer(len(texts))
        else:
            self.vectorizer_ = clone(self.vectorizer)
        return as_csr_float32(self.vectorizer_.fit_transform(texts))

    def _embed(self, texts, out=None):
        """Unit embeddings; may be read-only or memory-mapped."""
        if not callable(self.encoder_):
            cached = CachedEncoder(
                self.encoder_, self.precision, self.device, self.cache_dir
            )
            return cached.embed(texts, out)
        embedded = embed_with(self.encoder_, texts)
        if out is None:
            return embedded
        out[:] = embedded
        return out

    def _features(self, X):
        """Sparse and dense features of new texts."""
        texts, features = split_pair(X)
        return HybridFeatures(self._sparse(texts, features), self._embed(texts))

    def _sparse(self, texts, features):
        if self.n_ready_features_ is not None:
            if features is None:
                raise ValueError(
                    "X must be a pair (texts, features), as in fit, but holds texts"
                )
            if features.shape[1] != self.n_ready_features_:
                raise ValueError(
                    f"features must have the {self.n_ready_features_} columns seen in "
                    f"fit, got {features.shape[1]}"
                )
            return features
        if features is not None:
            raise ValueError(
                "X must be texts only, as in fit, but is a pair of texts and features"
            )
        if self.vectorizer_ is None:
            return None
        return as_csr_float32(self.vectorizer_.transform(texts))


def default_vectorizer(n_texts):
    """Tf-idf of words."""
    return TfidfVectorizer(
        min_df=2 if n_texts >= MANY_TEXTS else 1,
        sublinear_tf=True,
        strip_accents="unicode",
        token_pattern=r"(?u)\b\w+\b",
        dtype=np.float32,
    )
