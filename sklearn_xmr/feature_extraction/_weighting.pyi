import numpy as np

NORMS: tuple[str | None, ...]

class Weighting:
    """From counts to the values of a row: binary, sublinear, idf, norm."""

    def __init__(
        self,
        binary: bool = False,
        sublinear_tf: bool = False,
        idf: np.ndarray | None = None,
        norm: str | None = None,
    ) -> None: ...
    @property
    def n_factors(self) -> int: ...
