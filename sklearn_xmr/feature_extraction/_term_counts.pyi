import numpy as np
from numpy.typing import DTypeLike

from sklearn_xmr.feature_extraction._analyzer import Analyzer
from sklearn_xmr.feature_extraction._terms import TermTable
from sklearn_xmr.feature_extraction._weighting import Weighting

class TextCounter:
    """Rows of known or hashed terms."""

    def __init__(
        self,
        analyzer: Analyzer,
        weighting: Weighting,
        terms: TermTable | None,
        n_features: int = 0,
        alternate_sign: bool = False,
    ) -> None: ...
    @property
    def n_features(self) -> int: ...
    @property
    def is_hashed(self) -> bool: ...
    def rows(
        self, texts: list[str], dtype: DTypeLike, n_threads: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
    def row(self, text: str) -> tuple[np.ndarray, np.ndarray]: ...
