"""Types that the signatures of public functions share; the docstrings say more.

SciPy, scikit-learn and matplotlib come without types for checkers. What can be one of
several of their classes is ``Any`` under a name that says what it stands for.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from typing_extensions import Self  # from Python 3.11 on in typing
else:
    Self = "Self"


class HasShape(Protocol):
    """Arrays, data frames, sparse matrices and HybridFeatures."""

    @property
    def shape(self) -> tuple[int, ...]: ...


# What methods take: rows as a matrix or a list, such as texts or lists of names.
MatrixLike: TypeAlias = HasShape | Sequence[Any]
NameList: TypeAlias = Sequence[str] | np.ndarray
PathOrStr: TypeAlias = str | PathLike[str]
RandomState: TypeAlias = int | np.random.RandomState | None

# What methods return: a ranking is a pair of arrays, labels and their scores.
CSR: TypeAlias = sparse.csr_matrix | sparse.csr_array
TopK: TypeAlias = tuple[np.ndarray, np.ndarray]
DenseOrSparse: TypeAlias = Any  # an array, or CSR where y was sparse

Axes: TypeAlias = Any  # of matplotlib
Estimator: TypeAlias = Any  # whatever has the methods that the docstring names

# A decorator that leaves the signature as it is.
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
AnyClass = TypeVar("AnyClass", bound=type)
