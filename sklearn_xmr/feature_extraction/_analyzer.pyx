"""Words, characters and n-grams of texts, as scikit-learn's vectorizers make them."""

from cpython.unicode cimport PyUnicode_Check
from libc.stdint cimport INT64_MAX, uint16_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from sklearn_xmr.feature_extraction._terms cimport XMR_PADDING, find_term
from sklearn_xmr.utils._buffer cimport reserve

cdef extern from "_characters.h" nogil:
    enum: XMR_CODE
    const uint32_t XMR_WORD
    const uint32_t XMR_SPACE
    void xmr_fill_characters()
    uint32_t xmr_character(uint32_t c)
    uint8_t *xmr_put_utf8(uint8_t *out, uint32_t c)

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030c0000
    #define xmr_ready(text) 0
    #else
    #define xmr_ready(text) PyUnicode_READY(text)
    #endif
    """
    int xmr_ready(object text) except -1
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    bint PyUnicode_IS_ASCII(object text)

ctypedef fused character:
    uint8_t
    uint16_t
    uint32_t

cdef enum:
    WORD
    CHAR
    CHAR_WB
    N_BLOCKS = 0x1100

cdef int64_t MOST_TERMS = 1 << 48  # of a text
UNITS = ("word", "char", "char_wb")
# The two characters whose lower case needs more than the character: one becomes two,
# and sigma is different at the end of a word.
LOWERED_BY_PYTHON = "\u0130\u03a3"

xmr_fill_characters()


# --- texts ------------------------------------------------------------------------------

cdef class Texts:
    """Where the characters of some texts are; keeps the texts alive."""

    def __cinit__(self, list texts):
        self.kept_alive = texts
        self.n = len(texts)
        self.items = <Text *>malloc(max(1, self.n) * sizeof(Text))
        if self.items == NULL:
            raise MemoryError("no memory for the places of the texts")

    def __dealloc__(self):
        free(self.items)


cdef class Folding:
    """What characters become without accents, found out when they first occur.

    Parameters
    ----------
    fold : callable
        From a string of one character to a string.
    """

    cdef Block **blocks
    cdef object fold

    def __cinit__(self, fold):
        self.fold = fold
        self.blocks = <Block **>calloc(N_BLOCKS, sizeof(Block *))
        if self.blocks == NULL:
            raise MemoryError("no memory for the table of accents")

    def __dealloc__(self):
        cdef int b
        if self.blocks != NULL:
            for b in range(N_BLOCKS):
                if self.blocks[b] != NULL:
                    free(self.blocks[b].characters)
                    free(self.blocks[b])
            free(self.blocks)

    cdef int learn(self, const Text *text) except -1:
        """Make sure of the blocks of all characters of a text."""
        if text.width == 1:
            self.learn_block(0)
        elif text.width == 2:
            self.learn_all(<const uint16_t *>text.characters, text.length)
        else:
            self.learn_all(<const uint32_t *>text.characters, text.length)
        return 0

    cdef int learn_all(self, const character *text, int64_t n) except -1:
        cdef int64_t i
        for i in range(n):
            if self.blocks[text[i] >> 8] == NULL:
                self.learn_block(text[i] >> 8)
        return 0

    cdef int learn_block(self, uint32_t b) except -1:
        # A finished block is never changed: other threads may be reading it.
        cdef Block *block
        cdef uint32_t i, n = 0
        if self.blocks[b] != NULL:
            return 0
        folded = [self.fold(chr(b * 256 + i)) for i in range(256)]
        joined = "".join(folded)
        block = <Block *>malloc(sizeof(Block))
        if block == NULL:
            raise MemoryError("no memory for the table of accents")
        block.characters = <uint32_t *>malloc((len(joined) + 1) * sizeof(uint32_t))
        if block.characters == NULL:
            free(block)
            raise MemoryError("no memory for the table of accents")
        for i in range(256):
            block.starts[i] = n
            n += <uint32_t>len(folded[i])
        block.starts[256] = n
        for i in range(n):
            block.characters[i] = ord(joined[i])
        if self.blocks[b] == NULL:  # Python code ran: another thread may have been here
            self.blocks[b] = block
        else:
            free(block.characters)
            free(block)
        return 0


cdef dict foldings = {}  # (function, lowercase): Folding


cdef Folding folding_of(strip, bint lowercase):
    """The table of lower case (if wanted), then `strip`, made once."""
    if (strip, lowercase) not in foldings:
        def fold(c):
            return strip(c.lower() if lowercase else c)

        foldings[strip, lowercase] = Folding(fold)
    return foldings[strip, lowercase]


# --- settings ---------------------------------------------------------------------------

cdef class Analyzer:
    """How texts become terms.

    Parameters
    ----------
    unit : {"word", "char", "char_wb"}
        What n-grams are made of, as scikit-learn's ``analyzer``.
    lengths : tuple of (int, int or None)
        Characters that a word has at least, and that are kept of it; None for all.
    ngram_range : tuple of (int, int)
        Smallest and largest n.
    lowercase : bool
        Whether texts become lower case first.
    strip : callable or None
        Removes the accents of a string: what it makes of a text must be what it makes
        of its characters, one after another.
    stop_words : TermTable or None
        Words that are left out.
    """

    def __cinit__(self, *args):
        self.plan.shortest = self.plan.min_n = self.plan.max_n = 1
        self.plan.longest = INT64_MAX

    def __init__(self, unit, lengths, ngram_range, lowercase, strip, stop_words):
        low, high = ngram_range
        shortest, longest = lengths[0], INT64_MAX if lengths[1] is None else lengths[1]
        if not (
            1 <= low <= high < 1 << 31 and 1 <= shortest <= longest and unit in UNITS
        ):
            raise ValueError(
                f"no analysis of {unit!r} with lengths={lengths} and "
                f"ngram_range={ngram_range}"
            )
        self.plan.unit = UNITS.index(unit)
        self.plan.shortest, self.plan.longest = shortest, longest
        self.plan.min_n, self.plan.max_n = ngram_range
        self.plan.lowercase = lowercase
        self.settings = unit, lengths, ngram_range, lowercase, strip, stop_words
        self.stop_words = stop_words
        self.plan.stop_words = (
            (<TermTable>stop_words).checked_view() if stop_words is not None else NULL
        )
        self.folding = None if strip is None else folding_of(strip, lowercase)
        self.plan.folding = (<Folding>self.folding).blocks if strip is not None else NULL

    def __reduce__(self):
        return type(self), self.settings

    cdef Texts prepare(self, list texts):
        """Where the characters are that are to be analyzed."""
        cdef Texts out = Texts(texts)
        cdef int64_t i
        for i in range(out.n):
            self._place(out, i, texts[i])
            out.n_characters += out.items[i].length
        return out

    cdef int _place(self, Texts out, int64_t i, text) except -1:
        cdef Text *item = &out.items[i]
        if not PyUnicode_Check(text):
            raise TypeError(f"texts must be strings, got {type(text).__name__}")
        xmr_ready(text)
        if self.plan.lowercase and PyUnicode_KIND(text) > 1:
            if any_of(text, LOWERED_BY_PYTHON):
                text = str.lower(text)
                if out.kept_alive[i] is not text:
                    out.kept_alive[i] = text
                xmr_ready(text)
        item.characters = PyUnicode_DATA(text)
        item.length = PyUnicode_GET_LENGTH(text)
        item.width = PyUnicode_KIND(text)
        item.is_ascii = PyUnicode_IS_ASCII(text)
        if self.folding is not None and not item.is_ascii:
            (<Folding>self.folding).learn(item)
        return 0

    def analyze(self, text):
        """Return the terms of a text, in order.

        Parameters
        ----------
        text : str
            The text.

        Returns
        -------
        list of str
        """
        cdef Texts texts = self.prepare([text])
        cdef Analysis analysis
        cdef int64_t i
        memset(&analysis, 0, sizeof(Analysis))
        if analyze(&self.plan, texts.items, &analysis) < 0:
            free_analysis(&analysis)
            raise MemoryError("no memory for the terms of a text")
        terms = [
            analysis.text[analysis.terms[i].start:analysis.terms[i].end].decode(
                "utf-8", "surrogatepass"
            )
            for i in range(analysis.n_terms)
        ]
        free_analysis(&analysis)
        return terms


cdef bint any_of(text, characters):
    for c in characters:
        if c in text:
            return True
    return False


# --- one text ---------------------------------------------------------------------------

cdef void free_analysis(Analysis *analysis) noexcept nogil:
    free(analysis.folded.data)
    free(analysis.bytes.data)
    free(analysis.units.data)
    free(analysis.spans.data)


cdef int analyze(const Plan *plan, const Text *text, Analysis *out) noexcept nogil:
    """Set out.terms to the places of the terms in out.text; -1 without memory."""
    cdef Text folded
    if plan.folding != NULL and not text.is_ascii:
        if fold(plan, text, &folded, out) < 0:
            return -1
        return read_units(plan, <uint32_t *>folded.characters, &folded, False, out)
    if text.width == 1:
        return read_units(
            plan, <uint8_t *>text.characters, text, plan.lowercase, out
        )
    if text.width == 2:
        return read_units(
            plan, <uint16_t *>text.characters, text, plan.lowercase, out
        )
    return read_units(plan, <uint32_t *>text.characters, text, plan.lowercase, out)


cdef int fold(const Plan *plan, const Text *text, Text *folded,
              Analysis *out) noexcept nogil:
    """The text without accents, in lower case if wanted; -1 without memory."""
    cdef int64_t i, n = 0
    cdef uint32_t c, k
    cdef const Block *block
    cdef uint32_t *characters
    for i in range(text.length):
        c = character_at(text, i)
        block = plan.folding[c >> 8]
        n += block.starts[(c & 255) + 1] - block.starts[c & 255]
    characters = <uint32_t *>reserve(&out.folded, (n + 1) * sizeof(uint32_t))
    if characters == NULL:
        return -1
    n = 0
    for i in range(text.length):
        c = character_at(text, i)
        block = plan.folding[c >> 8]
        for k in range(block.starts[c & 255], block.starts[(c & 255) + 1]):
            characters[n] = block.characters[k]
            n += 1
    folded.characters, folded.length, folded.width = characters, n, 4
    return 0


cdef inline uint32_t character_at(const Text *text, int64_t i) noexcept nogil:
    if text.width == 1:
        return (<const uint8_t *>text.characters)[i]
    if text.width == 2:
        return (<const uint16_t *>text.characters)[i]
    return (<const uint32_t *>text.characters)[i]


cdef int read_units(const Plan *plan, const character *characters, const Text *text,
                    bint lowercase, Analysis *out) noexcept nogil:
    """Words or characters into a buffer, then their n-grams; -1 without memory.

    Behind each word a blank, around each word of char_wb one on both sides: at most two
    blanks for each character.
    """
    cdef int64_t n = text.length
    cdef int64_t most_bytes = n * (text.width if text.width > 2 else text.width + 1)
    cdef uint8_t *bytes = <uint8_t *>reserve(
        &out.bytes, most_bytes + 2 * n + 2 + XMR_PADDING
    )
    cdef Span *units = <Span *>reserve(&out.units, (3 * n + 3) * sizeof(Span))
    if bytes == NULL or units == NULL:
        return -1
    out.text = bytes
    out.n_terms = 0
    if plan.unit == WORD:
        n = read_words(plan, characters, n, lowercase, bytes, units)
        return add_ngrams(plan, units, n, out)
    if plan.unit == CHAR:
        n = read_characters(characters, n, lowercase, bytes, units)
        return add_ngrams(plan, units, n, out)
    return add_ngrams_in_words(plan, characters, n, lowercase, bytes, units, out)


cdef inline uint32_t cased(uint32_t described, uint32_t c, bint lowercase) noexcept nogil:
    return described & XMR_CODE if lowercase else c


cdef int64_t read_words(const Plan *plan, const character *text, int64_t n,
                        bint lowercase, uint8_t *bytes, Span *words) noexcept nogil:
    """Runs of word characters, or how they begin, that are long enough and no stop words.

    Returns their number.
    """
    cdef int64_t i = 0, first, n_words = 0
    cdef uint8_t *at = bytes
    cdef uint8_t *start
    cdef uint32_t c
    while i < n:
        c = xmr_character(text[i])
        if c & XMR_WORD == 0:
            i += 1
            continue
        first, start = i, at
        while c & XMR_WORD:
            if i - first < plan.longest:
                at = xmr_put_utf8(at, cased(c, text[i], lowercase))
            i += 1
            if i == n:
                break
            c = xmr_character(text[i])
        if i - first < plan.shortest or is_stop_word(plan, start, at):
            at = start
            continue
        words[n_words].start, words[n_words].end = start - bytes, at - bytes
        n_words += 1
        at[0] = c" "
        at += 1
    return n_words


cdef inline bint is_stop_word(const Plan *plan, const uint8_t *start,
                              const uint8_t *end) noexcept nogil:
    return plan.stop_words != NULL and find_term(plan.stop_words, start, end - start) >= 0


cdef int64_t read_characters(const character *text, int64_t n, bint lowercase,
                             uint8_t *bytes, Span *units) noexcept nogil:
    """All characters, several of white space in a row as one blank; their number."""
    cdef int64_t i = 0, n_units = 0
    cdef uint8_t *at = bytes
    cdef uint32_t c
    while i < n:
        c = xmr_character(text[i])
        c = cased(c, text[i], lowercase)
        if is_space(text, i, n) and is_space(text, i + 1, n):
            while is_space(text, i + 1, n):
                i += 1
            c = c" "
        units[n_units].start = at - bytes
        at = xmr_put_utf8(at, c)
        units[n_units].end = at - bytes
        n_units += 1
        i += 1
    return n_units


cdef inline bint is_space(const character *text, int64_t i, int64_t n) noexcept nogil:
    return i < n and xmr_character(text[i]) & XMR_SPACE != 0


cdef Span *reserve_spans(Analysis *out, int64_t n_units, int64_t n_sizes) noexcept nogil:
    """Place for n-grams of so many sizes; NULL without memory."""
    if n_sizes and n_units > MOST_TERMS // n_sizes:
        return NULL
    return <Span *>reserve(&out.spans, (n_units * n_sizes + 1) * sizeof(Span))


cdef int add_ngrams(const Plan *plan, const Span *units, int64_t n_units,
                    Analysis *out) noexcept nogil:
    """N-grams of adjacent units, the short ones first; -1 without memory."""
    cdef int64_t n, i, n_terms = 0
    cdef int64_t n_sizes = max(0, min(plan.max_n, n_units) - plan.min_n + 1)
    cdef Span *terms = reserve_spans(out, n_units, n_sizes)
    if terms == NULL:
        return -1
    for n in range(plan.min_n, min(plan.max_n, n_units) + 1):
        for i in range(n_units - n + 1):
            terms[n_terms].start = units[i].start
            terms[n_terms].end = units[i + n - 1].end
            n_terms += 1
    out.terms, out.n_terms = terms, n_terms
    return 0


cdef int add_ngrams_in_words(const Plan *plan, const character *text, int64_t n,
                             bint lowercase, uint8_t *bytes, Span *units,
                             Analysis *out) noexcept nogil:
    """Character n-grams of each word with a blank on both sides; -1 without memory.

    A word that is no longer than n is one n-gram, the last of its own.
    """
    cdef int64_t i = 0, k, size, n_units, n_terms = 0
    cdef int64_t n_sizes = max(1, min(plan.max_n, n + 2) - plan.min_n + 1)
    cdef uint8_t *at = bytes
    cdef Span *terms = reserve_spans(out, 3 * n, n_sizes)
    if terms == NULL:
        return -1
    while i < n:
        if is_space(text, i, n):
            i += 1
            continue
        n_units = 0
        at = put_unit(at, c" ", bytes, units, &n_units)
        while i < n and not is_space(text, i, n):
            at = put_unit(
                at, cased(xmr_character(text[i]), text[i], lowercase), bytes, units,
                &n_units,
            )
            i += 1
        at = put_unit(at, c" ", bytes, units, &n_units)
        for size in range(plan.min_n, plan.max_n + 1):
            for k in range(max(1, n_units - size + 1)):
                terms[n_terms].start = units[k].start
                terms[n_terms].end = units[min(k + size, n_units) - 1].end
                n_terms += 1
            if size >= n_units:
                break
    out.terms, out.n_terms = terms, n_terms
    return 0


cdef inline uint8_t *put_unit(uint8_t *at, uint32_t c, const uint8_t *bytes, Span *units,
                              int64_t *n_units) noexcept nogil:
    units[n_units[0]].start = at - bytes
    at = xmr_put_utf8(at, c)
    units[n_units[0]].end = at - bytes
    n_units[0] += 1
    return at
