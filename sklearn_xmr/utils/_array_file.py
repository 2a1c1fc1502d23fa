"""The container: a JSON header and arrays behind it, each aligned and with a checksum.

The layout is documented in doc/guide/model_files.md, for readers in other languages.
"""

import json
import mmap
import struct
from math import prod
from zlib import crc32

import numpy as np

from sklearn_xmr.utils._whole_file import whole_file

FORMAT = 1  # increased with each change that older versions could not read
MAGIC = b"\x93XMR\r\n\x1a\n"  # like PNG's: a transfer as text breaks it at once
ALIGNMENT = 64  # bytes; a cache line, and the widest vector register
PREAMBLE = struct.Struct("<8sIIQQ")  # magic, format, crc and length of header, of file
DTYPES = frozenset(
    ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")
)
_PIECE = 1 << 24  # bytes that are written or checked at once


def write_array_file(path, header, arrays):
    """Write a header and arrays, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file.
    header : dict
        What JSON can hold; the key "arrays" is added.
    arrays : list of ndarray
        Contiguous, of the dtypes in ``DTYPES``.

    Raises
    ------
    OSError
        If the file cannot be written; what was there stays.
    """
    places, end = [], 0
    for array in arrays:
        places.append(end)
        end = _aligned(end + array.nbytes)
    table = [
        {
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "offset": place,
            "crc32": _checksum(_bytes_of(array)),
        }
        for array, place in zip(arrays, places, strict=True)
    ]
    text = json.dumps({**header, "arrays": table}, allow_nan=False).encode("ascii")
    start = _aligned(PREAMBLE.size + len(text))
    with whole_file(path) as file:
        file.write(
            PREAMBLE.pack(MAGIC, FORMAT, crc32(text), len(text), start + end) + text
        )
        for array, place in zip(arrays, places, strict=True):
            file.write(bytes(start + place - file.tell()))
            content = _bytes_of(array)
            for first in range(0, len(content), _PIECE):
                file.write(content[first : first + _PIECE])
        file.write(bytes(start + end - file.tell()))


class ArrayFile:
    """A memory-mapped file of a header and arrays.

    Sizes, offsets and types of all arrays are checked when it is opened, against the
    file's real size; the header's checksum too, those of arrays by :meth:`verify`.

    Parameters
    ----------
    path : path-like
        The file.

    Attributes
    ----------
    header : dict
        Its header.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file, is cut or damaged, or has a newer format.
    """

    def __init__(self, path):
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            if size < PREAMBLE.size:
                raise ValueError(f"it has {size} bytes, fewer than any model file")
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._start, self.header = _checked_header(self._content)
        self._table = _checked_table(self.header, size - self._start)

    def __len__(self):
        return len(self._table)

    def array(self, number):
        """Return one of the arrays, mapped and read-only.

        Parameters
        ----------
        number : int
            Which one.

        Returns
        -------
        ndarray

        Raises
        ------
        ValueError
            If there is no such array.
        """
        if type(number) is not int or not 0 <= number < len(self._table):
            raise ValueError(f"there is no array {number!r} among {len(self._table)}")
        dtype, shape, place, _ = self._table[number]
        if not prod(shape):
            array = np.empty(shape, dtype)
            array.flags.writeable = False
            return array
        return np.ndarray(shape, dtype, self._content, self._start + place)

    def verify(self):
        """Compare all arrays with their checksums.

        Raises
        ------
        ValueError
            If one differs.
        """
        for number, (*_, checksum) in enumerate(self._table):
            if _checksum(_bytes_of(self.array(number))) != checksum:
                raise ValueError(f"the content of array {number} is not what was saved")


def _aligned(place):
    return -(-place // ALIGNMENT) * ALIGNMENT


def _bytes_of(array):
    return memoryview(array.reshape(-1).view(np.uint8))


def _checksum(content):
    value = 0
    for first in range(0, len(content), _PIECE):
        value = crc32(content[first : first + _PIECE], value)
    return value


def _checked_header(content):
    """Where the arrays start, and the header."""
    magic, number, checksum, length, size = PREAMBLE.unpack_from(content)
    if magic != MAGIC:
        raise ValueError(f"it does not begin as model files do, but with {magic!r}")
    if number != FORMAT:
        raise ValueError(
            f"it has format {number}, but this version of sklearn_xmr reads format "
            f"{FORMAT}: use the version that saved it, or save the model again"
        )
    if size != len(content):
        raise ValueError(f"it has {len(content)} of {size} bytes: a cut copy")
    start = _aligned(PREAMBLE.size + length)
    if start > size:
        raise ValueError(f"its header of {length} bytes does not fit into {size}")
    text = content[PREAMBLE.size : PREAMBLE.size + length]
    if crc32(text) != checksum:
        raise ValueError("its header is damaged: the checksum differs")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise ValueError(f"its header is no object: {header!r:.40}")  # noqa: TRY004
    return start, header


def _checked_table(header, room):
    """Dtype, shape, offset and checksum of each array, all within the file."""
    entries = header.get("arrays")
    if not isinstance(entries, list):
        raise ValueError("its header has no list of arrays")  # noqa: TRY004
    table, end = [], 0
    for number, entry in enumerate(entries):
        if not _is_entry(entry):
            raise ValueError(f"the entry of array {number} in its header is broken")
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        place = entry["offset"]
        if place % ALIGNMENT or not end <= place <= room:
            raise ValueError(f"array {number} has the offset {place}, which is broken")
        end = place + prod(shape) * dtype.itemsize
        if end > room:
            raise ValueError(f"array {number} ends {end - room} bytes past the file")
        table.append((dtype, shape, place, entry["crc32"]))
    return table


def _is_entry(entry):
    if not isinstance(entry, dict) or entry.keys() != {
        "dtype",
        "shape",
        "offset",
        "crc32",
    }:
        return False
    shape = entry["shape"]
    return (
        isinstance(entry["dtype"], str)
        and entry["dtype"] in DTYPES
        and isinstance(shape, list)
        and len(shape) <= 32
        and all(map(_is_size, [*shape, entry["offset"], entry["crc32"]]))
    )


def _is_size(value):
    return type(value) is int and 0 <= value < 2**62
