"""Full disks and read-only folders: an error names the path, the old file stays."""

import errno
import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from faults import full_disk, of_unix, read_only_folder
from scipy import sparse

from sklearn_xmr import LabelTree, XRLinearClassifier, save_model
from sklearn_xmr.datasets import (
    dump_xmc_file,
    make_xmr_classification,
    open_csr,
    write_csr,
)
from sklearn_xmr.datasets._download import download
from sklearn_xmr.datasets._xmc_base import _unpack
from sklearn_xmr.distributed import plan_fit, run_fit_task
from sklearn_xmr.inspection import view_label_tree
from sklearn_xmr.transformer._cache import cached_array, cached_tokens, cached_training
from sklearn_xmr.transformer._tokens import TokenizedTexts
from sklearn_xmr.utils._whole_file import reserve, whole_file

pytestmark = of_unix
ROOM = 4096  # bytes of the disk
X, Y = make_xmr_classification(300, 200, 40, random_state=0)


def write_model(path):
    save_model(XRLinearClassifier(random_state=0).fit(X, Y), path)


def write_page(path):
    view_label_tree(LabelTree.flat(2000), open_browser=False).save(path)


def write_array(path):
    cached_array(path.parent, path.stem, (5000, 3), lambda out: out.fill(1))


def write_tokens(path):
    def tokenizer(texts, **settings):
        return {"input_ids": [[1, 2, 3]] * len(texts)}

    def make(to):
        return TokenizedTexts.tokenize(tokenizer, ["a text"] * 5000, 8, to)

    cached_tokens(path.parent, path.stem, make, 5000)


def write_training(path):
    torch = pytest.importorskip("torch")
    weights = {"weight": torch.zeros(100_000)}
    cached_training(path.parent, path.stem, lambda: (weights, []))


def write_checkpoint(path):
    torch = pytest.importorskip("torch")
    from sklearn_xmr.transformer._checkpoints import Checkpoints

    state = {"tree": LabelTree.flat(3), "matched": None, "encoder": torch.zeros(10_000)}
    Checkpoints(path.parent, "run").save(**state)


def write_download(path):
    download((Path(__file__).parent / "test_common.py").as_uri(), path, delay=0)


def write_mapped(path):
    with whole_file(path) as file:
        reserve(file, 100_000)


WRITERS = {
    "model.xmr": write_model,
    "data.txt": lambda path: dump_xmc_file(X, Y, path),
    "data.txt.gz": lambda path: dump_xmc_file(X, Y, path),
    "labels.txt": lambda path: dump_xmc_file(X, Y, path.with_name("x"), path),
    "tree.html": write_page,
    "array.npy": write_array,
    "tokens.ids": write_tokens,
    "training.pt": write_training,
    "mapped": write_mapped,
}
each_writer = pytest.mark.parametrize(("name", "write"), WRITERS.items(), ids=WRITERS)


@each_writer
def test_a_full_disk_leaves_the_old_file(name, write, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(OSError) as error, full_disk(ROOM):
        write(path)
    written = [path, path.with_name("x")]  # of two files, the first
    assert error.value.errno == errno.EFBIG
    assert Path(error.value.filename) in written
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [name]
    write(path)  # there is room again
    assert path.stat().st_size > ROOM


@each_writer
def test_a_read_only_folder_is_named(name, write):
    with read_only_folder() as folder:
        with pytest.raises(PermissionError) as error:
            write(folder / name)
        assert Path(error.value.filename) in (folder / name, folder / "x")
        assert not list(folder.iterdir())


def test_a_checkpoint_on_a_full_disk_leaves_the_one_before(tmp_path):
    path = tmp_path / "training.pt"
    path.write_bytes(b"old")
    with pytest.raises(OSError) as error, full_disk(ROOM):
        write_checkpoint(path)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(path))
    assert path.read_bytes() == b"old"


def test_a_part_on_a_full_disk_is_no_part(tmp_path):
    plan = plan_fit(XRLinearClassifier(random_state=0), X, Y, tmp_path)
    with pytest.raises(OSError) as error, full_disk(ROOM):
        run_fit_task(tmp_path, 0)
    part = tmp_path / "tree-1" / "parts" / plan.tasks[0].training.name
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(part))
    assert not list(part.parent.iterdir())
    run_fit_task(tmp_path, 0)
    assert part.exists()


def test_a_matrix_on_a_full_disk_is_not_finished(tmp_path):
    matrix = sparse.random(3000, 100, 0.1, format="csr")
    with pytest.raises(OSError) as error, full_disk(ROOM):
        write_csr(matrix, tmp_path)
    assert error.value.errno == errno.EFBIG
    with pytest.raises(FileNotFoundError):
        open_csr(tmp_path)
    write_csr(matrix, tmp_path)
    assert open_csr(tmp_path, verify=True).nnz == matrix.nnz


def test_a_download_on_a_full_disk_is_continued(tmp_path):
    path, part = tmp_path / "a", tmp_path / "a.part"
    with pytest.raises(OSError) as error, full_disk(ROOM):
        write_download(path)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(part))
    assert part.stat().st_size == ROOM and not path.exists()


def test_a_download_into_a_read_only_folder_names_the_file():
    with read_only_folder() as folder:
        with pytest.raises(PermissionError) as error:
            write_download(folder / "a")
        assert error.value.filename == str(folder / "a.part")


def test_an_archive_on_a_full_disk_names_the_file(tmp_path):
    archive, content = tmp_path / "set.tar.gz", bytes(100_000)
    with tarfile.open(archive, "w:gz") as packed:
        member = tarfile.TarInfo("X.npz")
        member.size = len(content)
        packed.addfile(member, io.BytesIO(content))
    folder = tmp_path / "set"
    with pytest.raises(OSError) as error, full_disk(ROOM):
        _unpack(archive, folder)
    expected = errno.EFBIG, str(folder / "X.npz")
    assert (error.value.errno, error.value.filename) == expected
    assert not list(folder.iterdir())


@pytest.fixture
def small_disk(tmp_path):
    """A disk with room for 4096 bytes."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk")
    (tmp_path / "filled").write_bytes(bytes((64 << 10) - ROOM))
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@each_writer
def test_a_disk_that_is_full_indeed(name, write, small_disk):
    """Mapped files too, whose pages would end the process."""
    with pytest.raises(OSError) as error:
        write(small_disk / name)
    assert error.value.errno == errno.ENOSPC
    assert Path(error.value.filename).parent == small_disk
    assert [p.name for p in small_disk.iterdir()] == ["filled"]


def test_a_cut_cache_is_made_again(tmp_path):
    for name in ("array.npy", "tokens.ids", "training.pt"):
        path = tmp_path / name
        WRITERS[name](path)
        whole = path.read_bytes()
        for cut in (whole[: len(whole) // 2], b""):
            path.write_bytes(cut)
            WRITERS[name](path)
            assert path.read_bytes() == whole, name


def test_arrays_of_the_cache_are_those_of_numpy(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = cached_array(tmp_path, "key", (2, 3), lambda out: np.copyto(out, values))
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(np.load(tmp_path / "key.npy"), values)
    assert isinstance(found, np.memmap)
