from typing import Any

import numpy as np

LOSSES: dict[str, int]
MODES: dict[str, int]
VALUE_TYPES: tuple[str, ...]

class NodeSolver:
    """Trains blocks of siblings, and keeps their weights until they are taken."""

    intercept: np.ndarray
    scale: np.ndarray
    dense: np.ndarray
    changed: np.ndarray
    n_iter: np.ndarray

    def solve(
        self,
        X: Any,
        problem: Any,
        plan: Any,
        tasks: np.ndarray,
        settings: Any,
        sample_weight: np.ndarray | None,
        n_threads: int,
        prior: Any = None,
    ) -> None: ...
    def count_rows(self, first: int, last: int) -> int: ...
    def reached_features(self, chunk: int) -> np.ndarray: ...
    def copy_chunks(self, first: int, last: int) -> tuple[np.ndarray, ...]: ...
    def take_chunks(
        self,
        first: int,
        last: int,
        chunk_child: np.ndarray,
        shift: int,
        n_buckets: int,
        spare: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
