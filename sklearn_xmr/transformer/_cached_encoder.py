"""An encoder on a device, whose tokens and embeddings are kept by content."""

from functools import partial

from sklearn_xmr.transformer._cache import cached_array, cached_tokens
from sklearn_xmr.transformer._torch import half_precision, pick_device
from sklearn_xmr.utils._content_key import content_key

FEW_TEXTS = 64  # a service's requests are not worth keeping


class CachedEncoder:
    """A text encoder, where it computes, and where its results are kept.

    Parameters
    ----------
    encoder : TextEncoder
        The encoder.
    precision : {"auto", "fp32", "bf16", "fp16"}, default="auto"
        Type of matrix products.
    device : str, default="auto"
        Where to compute.
    cache_dir : path-like or None, default=None
        Folder for tokens and embeddings; None keeps the latest in memory.

    Attributes
    ----------
    encoder, cache_dir
        As given.
    device : torch.device
        Where to compute.
    half : torch.dtype or None
        Type of matrix products; None for float32.
    """

    def __init__(self, encoder, precision="auto", device="auto", cache_dir=None):
        self.encoder, self.cache_dir = encoder, cache_dir
        self.device = pick_device(device)
        self.half = half_precision(precision, self.device)

    def tokenize(self, texts):
        """Tokens of texts (TokenizedTexts), from the cache where they are known."""
        key = content_key("tokens", self.encoder.tokens_key(), texts)
        make = partial(self.encoder.tokenize, texts)
        return cached_tokens(self.cache_dir, key, make)

    def embed(self, texts, out=None):
        """Unit embeddings of texts, from the cache where they are known.

        Parameters
        ----------
        texts : list of str
            Texts.
        out : ndarray of float32 of shape (n_texts, n_dense), default=None
            Where to write, past the cache.

        Returns
        -------
        ndarray of float32 of shape (n_texts, n_dense)
            ``out``, or an array that may be read-only or memory-mapped.
        """
        if out is not None or len(texts) < FEW_TEXTS:
            return self._encode(self.encoder.tokenize(texts), out)
        key = content_key("embedded", self.encoder.fingerprint(), texts, str(self.half))
        shape = len(texts), self.encoder.n_dense
        return cached_array(
            self.cache_dir,
            key,
            shape,
            lambda into: self._encode(self.tokenize(texts), into),
        )

    def _encode(self, tokens, out=None):
        return self.encoder.encode(tokens, self.device, self.half, out)
