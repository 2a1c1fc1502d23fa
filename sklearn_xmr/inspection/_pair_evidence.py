"""What tells the labels that an instance has from those that it does not have.

Numbers about pairs of instance and label, from held-out scores and from the labels of
*other groups of instances*. Counts over all instances but the pair's own would give the
answer away: a label of 100 instances has 99 others where the pair is given, and 100
where it is not.
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from sklearn_xmr.utils._matrices import flat_keys
from sklearn_xmr.utils._ranges import ranges
from sklearn_xmr.utils._rankings import rows_of_pairs, topk_of_csr, values_at
from sklearn_xmr.utils._seeding import draw_seed

N_GROUPS = 5  # of instances; what one is told is from the others
BLOCK = 1 << 22  # pairs, times labels of their instances, that are looked at together
MOST_RANKS = 100  # all further ones count as the hundred-and-first
# All pairs and 150 trees find 0.5 points more of Tate's dropped labels, in twice the
# time.
TRAINING_PAIRS = 100_000
N_TREES = 60


class PairEvidence:
    """Features of pairs, of which a classifier learns which are given.

    Parameters
    ----------
    Y : csr_matrix of float32 of shape (n_samples, n_labels)
        Canonical label indicator.
    scores : HeldOutScores
        Of the same shape.
    rng : RandomState
        Draws the groups of instances.
    """

    def __init__(self, Y, scores, rng):
        self.Y, self.scores, self.rng = Y, scores, rng
        self.group = rng.permutation(Y.shape[0]) % N_GROUPS
        self.best = _largest_scores(scores.retrieved)
        self.retrieved_sum = _row_sums(scores.retrieved)
        self.given_sum = _row_sums(scores.given)
        rows = rows_of_pairs(Y)
        places = self.group[rows] * np.int64(Y.shape[1]) + Y.indices
        counts = np.bincount(places, minlength=N_GROUPS * Y.shape[1])
        counts = counts.reshape(N_GROUPS, Y.shape[1])
        self.counts = counts.sum(axis=0) - counts
        self.together = (Y.T @ Y).tocsr()

    def probabilities(self, given, others, asked, *, swapped=False):
        """How probable it is that pairs are such as these rather than such as those.

        Instances are judged by what the pairs of other instances show.

        Parameters
        ----------
        given, others, asked : csr_matrix of float32
            Scores of pairs that are given, of others, and of those to judge.
        swapped : bool, default=False
            Whether each of the others stands for a given label of its instance, which
            then counts as not given: as a wrong label stands for a right one.

        Returns
        -------
        ndarray of float64 of shape (asked.nnz,)
        """
        left_out = self._left_out(others) if swapped else None
        features = [self.features(given), self.features(others, left_out)]
        groups = [self.group[rows_of_pairs(pairs)] for pairs in (given, others)]
        is_given = np.repeat([True, False], [len(group) for group in groups])
        features, groups = np.concatenate(features), np.concatenate(groups)
        wanted = self.features(asked)
        half = self.group[rows_of_pairs(asked)] % 2
        out = np.zeros(asked.nnz)
        for side in (0, 1):
            rest = np.flatnonzero(groups % 2 != side)
            judge = _Judge(features[rest], is_given[rest], self.rng)
            out[half == side] = judge(wanted[half == side])
        return out

    def _left_out(self, pairs):
        """Place in Y of a given label of each pair's row, drawn at random."""
        rows = rows_of_pairs(pairs)
        sizes = np.diff(self.Y.indptr)[rows]
        return self.Y.indptr[rows] + self.rng.randint(0, np.maximum(sizes, 1))

    def features(self, pairs, left_out=None):
        """Numbers about pairs.

        Parameters
        ----------
        pairs : csr_matrix of float32 of shape (n_samples, n_labels)
            Canonical; held-out scores.
        left_out : ndarray of int of shape (pairs.nnz,), default=None
            Place in Y of a label of each pair's row that counts as not given.

        Returns
        -------
        ndarray of float32 of shape (pairs.nnz, 7)
            The score, its rank in its row, the scores of the row's other retrieved and
            other given labels, the number of the latter, how frequent the label is, and
            in which share of the instances of one of them the label occurs, at most.
            The mean over them, or against chance, is misled by one wrong label.
        """
        rows, labels, scores = rows_of_pairs(pairs), pairs.indices, pairs.data
        own = values_at(self.Y, pairs)
        n_others = np.diff(self.Y.indptr)[rows] - own
        given = self.given_sum[rows] - own * scores
        if left_out is not None:
            n_others, given = n_others - 1, given - self.scores.given.data[left_out]
        retrieved = self.retrieved_sum[rows] - values_at(self.scores.retrieved, pairs)
        parts = [
            scores,
            self._ranks(rows, scores),
            retrieved,
            given / (n_others + 1),
            n_others,
            self.counts[self.group[rows], labels],
            self._company(rows, labels, left_out),
        ]
        return np.column_stack(parts).astype(np.float32)

    def _ranks(self, rows, scores):
        """Number of retrieved labels of the row with a larger score."""
        out, step = np.empty(len(rows)), max(1, BLOCK // self.best.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            out[part] = (self.best[rows[part]] > scores[part, None]).sum(axis=1)
        return out

    def _company(self, rows, labels, left_out):
        """Largest share of another label's instances that have a label, elsewhere."""
        out = np.zeros(len(rows))
        for number in range(N_GROUPS):
            own = self.Y[self.group == number]
            together = (self.together - own.T @ own).tocsr()
            together.sort_indices()
            asked = np.flatnonzero(self.group[rows] == number)
            steps = np.cumsum(np.diff(self.Y.indptr)[rows[asked]]) // BLOCK
            for block in np.split(asked, np.flatnonzero(np.diff(steps)) + 1):
                without = None if left_out is None else left_out[block]
                pair, others = self._others(rows[block], labels[block], without)
                both = _values(together, others, labels[block][pair])
                share = both / (self.counts[number][others] + 1)
                np.maximum.at(out, block[pair], share)
        return out

    def _others(self, rows, labels, left_out):
        """The other given labels of the row of each pair, and which pair it is."""
        sizes = np.diff(self.Y.indptr)[rows]
        places = ranges(self.Y.indptr[rows], sizes)
        pair = np.repeat(np.arange(len(rows)), sizes)
        counts = self.Y.indices[places] != labels[pair]
        if left_out is not None:
            counts &= places != left_out[pair]
        return pair[counts], self.Y.indices[places[counts]]


class _Judge:
    """A classifier of pairs, or a constant where there is nothing to learn."""

    def __init__(self, features, is_given, rng):
        self.share = float(is_given.mean()) if len(features) else 0.0
        self.model = None
        if 0 < self.share < 1:
            chosen = rng.permutation(len(features))[:TRAINING_PAIRS]
            self.model = HistGradientBoostingClassifier(
                max_iter=N_TREES,
                l2_regularization=10.0,
                early_stopping=False,
                random_state=draw_seed(rng),
            )
            self.model.fit(features[chosen], is_given[chosen])

    def __call__(self, features):
        if self.model is None or not len(features):
            return np.full(len(features), self.share)
        return self.model.predict_proba(features)[:, -1]


def _row_sums(matrix):
    return np.bincount(rows_of_pairs(matrix), matrix.data, matrix.shape[0])


def _largest_scores(matrix):
    """The largest scores of each row, best first; -inf where there are fewer."""
    most = int(np.diff(matrix.indptr).max(initial=1))
    return topk_of_csr(matrix, min(most, MOST_RANKS))[1]


def _values(matrix, rows, columns):
    """Values of a canonical CSR matrix at places, 0 where it stores none."""
    keys, wanted = flat_keys(matrix), rows * np.int64(matrix.shape[1]) + columns
    if not len(keys):
        return np.zeros(len(wanted))
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, matrix.data[places], 0.0)
