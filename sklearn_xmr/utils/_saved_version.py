"""The version of the package in what pickle, joblib and skops save."""

import warnings

from sklearn.utils.fixes import parse_version

from sklearn_xmr import _version

VERSION_KEY = "_sklearn_xmr_version"


class SavedVersionMixin:
    """Says in an object's saved state which version of the package wrote it.

    Objects of older versions load, or their parts say why they do not. Those of newer
    ones may hold what this version does not know: a warning says so. A class whose
    parameters had other names says which in ``_renamed_parameters``.
    """

    _renamed_parameters: dict = {}

    def __getstate__(self):
        return {**super().__getstate__(), VERSION_KEY: _version.__version__}

    def __setstate__(self, state):
        version = _version.__version__
        saved_by = state.get(VERSION_KEY, version)
        if parse_version(saved_by) > parse_version(version):
            warnings.warn(
                f"this {type(self).__name__} was saved by sklearn_xmr {saved_by}, "
                f"newer than {version}, which loads it: it may answer differently; "
                f"install sklearn_xmr {saved_by} or newer",
                stacklevel=2,
            )
        now = self._renamed_parameters.get
        parts = ((now(name, name), part) for name, part in state.items())
        super().__setstate__({name: p for name, p in parts if name != VERSION_KEY})
