"""What an X-Transformer sees of texts: sparse features, tokens, unit embeddings."""

from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.transformer._cache import cached_array, cached_tokens, content_key
from sklearn_xmr.transformer._encoder import TextEncoder, half_precision, pick_device
from sklearn_xmr.transformer._static import embed_with
from sklearn_xmr.transformer._texts import split_pair
from sklearn_xmr.utils.hybrid import HybridFeatures
from sklearn_xmr.utils.validation import as_csr_float32

FEW_TEXTS = 64  # a service's requests are not worth keeping
MANY_TEXTS = 1000  # from which on a word must occur in two of them


class TextFeaturesMixin:
    """Features of an estimator with ``vectorizer`` and a loaded ``encoder_``."""

    def _fit_sparse(self, texts, features):
        """Sparse features of the training texts, or None."""
        self.vectorizer_, self._n_ready = None, None
        if features is not None:
            X = self._check_features(features, len(texts))
            self._n_ready = X.shape[1]
            return X
        if self.vectorizer is None:
            return None
        if isinstance(self.vectorizer, str):
            self.vectorizer_ = default_vectorizer(len(texts))
        else:
            self.vectorizer_ = clone(self.vectorizer)
        return as_csr_float32(self.vectorizer_.fit_transform(texts))

    def _check_features(self, features, n_texts):
        features = check_array(
            features, accept_sparse="csr", dtype=np.float32, input_name="features"
        )
        if features.shape[0] != n_texts:
            raise ValueError(
                f"X is a pair of {n_texts} texts and {features.shape[0]} rows of "
                "features: there must be as many of both"
            )
        return as_csr_float32(features)

    def _embed(self, texts, out=None):
        """Unit embeddings, from the cache where they are known."""
        if not isinstance(self.encoder_, TextEncoder):
            return embed_with(self.encoder_, texts)
        encoder, device = self.encoder_, pick_device(self.device)
        half = half_precision(self.precision, device)
        if out is not None or len(texts) < FEW_TEXTS:
            return encoder.encode(encoder.tokenize(texts), device, half, out)
        key = content_key("embedded", self._encoder_key(), texts, str(half))
        shape = len(texts), encoder.n_dense

        def fill(into):
            encoder.encode(self._tokens(texts), device, half, into)

        return cached_array(self.cache_dir, key, shape, fill)

    def _tokens(self, texts):
        """Tokens, from the cache where they are known."""
        key = content_key("tokens", self.encoder_.tokens_key(), texts)
        make = partial(self.encoder_.tokenize, texts)
        return cached_tokens(self.cache_dir, key, make)

    def _encoder_key(self):
        if getattr(self, "_key_of", None) is not self.encoder_:
            self._key, self._key_of = self.encoder_.fingerprint(), self.encoder_
        return self._key

    def _features(self, X):
        """Sparse and dense features of new texts."""
        check_is_fitted(self)
        texts, features = split_pair(X)
        return HybridFeatures(self._sparse(texts, features), self._embed(texts))

    def _sparse(self, texts, features):
        if self._n_ready is not None:
            if features is None:
                raise ValueError(
                    "X must be a pair (texts, features), as in fit, but holds texts"
                )
            features = self._check_features(features, len(texts))
            if features.shape[1] != self._n_ready:
                raise ValueError(
                    f"features must have the {self._n_ready} columns seen in fit, got "
                    f"{features.shape[1]}"
                )
            return features
        if features is not None:
            raise ValueError(
                "X must be texts only, as in fit, but is a pair of texts and features"
            )
        if self.vectorizer_ is None:
            return None
        return as_csr_float32(self.vectorizer_.transform(texts))

    def __getstate__(self):
        state = super().__getstate__().copy()
        state.pop("_key_of", None)
        return state


def default_vectorizer(n_texts):
    """Tf-idf of words."""
    return TfidfVectorizer(
        min_df=2 if n_texts >= MANY_TEXTS else 1,
        sublinear_tf=True,
        strip_accents="unicode",
        token_pattern=r"(?u)\b\w+\b",
        dtype=np.float32,
    )
