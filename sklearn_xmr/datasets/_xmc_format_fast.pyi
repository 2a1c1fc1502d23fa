import numpy as np

ERRORS: dict[int, str]

def parse_lines(
    text: bytes | np.ndarray, start: int, n_rows: int, n_features: int, n_labels: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, int]: ...
