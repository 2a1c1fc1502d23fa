from collections.abc import Sequence
from typing import Any

import numpy as np

class LabelWeights:
    """A factor of each label's score, and the largest under each node."""

    def __init__(
        self,
        offsets: Sequence[np.ndarray],
        label_order: np.ndarray,
        weights: np.ndarray,
    ) -> None: ...

class TreeSearch:
    """Searches over the weights of a tree; many threads may share one."""

    def __init__(self, levels: Sequence[Any], label_order: np.ndarray) -> None: ...
    def label_weights(self, values: np.ndarray) -> LabelWeights: ...
    def search(
        self,
        X: Any,
        n_levels: int,
        beam_size: int,
        k: int,
        rule: Any,
        n_threads: int,
        weights: LabelWeights | None = None,
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def search_best_first(
        self,
        X: Any,
        beam_size: int,
        k: int,
        rule: Any,
        n_threads: int,
        weights: LabelWeights | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
    def search_row(
        self,
        indices: np.ndarray,
        values: np.ndarray,
        dense: np.ndarray,
        beam_size: int,
        k: int,
        rule: Any,
        weights: LabelWeights | None = None,
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def score_pairs(
        self,
        X: Any,
        pair_ptr: np.ndarray,
        nodes: np.ndarray,
        rule: Any,
        n_threads: int,
    ) -> np.ndarray: ...
