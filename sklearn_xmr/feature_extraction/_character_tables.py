"""What Python knows of characters, as arrays: for readers in other languages."""

from functools import cache

import numpy as np

SIGMA = "\u03a3"
LATE = 0x20000  # no case from here on: ideographs


@cache
def character_tables() -> dict[str, np.ndarray]:
    """Tables for reading words and making them lower case, as Python does.

    Returns
    -------
    dict of str to ndarray of uint32 of shape (n, 2)
        - "words": ranges, first and last, of the characters that match ``\\w``;
        - "lower": characters whose lower case is another one, and this one, without
          U+0130 (two characters) and U+03A3 (it depends on its neighbours);
        - "cased", "ignorable": ranges of the characters that decide about U+03A3, by
          being cased or by not counting.

    Examples
    --------
    >>> from sklearn_xmr.feature_extraction import character_tables
    >>> character_tables()["words"][:2].tolist()
    [[48, 57], [65, 90]]
    """
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    words = [code for code in codes if chr(code).isalnum() or code == ord("_")]
    early = [code for code in codes if code < LATE or 0xE0000 <= code < 0xE0200]
    # Behind a letter, a sigma ends a word also over what does not count; alone behind a
    # character, only if this is cased.
    over = {code for code in early if _ends_word("A" + chr(code))}
    cased = {code for code in over if _ends_word(chr(code))}
    lower = [
        (code, ord(chr(code).lower()))
        for code in early
        if len(chr(code).lower()) == 1 and chr(code).lower() != chr(code)
    ]
    tables = {
        "words": _ranges(words),
        "lower": [pair for pair in lower if pair[0] != ord(SIGMA)],
        "cased": _ranges(sorted(cased)),
        "ignorable": _ranges(sorted(over - cased)),
    }
    return {name: np.array(rows, dtype=np.uint32) for name, rows in tables.items()}


def _ends_word(before):
    return (before + SIGMA).lower()[-1] == "\u03c2"


def _ranges(codes):
    """First and last of each run of consecutive numbers."""
    codes = np.array(codes)
    breaks = np.flatnonzero(np.diff(codes) != 1)
    return np.column_stack(
        [codes[np.r_[0, breaks + 1]], codes[np.r_[breaks, len(codes) - 1]]]
    )
