"""Changes of bytes, texts and JSON, drawn from a ``random.Random``."""

import io
import json
import re
from copy import deepcopy

import numpy as np

NUMBERS = (0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, 2**62, -(2**63), 2**64, 1e300, 0.5)
OTHERS = (None, True, "", "x", [], {}, {"again": 0}, {"array": 0}, {"tuple": []})
# Words that readers of text may stumble over.
WORDS = (
    *(b"0", b"-1", b"-0", b"+1", b"1_0", b"0x10", b".", b"1e5", b"1e400", b"3e38"),
    *(b"nan", b"inf", b"-inf", b"NaN", b"null", b"true", b"2147483648", b"9" * 30),
    *(b"9" * 5000, b"4294967295", b":", b"::", b",", b";", b"\t", b" ", b"\n", b"\r"),
    *(b"\r\n", b"\0", b"\x1a", b'"', b'""', b"'", b"\\", b"\\ud800", b"{", b"[", b"]"),
    *(b"}", b"[" * 5000, b"{}", b'{"text": 1}', b"\xff", b"\xed\xa0\x80", b"\x85"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", "\u0661".encode(), "\u2028".encode(), b"\x1c"),
)
NEAR = (b"0", b"1", b"2", b"3", b"0.5", b"1:2", b"0:1 3:1", b"1,2", b"a", b"a;b", b"")
TOKENS = re.compile(rb"[0-9.eE+-]+|\w+|\s|.", re.DOTALL)


def damaged(content, rng):
    """Bytes that were flipped, cut, doubled or moved."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if not changed:
            return b""
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
    return bytes(changed)


def changed_text(content, rng):
    """Text with other words, or with lines moved, doubled or left out."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        if rng.random() < 0.25:
            content = _changed_lines(content, rng)
            continue
        tokens = TOKENS.findall(content) or [b""]
        at = rng.randrange(len(tokens))
        word = rng.choice((rng.choice(NEAR), rng.choice(WORDS), rng.choice(tokens)))
        if rng.random() < 0.7:
            tokens[at] = word
        else:
            tokens.insert(at, word)
        content = b"".join(tokens)
    return content


def _changed_lines(content, rng):
    lines = content.splitlines(keepends=True) or [b""]
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(3)
    if way == 0:
        lines[at], lines[other] = lines[other], lines[at]
    elif way == 1:
        lines.insert(at, lines[other])
    else:
        del lines[at]
    return b"".join(lines)


def damaged_or_changed(content, rng):
    """One of the two, of a text."""
    return rng.choice((damaged, changed_text))(content, rng)


def change_json(header, rng, numbers=NUMBERS, others=OTHERS):
    """Another value somewhere in a JSON document, in place."""
    places = []
    collect(header, places)
    if not places:  # all has been taken out
        return
    for _ in range(rng.choice((1, 1, 2))):
        parent, key = rng.choice(places)
        value = parent[key]
        if isinstance(value, int | float) and rng.random() < 0.7:
            parent[key] = rng.choice((*numbers, value + 1, value - 1))
        elif isinstance(value, str) and rng.random() < 0.7:
            others_of_kind = [p[k] for p, k in places if isinstance(p[k], str)]
            parent[key] = rng.choice(others_of_kind)
        elif rng.random() < 0.5:
            other, name = rng.choice(places)
            parent[key] = json.loads(json.dumps(other[name]))
        else:
            parent[key] = deepcopy(rng.choice(others))  # which the next one changes


def collect(value, places):
    """All places of a nested value."""
    if isinstance(value, dict | list):
        keys = value.keys() if isinstance(value, dict) else range(len(value))
        for key in keys:
            places.append((value, key))
            collect(value[key], places)


def changed_member(name, part, rng):
    """A file of an archive: JSON as JSON, others as bytes."""
    if not name.endswith(".json"):
        return damaged(part, rng)
    schema = json.loads(part)
    change_json(schema, rng)
    return json.dumps(schema).encode()


def changed_npz(content, rng):
    """Bytes, or arrays of other values, shapes or types, in SciPy's format."""
    if rng.random() < 0.4:
        return damaged(content, rng)
    arrays = dict(np.load(io.BytesIO(content)))
    name = rng.choice(list(arrays))
    array = arrays[name]
    way = rng.randrange(5)
    if way == 0:
        del arrays[name]
    elif way == 1 and array.size and array.dtype.kind in "iuf":
        array.flat[rng.randrange(array.size)] = rng.choice((-1, 0, 1, 5, 2**30))
    elif way == 2:
        arrays[name] = array.ravel()[: rng.randrange(array.size + 1)]
    elif way == 3:
        arrays[name] = np.array(rng.choice((b"csc", b"xyz", "csr", 3, 1.5, [[1]])))
    else:
        dtypes = ("U4", "S3") if array.dtype.kind in "US" else ("f8", "i8", "c8", "b1")
        arrays[name] = array.astype(rng.choice(dtypes))
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()
