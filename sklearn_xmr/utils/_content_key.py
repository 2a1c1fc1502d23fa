"""Keys of data: hashes of all that a result depends on."""

import hashlib

import numpy as np


def content_key(*parts):
    """Hash of str, bytes, arrays, sparse matrices, and lists of these (str)."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        _update(digest, part)
    return digest.hexdigest()


def _update(digest, part):
    if isinstance(part, (list, tuple)):
        digest.update(f"{len(part)}[".encode())
        for item in part:
            _update(digest, item)
    elif hasattr(part, "indptr"):
        _update(digest, [part.indptr, part.indices, part.data, str(part.shape)])
    elif isinstance(part, np.ndarray):
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
    else:
        text = part if isinstance(part, str) else repr(part)
        digest.update(f"{len(text)}:".encode())
        digest.update(text.encode("utf-8", "surrogatepass"))
