"""Own files of texts and labels, and downloads from a local server."""

import hashlib
import http.server
import io
import tarfile
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from targets import assert_is_target

from sklearn_xmr.datasets import _xmc_base, fetch_xmc_base, load_labelled_texts
from sklearn_xmr.datasets._download import download
from sklearn_xmr.utils import _reading

ROWS = [
    {"title": "Moby Dick", "about": "A whale.", "subjects": "whales; sea"},
    {"title": 'Say "Aye", sailor', "about": "Two\nlines", "subjects": "sea;"},
    {"title": "Untitled", "about": "", "subjects": ""},
]
TEXTS = ["Moby Dick A whale.", 'Say "Aye", sailor Two\nlines', "Untitled"]


def write(path, rows):
    """Rows in the format that the file's name says."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows)
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_all_formats_give_the_same(tmp_path, ending):
    path = tmp_path / f"books{ending}"
    write(path, ROWS)
    books = load_labelled_texts(path, text=["title", "about"], labels="subjects")
    assert books.data == TEXTS
    assert books.target_names == ["sea", "whales"]
    assert books.target.toarray().tolist() == [[1, 1], [1, 0], [0, 0]]
    texts, target = load_labelled_texts(
        path,
        text="title",
        labels="subjects",
        target_names=["whales", "air"],
        return_X_y=True,
    )
    assert texts[0] == "Moby Dick" and target.toarray()[0].tolist() == [1, 0]
    assert_is_target(books.target)
    assert_is_target(target)
    assert list(books) == ["data", "target", "target_names"]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_lists_of_names_and_missing_values(tmp_path, ending):
    path = tmp_path / f"books{ending}"
    rows = [
        {"text": "one", "labels": ["b; c", "a"]},
        {"text": None, "labels": None},
        {"text": "three", "labels": []},
    ]
    write(path, rows)
    books = load_labelled_texts(path)
    assert books.data == ["one", "", "three"]
    assert books.target_names == ["a", "b; c"]  # lists are not split
    assert books.target.sum() == 2


def test_a_byte_order_mark_and_rare_labels(tmp_path):
    path = tmp_path / "books.csv"
    path.write_bytes("text,labels\nÉté,a;b\nx,a\n\n".encode("utf-8-sig"))
    books = load_labelled_texts(path, min_count=2)
    assert books.data == ["Été", "x"] and books.target_names == ["a"]
    latin = tmp_path / "latin.data"
    latin.write_bytes("text,labels\nÉté,a\n".encode("latin-1"))
    assert load_labelled_texts(latin, format="csv", encoding="latin-1").data == ["Été"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,tags\nx,y\n", "a.csv: no column 'labels', found .*'tags'"),
        ("a.csv", "text,labels\nx,y,z\n", "line 2: 3 fields, but the header has 2"),
        ("a.csv", 'text,labels\n"x,y\n', "a.csv, line 2: unexpected end of data"),
        ("a.csv", "text,labels\n", "holds no rows"),
        ("a.csv", "", "no column 'text'"),
        ("a.csv", "text,labels\nx,\n", "nothing to learn"),
        ("a.jsonl", '{"text": "x", "labels": "y"}\n{"te', "line 2: no valid JSON"),
        ("a.jsonl", "[1]\n", "line 1: expected a JSON object"),
        (
            "a.jsonl",
            '{"text": 3, "labels": "y"}\n',
            "line 1: expected a text, found 3",
        ),
        (
            "a.jsonl",
            '{"text": "x", "labels": [["y"]]}\n',
            "line 1: expected label names",
        ),
        ("a.txt", "text,labels\n", "format must be one of"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_labelled_texts(path)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_other_columns_are_kept(tmp_path, ending):
    path = tmp_path / f"books{ending}"
    rows = [{"id": f"n{i}", "year": 1900 + i, **row} for i, row in enumerate(ROWS)]
    write(path, rows)
    books = load_labelled_texts(
        path, text="title", labels="subjects", keep=["id", "year"]
    )
    assert list(books.kept) == ["id", "year"]
    assert books.kept["id"] == ["n0", "n1", "n2"]
    assert list(map(int, books.kept["year"])) == [1900, 1901, 1902]
    one = load_labelled_texts(path, text="title", labels="subjects", keep="id")
    assert one.kept == {"id": ["n0", "n1", "n2"]}
    with pytest.raises(ValueError, match="no column 'isbn', found .* keep="):
        load_labelled_texts(path, text="title", labels="subjects", keep="isbn")


@pytest.mark.parametrize("other", [",", "|", "\t"])
def test_a_separator_that_splits_nothing_is_told(tmp_path, other):
    path = tmp_path / "books.jsonl"
    rows = [{"text": "x", "labels": other.join("ab")}] * 3 + [
        {"text": "y", "labels": ""},
        {"text": "z", "labels": "a"},
    ]
    write(path, rows)
    with pytest.warns(
        UserWarning, match="splits 0 of the 4 rows .*books.jsonl, but 3 contain"
    ):
        books = load_labelled_texts(path)
    assert books.target_names == ["a", f"a{other}b"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_labelled_texts(path, separator=other).target_names == ["a", "b"]
        assert len(load_labelled_texts(path, separator="").target_names) == 2
        write(path, [*rows, {"text": "x", "labels": "a;b"}])  # it splits some
        load_labelled_texts(path)


def test_files_of_libpecos(tmp_path):
    """Label numbers with their relevance, a tab, and the text: text2text's format."""
    path = tmp_path / "train.txt"
    path.write_text('1::2.0,0\tsay "aye\n2::0.5\tone\n\ttwo, three\n')
    pecos = {"format": "tsv", "columns": ["labels", "text"], "separator": ","}
    found = load_labelled_texts(path, relevance_separator="::", **pecos)
    assert found.data == ['say "aye', "one", "two, three"]
    assert found.target_names == ["0", "1", "2"]
    assert found.target.toarray().tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert found.relevance.toarray().tolist() == [[1, 2, 0], [0, 0, 0.5], [0, 0, 0]]
    some = load_labelled_texts(
        path, relevance_separator="::", target_names=["2", "7", "1"], **pecos
    )
    assert some.relevance.toarray().tolist() == [[0, 0, 2], [0.5, 0, 0], [0, 0, 0]]
    as_names = load_labelled_texts(path, **pecos)
    assert as_names.target_names == ["0", "1::2.0", "2::0.5"]
    assert "relevance" not in as_names


def test_files_of_lists_of_labels(tmp_path):
    """An identifier, labels and the text: LibMultiLabel's format."""
    path = tmp_path / "train.txt"
    path.write_text("7\tE11 ECAT\tone two\n8\tE11\tthree\n")
    found = load_labelled_texts(
        path, format="tsv", columns=["id", "labels", "text"], separator=" ", keep="id"
    )
    assert (found.data, found.target_names) == (["one two", "three"], ["E11", "ECAT"])
    assert found.kept == {"id": ["7", "8"]}


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("1::x\ta\n", {}, "train.tsv, line 1: the relevance of '1' .* found 'x'"),
        ("1::-1\ta\n", {}, "must be a positive number, found '-1'"),
        ("1::nan\ta\n", {}, "must be a positive number, found 'nan'"),
        ("1::1e-60\ta\n", {}, "must be a positive number, found '1e-60'"),
        ("1::1e99\ta\n", {}, "must be a positive number, found '1e99'"),
        ("1::2\ta\tb\n", {}, "line 1: 3 fields, but columns names 2"),
        ("1::2\ta\n", {"format": "jsonl"}, "columns names those of CSV and TSV"),
        ("1::2\ta\n", {"columns": "labels"}, "columns must list names, got the stri"),
        ("1::2\ta\n", {"columns": ["y", "text"]}, "no column 'labels', found"),
        ("", {}, "holds no rows"),
    ],
)
def test_bad_files_of_peers(tmp_path, content, options, message):
    path = tmp_path / "train.tsv"
    path.write_text(content)
    given = {"columns": ["labels", "text"], "relevance_separator": "::", **options}
    with pytest.raises(ValueError, match=message):
        load_labelled_texts(path, separator=",", **given)


names = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Z")), min_size=1)


@given(
    rows=st.lists(
        st.dictionaries(
            names.filter(lambda n: not set(n) & set(",:")), st.floats(0.01, 99)
        ),
        min_size=1,
    )
)
@settings(deadline=None, max_examples=50)
def test_relevance_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("texts") / "train.tsv"
    lines = [",".join(f"{n}::{v!r}" for n, v in row.items()) + "\tx\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    given = {"columns": ["labels", "text"], "relevance_separator": "::"}
    if not any(rows):
        with pytest.raises(ValueError, match="nothing to learn"):
            load_labelled_texts(path, separator=",", **given)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = load_labelled_texts(path, separator=",", **given)
    for row, target, relevance in zip(rows, found.target, found.relevance, strict=True):
        assert {found.target_names[i] for i in target.indices} == set(row)
        for place, value in zip(relevance.indices, relevance.data, strict=True):
            assert value == np.float32(row[found.target_names[place]])


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_labelled_texts(tmp_path / "none.csv")


# --- downloads ----------------------------------------------------------------------


class Server(http.server.BaseHTTPRequestHandler):
    """Serves ``files``; can break off, refuse ranges, and remembers requests."""

    def do_GET(self):
        state = self.server
        state.asked.append((self.path, self.headers.get("Range")))
        content = state.files.get(self.path)
        if state.errors:
            self.send_error(state.errors.pop(0))
            return
        if content is None:
            self.send_error(404)
            return
        start = 0
        asked = self.headers.get("Range")
        if asked and state.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = state.breaks.pop(0) if state.breaks else len(content)
        self.wfile.write(content[start:stop])

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.files, server.asked = {}, []
    server.breaks, server.errors, server.ranges = [], [], True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


CONTENT = bytes(range(256)) * 40
SUM = hashlib.sha256(CONTENT).hexdigest()


def test_download_once(server, tmp_path):
    server.files["/a"] = CONTENT
    path = download(f"{server.url}/a", tmp_path / "deep" / "a", digest=SUM)
    assert path.read_bytes() == CONTENT
    download(f"{server.url}/a", path, digest=SUM)
    assert len(server.asked) == 1 and [p.name for p in path.parent.iterdir()] == ["a"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on(server, tmp_path, ranges):
    server.files["/a"], server.ranges = CONTENT, ranges
    server.breaks = [1000, 5000]
    path = download(f"{server.url}/a", tmp_path / "a", digest=SUM, delay=0)
    assert path.read_bytes() == CONTENT
    starts = [asked for _, asked in server.asked]
    assert starts == [None, "bytes=1000-", "bytes=5000-"]


def test_a_later_call_goes_on(server, tmp_path):
    server.files["/a"], server.breaks = CONTENT, [1000]
    with pytest.raises(OSError, match="could not fetch .* put the file at"):
        download(f"{server.url}/a", tmp_path / "a", n_retries=0)
    assert not (tmp_path / "a").exists()
    download(f"{server.url}/a", tmp_path / "a", digest=SUM, n_retries=0)
    assert server.asked[-1][1] == "bytes=1000-"


def test_a_whole_part_needs_its_name_only(server, tmp_path):
    server.files["/a"] = CONTENT
    (tmp_path / "a.part").write_bytes(CONTENT)
    path = download(f"{server.url}/a", tmp_path / "a", digest=SUM)
    assert path.read_bytes() == CONTENT
    server.files["/b"] = CONTENT[:100]  # the file has become shorter
    (tmp_path / "b.part").write_bytes(CONTENT)
    path = download(f"{server.url}/b", tmp_path / "b")
    assert path.read_bytes() == CONTENT[:100]


def test_server_errors_are_tried_again_and_refusals_not(server, tmp_path):
    server.files["/a"], server.errors = CONTENT, [500, 503]
    download(f"{server.url}/a", tmp_path / "a", digest=SUM, delay=0)
    assert len(server.asked) == 3
    with pytest.raises(OSError, match="404"):
        download(f"{server.url}/b", tmp_path / "b", delay=0)
    assert len(server.asked) == 4


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    server.files["/a"] = CONTENT + b"!"
    with pytest.raises(OSError, match="damaged on the way"):
        download(f"{server.url}/a", tmp_path / "a", digest=SUM)
    assert list(tmp_path.iterdir()) == []


def packed(files):
    """A tar.gz of names and bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def npz(matrix):
    buffer = io.BytesIO()
    sparse.save_npz(buffer, matrix)
    return buffer.getvalue()


@pytest.fixture
def archive(server):
    """A small set, as the original is laid out."""
    rng = np.random.RandomState(0)
    X = sparse.random(9, 20, density=0.3, random_state=rng, format="csr")
    Y = sparse.csr_matrix((rng.rand(9, 5) < 0.4).astype(np.float32))
    base = "xmc-base/eurlex-4k"
    content = packed(
        {
            f"{base}/tfidf-attnxml/X.trn.npz": npz(X[:6]),
            f"{base}/tfidf-attnxml/X.tst.npz": npz(X[6:]),
            f"{base}/Y.trn.npz": npz(Y[:6]),
            f"{base}/Y.tst.npz": npz(Y[6:]),
            f"{base}/X.trn.txt": "\n".join(f"text {i}" for i in range(6)).encode(),
            f"{base}/X.tst.txt": b"text 6\ntext 7\ntext 8\n",
            f"{base}/output-items.txt": b"a\nb\nc\nd\ne\n",
        }
    )
    digest = hashlib.sha1(content).hexdigest()
    server.files[f"/{base}.tar.gz"] = content
    server.files["/pecos-dataset_files.xml"] = (
        f'<files><file name="{base}.tar.gz"><sha1>{digest}</sha1></file></files>'
    ).encode()
    return server, X, Y


def test_fetch_a_public_set(archive, tmp_path):
    server, X, Y = archive
    where = {"data_home": tmp_path, "mirror": server.url, "delay": 0}
    server.breaks = [10**6, 100]  # the archive breaks off once
    data = fetch_xmc_base("eurlex-4k", subset="all", **where)
    assert (abs(data.data - X) > 1e-6).nnz == 0 and (data.target != Y).nnz == 0
    assert data.data.dtype == np.float32
    assert_is_target(data.target)
    assert list(data) == ["data", "target", "target_names", "texts"]
    assert data.texts == [f"text {i}" for i in range(9)]
    assert data.target_names == list("abcde")
    n_asked = len(server.asked)
    X_test, Y_test = fetch_xmc_base(
        "eurlex-4k",
        subset="test",
        data_home=tmp_path,
        download_if_missing=False,
        return_X_y=True,
    )
    assert X_test.shape == (3, 20) and (Y_test != Y[6:]).nnz == 0
    assert_is_target(Y_test)
    assert len(server.asked) == n_asked  # from the cache


def test_fetch_fails_clearly(archive, tmp_path):
    server, _, _ = archive
    where = {"data_home": tmp_path, "mirror": server.url, "delay": 0}
    with pytest.raises(OSError, match="download_if_missing is False"):
        fetch_xmc_base(download_if_missing=False, **where)
    with pytest.raises(OSError, match="no checksum of xmc-base/wiki10-31k.tar.gz"):
        fetch_xmc_base("wiki10-31k", **where)
    server.files["/xmc-base/eurlex-4k.tar.gz"] += b"!"
    with pytest.raises(OSError, match="damaged on the way"):
        fetch_xmc_base(**where)
    assert not (tmp_path / "sklearn_xmr" / "eurlex-4k").exists()
    offline = {**where, "mirror": "http://127.0.0.1:9", "n_retries": 0}
    with pytest.raises(OSError, match="could not fetch .*without a connection"):
        fetch_xmc_base("amazon-3m", **offline)
    with pytest.raises(ValueError, match="The 'name' parameter"):
        fetch_xmc_base("eurlex")


def test_an_archive_in_the_cache_is_checked_as_well(archive, tmp_path):
    server, _, _ = archive
    kept = tmp_path / "sklearn_xmr" / "eurlex-4k.tar.gz"
    kept.parent.mkdir()
    kept.write_bytes(b"put here by hand")
    with pytest.raises(OSError, match="has not the sha1 checksum"):
        fetch_xmc_base(data_home=tmp_path, mirror=server.url)
    assert kept.read_bytes() == b"put here by hand"  # not ours to remove
    kept.write_bytes(server.files["/xmc-base/eurlex-4k.tar.gz"])
    assert fetch_xmc_base(data_home=tmp_path, mirror=server.url).data.shape == (6, 20)
    assert server.asked[-1][0] == "/pecos-dataset_files.xml"  # the archive is not


def tar_of(*members):
    """An archive of headers and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for changes, content in members:
            info = tarfile.TarInfo("a")
            info.size = len(content)
            for name, value in changes.items():
                setattr(info, name, value)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ROOM = 1 << 17


@pytest.mark.parametrize(
    "content, message",
    [
        (tar_of(({"name": "../a"}, b"x")), "no plain file within the folder"),
        (tar_of(({"name": "/etc/a"}, b"x")), "no plain file within the folder"),
        (tar_of(({"type": tarfile.SYMTYPE, "linkname": "/"}, b"")), "no plain file"),
        (tar_of(({"type": tarfile.LNKTYPE, "linkname": "b"}, b"")), "no plain file"),
        (tar_of(({"type": tarfile.FIFOTYPE}, b"")), "no plain file"),
        (tar_of(({}, bytes(ROOM))), "unpacks to more than"),
        (tar_of(*[({}, bytes(ROOM // 4))] * 5), "unpacks to more than"),
        (tar_of(*[({}, b"")] * (ROOM // 512)), "unpacks to more than"),
        (tar_of(({"pax_headers": {"comment": "a" * ROOM}}, b"")), "unpacks to more"),
        (tar_of(({}, bytes(5000)))[:40], "cannot be read as a whole archive"),
        (b"no archive", "cannot be read as a whole archive"),
    ],
    ids=range(11),  # the bytes differ in every process: they hold the time
)
def test_archives_unpack_within_a_folder_and_a_size(
    tmp_path, monkeypatch, content, message
):
    monkeypatch.setattr(_reading, "LEAST_ROOM", ROOM)
    archive = tmp_path / "set.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(OSError, match=message) as caught:
        _xmc_base._unpack(archive, tmp_path / "inside")
    assert str(archive) in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"set.tar.gz", "inside"}


def broken(matrix, **changes):
    """A matrix with other arrays, which SciPy does not look at."""
    for name, value in changes.items():
        setattr(matrix, name, value)
    return matrix


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no matrix",
        npz(sparse.eye(3, format="csr"))[:-30],
        npz(broken(sparse.eye(3, format="csr"), indices=np.array([0, 1, 2**30]))),
        npz(broken(sparse.eye(3, format="csr"), indices=np.array([0, 1, -1]))),
        npz(broken(sparse.eye(3, format="csr"), indptr=np.array([0, 9, 1, 3]))),
        npz(sparse.csr_matrix((1 << 19, 3))),  # zeros, of which nearly nothing is left
    ],
    ids=range(7),
)
def test_damaged_matrices_in_the_cache_are_named(
    archive, tmp_path, monkeypatch, content
):
    server, _, _ = archive
    fetch_xmc_base(data_home=tmp_path, mirror=server.url)
    monkeypatch.setattr(_reading, "LEAST_ROOM", ROOM)
    (path,) = tmp_path.rglob("X.trn.npz")
    path.write_bytes(content)
    message = r"X\.trn\.npz cannot be read as a .* to fetch the set again"
    with pytest.raises(OSError, match=message):
        fetch_xmc_base(data_home=tmp_path)
