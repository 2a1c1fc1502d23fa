"""What all loaders and generators of data give as target."""

import numpy as np


def assert_is_target(Y):
    """scikit-learn's dtype of indicators, as canonical CSR of ones."""
    assert Y.format == "csr" and Y.dtype == np.int64
    assert Y.has_canonical_format and set(Y.data) <= {1}
