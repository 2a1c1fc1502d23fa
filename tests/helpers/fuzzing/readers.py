"""Files of other people's data: the XMC text format, tables of texts, archives."""

import gzip
import hashlib
import io
import itertools
import json
import shutil
import tarfile
from typing import ClassVar

import numpy as np
from scipy import sparse

from fuzzing.files import Case, FileKind, require
from fuzzing.mutations import changed_npz, damaged, damaged_or_changed
from sklearn_xmr.datasets import (
    dump_xmc_file,
    fetch_xmc_base,
    load_labelled_texts,
    load_xmc_file,
)

try:
    import pandas
    import pyarrow.parquet
except ImportError:
    pandas = None


def check_matrix(matrix, kind):
    """A valid CSR of finite values, sorted, each place once; an indicator of ones."""
    n_rows, n_columns = matrix.shape
    indptr, indices = matrix.indptr, matrix.indices
    require(len(indptr) == n_rows + 1 and indptr[0] == 0, f"{kind}: indptr")
    require((np.diff(indptr) >= 0).all(), f"{kind}: indptr descends")
    require(indptr[-1] == len(indices) == len(matrix.data), f"{kind}: lengths")
    if len(indices):
        in_range = indices.min() >= 0 and indices.max() < n_columns
        require(in_range, f"{kind}: indices out of range")
    for first, last in itertools.pairwise(indptr):
        ascends = (np.diff(indices[first:last]) > 0).all()
        require(ascends, f"{kind}: indices are not sorted, or twice the same")
    if kind == "target":
        is_indicator = matrix.dtype == np.int64 and (matrix.data == 1).all()
        require(is_indicator, f"target of {matrix.dtype} with other values than 1")
    else:
        require(matrix.dtype == np.float32, f"{kind} of {matrix.dtype}")
        require(np.isfinite(matrix.data).all(), f"{kind}: values are not finite")


XMC = b"3 6 4\n0,3 1:0.5 2:1\n 0:2.25 5:1e-3\n1,2,3 4:12345678\n"


class XmcFiles(FileKind):
    """Text of the Extreme Classification Repository: plain, packed, in two files."""

    seeds = [
        Case("both.txt", XMC),
        Case("both.gz", gzip.compress(XMC, mtime=0)),
        Case("alone.txt", b"4 5\n1:0.5 2:1 1:2\n\n0:-2\n4:2e38 1:3e38\n"),
        # Features, a zero byte, labels.
        Case("two.txt", b"3 4\n1:0.5 2:1\n0:2\n3:1\n\0003 2\n0:1\n0:1 1:1\n1:0\n"),
    ]

    def mutated(self, case, rng):
        if case.name.endswith(".gz"):
            if rng.random() < 0.5:
                return Case(case.name, damaged(case.content, rng))
            content = damaged_or_changed(XMC, rng)
            return Case(case.name, gzip.compress(content, mtime=0))
        return Case(case.name, damaged_or_changed(case.content, rng))

    def read(self, case):
        if case.name != "two.txt":
            X, Y = load_xmc_file(self.write(case))
        else:
            features, _, labels = case.content.partition(b"\0")
            path = self.write(Case("two.txt", features))
            X, Y = load_xmc_file(path, self.write(Case("labels two.txt", labels)))
        check_matrix(X, "X")
        if Y is None:
            return "features"
        check_matrix(Y, "target")
        require(Y.shape[0] == X.shape[0], "X and Y have different numbers of rows")
        if X.shape[0] and min(X.shape[1], Y.shape[1]):
            self.compare_with_copy(X, Y)
        return "features and labels"

    def compare_with_copy(self, X, Y):
        """What was read can be written, and is the same when it is read again."""
        dump_xmc_file(X, Y, self.folder / "copy.txt")
        again, labels = load_xmc_file(self.folder / "copy.txt")
        same = (
            np.array_equal(again.indptr, X.indptr)
            and np.array_equal(again.indices, X.indices)
            and np.array_equal(again.data, X.data)
            and np.array_equal(labels.indptr, Y.indptr)
            and np.array_equal(labels.indices, Y.indices)
        )
        require(same, "a written copy reads otherwise")


ROWS = [
    {"text": "Moby Dick", "about": "A whale.", "labels": "whales; sea"},
    {"text": 'Say "Aye"', "about": "Two\nlines", "labels": "sea;grün"},
    {"text": "Untitled", "about": "", "labels": ""},
]
CSV = (
    'text,about,labels\nMoby Dick,A whale.,whales; sea\n"Say ""Aye""","Two\n'
    'lines",sea;grün\n,,\n'
).encode()
JSON_LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
JSON_LINES += '{"text": null, "about": "x", "labels": ["sea", "air", 3, 2.0, null]}\n'


class TextFiles(FileKind):
    """Tables of texts and label names: CSV, TSV, JSON lines, Parquet."""

    seeds = [
        Case("texts.csv", CSV),
        Case("texts.tsv", CSV.replace(b",", b"\t")),
        Case("texts.jsonl", JSON_LINES.encode()),
        Case("utf-16 texts.csv", CSV.decode().encode("utf-16")),
        Case("headless texts.tsv", b'sea,gr\tMoby "Dick\tA whale.\n\tb\t\nsea\tc\td\n'),
        Case("relevant texts.csv", CSV.replace(b"whales", b"whales::0.5")),
        Case("kept texts.csv", CSV),
        Case("kept texts.jsonl", JSON_LINES.encode()),
    ]
    options: ClassVar[dict] = {
        "utf-16": {"encoding": "utf-16"},
        "headless": {"columns": ["labels", "text", "about"], "separator": ","},
        "relevant": {"relevance_separator": "::"},
        "kept": {"keep": ["about", "labels"]},
    }

    def mutated(self, case, rng):
        return Case(case.name, damaged_or_changed(case.content, rng))

    def read(self, case):
        options = self.options.get(case.name.partition(" ")[0], {})
        loaded = load_labelled_texts(
            self.write(case), text=["text", "about"], **options
        )
        texts, names = loaded.data, loaded.target_names
        check_matrix(loaded.target, "target")
        require(loaded.target.shape == (len(texts), len(names)), "shapes do not fit")
        require(all(isinstance(text, str) for text in texts), "texts that are no str")
        require(all(isinstance(name, str) for name in names), "names that are no str")
        require(names == sorted(set(names)), "names are not sorted or not different")
        tidy = all(name and name == name.strip() for name in names)
        require(tidy, "names with blanks around, or none")
        for name, values in loaded.get("kept", {}).items():
            require(len(values) == len(texts), f"{len(values)} values of {name}")
        if "relevance" in loaded:
            self.check_relevance(loaded.relevance, loaded.target)
        return "texts and labels"

    def check_relevance(self, relevance, target):
        """Positive numbers at the pairs of the target, and nowhere else."""
        check_matrix(relevance, "relevance")
        require((relevance.data > 0).all(), "relevance that is not positive")
        same = (relevance.indptr == target.indptr).all()
        same = same and np.array_equal(relevance.indices, target.indices)
        require(same, "relevance of other pairs")


COLUMNS = (
    ["a", "b", "c"],
    ["a", None, ""],
    ["x;y", "y; z", ""],
    [["x", "y"], [], None],
    [["x", None], ["x", "x"], ["z "]],
    [1, 2, 3],
    [1.5, float("nan"), 2.0],
    [True, False, True],
    [b"a", b"b", b"\xff"],
    [{"a": 1}, {"a": 2}, None],
    [[{"a": 1}], [], None],
    [[["x"], ["y"]], [["z"]], None],
    [[1, 2], [2**62], []],
    [[b"x"], [], None],
    [None, None, None],
)


class ParquetFiles(TextFiles):
    """Parquet files with columns of any type, and damaged ones."""

    def __init__(self, folder):
        super().__init__(folder)
        self.seeds = [Case("texts.parquet", parquet(ROWS))] if pandas else []

    def mutated(self, case, rng):
        if rng.random() < 0.5:
            return Case(case.name, damaged(case.content, rng))
        names = rng.choice((["text", "about", "labels"], ["labels", "text", "about"]))
        table = {name: rng.choice(COLUMNS) for name in names}
        frame = pandas.DataFrame(table)
        if rng.random() < 0.2:
            frame["text"] = pandas.Series(["a", "b", "a"], dtype="category")
        if rng.random() < 0.2:
            frame = frame.set_index("about", drop=False)
        if rng.random() < 0.2:
            return Case(case.name, with_a_column_twice(frame, rng))
        return Case(case.name, parquet(frame))


def parquet(rows):
    """Bytes of a Parquet file."""
    out = io.BytesIO()
    pandas.DataFrame(rows).to_parquet(out)
    return out.getvalue()


def with_a_column_twice(frame, rng):
    """A file that pandas itself would not write."""
    table = pyarrow.Table.from_pandas(frame)
    table = table.append_column(rng.choice(table.column_names), table.column(0))
    out = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, out)
    return out.getvalue().to_pybytes()


# --- the public benchmarks -----------------------------------------------------------

FEATURES = sparse.csr_matrix(np.eye(3, 4), dtype=np.float32)
LABELS = sparse.csr_matrix(np.eye(3, 2), dtype=np.float32)


def packed(matrix):
    """Bytes of a matrix in SciPy's format."""
    out = io.BytesIO()
    sparse.save_npz(out, matrix)
    return out.getvalue()


FILES = {
    "tfidf/X.trn.npz": packed(FEATURES),
    "Y.trn.npz": packed(LABELS),
    "X.trn.txt": b"a red bird\na blue fish\na house\n",
    "output-items.txt": "sea\ngrün\n".encode(),
}


class Archives(FileKind):
    """The archive, its list of checksums, or one of the files that it holds."""

    def __init__(self, folder):
        super().__init__(folder)
        listed = (
            b'<?xml version="1.0"?>\n<files>\n'
            b'<file name="xmc-base/eurlex-4k.tar.gz"><sha1>%s</sha1></file>\n</files>\n'
        )
        self.seeds = [
            Case("eurlex-4k.tar.gz", archive(FILES)),
            Case("forged.tar.gz", archive(FILES)),
            Case("files.xml", listed),
            *(Case(name, content) for name, content in FILES.items()),
        ]

    def mutated(self, case, rng):
        if case.name == "forged.tar.gz":
            return Case(case.name, forged_archive(rng))
        if case.name.endswith("tar.gz"):
            content = gzip.decompress(case.content)
            if rng.random() < 0.3:
                return Case(case.name, damaged(case.content, rng))
            content = damaged_near(content, rng)
            return Case(case.name, gzip.compress(content, 1, mtime=0))
        if case.name.endswith("npz"):
            return Case(case.name, changed_npz(case.content, rng))
        return Case(case.name, damaged_or_changed(case.content, rng))

    def name_in_errors(self, case):
        """The archive, the list or the file that was unpacked, all in this folder."""
        return str(self.folder)

    def read(self, case):
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(self.folder / "web", ignore_errors=True)
        if case.name.endswith(("tar.gz", "xml")):
            self.publish(case)
            mirror = (self.folder / "web").as_uri()
            found = fetch_xmc_base(data_home=home, mirror=mirror, n_retries=0)
        else:
            self.unpack(case, home / "sklearn_xmr" / "eurlex-4k")
            found = fetch_xmc_base(data_home=home, download_if_missing=False)
        outside = {path.name for path in self.folder.iterdir()} - {"home", "web"}
        require(not outside, f"files outside of the folder: {outside}")
        check_matrix(sparse.csr_matrix(found.target), "target")
        require(found.data.shape[0] == found.target.shape[0], "rows do not fit")
        n_texts = len(found.texts)
        require(n_texts in (0, found.data.shape[0]), "texts do not fit the rows")
        n_names = len(found.target_names)
        require(n_names in (0, found.target.shape[1]), "names do not fit the labels")
        return "data"

    def publish(self, case):
        """An archive and a list as on the web; the checksum is right."""
        folder = self.folder / "web" / "xmc-base"
        folder.mkdir(parents=True)
        is_list = case.name.endswith("xml")
        content = archive(FILES) if is_list else case.content
        (folder / "eurlex-4k.tar.gz").write_bytes(content)
        listed = case.content if is_list else self.seeds[2].content
        right = hashlib.sha1(content).hexdigest().encode()
        listed = listed.replace(b"%s", right)
        (folder.parent / "pecos-dataset_files.xml").write_bytes(listed)

    def unpack(self, case, folder):
        """The files as they lie in the cache."""
        for name, content in {**FILES, case.name: case.content}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def archive(files):
    """Bytes of a packed archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as packer:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packer.addfile(member, io.BytesIO(content))
    return out.getvalue()


NAMES = (
    *("../escape.txt", "/tmp/xmr-escape.txt", "a/../../escape.txt", ".", "..", ""),
    *("X.trn.txt", "tfidf", "tfidf/X.trn.npz", "a" * 300, "tfidf/X.trn.npz/x"),
    *("grün\udcff.txt", "con\n.txt", "~/x", "./Y.trn.npz"),
)


def forged_archive(rng):
    """An archive with members that no honest one has."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as packer:
        places = [*FILES.items(), ("X.trn.txt", b"again")]
        rng.shuffle(places)
        for name, content in places:
            if rng.random() < 0.5:
                packer.addfile(*strange_member(rng))
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packer.addfile(member, io.BytesIO(content))
    return out.getvalue()


def strange_member(rng):
    member = tarfile.TarInfo(rng.choice(NAMES))
    member.type = rng.choice(
        (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE)
        + (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE, b"Z")
    )
    member.linkname = rng.choice(NAMES)
    member.mode, member.uid = rng.choice((0, 0o4777, 0o644)), 0
    content = b"x" * rng.choice((0, 5, 600))
    member.size = len(content) if member.type == tarfile.REGTYPE else 0
    return member, io.BytesIO(content)


def damaged_near(content, rng):
    """Damage in the header of a member, mostly: the rest is content."""
    at = content.find(b"ustar", rng.randrange(len(content)))
    if at < 0 or rng.random() < 0.3:
        return damaged(content, rng)
    first = max(at - 257, 0)
    return (
        content[:first] + damaged(content[first : at + 255], rng) + content[at + 255 :]
    )
