"""scikit-learn's private entry points that the package uses, in one place.

They may change without notice: no other module of the package imports a private name of
scikit-learn, except for callbacks (``_callbacks.py``). A test checks this.
"""

import inspect
from collections.abc import Callable

from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._metadata_requests import (
    MetadataRequest,
    MethodMetadataRequest,
    _raise_for_params,
    _routing_enabled,
)
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
    validate_params,
)
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import (
    _check_method_params,
    _check_sample_weight,
    _is_fitted,
    _num_samples,
)

from sklearn_xmr.utils._typing import AnyFunction

__all__ = [
    "BaseComposition",
    "HasMethods",
    "Interval",
    "MetadataRequest",
    "MethodMetadataRequest",
    "StrOptions",
    "check_method_params",
    "check_sample_weight",
    "fit_context",
    "is_fitted",
    "num_samples",
    "output_config",
    "raise_for_params",
    "routing_enabled",
    "safe_indexing",
    "validate_parameter_constraints",
    "validate_params",
    "without_validation",
]

BaseComposition = _BaseComposition
check_method_params = _check_method_params
check_sample_weight = _check_sample_weight
is_fitted = _is_fitted
num_samples = _num_samples
output_config = _get_output_config
raise_for_params = _raise_for_params
routing_enabled = _routing_enabled
safe_indexing = _safe_indexing


def fit_context(
    *, prefer_skip_nested_validation: bool
) -> Callable[[AnyFunction], AnyFunction]:
    """Decorate ``fit``: scikit-learn validates the parameters first.

    Parameters
    ----------
    prefer_skip_nested_validation : bool
        Whether estimators inside may leave their validation out.

    Returns
    -------
    function
        The decorator.
    """
    return _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)


def without_validation(function: AnyFunction) -> AnyFunction:
    """Return a function of scikit-learn without its validation of parameters.

    Cross-validation works with sparse targets; only the validation rejects them
    (scikit-learn 1.9).

    Parameters
    ----------
    function : function
        A function decorated by scikit-learn's ``validate_params``.

    Returns
    -------
    function
        The function without the decorator.
    """
    return inspect.unwrap(function)
