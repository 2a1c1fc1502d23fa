"""Mutated model files: none may crash or hang, or answer otherwise when verified.

    python tests/helpers/fuzz_files.py model --mutations 100000
    python tests/helpers/fuzz_files.py skops --mutations 100000

Mutations run in child processes, some thousand in each; a child that dies or hangs is
reported with the number of its mutation, which the same ``--seed`` repeats. Half of the
mutations of model files are of bytes, as damage is; the other half are forged: the
header is changed as JSON, or an array at its numbers, and the checksums are made right.
"""

import argparse
import json
import multiprocessing
import os
import random
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from zlib import crc32

import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    LabelNamesClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    load_model,
    predict_topk,
    save_model,
    topk_predictor,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.utils._array_file import ALIGNMENT, PREAMBLE

SECONDS = 60  # in which a mutation must have ended
CHUNK = 2000  # mutations of a child
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
NUMBERS = (0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, 2**62, -(2**63), 2**64, 1e300, 0.5)
OTHERS = (None, True, "", "x", [], {}, {"again": 0}, {"array": 0}, {"tuple": []})


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


# --- mutations -----------------------------------------------------------------------


def damaged(content, rng):
    """Bytes that were flipped, cut, doubled or moved."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(changed))
        way = rng.randrange(6)
        if way < 3:
            changed[at] = rng.randrange(256)
        elif way == 3:
            changed[at : at + rng.choice((1, 4, 64))] = b""
        elif way == 4:
            changed[at:at] = bytes(
                rng.randrange(256) for _ in range(rng.choice((1, 8)))
            )
        else:
            changed[at : at + 8] = rng.choice((b"\xff" * 8, b"\0" * 8))
        if not changed:
            return b""
    return bytes(changed)


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


def change_json(header, rng):
    """Another value somewhere in the header."""
    places = []
    collect(header, places)
    for _ in range(rng.choice((1, 1, 2))):
        parent, key = rng.choice(places)
        value = parent[key]
        if isinstance(value, int | float) and rng.random() < 0.7:
            parent[key] = rng.choice((*NUMBERS, value + 1, value - 1))
        elif isinstance(value, str) and rng.random() < 0.7:
            others = [p[k] for p, k in places if isinstance(p[k], str)]
            parent[key] = rng.choice(others)
        elif rng.random() < 0.5:
            other, name = rng.choice(places)
            parent[key] = json.loads(json.dumps(other[name]))
        else:
            parent[key] = rng.choice(OTHERS)


def collect(value, places):
    """All places of a nested value."""
    if isinstance(value, dict | list):
        keys = value.keys() if isinstance(value, dict) else range(len(value))
        for key in keys:
            places.append((value, key))
            collect(value[key], places)


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


def changed_member(name, part, rng):
    if not name.endswith(".json"):
        return damaged(part, rng)
    schema = json.loads(part)
    change_json(schema, rng)
    return json.dumps(schema).encode()


# --- trials --------------------------------------------------------------------------


class ModelFiles:
    """Files of save_model."""

    def __init__(self, folder):
        self.path = Path(folder) / f"model-{os.getpid()}.xmr"
        self.originals = []
        for model in models():
            save_model(model, self.path)
            self.originals.append((self.path.read_bytes(), answers(model)))

    def try_one(self, rng):
        """Outcome of a mutation."""
        content, expected = rng.choice(self.originals)
        is_forged = rng.random() < 0.5
        mutated = forged(content, rng) if is_forged else damaged(content, rng)
        # Beside and renamed: the file before may still be mapped.
        fresh = self.path.with_suffix(".fresh")
        fresh.write_bytes(mutated)
        os.replace(fresh, self.path)
        verify = not is_forged and rng.random() < 0.5
        try:
            found = answers(load_model(self.path, verify=verify))
        except Exception as error:  # noqa: BLE001 - any, but no crash
            return type(error).__name__
        if found == expected:
            return "the same answers"
        if verify and mutated != content:
            raise AssertionError("other answers of a verified file")
        return "other answers"


class SkopsFiles:
    """Files of skops, with the types that its user trusts."""

    def __init__(self, folder):
        import skops.io

        self.io = skops.io
        self.originals = [(skops.io.dumps(model), answers(model)) for model in models()]
        self.trusted = [self.io.get_untrusted_types(data=d) for d, _ in self.originals]

    def try_one(self, rng):
        """Outcome of a mutation."""
        which = rng.randrange(len(self.originals))
        content, expected = self.originals[which]
        mutated = damaged_archive(content, rng)
        try:
            found = answers(self.io.loads(mutated, trusted=self.trusted[which]))
        except Exception as error:  # noqa: BLE001 - any, but no crash
            return type(error).__name__
        return "the same answers" if found == expected else "other answers"


KINDS = {"model": ModelFiles, "skops": SkopsFiles}


def run(kind, seed, first, last, now, results):
    """Try the mutations first .. last - 1 in this process."""
    outcomes = Counter()
    warnings.simplefilter("ignore")  # of versions and numbers, which are mutated too
    with tempfile.TemporaryDirectory() as folder:
        files = KINDS[kind](folder)
        for number in range(first, last):
            now.value = number
            outcomes[files.try_one(random.Random(f"{seed} {number}"))] += 1
    results.put(outcomes)


def try_chunk(kind, seed, first, last):
    """Outcomes of a chunk; RuntimeError for one that crashed, hung or lied."""
    context = multiprocessing.get_context("spawn")
    now, results = context.Value("q", first), context.Queue()
    arguments = (kind, seed, first, last, now, results)
    child = context.Process(target=run, args=arguments)
    child.start()
    seen, since = first, time.monotonic()
    while child.is_alive():
        child.join(1)
        if now.value != seen:
            seen, since = now.value, time.monotonic()
        if time.monotonic() - since > SECONDS + 60 * (seen == first):
            child.kill()
            raise RuntimeError(f"mutation {seen} of seed {seed} hangs")
    if child.exitcode:
        raise RuntimeError(
            f"mutation {now.value} of seed {seed}: exit {child.exitcode}"
        )
    return results.get(timeout=10)


def main():
    """Run all mutations and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--mutations", type=int, default=CHUNK)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    total, failures = Counter(), []
    for first in range(0, args.mutations, CHUNK):
        last = min(first + CHUNK, args.mutations)
        try:
            total += try_chunk(args.kind, args.seed, first, last)
        except RuntimeError as error:
            failures.append(str(error))
            print(error, flush=True)
    for outcome, count in total.most_common():
        print(f"{count:9,}  {outcome}")
    print(f"{sum(total.values()):,} mutations, {len(failures)} chunks failed")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
