import numpy as np

def sum_of_rows(
    indptr: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    n_features: int,
    group_ptr: np.ndarray,
    group_rows: np.ndarray,
    group_weights: np.ndarray,
    max_entries: int,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
