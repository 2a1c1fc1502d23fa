"""Mutated model files and skops files.

Half of the mutations of model files are of bytes, as damage is; the other half are
forged: the header is changed as JSON, or an array at its numbers, and the checksums are
made right.
"""

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from zlib import crc32

import numpy as np
from sklearn.pipeline import make_pipeline

from fuzzing.files import Case, FileKind, Finding, require
from fuzzing.mutations import change_json, changed_member, changed_npz, damaged
from sklearn_xmr import (
    LabelNamesClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    load_libpecos_model,
    load_model,
    partial_fit,
    predict_topk,
    save_model,
    topk_predictor,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.utils._array_file import ALIGNMENT, PREAMBLE

TEXTS = [
    f"{colour} {thing} {place}"
    for colour in ("red", "blue", "grün")
    for thing in ("bird", "fish", "house")
    for place in ("sea", "town", "hill")
]
Y = np.array(
    [
        [i % 3 == k for k in range(3)] + [i // 9 == k for k in range(3)]
        for i in range(27)
    ]
).astype(int)


def models():
    """Small models that between them have all kinds of arrays."""
    words = TfidfVectorizer(ngram_range=(1, 2))
    linear = XRLinearClassifier(random_state=0)
    names = [[f"name {k}" for k in np.flatnonzero(row)] for row in Y]
    yield make_pipeline(words, linear).fit(TEXTS, Y)
    yield make_pipeline(words, XRNeighborsClassifier(n_neighbors=3)).fit(TEXTS, Y)
    yield LabelNamesClassifier(make_pipeline(words, linear)).fit(TEXTS, names)


def answers(model):
    """What a model says in all ways, as bytes; any error is one of Python's."""
    with np.errstate(all="ignore"):
        labels, scores = predict_topk(model, [*TEXTS, "a red cat"], 3)
        best, _ = topk_predictor(model, 3)(TEXTS[0])
    return repr(labels.tolist()), scores.tobytes(), repr(best.tolist())


def go_on_learning(model):
    """Change the weights that were read, and use them."""
    if isinstance(model, LabelNamesClassifier):
        partial_fit(
            model, TEXTS[:4], [["name 0"], ["name 1", "name 9"], [], ["name 5"]]
        )
    else:
        partial_fit(model, TEXTS[:4], np.eye(4, 7, dtype=int))
    answers(model)


def forged(content, rng):
    """A file that was changed by someone who makes the checksums right."""
    _, number, _, length, _ = PREAMBLE.unpack_from(content)
    header = json.loads(content[PREAMBLE.size :][:length])
    start = -(-(PREAMBLE.size + length) // ALIGNMENT) * ALIGNMENT
    body = bytearray(content[start:])
    if rng.random() < 0.5:
        change_json(header, rng)
    else:
        change_array(header, body, rng)
    text = json.dumps(header).encode("ascii")
    padding = b"\0" * (-(PREAMBLE.size + len(text)) % ALIGNMENT)
    size = PREAMBLE.size + len(text) + len(padding) + len(body)
    fields = number, crc32(text), len(text), size
    return PREAMBLE.pack(content[:8], *fields) + text + padding + body


def change_array(header, body, rng):
    """Other numbers in an array, with its checksum."""
    table = [entry for entry in header["arrays"] if np.prod(entry["shape"])]
    entry = rng.choice(table)
    dtype, first = np.dtype(entry["dtype"]), entry["offset"]
    n = int(np.prod(entry["shape"]))
    array = np.frombuffer(body, dtype, n, first)  # into the body itself
    for _ in range(rng.choice((1, 1, 3, 20))):
        at = rng.randrange(n)
        if dtype.kind == "f":
            array[at] = rng.choice((np.nan, np.inf, -np.inf, 1e30, -1, 0))
        elif dtype.kind == "b":
            array[at] = not array[at]
        else:
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            near = int(array[at]) + rng.choice((-1, 1, 2, 64))
            array[at] = min(max(rng.choice((low, high, 0, 1, near)), low), high)
    entry["crc32"] = crc32(memoryview(array).cast("B"))


class ModelFiles(FileKind):
    """Files of save_model. A case's name says whether it is verified."""

    def __init__(self, folder):
        super().__init__(folder)
        path = self.folder / f"model-{os.getpid()}.xmr"
        self.seeds, self.expected = [], {}
        for number, model in enumerate(models()):
            save_model(model, path)
            case = Case(f"{number}.xmr", path.read_bytes())
            self.seeds.append(case)
            self.expected[number] = case.content, answers(model)

    def mutated(self, case, rng):
        if rng.random() < 0.5:
            return Case(case.name, forged(case.content, rng))
        verified = "verified-" * rng.randrange(2)
        return Case(verified + case.name, damaged(case.content, rng))

    def read(self, case):
        """After loading errors may be of any class: only ``verify`` reads arrays."""
        # Beside and renamed: the file before may still be mapped.
        path = self.folder / case.name
        os.replace(self.write(case, f"{case.name}.fresh"), path)
        verify = case.name.startswith("verified-")
        model = load_model(path, verify=verify)
        try:
            found = answers(model)
        except Exception as error:  # noqa: BLE001 - any, but no crash
            return f"loaded, then {type(error).__name__}"
        with contextlib.suppress(Exception):  # any, but no crash; neighbours do not
            go_on_learning(model)
        stem = case.name.removeprefix("verified-").removesuffix(".xmr")
        content, expected = self.expected.get(int(stem), (None, None))
        if found == expected:
            return "the same answers"
        if verify and case.content != content:
            raise Finding("other answers of a verified file")
        return "other answers"


def damaged_archive(content, rng):
    """A skops file with one member changed, at bytes or as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path, changed = Path(folder) / "a.zip", Path(folder) / "b.zip"
        path.write_bytes(content)
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
            names = old.namelist()
            chosen = rng.choice(names)
            for name in names:
                part = old.read(name)
                if name == chosen:
                    part = changed_member(name, part, rng)
                new.writestr(name, part)
        return changed.read_bytes()


class SkopsFiles(FileKind):
    """Files of skops, with the types that its user trusts; errors are skops' own."""

    def __init__(self, folder):
        import skops.io

        super().__init__(folder)
        self.io = skops.io
        self.seeds, self.expected, self.trusted = [], {}, {}
        for number, model in enumerate(models()):
            name, content = f"{number}.skops", skops.io.dumps(model)
            self.seeds.append(Case(name, content))
            self.expected[name] = answers(model)
            self.trusted[name] = skops.io.get_untrusted_types(data=content)

    def mutated(self, case, rng):
        return Case(case.name, damaged_archive(case.content, rng))

    def read(self, case):
        try:
            model = self.io.loads(case.content, trusted=self.trusted[case.name])
            found = answers(model)
        except Exception as error:  # noqa: BLE001 - any, but no crash
            return type(error).__name__
        same = found == self.expected[case.name]
        return "the same answers" if same else "other answers"


class LibpecosFolders(FileKind):
    """Folders of libpecos with one file damaged, or of other numbers and arrays."""

    folders = Path(__file__).parents[2] / "persistence" / "fixtures" / "libpecos"

    def __init__(self, folder):
        super().__init__(folder)
        self.seeds = [
            Case(path.relative_to(self.folders).as_posix(), path.read_bytes())
            for path in sorted(self.folders.glob("*/ranker/**/*"))
            if path.is_file()
        ]

    def mutated(self, case, rng):
        if case.name.endswith("npz"):
            return Case(case.name, changed_npz(case.content, rng))
        if rng.random() < 0.5:
            return Case(case.name, damaged(case.content, rng))
        values = json.loads(case.content)
        change_json(values, rng)
        return Case(case.name, json.dumps(values).encode())

    def name_in_errors(self, case):
        """That of a file, or of a folder in which two of them disagree."""
        return str(self.folder)

    def read(self, case):
        model, _, name = case.name.partition("/")
        copy = self.folder / model
        shutil.copytree(self.folders / model, copy, dirs_exist_ok=True)
        (copy / name).write_bytes(case.content)
        clf = load_libpecos_model(copy)
        X = np.eye(clf.n_features_in_, dtype=np.float32)[:5]
        labels, scores = clf.predict_topk(X, 3)
        require(labels.max() < clf.tree_.n_labels, "a label that is not there")
        require(np.isfinite(scores).all(), "scores that are not finite")
        save_model(clf, self.folder / "again.xmr")
        load_model(self.folder / "again.xmr", verify=True)
        return "a model"
