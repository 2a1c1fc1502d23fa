/* Answers from model files of sklearn_xmr, in C: no Python, nothing beyond libc.
 *
 * In one source file of a program:
 *
 *     #define XMR_MODEL_IMPLEMENTATION
 *     #include "xmr_model.h"
 *
 *     char error[200];
 *     xmr_model *model = xmr_open("model.xmr", 0, error, sizeof error);
 *     xmr_ranked best[5];
 *     int64_t n = xmr_rank_text(model, "a storm at sea", 14, 5, best, error, 200);
 *
 * Models that it reads: XRLinearClassifier without dense features and label weights, alone
 * or behind one TfidfVectorizer or CountVectorizer of this package, or a FeatureUnion of
 * such, that read words (runs or beginnings of \w, n-grams of them) without stop words and
 * strip_accents; also inside a LabelNamesClassifier. xmr_open says what else it finds. The
 * file is memory-mapped, and checked as load_model checks it. A model may be used by any
 * number of threads at once.
 *
 * Labels are those of Python; scores agree to some units in the last place, so that labels
 * of nearly equal scores may change places. C99 with the builtins of gcc and clang, POSIX. */
#ifndef XMR_MODEL_H
#define XMR_MODEL_H

#include <stddef.h>
#include <stdint.h>

typedef struct xmr_model xmr_model;

typedef struct {
    int64_t label; /* column of y, or position in classes_ */
    float score;
} xmr_ranked;

/* Map a model; with `verify`, compare all arrays with their checksums. NULL on failure,
 * with the reason in `error` of `size` bytes, which may be NULL. */
xmr_model *xmr_open(const char *path, int verify, char *error, size_t size);
void xmr_close(xmr_model *model);

int64_t xmr_count_labels(const xmr_model *model);
int64_t xmr_count_features(const xmr_model *model);

/* UTF-8 name of a label, not terminated; NULL where the model knows none. */
const char *xmr_label_name(const xmr_model *model, int64_t label, size_t *length);

/* The up to k best labels of a row, or of a text in UTF-8 (of which wrong bytes count as
 * U+FFFD), best first; how many, or -1 with the reason in `error`. */
int64_t xmr_rank_row(const xmr_model *model, const int32_t *indices, const float *values,
                     int64_t n, int64_t k, xmr_ranked *best, char *error, size_t size);
int64_t xmr_rank_text(const xmr_model *model, const char *text, size_t length, int64_t k,
                      xmr_ranked *best, char *error, size_t size);

#endif

#ifdef XMR_MODEL_IMPLEMENTATION

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { XM_MOST_DEPTH = 200, XM_WIDTH = 256, XM_SPARE = 32, XM_PADDING = 8 };

/* --- JSON: nodes in the order of the text, each with its first part and the next --------- */

typedef enum { XM_NULL, XM_TRUE, XM_FALSE, XM_NUMBER, XM_STRING, XM_LIST, XM_DICT } xm_kind;

typedef struct {
    xm_kind kind;
    int32_t first, next, n;      /* parts of a list or dict; -1 for none */
    int32_t key, key_length;     /* of a part of a dict: where in the text */
    int32_t at, length;          /* of a string */
    double number;
} xm_node;

typedef struct {
    char *text; /* a copy, in which escapes are resolved */
    int64_t length, at;
    xm_node *nodes;
    int32_t n_nodes, room;
    int32_t *numbered; /* nodes that {"again": n} refers to */
    int32_t n_numbered, numbered_room;
    const char *wrong;
} xm_json;

static void xm_blank(xm_json *j)
{
    while (j->at < j->length && strchr(" \t\r\n", j->text[j->at]))
        j->at++;
}

static int32_t xm_fail_json(xm_json *j, const char *reason)
{
    if (!j->wrong)
        j->wrong = reason;
    return -1;
}

static int32_t xm_new_node(xm_json *j, xm_kind kind)
{
    if (j->n_nodes == j->room) {
        const int32_t room = j->room ? 2 * j->room : 1024;
        xm_node *nodes = room < 0x3fffffff
            ? (xm_node *)realloc(j->nodes, (size_t)room * sizeof(xm_node)) : NULL;
        if (!nodes)
            return xm_fail_json(j, "no memory for its header");
        j->nodes = nodes;
        j->room = room;
    }
    memset(&j->nodes[j->n_nodes], 0, sizeof(xm_node));
    j->nodes[j->n_nodes].kind = kind;
    j->nodes[j->n_nodes].first = j->nodes[j->n_nodes].next = -1;
    return j->n_nodes++;
}

static int xm_hex(const char *p, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        const char c = p[i];
        const int digit = c >= '0' && c <= '9' ? c - '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return 0;
        *value = 16 * *value + (uint32_t)digit;
    }
    return 1;
}

static char *xm_put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

/* A string whose opening quote has been read; its place and length. */
static int xm_read_string(xm_json *j, int32_t *place, int32_t *length)
{
    char *out = j->text + j->at;
    *place = (int32_t)j->at;
    while (j->at < j->length && j->text[j->at] != '"') {
        char c = j->text[j->at++];
        uint32_t code, low;
        if (c != '\\') {
            *out++ = c;
            continue;
        }
        if (j->at >= j->length)
            break;
        c = j->text[j->at++];
        if (c == 'u') {
            if (j->at + 4 > j->length || !xm_hex(j->text + j->at, &code))
                return xm_fail_json(j, "its header has a broken escape") + 1;
            j->at += 4;
            if (code >> 10 == 0x36 && j->at + 6 <= j->length && j->text[j->at] == '\\' &&
                j->text[j->at + 1] == 'u' && xm_hex(j->text + j->at + 2, &low) &&
                low >> 10 == 0x37) {
                code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
                j->at += 6;
            }
            out = xm_put_utf8(out, code);
        } else {
            const char *from = "bfnrt", *to = "\b\f\n\r\t", *found = strchr(from, c);
            *out++ = found && c ? to[found - from] : c;
        }
    }
    if (j->at >= j->length)
        return xm_fail_json(j, "its header ends within a string") + 1;
    j->at++;
    *length = (int32_t)(out - (j->text + *place));
    return 1;
}

static int32_t xm_read_number(xm_json *j)
{
    const int32_t node = xm_new_node(j, XM_NUMBER);
    double value = 0, scale = 1;
    int negative = 0, exponent = 0, digits = 0, sign = 1;
    if (node < 0)
        return node;
    if (j->at < j->length && j->text[j->at] == '-')
        negative = 1, j->at++;
    for (; j->at < j->length && j->text[j->at] >= '0' && j->text[j->at] <= '9'; digits++)
        value = 10 * value + (j->text[j->at++] - '0');
    if (j->at < j->length && j->text[j->at] == '.')
        for (j->at++; j->at < j->length && j->text[j->at] >= '0' && j->text[j->at] <= '9';
             digits++, scale *= 10)
            value = 10 * value + (j->text[j->at++] - '0');
    if (digits && j->at < j->length && (j->text[j->at] | 32) == 'e') {
        j->at++;
        if (j->at < j->length && (j->text[j->at] == '-' || j->text[j->at] == '+'))
            sign = j->text[j->at++] == '-' ? -1 : 1;
        for (; j->at < j->length && j->text[j->at] >= '0' && j->text[j->at] <= '9'; j->at++)
            exponent = exponent < 1000 ? 10 * exponent + (j->text[j->at] - '0') : exponent;
    }
    if (!digits)
        return xm_fail_json(j, "its header is no JSON");
    j->nodes[node].number = (negative ? -1 : 1) * (value / scale) * pow(10, sign * exponent);
    return node;
}

static int xm_key_is(const xm_json *j, int32_t node, const char *key)
{
    const xm_node *part = &j->nodes[node];
    return part->key_length == (int32_t)strlen(key) &&
           memcmp(j->text + part->key, key, strlen(key)) == 0;
}

static int xm_number_object(xm_json *j, int32_t node)
{
    if (j->n_numbered == j->numbered_room) {
        const int32_t room = j->numbered_room ? 2 * j->numbered_room : 64;
        int32_t *numbered = (int32_t *)realloc(j->numbered, (size_t)room * sizeof(int32_t));
        if (!numbered)
            return xm_fail_json(j, "no memory for its header") + 1;
        j->numbered = numbered;
        j->numbered_room = room;
    }
    j->numbered[j->n_numbered++] = node;
    return 1;
}

static int xm_is_tag(const char *key, int32_t length)
{
    static const char *tags[] = {"object", "objects", "skops", "strings"};
    for (int i = 0; i < 4; i++)
        if (length == (int32_t)strlen(tags[i]) && memcmp(key, tags[i], (size_t)length) == 0)
            return 1;
    return 0;
}

static int32_t xm_read_value(xm_json *j, int depth);

/* The parts of a list or dict, up to its closing bracket. */
static int32_t xm_read_parts(xm_json *j, xm_kind kind, int depth)
{
    const char closing = kind == XM_DICT ? '}' : ']';
    const int32_t node = xm_new_node(j, kind);
    int32_t last = -1;
    if (node < 0 || depth > XM_MOST_DEPTH)
        return xm_fail_json(j, "its header nests too deeply");
    j->at++;
    for (;;) {
        int32_t key = 0, key_length = 0, part;
        xm_blank(j);
        if (j->at < j->length && j->text[j->at] == closing && last < 0)
            break;
        if (kind == XM_DICT) {
            if (j->at >= j->length || j->text[j->at] != '"')
                return xm_fail_json(j, "its header is no JSON");
            j->at++;
            if (!xm_read_string(j, &key, &key_length))
                return -1;
            xm_blank(j);
            if (j->at >= j->length || j->text[j->at++] != ':')
                return xm_fail_json(j, "its header is no JSON");
            /* In the order in which the objects begin, as the writer counted them. */
            if (last < 0 && xm_is_tag(j->text + key, key_length) &&
                !xm_number_object(j, node))
                return -1;
        }
        part = xm_read_value(j, depth + 1);
        if (part < 0)
            return -1;
        j->nodes[part].key = key;
        j->nodes[part].key_length = key_length;
        if (last < 0)
            j->nodes[node].first = part;
        else
            j->nodes[last].next = part;
        last = part;
        j->nodes[node].n++;
        xm_blank(j);
        if (j->at < j->length && j->text[j->at] == ',') {
            j->at++;
            continue;
        }
        break;
    }
    if (j->at >= j->length || j->text[j->at] != closing)
        return xm_fail_json(j, "its header is no JSON");
    j->at++;
    return node;
}

static int32_t xm_read_word(xm_json *j, const char *word, xm_kind kind)
{
    const int64_t n = (int64_t)strlen(word);
    if (j->at + n > j->length || memcmp(j->text + j->at, word, (size_t)n))
        return xm_fail_json(j, "its header is no JSON");
    j->at += n;
    return xm_new_node(j, kind);
}

static int32_t xm_read_value(xm_json *j, int depth)
{
    int32_t node, place, length;
    xm_blank(j);
    if (j->at >= j->length)
        return xm_fail_json(j, "its header ends early");
    switch (j->text[j->at]) {
    case '{': return xm_read_parts(j, XM_DICT, depth);
    case '[': return xm_read_parts(j, XM_LIST, depth);
    case 't': return xm_read_word(j, "true", XM_TRUE);
    case 'f': return xm_read_word(j, "false", XM_FALSE);
    case 'n': return xm_read_word(j, "null", XM_NULL);
    case '"':
        j->at++;
        if (!xm_read_string(j, &place, &length) || (node = xm_new_node(j, XM_STRING)) < 0)
            return -1;
        j->nodes[node].at = place;
        j->nodes[node].length = length;
        return node;
    default: return xm_read_number(j);
    }
}

/* --- the file ------------------------------------------------------------------------------ */

typedef struct {
    const uint8_t *data;
    char dtype[4];
    int64_t n, shape[2]; /* numbers of elements; one dimension has shape[1] == 1 */
    int n_dims;
    uint32_t crc;
    int64_t n_bytes;
} xm_array;

typedef struct {
    int64_t n_parents, n_chunks, n_nodes, n_buckets;
    const int64_t *parent_ptr, *child_ptr, *chunk_ptr;
    const uint32_t *buckets;
    const uint8_t *packed;
    const float *scale, *intercept;
    int shift, kind; /* bytes of a value: 4, 2 or 1 */
} xm_level;

typedef struct {
    const uint8_t *bytes;
    const uint32_t *offsets, *slots;
    int64_t n;
    uint32_t mask, number_bits;
} xm_terms;

typedef struct {
    xm_terms terms;
    int lowercase, binary, sublinear, norm; /* norm: 0, 1 or 2 */
    int64_t shortest, longest, min_n, max_n;
    const double *idf64;
    const float *idf32;
    float weight;
    int64_t start; /* first column in a union */
} xm_vectorizer;

struct xmr_model {
    const uint8_t *content;
    size_t size;
    xm_json json;
    xm_array *arrays;
    int32_t n_arrays;
    const char *wrong;
    xm_level *levels;
    int n_levels, combiner, is_log;
    float path_weight;
    int64_t n_labels, n_features, beam_size;
    const int64_t *label_order;
    xm_vectorizer *vectorizers;
    int32_t n_vectorizers;
    const uint32_t *word_ranges, *lower_pairs, *cased, *ignorable;
    int64_t n_word_ranges, n_lower_pairs, n_cased, n_ignorable;
    const uint8_t *names;
    const int64_t *name_ends;
};

/* The first reason stays. */
static int xm_wrong(xmr_model *m, const char *reason)
{
    if (!m->wrong)
        m->wrong = reason;
    return 0;
}

static uint32_t xm_crc32(const uint8_t *p, int64_t n)
{
    uint32_t table[256], crc = 0xffffffffu;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        table[i] = c;
    }
    for (int64_t i = 0; i < n; i++)
        crc = table[(crc ^ p[i]) & 255] ^ crc >> 8;
    return crc ^ 0xffffffffu;
}

static uint64_t xm_little(const uint8_t *p, int n)
{
    uint64_t value = 0;
    for (int i = n - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static int32_t xm_get(const xmr_model *m, int32_t node, const char *key)
{
    if (node < 0 || m->json.nodes[node].kind != XM_DICT)
        return -1;
    for (int32_t p = m->json.nodes[node].first; p >= 0; p = m->json.nodes[p].next)
        if (xm_key_is(&m->json, p, key))
            return p;
    return -1;
}

static int32_t xm_item(const xmr_model *m, int32_t node, int number)
{
    if (node < 0 || m->json.nodes[node].kind != XM_LIST)
        return -1;
    int32_t p = m->json.nodes[node].first;
    while (number-- > 0 && p >= 0)
        p = m->json.nodes[p].next;
    return p;
}

static xm_kind xm_kind_of(const xmr_model *m, int32_t node)
{
    return node < 0 ? XM_NULL : m->json.nodes[node].kind;
}

static int xm_is_string(const xmr_model *m, int32_t node, const char *text)
{
    const xm_node *n = &m->json.nodes[node < 0 ? 0 : node];
    return node >= 0 && n->kind == XM_STRING && n->length == (int32_t)strlen(text) &&
           memcmp(m->json.text + n->at, text, strlen(text)) == 0;
}

/* A whole number from `low` to `high`, or -1 with a reason. */
static int64_t xm_integer(xmr_model *m, int32_t node, int64_t low, int64_t high)
{
    const double value = xm_kind_of(m, node) == XM_NUMBER ? m->json.nodes[node].number : -1;
    if (!(value >= (double)low && value <= (double)high && value == floor(value))) {
        xm_wrong(m, "a number of its header is out of range");
        return -1;
    }
    return (int64_t)value;
}

static int xm_has_numpys_dtype(const char *text, int32_t length, xm_array *array)
{
    static const char *known[] = {"|b1", "|i1", "|u1", "<i2", "<u2", "<i4",
                                  "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"};
    for (int i = 0; i < 12; i++)
        if (length == 3 && memcmp(text, known[i], 3) == 0) {
            memcpy(array->dtype, text, 3);
            return text[2] - '0';
        }
    return 0;
}

/* One array of the table: within the file, aligned, of a known type. */
static int xm_read_array(xmr_model *m, int32_t entry, int64_t start, int64_t *end,
                         xm_array *array)
{
    const int64_t room = (int64_t)m->size - start;
    const int32_t dtype = xm_get(m, entry, "dtype"), shape = xm_get(m, entry, "shape");
    int64_t offset = xm_integer(m, xm_get(m, entry, "offset"), 0, room), item;
    const int64_t crc = xm_integer(m, xm_get(m, entry, "crc32"), 0, 0xffffffffll);
    if (offset < 0 || crc < 0 || xm_kind_of(m, dtype) != XM_STRING ||
        xm_kind_of(m, shape) != XM_LIST)
        return xm_wrong(m, "the table of its arrays is broken");
    item = xm_has_numpys_dtype(m->json.text + m->json.nodes[dtype].at,
                               m->json.nodes[dtype].length, array);
    array->n_dims = m->json.nodes[shape].n;
    array->n = 1;
    array->shape[0] = array->shape[1] = 1;
    for (int i = 0; i < array->n_dims; i++) {
        const int64_t size = xm_integer(m, xm_item(m, shape, i), 0, room);
        if (size < 0 || (size && array->n > room / size))
            return xm_wrong(m, "an array is larger than the file");
        array->n *= size;
        if (i < 2)
            array->shape[i] = size;
    }
    if (!item || offset % 64 || offset < *end || array->n > (room - offset) / item)
        return xm_wrong(m, "the table of its arrays is broken");
    array->data = m->content + start + offset;
    array->n_bytes = array->n * item;
    array->crc = (uint32_t)crc;
    *end = offset + array->n_bytes;
    return 1;
}

static int xm_read_table(xmr_model *m, int64_t start, int verify)
{
    const int32_t table = xm_get(m, 0, "arrays");
    int64_t end = 0;
    int32_t i = 0;
    if (xm_kind_of(m, table) != XM_LIST)
        return xm_wrong(m, "its header has no list of arrays");
    m->n_arrays = m->json.nodes[table].n;
    m->arrays = (xm_array *)calloc((size_t)m->n_arrays + 1, sizeof(xm_array));
    if (!m->arrays)
        return xm_wrong(m, "no memory for the table of its arrays");
    for (int32_t p = m->json.nodes[table].first; p >= 0; p = m->json.nodes[p].next, i++) {
        if (!xm_read_array(m, p, start, &end, &m->arrays[i]))
            return 0;
        if (verify && xm_crc32(m->arrays[i].data, m->arrays[i].n_bytes) != m->arrays[i].crc)
            return xm_wrong(m, "the content of an array is not what was saved");
    }
    return 1;
}

static float xm_value(const uint8_t *values, int kind, int64_t at)
{
    if (kind == 1)
        return (float)((const int8_t *)values)[at];
    if (kind == 4) {
        float w;
        memcpy(&w, values + 4 * at, 4);
        return w;
    }
    uint16_t half;
    memcpy(&half, values + 2 * at, 2);
    const uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    float size;
    memcpy(&size, &bits, 4);
    size *= 5.192296858534828e33f;
    return half & 0x8000 ? -size : size;
}

/* The one number of an array, little-endian as all of them. */
static double xm_element(const xm_array *array)
{
    const int size = array->dtype[2] - '0';
    const uint64_t bits = xm_little(array->data, size);
    double number = (double)bits;
    if (array->dtype[1] == 'f' && size < 8)
        return xm_value(array->data, size, 0);
    if (array->dtype[1] == 'f')
        memcpy(&number, &bits, sizeof number);
    else if (array->dtype[1] == 'i' && bits >> (8 * size - 1))
        number -= ldexp(1, 8 * size);
    return number;
}

/* Settings that came from NumPy, such as a grid's, lie in arrays: read them as numbers. */
static void xm_open_scalars(xmr_model *m)
{
    for (int32_t i = 0; i < m->json.n_nodes; i++) {
        xm_node *node = &m->json.nodes[i];
        const int32_t place = xm_get(m, i, "scalar");
        const double number = xm_kind_of(m, place) == XM_NUMBER
            ? m->json.nodes[place].number : -1;
        if (!(number >= 0 && number < m->n_arrays && number == floor(number)) ||
            m->arrays[(int32_t)number].n_dims)
            continue;
        const xm_array *array = &m->arrays[(int32_t)number];
        node->number = xm_element(array);
        node->kind = array->dtype[1] != 'b' ? XM_NUMBER : node->number ? XM_TRUE : XM_FALSE;
        node->first = -1;
    }
}

static int xm_read_header(xmr_model *m, int verify)
{
    static const uint8_t magic[8] = {0x93, 'X', 'M', 'R', '\r', '\n', 0x1a, '\n'};
    int64_t length, start;
    if (m->size < 32 || memcmp(m->content, magic, 8))
        return xm_wrong(m, "it does not begin as model files do");
    if (xm_little(m->content + 8, 4) != 1)
        return xm_wrong(m, "it has another format than 1");
    if (xm_little(m->content + 24, 8) != m->size)
        return xm_wrong(m, "it is a cut copy");
    if (xm_little(m->content + 16, 8) > m->size - 32)
        return xm_wrong(m, "its header does not fit into it");
    length = (int64_t)xm_little(m->content + 16, 8);
    start = (32 + length + 63) / 64 * 64;
    if (length > 0x3fffffff || start > (int64_t)m->size)
        return xm_wrong(m, "its header does not fit into it");
    if (xm_crc32(m->content + 32, length) != xm_little(m->content + 12, 4))
        return xm_wrong(m, "its header is damaged: the checksum differs");
    m->json.text = (char *)malloc((size_t)length + 1);
    if (!m->json.text)
        return xm_wrong(m, "no memory for its header");
    memcpy(m->json.text, m->content + 32, (size_t)length);
    m->json.text[length] = 0;
    m->json.length = length;
    if (xm_read_value(&m->json, 0) != 0 || m->json.nodes[0].kind != XM_DICT)
        return xm_wrong(m, m->json.wrong ? m->json.wrong : "its header is no object");
    if (!xm_is_string(m, xm_get(m, 0, "package"), "sklearn_xmr"))
        return xm_wrong(m, "its header is not that of a model");
    if (!xm_read_table(m, start, verify))
        return 0;
    xm_open_scalars(m);
    return 1;
}

/* --- objects ------------------------------------------------------------------------------- */

/* What {"again": n} stands for. */
static int32_t xm_resolve(xmr_model *m, int32_t node)
{
    const int32_t again = xm_get(m, node, "again");
    if (again < 0)
        return node;
    const int64_t number = xm_integer(m, again, 0, m->json.n_numbered - 1);
    return number < 0 ? -1 : m->json.numbered[number];
}

static int xm_is_object(xmr_model *m, int32_t node, const char *name)
{
    return xm_is_string(m, xm_item(m, xm_get(m, xm_resolve(m, node), "object"), 0), name);
}

/* Part of an object's state: of [[name, value], ...]. */
static int32_t xm_state(xmr_model *m, int32_t node, const char *name)
{
    const int32_t parts = xm_item(m, xm_get(m, xm_resolve(m, node), "object"), 2);
    if (xm_kind_of(m, parts) != XM_LIST)
        return -1;
    for (int32_t p = m->json.nodes[parts].first; p >= 0; p = m->json.nodes[p].next)
        if (xm_is_string(m, xm_item(m, p, 0), name))
            return xm_item(m, p, 1);
    return -1;
}

/* An array of a type and, where not negative, a shape; NULL with a reason. */
static const xm_array *xm_array_of(xmr_model *m, int32_t node, const char *dtype,
                                   int64_t rows, int64_t columns)
{
    const int32_t place = xm_get(m, node, "array");
    const int64_t number = xm_integer(m, place, 0, (int64_t)m->n_arrays - 1);
    const xm_array *array = number < 0 ? NULL : &m->arrays[number];
    if (!array || (dtype && memcmp(array->dtype, dtype, 3)) ||
        (rows >= 0 && array->shape[0] != rows) ||
        array->n_dims != (columns >= 0 ? 2 : 1) ||
        (columns >= 0 && array->shape[1] != columns)) {
        xm_wrong(m, "an array has another type or shape than it must have");
        return NULL;
    }
    return array;
}

static int64_t xm_n_columns(xmr_model *m, int32_t node)
{
    const int64_t number =
        xm_integer(m, xm_get(m, node, "array"), 0, (int64_t)m->n_arrays - 1);
    return number >= 0 && m->arrays[number].n_dims == 2 ? m->arrays[number].shape[1] : -1;
}

static int xm_rises(xmr_model *m, const int64_t *p, int64_t n, int64_t end, int64_t most)
{
    int ok = n > 0 && p[0] == 0 && p[n - 1] == end;
    for (int64_t i = 0; ok && i + 1 < n; i++)
        ok = p[i + 1] >= p[i] && (most < 0 || p[i + 1] - p[i] <= most);
    return ok ? 1 : xm_wrong(m, "offsets of its arrays are broken");
}

static int xm_all_finite(xmr_model *m, const float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(p[i]))
            return xm_wrong(m, "it holds numbers that are not finite");
    return 1;
}

static int xm_read_level(xmr_model *m, int32_t node, const xm_array *offsets, xm_level *l)
{
    const xm_array *parent, *child, *chunk, *buckets, *packed, *scale, *intercept;
    const int32_t type = xm_state(m, node, "value_type");
    int64_t n_features;
    if (!xm_is_object(m, node, "linear.ChunkedWeights"))
        return xm_wrong(m, "its weights are of another class");
    l->kind = xm_is_string(m, type, "float32") ? 4 : xm_is_string(m, type, "float16") ? 2
        : xm_is_string(m, type, "int8") ? 1 : 0;
    l->shift = (int)xm_integer(m, xm_state(m, node, "shift"), 0, 16);
    n_features = xm_integer(m, xm_state(m, node, "n_features"), 0, 0x7fffffff);
    if (!l->kind || l->shift < 0 || n_features < 0 ||
        (m->n_features >= 0 && n_features != m->n_features))
        return xm_wrong(m, "the levels of its tree do not fit each other");
    m->n_features = n_features;
    intercept = xm_array_of(m, xm_state(m, node, "intercept"), "<f4", -1, -1);
    child = xm_array_of(m, xm_state(m, node, "child_ptr"), "<i8", -1, -1);
    parent = xm_array_of(m, xm_state(m, node, "parent_ptr"), "<i8", offsets->n, -1);
    packed = xm_array_of(m, xm_state(m, node, "packed"), "|u1", -1, -1);
    if (!intercept || !child || !parent || !packed || child->n < 1 ||
        packed->n < XM_SPARE)
        return xm_wrong(m, "the weights of a level are broken");
    l->n_nodes = intercept->n;
    l->n_chunks = child->n - 1;
    l->n_parents = offsets->n - 1;
    l->n_buckets = ((n_features ? n_features - 1 : 0) >> l->shift) + 1;
    scale = xm_array_of(m, xm_state(m, node, "scale"), "<f4", l->n_nodes, -1);
    chunk = xm_array_of(m, xm_state(m, node, "chunk_ptr"), "<i8", l->n_chunks + 1, -1);
    buckets = xm_array_of(m, xm_state(m, node, "buckets"), "<u4", l->n_chunks,
                          l->n_buckets + 1);
    if (!scale || !chunk || !buckets)
        return 0;
    if (xm_n_columns(m, xm_state(m, node, "dense")) > 0)
        return xm_wrong(m, "dense features are not supported here");
    if (!xm_array_of(m, xm_state(m, node, "dense"), NULL, l->n_nodes, 0))
        return 0;
    l->parent_ptr = (const int64_t *)parent->data;
    l->child_ptr = (const int64_t *)child->data;
    l->chunk_ptr = (const int64_t *)chunk->data;
    l->buckets = (const uint32_t *)buckets->data;
    l->packed = packed->data;
    l->scale = (const float *)scale->data;
    l->intercept = (const float *)intercept->data;
    if (!xm_rises(m, l->parent_ptr, parent->n, l->n_chunks, -1) ||
        !xm_rises(m, l->child_ptr, child->n, l->n_nodes, XM_WIDTH) ||
        !xm_rises(m, l->chunk_ptr, chunk->n, packed->n - XM_SPARE, -1) ||
        !xm_all_finite(m, l->scale, l->n_nodes) ||
        !xm_all_finite(m, l->intercept, l->n_nodes))
        return 0;
    for (int64_t i = 0; i < l->n_parents; i++)
        if (l->child_ptr[l->parent_ptr[i]] != ((const int64_t *)offsets->data)[i])
            return xm_wrong(m, "its weights are not those of its tree");
    if (l->n_nodes != ((const int64_t *)offsets->data)[l->n_parents])
        return xm_wrong(m, "its weights are not those of its tree");
    for (int64_t c = 0; c < l->n_chunks; c++) {
        const uint32_t *b = l->buckets + c * (l->n_buckets + 1);
        int ok = b[0] == 0 && b[l->n_buckets] == l->chunk_ptr[c + 1] - l->chunk_ptr[c];
        for (int64_t i = 0; ok && i < l->n_buckets; i++)
            ok = b[i + 1] >= b[i];
        if (!ok)
            return xm_wrong(m, "the buckets of its weights are broken");
    }
    return 1;
}

static int xm_read_order(xmr_model *m, int32_t tree)
{
    const xm_array *order = xm_array_of(m, xm_state(m, tree, "_label_order"), "<i8",
                                        m->n_labels, -1);
    uint8_t *seen = order ? (uint8_t *)calloc((size_t)m->n_labels + 1, 1) : NULL;
    int ok = seen != NULL;
    m->label_order = order ? (const int64_t *)order->data : NULL;
    for (int64_t i = 0; ok && i < m->n_labels; i++) {
        const int64_t label = m->label_order[i];
        ok = label >= 0 && label < m->n_labels && !seen[label];
        if (ok)
            seen[label] = 1;
    }
    free(seen);
    return ok ? 1 : xm_wrong(m, "its tree does not hold each label once");
}

static int xm_read_tree(xmr_model *m, int32_t model)
{
    const int32_t tree = xm_state(m, model, "tree");
    const int32_t offsets = xm_get(m, xm_state(m, tree, "_offsets"), "tuple");
    const int32_t weights = xm_state(m, model, "weights");
    int64_t n_parents = 1;
    if (!xm_is_object(m, model, "linear.TreeModel") ||
        !xm_is_object(m, tree, "indexing.LabelTree") ||
        xm_integer(m, xm_state(m, model, "format"), 1, 1) < 0 ||
        xm_kind_of(m, offsets) != XM_LIST || xm_kind_of(m, weights) != XM_LIST ||
        m->json.nodes[offsets].n != m->json.nodes[weights].n || !m->json.nodes[offsets].n)
        return xm_wrong(m, "its tree is broken, or of another format");
    m->n_levels = m->json.nodes[offsets].n;
    m->levels = (xm_level *)calloc((size_t)m->n_levels, sizeof(xm_level));
    if (!m->levels)
        return xm_wrong(m, "no memory for its levels");
    m->n_features = -1;
    for (int t = 0; t < m->n_levels; t++) {
        const xm_array *ends =
            xm_array_of(m, xm_item(m, offsets, t), "<i8", n_parents + 1, -1);
        const int64_t *p = ends ? (const int64_t *)ends->data : NULL;
        if (!ends || p[0] != 0)
            return xm_wrong(m, "the offsets of its tree are broken");
        for (int64_t i = 0; i < n_parents; i++)
            if (p[i + 1] <= p[i])
                return xm_wrong(m, "the offsets of its tree are broken");
        if (!xm_read_level(m, xm_item(m, weights, t), ends, &m->levels[t]))
            return 0;
        n_parents = p[n_parents];
    }
    m->n_labels = n_parents;
    return xm_read_order(m, tree);
}

/* Names of labels: an array of strings with one for each label. */
static int xm_read_names(xmr_model *m, int32_t classes)
{
    const int32_t strings = xm_get(m, xm_resolve(m, classes), "strings");
    int64_t joined, ends;
    if (strings < 0)
        return 1; /* numbers, or objects that have no name here */
    joined = xm_integer(m, xm_item(m, strings, 2), 0, (int64_t)m->n_arrays - 1);
    ends = xm_integer(m, xm_item(m, strings, 3), 0, (int64_t)m->n_arrays - 1);
    if (joined < 0 || ends < 0 || memcmp(m->arrays[ends].dtype, "<i8", 3) ||
        memcmp(m->arrays[joined].dtype, "|u1", 3) || m->arrays[ends].n != m->n_labels + 1)
        return xm_wrong(m, "its names are broken");
    m->names = m->arrays[joined].data;
    m->name_ends = (const int64_t *)m->arrays[ends].data;
    return xm_rises(m, m->name_ends, m->n_labels + 1, m->arrays[joined].n, -1);
}

static int xm_read_classifier(xmr_model *m, int32_t node, int32_t names)
{
    static const char *combiners[] = {"sigmoid", "l1_hinge", "l2_hinge", "l3_hinge",
                                      "l4_hinge"};
    int32_t beam = xm_state(m, node, "beam_size");
    const int32_t post = xm_state(m, node, "post_processor");
    int32_t path = xm_state(m, node, "path_weight");
    const int32_t form = xm_state(m, node, "target_form_");
    if (!xm_is_object(m, node, "linear.XRLinearClassifier"))
        return xm_wrong(m, "only XRLinearClassifier is supported here");
    if (xm_kind_of(m, xm_state(m, node, "label_weight")) != XM_NULL)
        return xm_wrong(m, "label_weight is not supported here");
    m->combiner = xm_is_string(m, post, "noop") ? -1 : -2;
    for (int i = 0; i < 5; i++) {
        char logarithm[16];
        snprintf(logarithm, sizeof logarithm, "log_%s", combiners[i]);
        m->is_log |= xm_is_string(m, post, logarithm);
        if (xm_is_string(m, post, combiners[i]) || xm_is_string(m, post, logarithm))
            m->combiner = i;
    }
    if (xm_is_string(m, beam, "auto"))
        beam = xm_state(m, node, "beam_size_");
    if (path >= 0 && xm_is_string(m, path, "auto"))
        path = xm_state(m, node, "path_weight_");
    /* Files of 0.1 have no path_weight: 1. */
    m->path_weight = path < 0 ? 1.0f
        : xm_kind_of(m, path) == XM_NUMBER ? (float)m->json.nodes[path].number : -1.0f;
    m->beam_size = xm_kind_of(m, beam) == XM_NULL ? INT64_MAX
        : xm_integer(m, beam, 1, INT64_MAX / 2);
    if (m->combiner < -1 || m->beam_size < 1 || !(m->path_weight >= 0 && m->path_weight <= 1) ||
        !xm_read_tree(m, xm_state(m, node, "model_")))
        return xm_wrong(m, "its settings are broken");
    if (names >= 0)
        return xm_read_names(m, names);
    if (xm_kind_of(m, xm_state(m, form, "is_multilabel")) == XM_FALSE)
        return xm_read_names(m, xm_state(m, form, "classes"));
    return 1;
}

/* --- vectorizers --------------------------------------------------------------------------- */

static int xm_read_terms(xmr_model *m, int32_t node, xm_terms *terms)
{
    const int32_t arguments = xm_item(m, xm_get(m, xm_resolve(m, node), "object"), 2);
    const xm_array *bytes = xm_array_of(m, xm_item(m, arguments, 0), "|u1", -1, -1);
    const xm_array *offsets = xm_array_of(m, xm_item(m, arguments, 1), "<u4", -1, -1);
    const xm_array *slots = xm_array_of(m, xm_item(m, arguments, 2), "<u4", -1, -1);
    uint64_t bits = 1;
    if (!xm_is_object(m, node, "feature_extraction.TermTable") || !bytes || !offsets ||
        !slots || offsets->n < 1 || slots->n < offsets->n || (slots->n & (slots->n - 1)) ||
        slots->n > 0x80000000ll)
        return xm_wrong(m, "its vocabulary is broken");
    terms->bytes = bytes->data;
    terms->offsets = (const uint32_t *)offsets->data;
    terms->slots = (const uint32_t *)slots->data;
    terms->n = offsets->n - 1;
    terms->mask = (uint32_t)(slots->n - 1);
    while (bits - 1 < (uint64_t)terms->n)
        bits <<= 1;
    terms->number_bits = (uint32_t)(bits - 1);
    if (terms->offsets[0] || (int64_t)terms->offsets[terms->n] + XM_PADDING != bytes->n)
        return xm_wrong(m, "its vocabulary is broken");
    for (int64_t i = 0; i < terms->n; i++)
        if (terms->offsets[i] > terms->offsets[i + 1])
            return xm_wrong(m, "its vocabulary is broken");
    for (int64_t i = 0; i < slots->n; i++) {
        const uint32_t number = terms->slots[i] & terms->number_bits;
        if (number > terms->n || (!number && terms->slots[i]))
            return xm_wrong(m, "its vocabulary is broken");
    }
    return 1;
}

/* Shortest word and what is kept of one, of the patterns that Python's kernel knows too:
 * runs of \w, and how words begin. */
static int xm_read_pattern(xmr_model *m, int32_t node, xm_vectorizer *v)
{
    const char *p, *end;
    int edge = 0;
    long low = 0, high = 0;
    if (xm_kind_of(m, node) != XM_STRING)
        return xm_wrong(m, "its token pattern is not supported here");
    p = m->json.text + m->json.nodes[node].at;
    end = p + m->json.nodes[node].length;
    v->shortest = 0;
    v->longest = INT64_MAX;
    if (end - p >= 4 && memcmp(p, "(?u)", 4) == 0)
        p += 4;
    if (end - p >= 2 && memcmp(p, "\\b", 2) == 0)
        p += 2, edge = 1;
    for (; end - p >= 2 && memcmp(p, "\\w", 2) == 0; p += 2)
        v->shortest++;
    if (v->shortest == 1 && p < end && *p == '{') {
        char *after;
        low = high = strtol(p + 1, &after, 10);
        if (after < end && *after == ',') {
            high = after[1] == '}' ? 0 : strtol(after + 1, &after, 10);
            after += high == 0;
        }
        if (after >= end || *after != '}' || low < 1 || (high && (high < low || !edge)))
            return xm_wrong(m, "its token pattern is not supported here");
        p = after + 1;
        v->shortest = low;
        v->longest = high ? high : INT64_MAX;
    } else if (v->shortest >= 1 && p < end && *p == '+') {
        p++;
    } else {
        return xm_wrong(m, "its token pattern is not supported here");
    }
    if (edge && v->longest == INT64_MAX && end - p >= 2 && memcmp(p, "\\b", 2) == 0)
        p += 2;
    return p == end ? 1 : xm_wrong(m, "its token pattern is not supported here");
}

static int xm_read_idf(xmr_model *m, int32_t node, xm_vectorizer *v)
{
    const int32_t tfidf = xm_state(m, node, "_tfidf"), norm = xm_state(m, tfidf, "norm");
    const int32_t array = xm_get(m, xm_state(m, tfidf, "idf_"), "array");
    int64_t number;
    v->sublinear = xm_kind_of(m, xm_state(m, tfidf, "sublinear_tf")) == XM_TRUE;
    v->norm = xm_is_string(m, norm, "l2") ? 2 : xm_is_string(m, norm, "l1") ? 1 : 0;
    if (xm_kind_of(m, xm_state(m, tfidf, "use_idf")) != XM_TRUE)
        return 1;
    number = xm_integer(m, array, 0, (int64_t)m->n_arrays - 1);
    if (number < 0 || m->arrays[number].n != v->terms.n || m->arrays[number].n_dims != 1)
        return xm_wrong(m, "its inverse document frequencies are broken");
    if (memcmp(m->arrays[number].dtype, "<f8", 3) == 0)
        v->idf64 = (const double *)m->arrays[number].data;
    else if (memcmp(m->arrays[number].dtype, "<f4", 3) == 0)
        v->idf32 = (const float *)m->arrays[number].data;
    else
        return xm_wrong(m, "its inverse document frequencies are broken");
    return 1;
}

static int xm_read_vectorizer(xmr_model *m, int32_t node, xm_vectorizer *v)
{
    const int is_tfidf = xm_is_object(m, node, "feature_extraction.TfidfVectorizer");
    const int32_t range = xm_get(m, xm_state(m, node, "ngram_range"), "tuple");
    v->weight = 1;
    if (!is_tfidf && !xm_is_object(m, node, "feature_extraction.CountVectorizer"))
        return xm_wrong(m, "its vectorizer is not supported here");
    if (!xm_is_string(m, xm_state(m, node, "analyzer"), "word") ||
        xm_kind_of(m, xm_state(m, node, "stop_words")) != XM_NULL ||
        xm_kind_of(m, xm_state(m, node, "strip_accents")) != XM_NULL ||
        xm_kind_of(m, xm_state(m, node, "tokenizer")) != XM_NULL ||
        xm_kind_of(m, xm_state(m, node, "preprocessor")) != XM_NULL)
        return xm_wrong(m, "settings of its vectorizer are not supported here");
    v->lowercase = xm_kind_of(m, xm_state(m, node, "lowercase")) == XM_TRUE;
    v->binary = xm_kind_of(m, xm_state(m, node, "binary")) == XM_TRUE;
    v->min_n = xm_integer(m, xm_item(m, range, 0), 1, 100);
    v->max_n = xm_integer(m, xm_item(m, range, 1), 1, 100);
    if (v->min_n < 1 || v->max_n < v->min_n ||
        !xm_read_pattern(m, xm_state(m, node, "token_pattern"), v) ||
        !xm_read_terms(m, xm_state(m, node, "terms_"), &v->terms))
        return xm_wrong(m, "its vectorizer is broken");
    return is_tfidf ? xm_read_idf(m, node, v) : 1;
}

/* Weight of a part of a union: of {"dict": [[name, weight], ...]}, 1 by default. */
static int xm_read_weight(xmr_model *m, int32_t weights, int32_t name, xm_vectorizer *v)
{
    const int32_t pairs = xm_get(m, weights, "dict");
    if (xm_kind_of(m, pairs) != XM_LIST || xm_kind_of(m, name) != XM_STRING)
        return 1;
    for (int32_t p = m->json.nodes[pairs].first; p >= 0; p = m->json.nodes[p].next) {
        const int32_t key = xm_item(m, p, 0), value = xm_item(m, p, 1);
        const xm_node *a = &m->json.nodes[name], *b = &m->json.nodes[key < 0 ? 0 : key];
        if (b->kind == XM_STRING && a->length == b->length &&
            memcmp(m->json.text + a->at, m->json.text + b->at, (size_t)a->length) == 0) {
            if (xm_kind_of(m, value) != XM_NUMBER)
                return xm_wrong(m, "a weight of its union is no number");
            v->weight = (float)m->json.nodes[value].number;
        }
    }
    return 1;
}

static int xm_read_features(xmr_model *m, int32_t node)
{
    const int is_union = xm_is_object(m, node, "sklearn.FeatureUnion");
    const int32_t parts = is_union ? xm_state(m, node, "transformer_list") : -1;
    const int32_t weights = is_union ? xm_state(m, node, "transformer_weights") : -1;
    int64_t n_columns = 0;
    m->n_vectorizers = is_union && xm_kind_of(m, parts) == XM_LIST ? m->json.nodes[parts].n : 1;
    m->vectorizers =
        (xm_vectorizer *)calloc((size_t)m->n_vectorizers + 1, sizeof(xm_vectorizer));
    if (!m->vectorizers)
        return xm_wrong(m, "no memory for its vectorizers");
    for (int32_t i = 0; i < m->n_vectorizers; i++) {
        const int32_t part = is_union ? xm_get(m, xm_item(m, parts, i), "tuple") : -1;
        xm_vectorizer *v = &m->vectorizers[i];
        if (!xm_read_vectorizer(m, is_union ? xm_item(m, part, 1) : node, v) ||
            (is_union && !xm_read_weight(m, weights, xm_item(m, part, 0), v)))
            return 0;
        v->start = n_columns;
        n_columns += v->terms.n;
    }
    return n_columns == m->n_features
        ? 1 : xm_wrong(m, "its vectorizer has other features than its classifier");
}

static const uint32_t *xm_table(xmr_model *m, const char *name, int64_t *n)
{
    const int32_t tables = xm_get(m, 0, "characters"), place = xm_get(m, tables, name);
    const int64_t number = place < 0 ? -1 : xm_integer(m, place, 0, (int64_t)m->n_arrays - 1);
    *n = 0;
    if (number < 0 || memcmp(m->arrays[number].dtype, "<u4", 3) ||
        m->arrays[number].n_dims != 2 || m->arrays[number].shape[1] != 2)
        return NULL;
    *n = m->arrays[number].shape[0];
    return (const uint32_t *)m->arrays[number].data;
}

static int xm_read_characters(xmr_model *m)
{
    m->word_ranges = xm_table(m, "words", &m->n_word_ranges);
    m->lower_pairs = xm_table(m, "lower", &m->n_lower_pairs);
    m->cased = xm_table(m, "cased", &m->n_cased);
    m->ignorable = xm_table(m, "ignorable", &m->n_ignorable);
    return m->word_ranges && m->lower_pairs && m->cased && m->ignorable
        ? 1 : xm_wrong(m, "its tables of characters are missing");
}

static int xm_read_model(xmr_model *m)
{
    int32_t node = xm_get(m, 0, "model"), names = -1, steps, last;
    if (xm_is_object(m, node, "compose.LabelNamesClassifier")) {
        names = xm_state(m, xm_state(m, node, "binarizer_"), "classes_");
        node = xm_state(m, node, "estimator_");
    }
    if (!xm_is_object(m, node, "sklearn.Pipeline"))
        return xm_read_classifier(m, node, names);
    steps = xm_state(m, node, "steps");
    if (xm_kind_of(m, steps) != XM_LIST || m->json.nodes[steps].n < 1 ||
        m->json.nodes[steps].n > 2)
        return xm_wrong(m, "pipelines of more than a vectorizer and a classifier are not "
                           "supported here");
    last = m->json.nodes[steps].n - 1;
    if (!xm_read_classifier(m, xm_item(m, xm_get(m, xm_item(m, steps, last), "tuple"), 1),
                            names))
        return 0;
    if (last == 0)
        return 1;
    return xm_read_features(m, xm_item(m, xm_get(m, xm_item(m, steps, 0), "tuple"), 1)) &&
           xm_read_characters(m);
}

static void xm_say(char *error, size_t size, const char *path, const char *reason)
{
    if (error && size)
        snprintf(error, size, "%s%s%s", path, *path ? ": " : "", reason);
}

xmr_model *xmr_open(const char *path, int verify, char *error, size_t size)
{
    xmr_model *m = (xmr_model *)calloc(1, sizeof(xmr_model));
    const int file = open(path, O_RDONLY);
    struct stat status;
    void *content;
    if (!m || file < 0 || fstat(file, &status) || status.st_size <= 0) {
        xm_say(error, size, path, m && file < 0 ? strerror(errno) : "it is empty");
        if (file >= 0)
            close(file);
        free(m);
        return NULL;
    }
    m->size = (size_t)status.st_size;
    content = mmap(NULL, m->size, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (content == MAP_FAILED) {
        xm_say(error, size, path, strerror(errno));
        free(m);
        return NULL;
    }
    m->content = (const uint8_t *)content;
    if (!xm_read_header(m, verify) || !xm_read_model(m) || m->wrong) {
        xm_say(error, size, path, m->wrong ? m->wrong : "it is broken");
        xmr_close(m);
        return NULL;
    }
    return m;
}

void xmr_close(xmr_model *m)
{
    if (!m)
        return;
    munmap((void *)(uintptr_t)m->content, m->size);
    free(m->json.text);
    free(m->json.nodes);
    free(m->json.numbered);
    free(m->arrays);
    free(m->levels);
    free(m->vectorizers);
    free(m);
}

int64_t xmr_count_labels(const xmr_model *m) { return m->n_labels; }

int64_t xmr_count_features(const xmr_model *m) { return m->n_features; }

const char *xmr_label_name(const xmr_model *m, int64_t label, size_t *length)
{
    if (!m->names || label < 0 || label >= m->n_labels)
        return NULL;
    *length = (size_t)(m->name_ends[label + 1] - m->name_ends[label]);
    return (const char *)m->names + m->name_ends[label];
}

/* --- the search ---------------------------------------------------------------------------- */

typedef struct {
    float score;
    int64_t node;
} xm_candidate;

static int xm_worse(xm_candidate a, xm_candidate b)
{
    return a.score < b.score || (a.score == b.score && a.node > b.node);
}

/* Keep the `capacity` best: a heap with the worst on top. */
static void xm_offer(xm_candidate *heap, int64_t *n, int64_t capacity, xm_candidate new)
{
    int64_t at;
    if (*n < capacity) {
        for (at = (*n)++; at > 0 && xm_worse(new, heap[(at - 1) / 2]); at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = new;
    } else if (xm_worse(heap[0], new)) {
        for (at = 0; 2 * at + 1 < *n;) {
            int64_t child = 2 * at + 1;
            if (child + 1 < *n && xm_worse(heap[child + 1], heap[child]))
                child++;
            if (!xm_worse(heap[child], new))
                break;
            heap[at] = heap[child];
            at = child;
        }
        heap[at] = new;
    }
}

static int xm_best_first(const void *a, const void *b)
{
    const xm_candidate x = *(const xm_candidate *)a, y = *(const xm_candidate *)b;
    return xm_worse(x, y) ? 1 : xm_worse(y, x) ? -1 : 0;
}

/* Add x times a feature's weights to the scores of a chunk's nodes. A bucket holds the
 * number of its feature rows less one, the number of full ones, the low bits of their
 * features, their units less one, and the units. Nothing is read beyond the bucket. */
static void xm_add_feature(const xm_level *l, int64_t chunk, int32_t feature, float x,
                           int64_t width, float *scores)
{
    const uint32_t *bucket = l->buckets + chunk * (l->n_buckets + 1) + (feature >> l->shift);
    const uint8_t *at = l->packed + l->chunk_ptr[chunk] + bucket[0], *low, *counts, *units;
    const uint8_t *end = l->packed + l->chunk_ptr[chunk] + bucket[1];
    const int wide = l->shift > 8, unit = 1 + l->kind;
    const int32_t wanted = feature & ((1 << l->shift) - 1);
    int64_t n, n_full, before = 0;
    if (end - at < 2 + 2 * wide)
        return;
    n = (wide ? at[0] | at[1] << 8 : at[0]) + 1;
    n_full = wide ? at[2] | at[3] << 8 : at[1];
    low = at + 2 + 2 * wide;
    counts = low + (n << wide);
    units = counts + n;
    if (units > end)
        return;
    for (int64_t row = 0; row < n; row++) {
        const int64_t count = counts[row] + 1;
        const int32_t bits = wide ? low[2 * row] | low[2 * row + 1] << 8 : low[row];
        const uint8_t *here = units + before * unit;
        before += count;
        if (bits != wanted)
            continue;
        if (here + count * unit > end)
            return;
        if (row < n_full) {
            for (int64_t c = 0; c < width && (c + 1) * l->kind <= count * unit; c++)
                scores[c] += x * xm_value(here, l->kind, c);
        } else {
            for (int64_t e = 0; e < count; e++)
                scores[here[e]] += x * xm_value(here + count, l->kind, e);
        }
        return;
    }
}

/* log of sigmoid or of a hinge, or the margin itself. */
static float xm_log_score(float v, int combiner)
{
    const float slack = 1.0f - v > 0 ? 1.0f - v : 0.0f;
    float power = 1.0f;
    if (combiner < 0)
        return v;
    if (combiner == 0)
        return v > 0 ? -log1pf(expf(-v)) : v - log1pf(expf(v));
    for (int i = 0; i < combiner; i++)
        power *= slack;
    return -power;
}

static int xm_is_ready(const xmr_model *m, const int32_t *indices, const float *values,
                       int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (indices[i] < 0 || indices[i] >= m->n_features || !isfinite(values[i]))
            return 0;
    return 1;
}

/* Open the nodes of a beam: the best of their children into `heap`; how many. */
static int64_t xm_open(const xmr_model *m, int t, const xm_candidate *beam, int64_t n_beam,
                       const int32_t *indices, const float *values, int64_t n,
                       int64_t capacity, xm_candidate *heap)
{
    const xm_level *l = &m->levels[t];
    int64_t n_heap = 0;
    float weight = 1;
    for (int below = t; below < m->n_levels - 1; below++)
        weight *= m->path_weight;
    for (int64_t b = 0; b < n_beam; b++)
        for (int64_t chunk = l->parent_ptr[beam[b].node];
             chunk < l->parent_ptr[beam[b].node + 1]; chunk++) {
            float scores[XM_WIDTH] = {0};
            const int64_t first = l->child_ptr[chunk], width = l->child_ptr[chunk + 1] - first;
            for (int64_t i = 0; i < n; i++)
                xm_add_feature(l, chunk, indices[i], values[i], width, scores);
            for (int64_t c = 0; c < width; c++) {
                const float v = scores[c] * l->scale[first + c] + l->intercept[first + c];
                const float above = m->combiner < 0 ? 0.0f : beam[b].score;
                xm_candidate new = {above + weight * xm_log_score(v, m->combiner), first + c};
                if (t == m->n_levels - 1)
                    new.node = m->label_order[first + c];
                xm_offer(heap, &n_heap, capacity, new);
            }
        }
    return n_heap;
}

int64_t xmr_rank_row(const xmr_model *m, const int32_t *indices, const float *values,
                     int64_t n, int64_t k, xmr_ranked *best, char *error, size_t size)
{
    int64_t most = 1, n_beam = 1;
    xm_candidate *beam, *heap, *swap;
    if (k < 1 || n < 0 || !xm_is_ready(m, indices, values, n)) {
        xm_say(error, size, "", "k must be at least 1, and a row hold finite values of "
                                "features that the model has");
        return -1;
    }
    k = k < m->n_labels ? k : m->n_labels;
    for (int t = 0; t < m->n_levels; t++)
        most = m->levels[t].n_nodes > most ? m->levels[t].n_nodes : most;
    if (m->beam_size < most)
        most = m->beam_size > k ? m->beam_size : k;
    beam = (xm_candidate *)malloc((size_t)(most + 1) * sizeof(xm_candidate));
    heap = (xm_candidate *)malloc((size_t)(most + 1) * sizeof(xm_candidate));
    if (!beam || !heap) {
        free(beam);
        free(heap);
        xm_say(error, size, "", "no memory for the search");
        return -1;
    }
    beam[0].score = 0;
    beam[0].node = 0;
    for (int t = 0; t < m->n_levels; t++) {
        const int64_t capacity =
            t == m->n_levels - 1 ? k : m->beam_size < most ? m->beam_size : most;
        n_beam = xm_open(m, t, beam, n_beam, indices, values, n, capacity, heap);
        swap = beam;
        beam = heap;
        heap = swap;
    }
    qsort(beam, (size_t)n_beam, sizeof(xm_candidate), xm_best_first);
    for (int64_t i = 0; i < n_beam; i++) {
        best[i].label = beam[i].node;
        best[i].score = m->combiner < 0 || m->is_log ? beam[i].score : expf(beam[i].score);
    }
    free(beam);
    free(heap);
    return n_beam;
}

/* --- texts --------------------------------------------------------------------------------- */

/* Whether a code is in one of the ascending ranges. */
static int xm_in_ranges(const uint32_t *ranges, int64_t n, uint32_t c)
{
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (ranges[2 * middle + 1] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && ranges[2 * low] <= c;
}

static int xm_is_word(const xmr_model *m, uint32_t c)
{
    if (c < 128)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    return xm_in_ranges(m->word_ranges, m->n_word_ranges, c);
}

/* Lower case of all characters but U+0130 and U+03A3, which need their neighbours. */
static uint32_t xm_lower(const xmr_model *m, uint32_t c)
{
    int64_t low = 0, high = m->n_lower_pairs;
    if (c < 128)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (m->lower_pairs[2 * middle] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->n_lower_pairs && m->lower_pairs[2 * low] == c ? m->lower_pairs[2 * low + 1]
                                                                  : c;
}

/* The next character of UTF-8; wrong bytes are U+FFFD each. */
static uint32_t xm_next(const uint8_t *text, size_t length, size_t *at)
{
    const uint8_t first = text[(*at)++];
    const int more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2
        : first >> 3 == 30 ? 3 : -1;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t c = more < 1 ? first : first & (0x3f >> more);
    if (more < 0 || *at + (size_t)more > length)
        return 0xfffd;
    for (int i = 0; i < more; i++) {
        if (text[*at + (size_t)i] >> 6 != 2)
            return 0xfffd;
        c = c << 6 | (text[*at + (size_t)i] & 0x3f);
    }
    if (c < least[more] || c > 0x10ffff)
        return 0xfffd;
    *at += (size_t)more;
    return c;
}

/* Whether the sigma at a place ends a word: a cased character before it and none after,
 * those that do not count left out. */
static int xm_is_final(const xmr_model *m, const uint32_t *c, int64_t n, int64_t at)
{
    int64_t i = at - 1;
    while (i >= 0 && xm_in_ranges(m->ignorable, m->n_ignorable, c[i]))
        i--;
    if (i < 0 || !xm_in_ranges(m->cased, m->n_cased, c[i]))
        return 0;
    for (i = at + 1; i < n && xm_in_ranges(m->ignorable, m->n_ignorable, c[i]); i++)
        ;
    return i == n || !xm_in_ranges(m->cased, m->n_cased, c[i]);
}

/* A text as characters, in lower case if wanted; how many, or -1 without memory. */
static int64_t xm_decode(const xmr_model *m, const char *text, size_t length, int lowercase,
                         uint32_t **characters)
{
    uint32_t *raw = (uint32_t *)malloc((length + 1) * sizeof(uint32_t));
    uint32_t *out = (uint32_t *)malloc((2 * length + 2) * sizeof(uint32_t));
    int64_t n = 0, written = 0;
    if (!raw || !out) {
        free(raw);
        free(out);
        return -1;
    }
    for (size_t at = 0; at < length;)
        raw[n++] = xm_next((const uint8_t *)text, length, &at);
    for (int64_t i = 0; i < n; i++) {
        if (!lowercase) {
            out[written++] = raw[i];
        } else if (raw[i] == 0x130) {
            out[written++] = 'i';
            out[written++] = 0x307;
        } else if (raw[i] == 0x3a3) {
            out[written++] = xm_is_final(m, raw, n, i) ? 0x3c2 : 0x3c3;
        } else {
            out[written++] = xm_lower(m, raw[i]);
        }
    }
    free(raw);
    *characters = out;
    return written;
}

static uint64_t xm_load(const uint8_t *p, int64_t n)
{
    uint64_t value = 0;
    for (int64_t i = (n < 8 ? n : 8) - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static uint64_t xm_mix(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t xm_hash(const uint8_t *p, int64_t n)
{
    uint64_t h = 0x243f6a8885a308d3ull ^ (uint64_t)n;
    for (; n >= 8; p += 8, n -= 8)
        h = xm_mix(h ^ xm_load(p, 8), 0x13198a2e03707345ull);
    h = xm_mix(h ^ xm_load(p, n), 0xa4093822299f31d1ull);
    return (uint32_t)xm_mix(h ^ 0x082efa98ec4e6c89ull, 0x452821e638d01377ull);
}

/* Number of a term, or -1. */
static int64_t xm_find(const xm_terms *terms, const uint8_t *p, int64_t n)
{
    const uint32_t hash = xm_hash(p, n);
    uint32_t at = hash & terms->mask;
    for (uint64_t tried = 0; tried <= terms->mask; tried++, at = (at + 1) & terms->mask) {
        const uint32_t slot = terms->slots[at];
        if (!slot)
            return -1;
        if (((slot ^ hash) & ~terms->number_bits) == 0) {
            const uint32_t number = (slot & terms->number_bits) - 1;
            const uint32_t start = terms->offsets[number];
            if (terms->offsets[number + 1] - start == n &&
                memcmp(terms->bytes + start, p, (size_t)n) == 0)
                return number;
        }
    }
    return -1;
}

static int xm_ascending(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

typedef struct {
    char *bytes;     /* words, a blank behind each */
    int64_t *spans;  /* start and end of each word */
    int64_t n_words;
    int32_t *found;  /* columns of all terms */
    int64_t n_found;
} xm_words;

static int xm_read_words(const xmr_model *m, const xm_vectorizer *v, const uint32_t *c,
                         int64_t n, xm_words *w)
{
    char *at;
    w->bytes = (char *)malloc((size_t)(5 * n + XM_PADDING + 1));
    w->spans = (int64_t *)malloc((size_t)(2 * n + 2) * sizeof(int64_t));
    if (!w->bytes || !w->spans)
        return 0;
    at = w->bytes;
    for (int64_t i = 0; i < n;) {
        char *start = at;
        const int64_t first = i;
        if (!xm_is_word(m, c[i])) {
            i++;
            continue;
        }
        for (; i < n && xm_is_word(m, c[i]); i++)
            if (i - first < v->longest)
                at = xm_put_utf8(at, c[i]);
        if (i - first < v->shortest) {
            at = start;
            continue;
        }
        w->spans[2 * w->n_words] = start - w->bytes;
        w->spans[2 * w->n_words++ + 1] = at - w->bytes;
        *at++ = ' ';
    }
    return 1;
}

static int xm_find_ngrams(const xm_vectorizer *v, xm_words *w)
{
    const int64_t most = w->n_words * (v->max_n - v->min_n + 1);
    w->found = (int32_t *)malloc((size_t)(most + 1) * sizeof(int32_t));
    if (!w->found)
        return 0;
    for (int64_t n = v->min_n; n <= v->max_n && n <= w->n_words; n++)
        for (int64_t i = 0; i + n <= w->n_words; i++) {
            const int64_t start = w->spans[2 * i], end = w->spans[2 * (i + n - 1) + 1];
            const int64_t number =
                xm_find(&v->terms, (const uint8_t *)w->bytes + start, end - start);
            if (number >= 0)
                w->found[w->n_found++] = (int32_t)number;
        }
    qsort(w->found, (size_t)w->n_found, sizeof(int32_t), xm_ascending);
    return 1;
}

/* Count, weigh and scale the terms; how many columns there are. */
static int64_t xm_weigh(const xm_vectorizer *v, const xm_words *w, int32_t *indices,
                        float *values, double *exact)
{
    double total = 0;
    int64_t n = 0;
    for (int64_t i = 0, same; i < w->n_found; i += same, n++) {
        for (same = 1; i + same < w->n_found && w->found[i + same] == w->found[i]; same++)
            ;
        exact[n] = v->binary ? 1 : (double)same;
        exact[n] = v->sublinear ? log(exact[n]) + 1 : exact[n];
        exact[n] *= v->idf64 ? v->idf64[w->found[i]] : v->idf32 ? v->idf32[w->found[i]] : 1;
        total += v->norm == 2 ? exact[n] * exact[n] : fabs(exact[n]);
        indices[n] = (int32_t)(v->start + w->found[i]);
    }
    total = v->norm == 2 ? sqrt(total) : v->norm == 1 ? total : 1;
    for (int64_t i = 0; i < n; i++)
        values[i] = (float)(total != 0 ? exact[i] / total : exact[i]) * v->weight;
    return n;
}

/* Columns and values of a text for one vectorizer, appended to a row; -1 without memory. */
static int64_t xm_vectorize(const xmr_model *m, const xm_vectorizer *v, const char *text,
                            size_t length, int32_t **indices, float **values, int64_t n)
{
    uint32_t *characters = NULL;
    const int64_t n_characters = xm_decode(m, text, length, v->lowercase, &characters);
    xm_words words = {NULL, NULL, 0, NULL, 0};
    int64_t added = -1;
    if (n_characters >= 0 && xm_read_words(m, v, characters, n_characters, &words) &&
        xm_find_ngrams(v, &words)) {
        const size_t room = (size_t)(n + words.n_found + 1);
        int32_t *more = (int32_t *)realloc(*indices, room * sizeof(int32_t));
        float *larger = more ? (float *)realloc(*values, room * sizeof(float)) : NULL;
        double *exact = (double *)malloc(room * sizeof(double));
        *indices = more ? more : *indices;
        *values = larger ? larger : *values;
        if (more && larger && exact)
            added = xm_weigh(v, &words, more + n, larger + n, exact);
        free(exact);
    }
    free(characters);
    free(words.bytes);
    free(words.spans);
    free(words.found);
    return added;
}

int64_t xmr_rank_text(const xmr_model *m, const char *text, size_t length, int64_t k,
                      xmr_ranked *best, char *error, size_t size)
{
    int32_t *indices = NULL;
    float *values = NULL;
    int64_t n = 0, added = 0, found = -1;
    if (!m->n_vectorizers) {
        xm_say(error, size, "", "the model has no vectorizer: give it rows");
        return -1;
    }
    for (int32_t i = 0; i < m->n_vectorizers && added >= 0; i++) {
        added = xm_vectorize(m, &m->vectorizers[i], text, length, &indices, &values, n);
        n += added > 0 ? added : 0;
    }
    if (added < 0)
        xm_say(error, size, "", "no memory for the text");
    else
        found = xmr_rank_row(m, indices, values, n, k, best, error, size);
    free(indices);
    free(values);
    return found;
}

#endif /* XMR_MODEL_IMPLEMENTATION */
