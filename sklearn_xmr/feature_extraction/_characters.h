/* Characters as Python has them: which are part of a word, which are white space, and
 * their lower case. The functions of Python that are asked need no interpreter lock.
 *
 * Lower case is one character for one here. Python's str.lower differs for two
 * characters only, U+0130 and U+03A3 (final sigma); texts with these are lowered by
 * Python itself (see _analyzer.pyx). */
#ifndef XMR_CHARACTERS_H
#define XMR_CHARACTERS_H

#include <Python.h>
#include <stdint.h>

enum { XMR_N_TABLED = 0x3000, XMR_CODE = 0x1fffff };  /* alphabets lie below */
#define XMR_WORD (1u << 30)   /* matches \w */
#define XMR_SPACE (1u << 31)  /* matches \s */

static uint32_t xmr_characters[XMR_N_TABLED];

/* The lower case of a character, with the flags of the character itself. */
static uint32_t xmr_describe(uint32_t c)
{
    uint32_t lower = (uint32_t)Py_UNICODE_TOLOWER(c);
    uint32_t word = (Py_UNICODE_ISALNUM(c) || c == '_') ? XMR_WORD : 0;
    uint32_t space = Py_UNICODE_ISSPACE(c) ? XMR_SPACE : 0;
    return lower | word | space;
}

static void xmr_fill_characters(void)
{
    for (uint32_t c = 0; c < XMR_N_TABLED; c++)
        xmr_characters[c] = xmr_describe(c);
}

static inline uint32_t xmr_character(uint32_t c)
{
    return c < XMR_N_TABLED ? xmr_characters[c] : xmr_describe(c);
}

/* Append a character as UTF-8, surrogates too; the place behind it. The order of the
 * bytes is the order of the characters. */
static inline uint8_t *xmr_put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (uint8_t)c;
    } else if (c < 0x800) {
        *out++ = (uint8_t)(0xc0 | c >> 6);
        *out++ = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (uint8_t)(0xe0 | c >> 12);
        *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        *out++ = (uint8_t)(0xf0 | c >> 18);
        *out++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (c & 0x3f));
    }
    return out;
}

#endif
