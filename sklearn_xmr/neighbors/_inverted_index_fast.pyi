import numpy as np

SEGMENT_ROWS: int

def nearest_rows(
    starts: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
    n_rows: int,
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    k: int,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray]: ...
