"""The public sets of extreme classification, as the PECOS authors share them."""

import gzip
import shutil
import tarfile
import xml.etree.ElementTree as ET
import zlib
from numbers import Integral, Real
from pathlib import Path

from scipy import sparse
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from sklearn_xmr.datasets._download import download
from sklearn_xmr.utils._indicator import label_indicator
from sklearn_xmr.utils._sklearn import Interval, StrOptions, validate_params
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
LEAST_ROOM, MOST_GROWTH = 1 << 30, 50  # bytes unpacked; times those of the archive
SUBSETS = {"train": ("trn",), "test": ("tst",), "all": ("trn", "tst")}


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
    name="eurlex-4k",
    *,
    subset="train",
    data_home=None,
    download_if_missing=True,
    n_retries=3,
    delay=1.0,
    mirror=None,
    return_X_y=False,
):
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
    data = _matrices(folder, "X", parts).astype("float32", copy=False)
    target = _matrices(folder, "Y", parts)
    target.eliminate_zeros()
    target = label_indicator(target.indices, target.indptr, target.shape)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=_lines(folder, "output-items.txt"),
        texts=[line for part in parts for line in _lines(folder, f"X.{part}.txt")],
    )


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
    room = max(LEAST_ROOM, MOST_GROWTH * archive.stat().st_size)
    try:
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.isdir():
                    continue
                room -= member.size
                place = (folder / member.name).resolve()
                inside = place.is_relative_to(folder.resolve())
                if not member.isfile() or not inside or room < 0:
                    raise OSError(
                        f"{archive} holds {member.name!r} of {member.size} bytes: no "
                        "plain file within it, or too large; it is not unpacked"
                    )
                place.parent.mkdir(parents=True, exist_ok=True)
                with packed.extractfile(member) as content, whole_file(place) as file:
                    shutil.copyfileobj(content, file, 1 << 20)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise OSError(f"{archive} is no whole archive: {error}") from error


def _listed_sum(manifest, file):
    """SHA-1 of a file in archive.org's list."""
    entry = ET.parse(manifest).getroot().find(f"file[@name='{file}']")
    if entry is None or not entry.findtext("sha1"):
        raise OSError(
            f"{manifest} has no checksum of {file}: not a list of archive.org"
        )
    return entry.findtext("sha1")


def _matrices(folder, kind, parts):
    """The matrices of some parts, one below the other."""
    found = [sparse.load_npz(_file(folder, f"{kind}.{part}.npz")) for part in parts]
    return sparse.csr_matrix(sparse.vstack(found, format="csr"))


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
    return found[0].read_text(encoding="utf-8").rstrip("\n").split("\n")
