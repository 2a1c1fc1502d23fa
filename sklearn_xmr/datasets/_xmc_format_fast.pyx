"""Parser of the Extreme Classification Repository's text format.

A line is ``label,label,... feature:value feature:value ...``. The caller has read
the header; the parser gets the bytes after it and writes into arrays that are sized
by the colons and commas in the text.
"""

from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

import numpy as np

from sklearn_xmr.utils._work cimport Signals, Work, should_stop_at

cdef enum:
    OK = 0
    BAD_LABEL = 1
    LABEL_RANGE = 2
    BAD_FEATURE = 3
    FEATURE_RANGE = 4
    BAD_VALUE = 5
    TOO_FEW_LINES = 6
    TOO_MANY_LINES = 7

# What is wrong; the names in braces are filled in by the caller.
ERRORS = {
    BAD_LABEL: "expected a label number",
    LABEL_RANGE: "label number out of range, must be 0 to {last_label}",
    BAD_FEATURE: "expected feature:value",
    FEATURE_RANGE: "feature number out of range, must be 0 to {last_feature}",
    BAD_VALUE: "expected a finite value after the colon",
    TOO_FEW_LINES: "the file ends early: the header announces {n_rows} rows",
    TOO_MANY_LINES: "there are more lines than the {n_rows} of the header",
}

cdef double[23] POWERS_OF_TEN
for _i in range(23):
    POWERS_OF_TEN[_i] = 10.0 ** _i


cdef inline bint is_digit(uint8_t c) noexcept nogil:
    return c'0' <= c <= c'9'


cdef inline bint is_blank(uint8_t c) noexcept nogil:
    return c == c' ' or c == c'\t' or c == c'\r'


cdef inline bint ends_token(uint8_t c) noexcept nogil:
    return is_blank(c) or c == c'\n'


cdef inline const uint8_t *parse_index(const uint8_t *p, const uint8_t *end,
                                       int64_t *out) noexcept nogil:
    """A run of digits; NULL without one. A minus sign gives -1: out of range."""
    cdef int64_t value = 0
    cdef bint negative = p < end and p[0] == c'-'
    cdef const uint8_t *start
    p += negative
    start = p
    while p < end and is_digit(p[0]):
        if value < (<int64_t>1 << 50):
            value = 10 * value + (p[0] - c'0')
        p += 1
    out[0] = -1 if negative else value
    return p if p > start else NULL


cdef const uint8_t *parse_slowly(const uint8_t *p, const uint8_t *end,
                                 double *out) noexcept nogil:
    """Any number that Python knows, in any locale; NULL for something else."""
    cdef int64_t n = 0
    while p + n < end and not ends_token(p[n]):
        n += 1
    with gil:
        token = (<const char *>p)[:n]
        try:
            out[0] = float(token)
        except ValueError:
            return NULL
        return p + n if b"_" not in token else NULL


cdef inline const uint8_t *parse_value(const uint8_t *p, const uint8_t *end,
                                       double *out) noexcept nogil:
    """A decimal number: up to 18 digits at once, the rest through Python.

    An integer below 2**53 over a power of ten up to 10**22 is exactly rounded.
    """
    cdef const uint8_t *start = p
    cdef uint64_t mantissa = 0
    cdef int n_digits = 0, n_decimals = 0
    cdef bint negative = p < end and p[0] == c'-'
    p += negative
    while p < end and is_digit(p[0]):
        mantissa = 10 * mantissa + (p[0] - c'0')
        n_digits += 1
        p += 1
        if n_digits > 18:
            return parse_slowly(start, end, out)
    if p < end and p[0] == c'.':
        p += 1
        while p < end and is_digit(p[0]):
            mantissa = 10 * mantissa + (p[0] - c'0')
            n_digits += 1
            n_decimals += 1
            p += 1
            if n_digits > 18:
                return parse_slowly(start, end, out)
    if n_digits == 0 or (p < end and not ends_token(p[0])):
        return parse_slowly(start, end, out)
    if mantissa >> 53:
        return parse_slowly(start, end, out)
    out[0] = <double>mantissa / POWERS_OF_TEN[n_decimals]
    if negative:
        out[0] = -out[0]
    return p


cdef bint starts_with_labels(const uint8_t *p, const uint8_t *end) noexcept nogil:
    """Whether the first token of the line is a label list: it has no colon."""
    while p < end and not ends_token(p[0]):
        if p[0] == c':':
            return False
        p += 1
    return True


cdef int parse_labels(const uint8_t **cursor, const uint8_t *end, int64_t n_labels,
                      int32_t[::1] labels, int64_t *n) noexcept nogil:
    cdef const uint8_t *p = cursor[0]
    cdef const uint8_t *after
    cdef int64_t label
    while p < end and not ends_token(p[0]):
        after = parse_index(p, end, &label)
        if after == NULL:
            return BAD_LABEL
        if label < 0 or label >= n_labels:
            return LABEL_RANGE
        labels[n[0]] = <int32_t>label
        n[0] += 1
        p = after
        if p < end and p[0] == c',':
            p += 1
        elif p < end and not ends_token(p[0]):
            return BAD_LABEL
    cursor[0] = p
    return OK


cdef int parse_features(const uint8_t **cursor, const uint8_t *end, int64_t n_features,
                        int32_t[::1] features, float[::1] values,
                        int64_t *n) noexcept nogil:
    cdef const uint8_t *p = cursor[0]
    cdef const uint8_t *after
    cdef int64_t feature
    cdef double value
    while True:
        while p < end and is_blank(p[0]):
            p += 1
        if p >= end or p[0] == c'\n':
            break
        after = parse_index(p, end, &feature)
        if after == NULL or after >= end or after[0] != c':':
            return BAD_FEATURE
        if feature < 0 or feature >= n_features:
            return FEATURE_RANGE
        after = parse_value(after + 1, end, &value)
        if after == NULL or not isfinite(<float>value):
            return BAD_VALUE
        features[n[0]] = <int32_t>feature
        values[n[0]] = <float>value
        n[0] += 1
        p = after
    cursor[0] = p
    return OK


cdef int64_t count_byte(const uint8_t *p, const uint8_t *end, uint8_t byte) noexcept nogil:
    """Occurrences; sums of one byte, over 255 bytes each, fill whole vectors."""
    cdef int64_t n = 0
    cdef uint8_t few
    cdef int i
    while end - p >= 255:
        few = 0
        for i in range(255):
            few += p[i] == byte
        n += few
        p += 255
    while p < end:
        n += p[0] == byte
        p += 1
    return n


cdef bint has_token(const uint8_t *p, const uint8_t *end) noexcept nogil:
    while p < end and ends_token(p[0]):
        p += 1
    return p < end


def parse_lines(const uint8_t[::1] text, int64_t start, int64_t n_rows,
                int64_t n_features, int64_t n_labels):
    """Parse ``n_rows`` lines from ``text[start:]``.

    Parameters
    ----------
    text : ndarray of uint8
        Not empty.
    start : int
        First byte after the header.
    n_rows, n_features : int
        As the header says.
    n_labels : int
        As the header says; -1 for lines without labels.

    Returns
    -------
    indptr : ndarray of int64 of shape (n_rows + 1,)
        With `indices` and `values`, the features as CSR, in the order of the text.
    indices : ndarray of int32 of shape (nnz,)
    values : ndarray of float32 of shape (nnz,)
    label_indptr : ndarray of int64 of shape (n_rows + 1,)
        Labels of each row.
    labels : ndarray of int32 of shape (n_labels_found,)
    error : int
        0, or a key of ``ERRORS``.
    row : int
        Where the error was found, from 0.
    """
    cdef const uint8_t *p = &text[0] + start
    cdef const uint8_t *end = &text[0] + text.shape[0]
    cdef int64_t row = 0, n = 0, m = 0
    cdef int error = OK
    cdef bint with_labels = n_labels >= 0
    cdef Signals signals = Signals()
    cdef Work work = signals.begin(n_rows)
    n_colons = count_byte(p, end, c':')
    n_commas = count_byte(p, end, c',') if with_labels else 0
    indptr = np.zeros(n_rows + 1, dtype=np.int64)
    label_indptr = np.zeros(n_rows + 1, dtype=np.int64)
    indices = np.empty(n_colons + 1, dtype=np.int32)
    values = np.empty(n_colons + 1, dtype=np.float32)
    labels = np.empty(n_commas + n_rows + 1 if with_labels else 1, dtype=np.int32)
    cdef int64_t[::1] row_end = indptr, label_end = label_indptr
    cdef int32_t[::1] to_indices = indices, to_labels = labels
    cdef float[::1] to_values = values
    with nogil:
        while row < n_rows and error == OK:
            if p >= end:
                error = TOO_FEW_LINES
                break
            if should_stop_at(&work, 0, row):
                break
            if with_labels and starts_with_labels(p, end):
                error = parse_labels(&p, end, n_labels, to_labels, &m)
            if error == OK:
                error = parse_features(&p, end, n_features, to_indices, to_values, &n)
            if error == OK:
                row += 1
                row_end[row] = n
                label_end[row] = m
                p += 1
        if error == OK and has_token(p, end):
            error = TOO_MANY_LINES
    signals.end()
    return indptr, indices[:n], values[:n], label_indptr, labels[:m], error, row
