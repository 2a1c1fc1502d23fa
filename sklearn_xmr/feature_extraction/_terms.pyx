"""Tables from terms to numbers, without an object for each term."""

from itertools import pairwise

from libc.stdlib cimport free
from libc.string cimport memcpy, memset

import numpy as np

from sklearn_xmr.utils._buffer cimport extend, reserve
from sklearn_xmr.utils._pointers cimport uint8_pointer, uint32_pointer

cdef enum:
    FIRST_SLOTS = 1024
    MOST_TERMS = 0x7ffffffe

cdef int64_t MOST_BYTES = 0xffffffff


# --- a table that grows -----------------------------------------------------------------

cdef void free_growing_terms(GrowingTerms *table) noexcept nogil:
    free(table.slots.data)
    free(table.terms.data)
    free(table.bytes.data)


cdef int number_terms(GrowingTerms *table, const uint8_t *text, const Span *spans, int n,
                      int32_t *numbers) noexcept nogil:
    """The numbers of up to N_TOGETHER terms, new ones if they are new; -1 without memory.

    Numbers are 0, 1, ... in the order of the first calls. XMR_PADDING bytes follow the
    text. Slots and terms are fetched for all before the first is compared.
    """
    cdef uint32_t[N_TOGETHER] hashes
    cdef uint64_t slot
    cdef int i
    if table.slots.data == NULL and double_slots(table) < 0:
        return -1
    for i in range(n):
        hashes[i] = xmr_hash(text + spans[i].start, spans[i].end - spans[i].start)
        xmr_prefetch(<uint64_t *>table.slots.data + (hashes[i] & table.mask))
    for i in range(n):
        slot = (<uint64_t *>table.slots.data)[hashes[i] & table.mask]
        if slot:
            xmr_prefetch(<Term *>table.terms.data + <uint32_t>slot - 1)
    for i in range(n):
        numbers[i] = number_of(
            table, text + spans[i].start, spans[i].end - spans[i].start, hashes[i]
        )
        if numbers[i] < 0:
            return -1
    return 0


cdef inline uint64_t head_of(const uint8_t *p, int64_t n) noexcept nogil:
    return xmr_load64(p) if n >= 8 else xmr_load_few(p, n)


cdef int32_t number_of(GrowingTerms *table, const uint8_t *p, int64_t n,
                       uint32_t hash) noexcept nogil:
    """The number of a term; -1 without memory."""
    cdef uint32_t at
    cdef uint64_t slot, head = head_of(p, n)
    cdef Term *term
    if 2 * table.n_terms >= table.mask and double_slots(table) < 0:
        return -1
    at = hash & table.mask
    while True:
        slot = (<uint64_t *>table.slots.data)[at]
        if slot == 0:
            break
        if slot >> 32 == hash:
            term = <Term *>table.terms.data + <uint32_t>slot - 1
            if term.head == head and term.length == n and (
                n <= 8 or xmr_equal(<uint8_t *>table.bytes.data + term.start, p, n)
            ):
                return <uint32_t>slot - 1
        at = (at + 1) & table.mask
    return add_term(table, p, n, hash, at)


cdef int32_t add_term(GrowingTerms *table, const uint8_t *p, int64_t n, uint32_t hash,
                      uint32_t at) noexcept nogil:
    """A new term, whose slot is free."""
    cdef Term *term
    cdef Term *terms = <Term *>extend(
        &table.terms, (table.n_terms + 1) * sizeof(Term)
    )
    cdef uint8_t *bytes = <uint8_t *>extend(
        &table.bytes, table.n_bytes + n + XMR_PADDING
    )
    if terms == NULL or bytes == NULL or table.n_terms >= MOST_TERMS or n > MOST_BYTES:
        return -1
    memcpy(bytes + table.n_bytes, p, n)
    term = &terms[table.n_terms]
    term.start, term.length, term.head = table.n_bytes, <uint32_t>n, head_of(p, n)
    term.n_texts, term.place = 0, 0
    table.n_bytes += n
    table.n_terms += 1
    (<uint64_t *>table.slots.data)[at] = <uint64_t>hash << 32 | <uint64_t>table.n_terms
    return table.n_terms - 1


cdef int double_slots(GrowingTerms *table) noexcept nogil:
    """Twice as many slots, or the first ones; -1 without memory."""
    cdef Buffer new = Buffer(NULL, 0)
    cdef uint64_t *slots
    cdef uint64_t *old = <uint64_t *>table.slots.data
    cdef int64_t n_old = <int64_t>table.mask + 1 if old else 0
    cdef int64_t n_slots = 2 * n_old if old else FIRST_SLOTS
    cdef int64_t i
    cdef uint32_t at, mask = <uint32_t>(n_slots - 1)
    slots = <uint64_t *>reserve(&new, n_slots * sizeof(uint64_t))
    if slots == NULL:
        return -1
    memset(slots, 0, n_slots * sizeof(uint64_t))
    for i in range(n_old):
        if old[i]:
            at = <uint32_t>(old[i] >> 32) & mask
            while slots[at]:
                at = (at + 1) & mask
            slots[at] = old[i]
    free(old)
    table.slots, table.mask = new, mask
    return 0


# --- a finished table -------------------------------------------------------------------

cdef int32_t find_term(const Terms *terms, const uint8_t *p, int64_t n) noexcept nogil:
    """The number of a term, -1 where it is not known; XMR_PADDING bytes follow it."""
    return find_hashed(terms, p, n, xmr_hash(p, n))


cdef inline int32_t find_hashed(const Terms *terms, const uint8_t *p, int64_t n,
                                uint32_t hash) noexcept nogil:
    cdef uint32_t number, slot, at = hash & terms.mask
    cdef int64_t _
    for _ in range(<int64_t>terms.mask + 1):
        slot = terms.slots[at]
        if slot == 0:
            return -1
        if (slot ^ hash) & ~terms.number_bits == 0:
            number = (slot & terms.number_bits) - 1
            if (
                terms.offsets[number + 1] - terms.offsets[number] == n
                and xmr_equal(terms.bytes + terms.offsets[number], p, n)
            ):
                return number
        at = (at + 1) & terms.mask
    return -1


cdef void find_terms(const Terms *terms, const uint8_t *text, const Span *spans, int n,
                     int32_t *numbers) noexcept nogil:
    """The numbers of up to N_TOGETHER terms, as :func:`find_term` finds them.

    Slots, then offsets, then bytes are fetched for all before the first is compared.
    """
    cdef uint32_t[N_TOGETHER] hashes
    cdef uint32_t slot
    cdef int i
    for i in range(n):
        hashes[i] = xmr_hash(text + spans[i].start, spans[i].end - spans[i].start)
        xmr_prefetch(terms.slots + (hashes[i] & terms.mask))
    for i in range(n):
        slot = terms.slots[hashes[i] & terms.mask] & terms.number_bits
        if slot:
            xmr_prefetch(terms.offsets + slot - 1)
    for i in range(n):
        slot = terms.slots[hashes[i] & terms.mask] & terms.number_bits
        if slot:
            xmr_prefetch(terms.bytes + terms.offsets[slot - 1])
    for i in range(n):
        numbers[i] = find_hashed(
            terms, text + spans[i].start, spans[i].end - spans[i].start, hashes[i]
        )


cdef class TermTable:
    """Terms and their numbers, as three arrays that can be saved and memory-mapped.

    A hash table with open addressing over one buffer of bytes: four bytes a slot, of
    which there are 1.33 to 2.67 a term.

    Parameters
    ----------
    bytes : ndarray of uint8
        The terms in UTF-8 (lone surrogates too), one after another, and 8 more bytes.
    offsets : ndarray of uint32 of shape (n_terms + 1,)
        Where each term begins.
    slots : ndarray of uint32, as many as a power of two
        Number + 1 of a term in the low bits, as many as n_terms needs, and the upper
        bits of its hash above them; 0 where there is no term.

    Raises
    ------
    ValueError
        If the arrays do not fit together.
    """

    def __init__(self, bytes, offsets, slots):
        kept_alive = []  # arrays hold the memory of other objects
        self.bytes, self.offsets = np.asanyarray(bytes), np.asanyarray(offsets)
        self.slots = np.asanyarray(slots)
        self.view.bytes = uint8_pointer(self.bytes, kept_alive)
        self.view.offsets = uint32_pointer(self.offsets, kept_alive)
        self.view.slots = uint32_pointer(self.slots, kept_alive)
        self._numbers = self._terms = None
        self._check()
        self.view.n_terms = len(offsets) - 1
        self.view.mask = <uint32_t>(len(slots) - 1)
        self.view.number_bits = number_bits(self.view.n_terms)

    cdef const Terms *checked_view(self) except NULL:
        """What the kernels read; ValueError for a table that was never filled."""
        if self.view.slots == NULL:
            raise ValueError("the table of terms has no slots")
        return &self.view

    def _check(self):
        """ValueError unless no search can leave the arrays."""
        cdef int64_t n = len(self.offsets) - 1, n_slots = len(self.slots), i
        cdef uint32_t low_bits, last, bad = 0
        cdef const uint32_t *offsets
        cdef const uint32_t *slots
        if not (0 <= n <= MOST_TERMS and n < n_slots and n_slots & (n_slots - 1) == 0):
            raise ValueError(
                "a table of terms must have as many slots as a power of two, more than "
                f"terms, got {n} terms and {n_slots} slots"
            )
        offsets, slots = self.view.offsets, self.view.slots
        for i in range(n):
            bad |= offsets[i] > offsets[i + 1]
        if bad or self.view.offsets[0] or (
            <int64_t>self.view.offsets[n] + XMR_PADDING != len(self.bytes)
        ):
            raise ValueError("offsets of a table of terms must ascend from 0 to its bytes")
        low_bits = number_bits(n)
        last = <uint32_t>n
        for i in range(n_slots):  # pure arithmetic, of which gcc makes vectors
            bad |= <uint32_t>((slots[i] & low_bits) > last)
            bad |= <uint32_t>((slots[i] & low_bits) == 0) & <uint32_t>(slots[i] != 0)
        if bad:
            raise ValueError(f"slots of a table of terms must hold numbers up to {n}")

    @classmethod
    def of(cls, terms):
        """Number some terms in their order.

        Parameters
        ----------
        terms : list of str
            Different terms.

        Returns
        -------
        TermTable
        """
        parts = [term.encode("utf-8", "surrogatepass") for term in terms]
        return cls.of_bytes(b"".join(parts), [len(part) for part in parts])

    @classmethod
    def of_bytes(cls, joined, lengths):
        """Number terms that stand in a buffer, one after another.

        Parameters
        ----------
        joined : bytes-like
            The terms in UTF-8.
        lengths : array-like of int of shape (n_terms,)
            Their lengths in bytes.

        Returns
        -------
        TermTable

        Raises
        ------
        ValueError
            If they take 4 GB.
        """
        lengths = np.asarray(lengths, dtype=np.int64)
        ends = np.cumsum(lengths)
        n_bytes = int(ends.max(initial=0))
        if lengths.min(initial=0) < 0:
            raise ValueError(f"lengths of terms must not be negative: {lengths.min()}")
        if n_bytes > MOST_BYTES:
            raise ValueError(f"the terms take {n_bytes} bytes; at most 2**32 are supported")
        offsets = np.zeros(len(ends) + 1, dtype=np.uint32)
        offsets[1:] = ends
        padded = np.zeros(n_bytes + XMR_PADDING, dtype=np.uint8)
        padded[:n_bytes] = np.frombuffer(joined, dtype=np.uint8)
        return cls(padded, offsets, fill_slots(padded, offsets))

    def __len__(self):
        return self.view.n_terms

    def __reduce__(self):
        return type(self), (self.bytes, self.offsets, self.slots)

    @property
    def nbytes(self):
        """Size of the arrays (int, bytes)."""
        return self.bytes.nbytes + self.offsets.nbytes + self.slots.nbytes

    @property
    def terms(self):
        """The terms in the order of their numbers (list of str), made on request."""
        if self._terms is None:
            text = np.asarray(self.bytes).tobytes()
            ends = self.offsets.tolist()
            self._terms = [
                text[start:end].decode("utf-8", "surrogatepass")
                for start, end in pairwise(ends)
            ]
        return self._terms

    @property
    def numbers(self):
        """Number of each term (dict of str to int), made on request."""
        if self._numbers is None:
            self._numbers = FixedDict({term: i for i, term in enumerate(self.terms)})
        return self._numbers

    def find(self, term):
        """Return the number of a term (int), -1 where it is not known.

        Parameters
        ----------
        term : str
            The term.

        Returns
        -------
        int
        """
        cdef const uint8_t[::1] padded = (
            term.encode("utf-8", "surrogatepass") + b"\0" * XMR_PADDING
        )
        return find_term(self.checked_view(), &padded[0], padded.shape[0] - XMR_PADDING)


class FixedDict(dict):
    """A dict that refuses changes, because nothing would follow from them."""

    def _refuse(self, *args, **kwargs):
        raise TypeError(
            "vocabulary_ is made of terms_ on request and cannot be changed in place; "
            "change a copy, dict(vectorizer.vocabulary_), and assign it"
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self):
        return dict, (dict(self),)


cdef uint32_t number_bits(int64_t n_terms) noexcept:
    """The bits that a number + 1 takes, as a mask."""
    return <uint32_t>((1 << int(n_terms).bit_length()) - 1)


cdef fill_slots(const uint8_t[::1] bytes, const uint32_t[::1] offsets):
    """The slots of a table, at most three in four of them taken."""
    cdef int64_t n = offsets.shape[0] - 1, i
    cdef uint32_t low_bits = number_bits(n), hash, at, mask
    slots = np.zeros(1 << (max(1, n) * 4 // 3).bit_length(), dtype=np.uint32)
    cdef uint32_t[::1] out = slots
    mask = <uint32_t>(len(slots) - 1)
    with nogil:
        for i in range(n):
            hash = xmr_hash(&bytes[offsets[i]], offsets[i + 1] - offsets[i])
            at = hash & mask
            while out[at]:
                at = (at + 1) & mask
            out[at] = (hash & ~low_bits) | <uint32_t>(i + 1)
    return slots
