from typing import Any

import numpy as np

class ChunkUpdates:
    """New bytes of some chunks of a level, one chunk at a time."""

    def __init__(self, weights: Any) -> None: ...
    def rewrite(
        self,
        chunk: int,
        changed: np.ndarray,
        reached: np.ndarray,
        features: np.ndarray,
        counts: np.ndarray,
        columns: np.ndarray,
        weights: np.ndarray,
        scale: np.ndarray,
        spare: int,
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def widen(self, chunk: int, width: int) -> tuple[np.ndarray, np.ndarray]: ...
