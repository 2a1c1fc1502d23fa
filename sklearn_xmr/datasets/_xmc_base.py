"""The public sets of extreme classification, as the PECOS authors share them."""

import gzip
import shutil
import tarfile
import xml.etree.ElementTree as ET
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from sklearn_xmr.datasets._download import download
from sklearn_xmr.utils._indicator import label_indicator
from sklearn_xmr.utils._matrices import aligns_sparse, check_indices
from sklearn_xmr.utils._reading import check_unpacked_size, most_unpacked, named_errors
from sklearn_xmr.utils._sklearn import Interval, StrOptions, validate_params
from sklearn_xmr.utils._typing import PathOrStr
from sklearn_xmr.utils._whole_file import whole_file

HOME = "https://archive.org/download/pecos-dataset"
MANIFEST = "pecos-dataset_files.xml"
NAMES = (
    "eurlex-4k",
    "wiki10-31k",
    "amazoncat-13k",
    "amazon-670k",
    "wiki-500k",
    "amazon-3m",
)
SUBSETS = {"train": ("trn",), "test": ("tst",), "all": ("trn", "tst")}


@aligns_sparse
@validate_params(
    {
        "name": [StrOptions(set(NAMES))],
        "subset": [StrOptions(set(SUBSETS))],
        "data_home": [str, Path, None],
        "download_if_missing": ["boolean"],
        "n_retries": [Interval(Integral, 0, None, closed="left")],
        "delay": [Interval(Real, 0, None, closed="left")],
        "mirror": [str, None],
        "return_X_y": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_xmc_base(
    name: str = "eurlex-4k",
    *,
    subset: str = "train",
    data_home: PathOrStr | None = None,
    download_if_missing: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
    mirror: str | None = None,
    return_X_y: bool = False,
) -> Any:
    """Fetch a public benchmark of extreme multi-label classification.

    Raw texts, tf-idf features and label indicators of the sets on which XR-Transformer
    was published, from archive.org.

    =============  =========  =======  ============================
    Name           Instances  Labels   Content
    =============  =========  =======  ============================
    eurlex-4k         15,449    3,956  EU law, EuroVoc descriptors
    wiki10-31k        14,146   30,938  Wikipedia articles, tags
    amazoncat-13k  1,186,239   13,330  products, categories
    amazon-670k      490,449  670,091  products bought together
    wiki-500k      1,779,881  501,070  Wikipedia categories
    amazon-3m      1,717,899      3 M  products bought together
    =============  =========  =======  ============================

    (Instances of the training part.)

    Parameters
    ----------
    name : str, default="eurlex-4k"
        One of the table.
    subset : {"train", "test", "all"}, default="train"
        Part of the published split; "all" is train, then test.
    data_home : str or path-like, default=None
        Cache folder; None: ``sklearn_xmr`` in
        :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of fetching.
    n_retries : int, default=3
        Number of further tries after network errors.
    delay : float, default=1.0
        Seconds between tries.
    mirror : str, default=None
        Address of a folder laid out as the original, with its list of checksums.
    return_X_y : bool, default=False
        Return ``(data, target)`` only.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With attributes

        data : csr_matrix of float32 of shape (n_samples, n_features)
            The instances: tf-idf features, as they are published. (In data sets
            without features of their own, ``data`` are the texts.)
        target : csr_matrix of int64 of shape (n_samples, n_labels)
            Label indicator.
        target_names : list of str
            Label texts; empty where the set has none.
        texts : list of str
            Raw texts of the instances; empty where the set has none.

    (data, target) : tuple if ``return_X_y`` is True
        The instances and the label indicator.

    Raises
    ------
    OSError
        Without a connection, or if a checksum or the content of the archive is wrong.
        A download that broke off is continued by the next call.

    Notes
    -----
    The archive is checked against the SHA-1 sum in archive.org's own list.

    References
    ----------
    J. Zhang, W.-C. Chang, H.-F. Yu, I. Dhillon. "Fast multi-resolution transformer
    fine-tuning for extreme multi-label text classification", NeurIPS 2021.

    Examples
    --------
    >>> from sklearn_xmr.datasets import fetch_xmc_base
    >>> train = fetch_xmc_base("eurlex-4k")  # doctest: +SKIP
    >>> train.texts[0], train.target[0].indices  # doctest: +SKIP
    """
    home = Path(get_data_home() if data_home is None else data_home) / "sklearn_xmr"
    folder = home / name
    if not folder.exists():
        if not download_if_missing:
            raise OSError(f"{name} is not in {home} and download_if_missing is False")
        _fetch(name, folder, HOME if mirror is None else mirror, n_retries, delay)
    parts = SUBSETS[subset]
    data = _matrices(folder, "X", parts)
    target = _matrices(folder, "Y", parts)
    target.eliminate_zeros()
    target = label_indicator(target.indices, target.indptr, target.shape)
    names = _lines(folder, "output-items.txt")
    texts = [line for part in parts for line in _lines(folder, f"X.{part}.txt")]
    _check_sizes(folder, data, target, names, texts)
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, target_names=names, texts=texts)


def _fetch(name, folder, address, n_retries, delay):
    """Archive, checked and unpacked; the folder appears when all is in it."""
    again = {"n_retries": n_retries, "delay": delay}
    manifest = folder.with_name(MANIFEST)
    for old in (manifest, manifest.with_name(f"{MANIFEST}.part")):
        old.unlink(missing_ok=True)  # sums may have changed since
    download(f"{address}/{MANIFEST}", manifest, **again)
    file = f"xmc-base/{name}.tar.gz"
    digest = _listed_sum(manifest, file)
    archive = folder.with_name(f"{name}.tar.gz")
    download(f"{address}/{file}", archive, digest=digest, algorithm="sha1", **again)
    fresh = folder.with_name(f"{name}.unpacking")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        _unpack(archive, fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)  # it may have filled the disk
        raise
    fresh.rename(folder)
    archive.unlink()


def _unpack(archive, folder):
    """Files of an archive, within the folder and within a size; nothing else of it.

    Members are written by name and content alone, on every Python: no links, devices,
    owners or modes.
    """
    room = most_unpacked(archive)
    reading = named_errors(archive, OSError, "a whole archive")
    with reading, gzip.open(archive) as unpacked:
        limited = LimitedReader(unpacked, room)
        with tarfile.open(fileobj=limited, mode="r|") as packed:
            for member in packed:
                if not member.isdir():
                    _write(packed, member, folder)


def _write(packed, member, folder):
    """One file of an archive."""
    place = (folder / member.name).resolve()
    if not member.isfile() or not place.is_relative_to(folder.resolve()):
        raise tarfile.TarError(f"{member.name!r} is no plain file within the folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    with packed.extractfile(member) as content, whole_file(place) as file:
        shutil.copyfileobj(content, file, 1 << 20)


class TooLong(ValueError):
    """A stream has more bytes than it may have."""


class LimitedReader:
    """A stream that ends with an error after so many bytes.

    All that an archive unpacks to goes through it: contents of files, whatever sizes
    their headers claim, and the headers themselves.
    """

    def __init__(self, stream, most):
        self.stream, self.left, self.most = stream, most, most

    def read(self, size):
        """Up to as many bytes."""
        block = self.stream.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise TooLong(f"it unpacks to more than {self.most} bytes")
        return block


def _listed_sum(manifest, file):
    """SHA-1 of a file in archive.org's list."""
    with named_errors(manifest, OSError, "a list of archive.org"):
        entry = ET.parse(manifest).getroot().find(f"file[@name='{file}']")
    if entry is None or not entry.findtext("sha1"):
        raise OSError(
            f"{manifest} has no checksum of {file}: not a list of archive.org"
        )
    return entry.findtext("sha1")


def _matrices(folder, kind, parts):
    """The matrices of some parts, one below the other."""
    found = [_matrix(_file(folder, f"{kind}.{part}.npz")) for part in parts]
    widths = {matrix.shape[1] for matrix in found}
    if len(widths) > 1:
        raise OSError(f"{folder} holds parts of {kind} with {sorted(widths)} columns")
    return sparse.csr_matrix(sparse.vstack(found, format="csr"))


def _matrix(path):
    """A matrix of finite numbers as CSR of float32, with valid indices."""
    advice = f": remove {path.parent} to fetch the set again"
    with named_errors(path, OSError, "a sparse matrix", advice):
        check_unpacked_size(path)
        matrix = sparse.load_npz(path)
        if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
            raise ValueError(f"{matrix.dtype} of shape {matrix.shape}")
        # SciPy checks no indices, and converting wrong ones writes out of bounds.
        if matrix.format not in ("csr", "csc"):
            raise ValueError(f"format {matrix.format!r}, expected 'csr'")
        check_indices(matrix if matrix.format == "csr" else matrix.T, path.name)
        matrix = sparse.csr_matrix(matrix, dtype=np.float32)
        matrix.sum_duplicates()
        if not np.isfinite(matrix.data).all():
            raise ValueError("values that are not finite")
    return matrix


def _check_sizes(folder, data, target, names, texts):
    """OSError unless all files are about the same instances and labels."""
    counts = {
        "rows of X": (data.shape[0], target.shape[0]),
        "texts": (len(texts) or target.shape[0], target.shape[0]),
        "label texts": (len(names) or target.shape[1], target.shape[1]),
    }
    for what, (found, right) in counts.items():
        if found != right:
            raise OSError(
                f"{folder} holds {found} {what}, but Y has shape {target.shape}: "
                "remove the folder to fetch the set again"
            )


def _file(folder, name):
    """The archives keep features in a folder of their own."""
    found = sorted(folder.rglob(name))
    if not found:
        raise OSError(
            f"{folder} holds no {name}: remove the folder to fetch the set again"
        )
    return found[0]


def _lines(folder, name):
    found = sorted(folder.rglob(name))
    if not found:
        return []
    with named_errors(found[0], OSError, "a text in UTF-8"):
        text = found[0].read_bytes().decode("utf-8")
    if not text:
        return []
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
