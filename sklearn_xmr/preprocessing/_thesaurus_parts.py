"""What a thesaurus is made of, checked: identifiers, relations, names by language."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from scipy import sparse

from sklearn_xmr.preprocessing._broader_graph import relation
from sklearn_xmr.preprocessing._thesaurus_files import NO_LANGUAGE
from sklearn_xmr.utils._matrices import checked_csr
from sklearn_xmr.utils._texts_and_names import is_missing


def checked_ids(ids):
    """Different strings as a read-only array of objects."""
    if isinstance(ids, (str, bytes)) or not hasattr(ids, "__iter__"):
        raise TypeError(f"ids must be a sequence of strings, got {ids!r}")
    ids = list(ids)
    wrong = next((one for one in ids if not isinstance(one, str)), None)
    if wrong is not None:
        raise TypeError(
            f"ids must be strings, found {wrong!r} ({type(wrong).__name__}); convert "
            "numbers by str"
        )
    if not ids or "" in ids:
        found = "an empty identifier" if ids else "none"
        raise ValueError(f"ids must hold at least one concept, none empty, got {found}")
    twice, n = Counter(ids).most_common(1)[0]
    if n > 1:
        raise ValueError(f"ids must be different, but {twice!r} occurs {n} times")
    return read_only([str(one) for one in ids])


def read_only(values):
    """Values as a read-only array of objects."""
    out = np.empty(len(values), dtype=object)
    out[:] = values
    out.flags.writeable = False
    return out


def checked_relation(broader, n_concepts):
    """A relation as canonical CSR of bool."""
    if sparse.issparse(broader):
        broader = checked_csr(broader, "broader")
    else:
        broader = sparse.csr_matrix(np.atleast_2d(np.asarray(broader)))
    if broader.shape != (n_concepts, n_concepts):
        raise ValueError(
            f"broader must have a row and a column for each of the {n_concepts} "
            f"concepts, got shape {broader.shape}"
        )
    places = broader.tocoo()
    stored = places.data != 0
    return frozen(relation(places.row[stored], places.col[stored], n_concepts))


def frozen(matrix):
    """The matrix, whose arrays cannot be written to."""
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.flags.writeable = False
    return matrix


def checked_names(names, n_concepts):
    """By language, an array of a name for each concept, "" for none."""
    if names is None:
        return {}
    if not isinstance(names, Mapping):
        names = {NO_LANGUAGE: names}
    return {
        code: _names_of_language(code, given, n_concepts)
        for code, given in names.items()
    }


def _names_of_language(code, names, n_concepts):
    if not isinstance(code, str):
        raise TypeError(f"languages of names must be strings, got {code!r}")
    given = ["" if is_missing(name) else name for name in names]
    if isinstance(names, str) or len(given) != n_concepts:
        raise ValueError(
            f"names must hold a name for each of the {n_concepts} concepts, got "
            f"{len(given)} in the language {code!r}"
        )
    wrong = next((name for name in given if not isinstance(name, str)), None)
    if wrong is not None:
        raise TypeError(f"names must be strings, found {wrong!r}")
    return read_only([str(name) for name in given])


def checked_other_names(names, n_concepts):
    """By language, a list of names for each concept."""
    names = {} if names is None else names
    out = {}
    for code, given in names.items():
        out[code] = [list(some) for some in given]
        strings = all(isinstance(name, str) for some in out[code] for name in some)
        if not strings or len(given) != n_concepts:
            raise ValueError(
                f"other_names must hold a list of strings for each of the {n_concepts} "
                f"concepts, got {len(given)} in the language {code!r}"
            )
    return out
