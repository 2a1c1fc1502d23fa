"""Objects as JSON and arrays, and back.

Numbers, strings, lists, true, false and null are themselves; all else is an object of
one key that says what it is, such as ``{"tuple": [1, 2]}`` or ``{"array": 3}``.
"""

import os
from copyreg import __newobj__
from importlib import import_module
from itertools import pairwise
from math import isfinite

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit

from sklearn_xmr.persistence._foreign import dump_foreign, load_foreign
from sklearn_xmr.utils._array_file import DTYPES
from sklearn_xmr.utils._fitted_state import add_new_parameters
from sklearn_xmr.utils._matrices import check_loaded_matrices
from sklearn_xmr.utils._ranges import ascend
from sklearn_xmr.utils._saved_version import VERSION_KEY
from sklearn_xmr.utils._storable import is_storable, storable_class, storable_name

# Parts of the package whose classes may be in a file.
PARTS = frozenset(
    (
        *("base", "compose", "distributed", "feature_extraction", "indexing", "linear"),
        *("model_selection", "neighbors", "preprocessing", "transformer"),
    )
)
# Classes of scikit-learn that hold estimators or belong to ours, with their modules.
SKLEARN = {
    "ColumnTransformer": "sklearn.compose",
    "FeatureUnion": "sklearn.pipeline",
    "FrozenEstimator": "sklearn.frozen",
    "MetadataRequest": "sklearn_xmr.utils._sklearn",
    "MethodMetadataRequest": "sklearn_xmr.utils._sklearn",
    "Pipeline": "sklearn.pipeline",
    "TfidfTransformer": "sklearn.feature_extraction.text",
}
FOREIGN = (BaseEstimator, BaseCrossValidator, BaseShuffleSplit)  # stored by skops
TYPES = {"bool": bool, "float": float, "int": int, "object": object, "str": str} | {
    f"numpy.{np.dtype(code).name}": np.dtype(code).type for code in DTYPES
}
SPARSE = {
    name: getattr(sparse, name)
    for name in ("csr_array", "csr_matrix", "csc_array", "csc_matrix")
}
# Of a fit, not a model; the version stands in the file's header.
PASSING = frozenset(("_skl_callbacks", "_callback_fit_ctx", VERSION_KEY))
_NAMES = {kind: name for name, kind in TYPES.items()}
_UNFINISHED = object()


class Encoder:
    """Objects as what JSON holds, and the arrays that it refers to.

    What occurs twice is stored once.

    Attributes
    ----------
    arrays : list of ndarray
        Contiguous arrays of plain types, in the order of their numbers.
    """

    def __init__(self):
        self.arrays = []
        self._known = {}  # what stands for an object or array, by identity
        self._kept = []  # so that no identity is used twice
        self._n_objects = 0
        self._parts = set()  # of the package, whose classes occurred

    def has_classes_of(self, part):
        """Whether an object of a part of the package was encoded (bool)."""
        return part in self._parts

    def encode(self, value, where):
        """Return a value as what JSON holds.

        Parameters
        ----------
        value : object
            What model files hold.
        where : str
            What the value is, for errors.

        Returns
        -------
        object

        Raises
        ------
        TypeError
            If a file cannot hold it; the error says which part.
        ImportError
            If a part needs skops, and it is missing.
        """
        if value is None or type(value) in (bool, int, str):
            return value
        known = self._known.get(id(value))
        if known is _UNFINISHED:
            raise TypeError(f"{where} is part of itself, which no model file can hold")
        if known is not None:
            return known
        for kinds, way in _WAYS:
            if isinstance(value, kinds):
                return way(self, value, where)
        if _is_own(type(value)):
            return self._numbered(value, where, self._object)
        if isinstance(value, FOREIGN):
            return self._numbered(value, where, self._foreign)
        raise _refusal(value, where)

    def store(self, array):
        """Store an array.

        Parameters
        ----------
        array : ndarray
            Of a dtype that files hold, in any order of bytes.

        Returns
        -------
        int
            Its number.
        """
        little = array.dtype.newbyteorder("<")
        self.arrays.append(np.ascontiguousarray(array, little).reshape(array.shape))
        return len(self.arrays) - 1

    def _numbered(self, value, where, encode):
        number, self._n_objects = self._n_objects, self._n_objects + 1
        self._kept.append(value)
        self._known[id(value)] = _UNFINISHED
        encoded = encode(value, where)
        self._known[id(value)] = {"again": number}
        return encoded

    def _object(self, value, where):
        name, way, content = _taken_apart(value)
        self._parts.add(name.partition(".")[0])
        if isinstance(content, dict):
            content = [
                [key, self.encode(part, f"{where}.{key}")]
                for key, part in content.items()
            ]
        else:
            content = self._items(content, where)
        return {"object": [name, way, content]}

    def _foreign(self, value, where):
        return {"skops": self.store(np.frombuffer(dump_foreign(value, where), "u1"))}

    def _items(self, values, where):
        """Encode the items of a collection, in its order (list)."""
        return [self.encode(v, f"{where}[{i}]") for i, v in enumerate(values)]

    def _float(self, value, where):
        return value if isfinite(value) else {"float": repr(value)}

    def _scalar(self, value, where):
        return {"scalar": self.store(_plain_array(np.asarray(value), where))}

    def _array(self, value, where):
        if value.dtype.kind in "OU":
            return self._numbered(value, where, self._strings)
        plain = _plain_array(value, where)
        self._kept.append(value)
        encoded = self._known[id(value)] = {"array": self.store(plain)}
        return encoded

    def _strings(self, value, where):
        """An array of strings, or of other objects."""
        flat = value.ravel().tolist()
        shape, kind = list(value.shape), value.dtype.str.lstrip("<>=|")
        if not all(type(text) is str for text in flat):
            return {"objects": [shape, self._items(flat, where)]}
        texts = [text.encode("utf-8", "surrogatepass") for text in flat]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        joined = np.frombuffer(b"".join(texts), "u1")
        return {"strings": [kind, shape, self.store(joined), self.store(ends)]}

    def _sparse(self, value, where):
        kind = type(value).__name__
        if kind not in SPARSE:
            raise _refusal(value, where)
        parts = value.data, value.indices, value.indptr
        return {"sparse": [kind, list(value.shape), self._items(parts, where)]}

    def _dict(self, value, where):
        items = [
            [self.encode(key, f"a key of {where}"), self.encode(v, f"{where}[{key!r}]")]
            for key, v in value.items()
        ]
        return {"dict": items}

    def _type(self, value, where):
        if value not in _NAMES:
            raise _refusal(value, where)
        return {"type": _NAMES[value]}

    def _list(self, value, where):
        return self._items(value, where)

    def _tuple(self, value, where):
        return {"tuple": self._items(value, where)}

    def _set(self, value, where):
        ordered = sorted(value, key=lambda item: (type(item).__name__, repr(item)))
        return {type(value).__name__: self._items(ordered, where)}

    def _slice(self, value, where):
        return {"slice": [value.start, value.stop, value.step]}

    def _path(self, value, where):
        return self.encode(os.fspath(value), where)

    def _bytes(self, value, where):
        return {"bytes": self.store(np.frombuffer(value, "u1"))}

    def _dtype(self, value, where):
        return {"dtype": value.str}

    def _random_state(self, value, where):
        return {"random_state": self._items(value.get_state(), where)}


_WAYS = (
    (np.str_, lambda encoder, value, where: str(value)),
    (np.generic, Encoder._scalar),  # before float, of which numpy.float64 is one
    (float, Encoder._float),
    (np.ndarray, Encoder._array),
    (list, Encoder._list),
    (tuple, Encoder._tuple),
    (dict, Encoder._dict),
    ((set, frozenset), Encoder._set),
    (bytes, Encoder._bytes),
    (slice, Encoder._slice),
    (os.PathLike, Encoder._path),
    ((sparse.spmatrix, sparse.sparray), Encoder._sparse),
    (type, Encoder._type),
    (np.dtype, Encoder._dtype),
    (np.random.RandomState, Encoder._random_state),
)


class Decoder:
    """What an :class:`Encoder` made, back again; nothing in it is believed.

    Parameters
    ----------
    arrays : ArrayFile
        The arrays.
    trusted : collection of str
        Types of other packages that may be made of what skops has stored.
    """

    def __init__(self, arrays, trusted):
        self._arrays, self._trusted = arrays, trusted
        self._objects = []

    def decode(self, value):
        """Return the object that a value stands for.

        Parameters
        ----------
        value : object
            Of JSON.

        Returns
        -------
        object

        Raises
        ------
        ValueError
            If it stands for nothing that a file may hold.
        """
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) != 1:
            raise ValueError(f"objects have one key, found {sorted(value)}")
        ((kind, content),) = value.items()
        if kind not in self._MEANINGS:
            raise ValueError(f"{kind!r} stands for nothing in this format")
        return self._MEANINGS[kind](self, content)

    def _object(self, content):
        name, way, parts = content
        number = self._reserve()
        make = _makers(_class_of(name)).get(way)
        if make is None:
            raise ValueError(f"{name} is not made of {way!r}")
        if way == "arguments":
            parts = [self.decode(part) for part in parts]
        else:
            parts = {_checked(key, str): self.decode(part) for key, part in parts}
        self._objects[number] = made = make(parts)
        return made

    def _reserve(self):
        self._objects.append(_UNFINISHED)
        return len(self._objects) - 1

    def _again(self, number):
        found = self._objects[_natural(number)]
        if found is _UNFINISHED:
            raise ValueError("an object is part of itself")
        return found

    def _skops(self, number):
        place = self._reserve()
        content = self._arrays.array(number).tobytes()
        self._objects[place] = found = load_foreign(content, self._trusted)
        return found

    def _array(self, number):
        return self._arrays.array(number)

    def _scalar(self, number):
        return self._arrays.array(number)[()]

    def _strings(self, content):
        kind, shape, joined, ends = content
        number = self._reserve()
        texts = _split(self._arrays.array(joined), self._arrays.array(ends))
        array = np.empty(len(texts), object)
        array[:] = texts
        if kind != "O":
            array = array.astype(np.dtype(_checked(kind, str)))
            if array.dtype.kind != "U":
                raise ValueError(f"strings are no {kind!r}")
        self._objects[number] = array = array.reshape(shape)
        return array

    def _object_array(self, content):
        shape, items = content
        number = self._reserve()
        array = np.empty(len(items), object)
        array[:] = [self.decode(item) for item in items]
        self._objects[number] = array = array.reshape(shape)
        return array

    def _sparse(self, content):
        kind, shape, parts = content
        matrix = SPARSE[kind](tuple(map(self.decode, parts)), shape=tuple(shape))
        check_loaded_matrices({kind: matrix})
        return matrix

    def _dict(self, items):
        return {self.decode(key): self.decode(value) for key, value in items}

    def _random_state(self, items):
        state = np.random.RandomState()
        state.set_state(tuple(map(self.decode, items)))
        return state

    def _float(self, text):
        return {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}[text]

    def _bytes(self, number):
        return self._arrays.array(number).tobytes()

    def _dtype(self, code):
        dtype = np.dtype(_checked(code, str))
        if dtype.hasobject and dtype != object:
            raise ValueError(f"{code!r} is no type of a model's arrays")
        return dtype

    _MEANINGS = {
        "again": _again,
        "array": _array,
        "bytes": _bytes,
        "dict": _dict,
        "dtype": _dtype,
        "float": _float,
        "frozenset": lambda self, items: frozenset(map(self.decode, items)),
        "object": _object,
        "objects": _object_array,
        "random_state": _random_state,
        "scalar": _scalar,
        "set": lambda self, items: set(map(self.decode, items)),
        "skops": _skops,
        "slice": lambda self, bounds: slice(*bounds),
        "sparse": _sparse,
        "strings": _strings,
        "tuple": lambda self, items: tuple(map(self.decode, items)),
        "type": lambda self, name: TYPES[name],
    }


# --- classes -------------------------------------------------------------------------


def _is_own(cls):
    """Whether objects of exactly this class are stored part by part."""
    module = SKLEARN.get(cls.__name__)
    if module is not None and cls.__module__.startswith("sklearn."):
        return getattr(import_module(module), cls.__name__) is cls
    return is_storable(cls)


def _name_of(cls):
    return storable_name(cls) if is_storable(cls) else f"sklearn.{cls.__name__}"


def _class_of(name):
    part, _, short = _checked(name, str).partition(".")
    cls = None
    if part == "sklearn" and short in SKLEARN:
        cls = getattr(import_module(SKLEARN[short]), short)
    elif part in PARTS:
        import_module(f"sklearn_xmr.{part}")
        cls = storable_class(name)
    if cls is None:
        raise ValueError(f"{name!r} is no class whose objects are stored")
    return cls


def _taken_apart(value):
    """Name of the class, how an object is made again, and of what."""
    cls = type(value)
    if hasattr(cls, "from_plain"):
        return _name_of(cls), "plain", value.to_plain()
    make, content, *rest = value.__reduce_ex__(2)
    if make is cls:
        return _name_of(cls), "arguments", content
    if make is not __newobj__ or content != (cls,) or not isinstance(rest[0], dict):
        raise TypeError(f"{cls.__name__} has no state that can be stored")
    state = {name: part for name, part in rest[0].items() if name not in PASSING}
    return _name_of(cls), "state", state


def _makers(cls):
    """How objects of a class are made, by the word for it."""
    if hasattr(cls, "from_plain"):
        return {"plain": cls.from_plain}
    if cls.__reduce__ is not object.__reduce__:
        return {"arguments": lambda parts: cls(*parts)}
    return {"state": lambda state: _with_state(cls, state)}


def _with_state(cls, state):
    made = cls.__new__(cls)
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
    else:
        vars(made).update(state)
    add_new_parameters(made)
    return made


# --- values --------------------------------------------------------------------------


def _plain_array(array, where):
    if array.dtype.newbyteorder("<").str not in DTYPES:
        raise _refusal(array, where)
    return array


def _split(joined, ends):
    """Texts of a buffer of UTF-8, between the ends."""
    if joined.dtype != np.uint8 or joined.ndim != 1:
        raise ValueError("strings must be bytes in one dimension")
    if ends.dtype != np.int64 or ends.ndim != 1 or len(ends) == 0:
        raise ValueError("ends of strings must be int64 in one dimension")
    if ends[0] or ends[-1] != len(joined) or not ascend(ends):
        raise ValueError("ends of strings must rise from 0 to the number of bytes")
    content = joined.tobytes()
    text = content.decode("utf-8", "surrogatepass")
    if len(text) == len(content):  # ASCII: bytes are characters
        return [text[first:end] for first, end in pairwise(ends.tolist())]
    return [
        content[first:end].decode("utf-8", "surrogatepass")
        for first, end in pairwise(ends.tolist())
    ]


def _refusal(value, where):
    if isinstance(value, type):
        found = f"the class {value.__name__}"
    elif isinstance(value, np.ndarray):
        found = f"an array of {value.dtype}"
    elif callable(value) and hasattr(value, "__name__"):
        found = f"the function {value.__name__}"
    else:
        found = f"of type {type(value).__name__}"
    return TypeError(
        f"{where} is {found}, which a model file cannot hold: it holds estimators, "
        "arrays, numbers and strings, but no code; joblib.dump stores more, for files "
        "that stay with people who trust each other"
    )


def _checked(value, kind):
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, found {value!r:.40}")
    return value


def _natural(number):
    if _checked(number, int) < 0:
        raise ValueError(f"numbers of objects are not negative, found {number}")
    return number
