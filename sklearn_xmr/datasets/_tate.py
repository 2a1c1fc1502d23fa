"""The data set that ships with the package: artworks and their subjects."""

import lzma
from collections import Counter
from importlib import resources
from typing import Any, Literal

from scipy import sparse
from sklearn.utils import Bunch

from sklearn_xmr.preprocessing import Thesaurus
from sklearn_xmr.utils._indicator import label_indicator
from sklearn_xmr.utils._matrices import aligns_sparse
from sklearn_xmr.utils._sklearn import StrOptions, validate_params

FOLDER = resources.files("sklearn_xmr.datasets") / "data" / "tate_subjects"
PARTS = {"train": ("train",), "test": ("test",), "all": ("train", "test")}


@aligns_sparse
@validate_params(
    {"subset": [StrOptions(set(PARTS))], "return_X_y": ["boolean"]},
    prefer_skip_nested_validation=True,
)
def load_tate_subjects(
    *, subset: Literal["train", "test", "all"] = "train", return_X_y: bool = False
) -> Any:
    """Load texts on Tate's artworks with their subject terms (multilabel).

    =====================  =========================
    Artworks               46965 train, 11795 test
    Labels                 8046, about 6 per artwork
    Texts                  English, about 17 words
    Licence                CC0 1.0
    =====================  =========================

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        Part of the fixed split; "all" is train, then test.
    return_X_y : bool, default=False
        Return ``(data, target)`` only.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With attributes

        data : list of str
            The instances: one text per artwork.
        target : csr_matrix of int64 of shape (n_samples, 8046)
            Label indicator.
        target_names : list of str of length 8046
            Subject terms, 7814 different ones; a name may occur under several parents.
        target_paths : list of str of length 8046
            The terms above each subject, as in "architecture > features".
        DESCR : str
            Description, source and licence.

    (data, target) : tuple if ``return_X_y`` is True
        The list of texts and the label indicator.

    See Also
    --------
    load_tate_thesaurus : The labels and the terms above them.

    Examples
    --------
    >>> from sklearn_xmr.datasets import load_tate_subjects
    >>> tate = load_tate_subjects(subset="test")
    >>> tate.target.shape
    (11795, 8046)
    >>> [tate.target_names[label] for label in tate.target[1].indices[:2]]
    ['man', 'male']
    """
    parts = PARTS[subset]
    texts = [text for part in parts for text in _lines(f"texts_{part}.txt.xz")]
    target = sparse.vstack([_target(part) for part in parts], format="csr")
    if return_X_y:
        return texts, target
    return Bunch(
        data=texts,
        target=target,
        target_names=_lines("label_names.txt.xz"),
        target_paths=_lines("label_paths.txt.xz"),
        DESCR=_description(),
    )


def load_tate_thesaurus() -> Thesaurus:
    """Load Tate's thesaurus of subjects: the labels, and the two levels above them.

    Returns
    -------
    :class:`~sklearn_xmr.Thesaurus`
        The first 8046 concepts are the columns of ``target`` of
        :func:`load_tate_subjects`, in their order; 159 terms of the second level and
        15 of the first stand behind them. Identifiers are paths such as "people >
        adults > man"; of two people called Currie the second has "Currie (2)". Names
        are English.

    Examples
    --------
    >>> from sklearn_xmr.datasets import load_tate_thesaurus
    >>> thesaurus = load_tate_thesaurus()
    >>> thesaurus
    Thesaurus(8220 concepts, 15 without a broader one, names: en)
    >>> thesaurus.path(thesaurus.ids[1])
    'people > adults > man'
    """
    above, names = _lines("label_paths.txt.xz"), _lines("label_names.txt.xz")
    seen: Counter[tuple] = Counter()
    paths = []
    for label in zip(above, names, strict=True):
        seen[label] += 1
        again = "" if seen[label] == 1 else f" ({seen[label]})"
        paths.append([*label[0].split(" > "), label[1] + again])
    return Thesaurus.from_paths(paths, language="en")


def _lines(name):
    with (FOLDER / name).open("rb") as packed:
        return lzma.decompress(packed.read()).decode("utf-8").rstrip("\n").split("\n")


def _target(part):
    with (FOLDER / f"target_{part}.npz").open("rb") as file:
        target = sparse.csr_matrix(sparse.load_npz(file))
    return label_indicator(target.indices, target.indptr, target.shape)


def _description():
    descr = resources.files("sklearn_xmr.datasets") / "descr" / "tate_subjects.rst"
    return descr.read_text(encoding="utf-8")
