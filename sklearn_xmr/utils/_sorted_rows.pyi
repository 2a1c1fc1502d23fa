import numpy as np

def sorted_rows(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, n_threads: int
) -> tuple[np.ndarray | None, np.ndarray]: ...
