import numpy as np

def pack_chunks(
    chunk_rows: np.ndarray,
    chunk_entries: np.ndarray,
    features: np.ndarray,
    counts: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    child_ptr: np.ndarray,
    item: int,
    shift: int,
    n_buckets: int,
    spare: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
def unpack_chunks(
    chunk_ptr: np.ndarray,
    buckets: np.ndarray,
    packed: np.ndarray,
    child_ptr: np.ndarray,
    item: int,
    shift: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]: ...
