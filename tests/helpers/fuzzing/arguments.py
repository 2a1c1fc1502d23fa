"""Arguments of public functions, as they should be and as they should not.

Everything is drawn from a ``random.Random``: the same seed draws the same arguments.
"""

import hashlib

import numpy as np
from scipy import sparse

try:
    import pandas
except ImportError:
    pandas = None

N_ROWS, N_FEATURES, N_LABELS = 12, 8, 6
RNG = np.random.RandomState(0)
X = (RNG.rand(N_ROWS, N_FEATURES) * (RNG.rand(N_ROWS, N_FEATURES) < 0.5)).round(2)
X[0] = 0.5
Y = (RNG.rand(N_ROWS, N_LABELS) < 0.35).astype(int)
Y[range(N_LABELS), range(N_LABELS)] = 1
TEXTS = [" ".join(f"w{j}" for j in np.flatnonzero(row)) or "none" for row in X]
NAMES = [[f"label {j}" for j in np.flatnonzero(row)] for row in Y]

SMALL = (0, 1, 2, 3, 5, 7, -1, -3, True, False, 1.0, 2.5, 0.5, 0.1, np.int64(2))
HUGE = (10**6, 2**31 - 1, 2**31, 2**40, 2**62, 2**63, 2**64, 10**30, 1e300, -(2**63))
ODD = (float("nan"), float("inf"), -float("inf"), 1e-300, -0.0, np.float32(0.5), 1j)
OTHERS = (None, "", "x", "auto", b"x", object(), [], {}, (), [1], ["a"], {"a": 1}, {1})
OTHERS += (np.array(2), np.array([]), np.zeros((2, 2)), len, int, Ellipsis, range(3))


def scalar(rng, huge=True):
    """A number or something else in its place."""
    pools = (SMALL, SMALL, ODD, OTHERS, HUGE if huge else SMALL)
    return rng.choice(rng.choice(pools))


# --- matrices ------------------------------------------------------------------------


def dressed(array, rng):
    """The same numbers in another form."""
    forms = {
        "dense": lambda: array.astype(rng.choice(("f4", "f8"))),
        "csr": lambda: sparse.csr_matrix(array.astype(rng.choice(("f4", "f8")))),
        "csr of 64": lambda: wide_indices(sparse.csr_matrix(array.astype("f4"))),
        "csr array": lambda: sparse.csr_array(array.astype("f4")),
        "csc": lambda: sparse.csc_matrix(array.astype("f4")),
        "coo": lambda: sparse.coo_matrix(array.astype("f8")),
        "lil": lambda: sparse.lil_matrix(array.astype("f8")),
        "unsorted": lambda: unsorted(sparse.csr_matrix(array.astype("f4"))),
        "frame": lambda: pandas.DataFrame(array) if pandas else array,
        "Fortran": lambda: np.asfortranarray(array),
        "every second": lambda: np.repeat(array, 2, axis=0)[::2],
        "backwards": lambda: array[::-1, ::-1].copy()[::-1, ::-1],
        "list": lambda: array.tolist(),
        "integers": lambda: array.astype(rng.choice(("i1", "i4", "i8", "u1", "?"))),
        "read-only": lambda: frozen(array.astype("f4")),
        "read-only csr": lambda: frozen_csr(sparse.csr_matrix(array.astype("f4"))),
    }
    return forms[rng.choice(list(forms))]()


def wide_indices(matrix):
    matrix.indices = matrix.indices.astype(np.int64)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def unsorted(matrix):
    """Each row backwards, as a CSR may be."""
    for first, last in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        matrix.indices[first:last] = matrix.indices[first:last][::-1].copy()
        matrix.data[first:last] = matrix.data[first:last][::-1].copy()
    matrix.has_sorted_indices = False
    return matrix


def frozen(array):
    array.flags.writeable = False
    return array


def frozen_csr(matrix):
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.flags.writeable = False
    return matrix


def broken_csr(array, rng):
    """A CSR or CSC whose arrays do not fit, as no constructor of SciPy makes it."""
    if rng.random() < 0.15:
        return broken_coo(array, rng)
    form = rng.choice((sparse.csr_matrix, sparse.csr_matrix, sparse.csc_matrix))
    matrix = form(array.astype(rng.choice(("f4", "f8", "i8"))))
    part = rng.choice(("indices", "indptr", "data", "indices", "indptr"))
    values = getattr(matrix, part).copy()
    way = rng.randrange(5)
    if way == 0 and len(values):
        near = (-1, 0, 1, 5, 100, 2**30, 2**31 - 1, -(2**31))
        values[rng.randrange(len(values))] = rng.choice(near)
    elif way == 1:
        values = values[: rng.randrange(len(values) + 1)]
    elif way == 2:
        values = np.append(values, values[-1:] if len(values) else [0])
    elif way == 3:
        values = values[::-1].copy()
    else:
        values = values.astype(rng.choice(("i8", "f8", "u1", "i2", "c8")))
    setattr(matrix, part, values)
    return matrix


def broken_coo(array, rng):
    """A COO with a place outside."""
    matrix = sparse.coo_matrix(array.astype("f4"))
    places = rng.choice((matrix.row, matrix.col))
    places[rng.randrange(len(places))] = rng.choice((-1, -(2**30), 2**30, 100, 12))
    return matrix


def strange(array, rng):
    """A matrix of other values, shape or type, or no matrix."""
    n_rows, n_columns = array.shape
    way = rng.randrange(12)
    if way < 3:
        return broken_csr(array, rng)
    if way < 6:
        array = array.astype(float)
        value = rng.choice((*ODD[:4], 1e30, 1e39, -1e30, 2, -1, 0.5, 1e-40))
        for _ in range(rng.choice((1, 1, 5))):
            array[rng.randrange(n_rows), rng.randrange(n_columns)] = value
        return (
            dressed(array, rng)
            if np.isfinite(array).all()
            else array_or_csr(array, rng)
        )
    if way == 6:
        rows = rng.choice((0, 1, n_rows - 1, n_rows + 1, 2 * n_rows))
        columns = rng.choice((0, 1, n_columns - 1, n_columns + 1, n_columns))
        return array_or_csr(np.resize(array.astype(float), (rows, columns)), rng)
    if way == 7:
        return array_or_csr(np.zeros(array.shape), rng)
    if way == 8:
        return rng.choice(
            (array[0], array[None], array.astype("U3"), array.astype("O"))
        )
    if way == 9:
        mixed = array.tolist()
        mixed[rng.randrange(n_rows)] = rng.choice(([], None, ["a"], [1], "abc", {}))
        return mixed
    if way == 10:
        shape = n_rows, rng.choice((2**31 - 1, 2**31, 2**40))
        return sparse.csr_matrix(shape, dtype="f4")
    return rng.choice((*OTHERS, TEXTS, NAMES, TEXTS[0], N_ROWS))


def array_or_csr(array, rng):
    return sparse.csr_matrix(array) if rng.random() < 0.5 else array


def matrix(array):
    """A drawing function: as it should be, or strange."""

    def draw(rng, is_hostile):
        return strange(array, rng) if is_hostile else dressed(array, rng)

    return draw


def targets(rng, is_hostile):
    """Indicators; now and then classes or names."""
    if is_hostile and rng.random() < 0.3:
        return rng.choice(
            (np.arange(N_ROWS) % 3, np.arange(N_ROWS) / 7, ["a", "b"] * 6)
        )
    return matrix(Y)(rng, is_hostile)


def weights(rng, is_hostile):
    """Weights of instances."""
    good = np.linspace(0.5, 2, N_ROWS)
    if not is_hostile:
        return rng.choice((None, good, good.tolist(), good.astype("f4"), frozen(good)))
    bad = good.copy()
    bad[rng.randrange(N_ROWS)] = rng.choice((-1, np.nan, np.inf, 1e39, 0, 1e-45, 1e30))
    odd = (
        bad,
        np.zeros(N_ROWS),
        good[:-1],
        good[:, None],
        np.ones(0),
        good.astype("U4"),
    )
    return rng.choice((*odd, good.astype(complex), bad, bad, scalar(rng)))


def texts(rng, is_hostile):
    """Lists of texts."""
    if not is_hostile:
        return rng.choice((TEXTS, TEXTS[:1], np.array(TEXTS), tuple(TEXTS)))
    odd = [*TEXTS]
    odd[rng.randrange(N_ROWS)] = rng.choice(
        (None, 3, b"x", "", "\0", "\ud800", [], 1.5)
    )
    others = (odd, odd, odd, [], "text", [[]], X, np.array([TEXTS]), {"a": 1}, None, 3)
    return rng.choice(others)


def names(rng, is_hostile):
    """Lists of label names."""
    if not is_hostile:
        return rng.choice((NAMES, [set(row) for row in NAMES], np.array(NAMES, object)))
    odd = [*NAMES]
    odd[rng.randrange(N_ROWS)] = rng.choice(
        (None, 3, "x", [None], [3], [[]], [b"a"], {})
    )
    return rng.choice((odd, odd, odd, [], "text", Y, TEXTS, None, 3, [[]] * N_ROWS))


def pairs(rng, is_hostile):
    """Candidates: label numbers, or a sparse matrix of pairs."""
    if not is_hostile:
        return rng.choice(([0, 2, 3], np.array([5]), sparse.csr_matrix(Y), []))
    odd = (
        [-1],
        [N_LABELS],
        [0.5],
        ["a"],
        [[0]],
        [2**40],
        [True],
        3,
        "x",
        [None],
        [2**70],
    )
    return rng.choice(odd) if rng.random() < 0.5 else strange(Y, rng)


def labels(rng, is_hostile):
    """Label numbers, or one."""
    if not is_hostile:
        return rng.choice(([0, 2], np.array([1]), [3]))
    odd = ([-1], [N_LABELS], [0.5], ["a"], [[0]], [2**40], [True], [], [0, 0], range(6))
    return rng.choice(rng.choice((odd, SMALL, HUGE, OTHERS)))


def count(rng, is_hostile):
    """A small number, or any."""
    return scalar(rng) if is_hostile else rng.choice((1, 2, 3, 5))


def few(rng, is_hostile):
    """A number that work grows with: never huge."""
    return scalar(rng, huge=False) if is_hostile else rng.choice((1, 2, 3))


def share(rng, is_hostile):
    """A number between zero and one, or any."""
    return scalar(rng) if is_hostile else rng.choice((0.1, 0.5, 0.9))


def option(*values):
    """One of the values, or anything."""

    def draw(rng, is_hostile):
        return scalar(rng) if is_hostile else rng.choice(values)

    return draw


def names_of(n):
    """Names of labels or features, by position."""

    def draw(rng, is_hostile):
        good = [f"n{i}" for i in range(n)]
        if not is_hostile:
            return rng.choice((None, good, np.array(good), tuple(good)))
        odd = (good[:-1], [*good, "x"], [3] * n, [None] * n, "a" * n, {}, set(good), 3)
        return rng.choice((*odd, [good] * n, ["n0"] * n, np.array([good]), [b"x"] * n))

    return draw


# --- what arguments hold -------------------------------------------------------------


def fingerprint(value):
    """What must not change in an argument: types, shapes and bytes."""
    if isinstance(value, np.ndarray):
        content = repr(value.tolist()) if value.dtype == object else value.tobytes()
        return value.dtype.str, value.shape, digest(content)
    if sparse.issparse(value):
        parts = (getattr(value, part, None) for part in ("data", "indices", "indptr"))
        more = (getattr(value, part, None) for part in ("row", "col", "rows"))
        known = (p for p in (*parts, *more) if isinstance(p, np.ndarray))
        return value.shape, tuple(fingerprint(part) for part in known)
    if hasattr(value, "to_numpy"):
        return fingerprint(value.to_numpy())
    if isinstance(value, list | tuple | dict | set):
        return type(value).__name__, digest(repr(value))
    return None


def digest(content):
    content = (
        content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    )
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def described(value):
    """A few words about an argument, for reports."""
    if isinstance(value, np.ndarray):
        return f"array({value.shape}, {value.dtype})"
    if sparse.issparse(value):
        return f"{type(value).__name__}({value.shape}, {value.dtype})"
    return repr(value)[:60].replace("\n", " ")
