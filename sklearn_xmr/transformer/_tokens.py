"""Texts tokenised once into compact arrays, and batches of similar length."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from sklearn_xmr.utils._ranges import pointers
from sklearn_xmr.utils._whole_file import whole_file

TEXTS_AT_ONCE = 8192
WINDOW = 64  # batches among which texts are sorted by length


@dataclass
class TokenizedTexts:
    """Token numbers of all texts, one after another: four bytes a token.

    Parameters
    ----------
    ids : ndarray of int32 of shape (n_tokens,)
        May be memory-mapped.
    offsets : ndarray of int64 of shape (n_texts + 1,)
        Where the tokens of each text begin; the number of all tokens at the end.
    """

    ids: np.ndarray
    offsets: np.ndarray

    @classmethod
    def tokenize(cls, tokenizer, texts, max_length, path=None):
        """Truncated to ``max_length`` tokens, with the tokenizer's special tokens.

        Tokens are written to a file and memory-mapped where a path is given.
        """
        if path is not None:
            with whole_file(path) as file:
                parts = cls._parts(tokenizer, texts, max_length)
                lengths = [_written(file, *part) for part in parts]
            return cls.load(path, _offsets(lengths))
        parts = list(cls._parts(tokenizer, texts, max_length))
        ids = np.concatenate([flat for flat, _ in parts])
        return cls(ids, _offsets([lengths for _, lengths in parts]))

    @staticmethod
    def _parts(tokenizer, texts, max_length):
        """Tokens of some thousand texts after another, and how many each text has."""
        for first in range(0, len(texts), TEXTS_AT_ONCE):
            some = tokenizer(
                [_well_formed(text) for text in texts[first : first + TEXTS_AT_ONCE]],
                truncation=True,
                max_length=max_length,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
            )["input_ids"]
            flat = np.fromiter(chain.from_iterable(some), dtype=np.int32)
            yield flat, [len(ids) for ids in some]

    @classmethod
    def load(cls, path, offsets):
        """Memory-mapped tokens of a file."""
        if offsets[-1] == 0:  # an empty file cannot be mapped
            return cls(np.zeros(0, dtype=np.int32), offsets)
        return cls(np.memmap(path, dtype=np.int32, mode="r"), offsets)

    def __len__(self):
        return len(self.offsets) - 1

    def is_whole(self):
        """Whether there are as many tokens as the offsets say (bool)."""
        return len(self.ids) == self.offsets[-1]

    @property
    def lengths(self):
        """Tokens of each text (ndarray of int64)."""
        return np.diff(self.offsets)

    def padded(self, rows, pad):
        """Token numbers and mask of some texts, padded to the longest of them.

        Returns
        -------
        ids, mask : ndarray of int64 of shape (len(rows), longest)
            A text without any token keeps one padding token unmasked: attention over
            nothing has no value.
        """
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        width = max(int(lengths.max(initial=0)), 1)
        mask = np.arange(width) < np.maximum(lengths, 1)[:, None]
        ids = np.full(mask.shape, pad, dtype=np.int64)
        for place, row in enumerate(rows):
            ids[place, : lengths[place]] = self.ids[self.offsets[row] :][
                : lengths[place]
            ]
        return ids, mask.astype(np.int64)


def _written(file, flat, lengths):
    """Write tokens; how many each text has, as it was given."""
    file.write(memoryview(flat))
    return lengths


def _offsets(lengths):
    """Where each text begins, from lists of lengths."""
    return pointers(np.fromiter(chain.from_iterable(lengths), dtype=np.int64))


def _well_formed(text):
    """The text with U+FFFD for lone surrogates, which tokenizers refuse."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def batches_by_length(lengths, most_rows, most_tokens):
    """All rows, longest first, in batches with little padding.

    Parameters
    ----------
    lengths : ndarray of int
        Tokens of each row.
    most_rows, most_tokens : int
        Maximum number of rows, and of padded tokens, in a batch of several rows.

    Returns
    -------
    list of ndarray of int
    """
    order = np.argsort(-lengths, kind="stable")
    batches, first = [], 0
    while first < len(order):
        longest = max(int(lengths[order[first]]), 1)
        last = first + max(1, min(most_rows, most_tokens // longest))
        batches.append(order[first:last])
        first = last
    return batches


def shuffled_batches(lengths, batch_size, rng):
    """Batches of random rows, of similar length within windows of 64 batches.

    Sorting all rows by length would show the model short texts together; within
    windows the order stays nearly random and batches are nearly without padding.

    Parameters
    ----------
    lengths : ndarray of int
        Tokens of each row.
    batch_size : int
        Rows in a batch.
    rng : RandomState
        Draws the order.

    Returns
    -------
    list of ndarray of int
    """
    order = rng.permutation(len(lengths))
    batches = []
    for first in range(0, len(order), WINDOW * batch_size):
        window = order[first : first + WINDOW * batch_size]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [
            window[i : i + batch_size] for i in range(0, len(window), batch_size)
        ]
    return [batches[i] for i in rng.permutation(len(batches))]
