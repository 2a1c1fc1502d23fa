import numpy as np

class Splitter:
    """Splits of sets of rows into two halves that are alike inside."""

    def __init__(
        self,
        indptr: np.ndarray,
        indices: np.ndarray,
        values: np.ndarray,
        n_features: int,
        n_threads: int,
    ) -> None: ...
    def split(
        self,
        items: np.ndarray,
        nodes: np.ndarray,
        seeds: np.ndarray,
        max_iter: int,
        spherical: bool,
    ) -> int: ...
