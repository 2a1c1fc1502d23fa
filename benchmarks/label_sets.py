"""Label sets with a guarantee, over 100 random splits of each data set.

    python benchmarks/label_sets.py ../shared/data/tate-subjects

The model is fitted once, on the training rows, and ranks the test rows once. Each split
draws other calibration rows among these; the sets are evaluated on other test rows.
Prints for each level the mean risk and its standard error, how large sets are, and the
same of plain thresholds: 0.5, that of the best F1, and that which has the wanted risk
on the training rows. A level that is out of reach is printed as the level that is had.
"""

import argparse
from pathlib import Path

import numpy as np
from compare_peers import load_folder

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.compose._risk_control import RankedTruth, confidence_threshold
from sklearn_xmr.metrics import frequency_breakdown
from sklearn_xmr.utils._indicator import frequency_groups

ALPHAS = (0.1, 0.2, 0.3)
MORE_ALPHAS = (0.4, 0.5)  # for sets whose beam does not reach those for recall
BOUNDS = (10, 100)
BANDS = ("below 10", "10 to 99", "100 and more")
N_CALIBRATION, N_EVALUATION = 2000, 3000
DELTA = 0.05
SHALLOW = 100  # labels of sets with few wrong ones, which are small


def ranked_truth(model, X, Y, depth):
    """What the model retrieves for some rows, beside their labels."""
    return RankedTruth.of(*model.predict_topk(X, k=depth), Y.tocsr())


def at_thresholds(ranked, thresholds, bands):
    """Of a part: the losses in each band of labels, and the size of sets."""
    inside = ranked.labels >= 0
    inside &= ranked.scores >= thresholds[bands[ranked.labels]]
    hits, found = ranked.hits & inside, []
    for band in range(len(thresholds)):
        member = bands == band
        n_true = ranked.truth @ member.astype(int)
        right = (hits & member[ranked.labels]).sum(axis=1)
        size = (inside & member[ranked.labels]).sum(axis=1)
        has = n_true > 0
        missed = 1 - (right[has] / n_true[has]).mean()
        wrong = ((size - right) / np.maximum(size, 1)).mean()
        found.append((missed, wrong))
    sizes = inside.sum(axis=1)
    return np.array(found), sizes.mean(), np.median(sizes), (sizes > 0).mean()


def best(ranked, k):
    """The same of the k best labels."""
    parts = (part[:, :k] for part in (ranked.labels, ranked.scores, ranked.hits))
    return RankedTruth(*parts, ranked.truth)


class Splits:
    """Calibration and evaluation parts of random rows, drawn each time anew."""

    def __init__(self, ranked, n_splits):
        self.ranked, self.n_splits = ranked, n_splits

    def __iter__(self):
        n_rows = len(self.ranked.labels)
        n_calibration = min(N_CALIBRATION, n_rows // 3)
        for seed in range(self.n_splits):
            order = np.random.RandomState(seed).permutation(n_rows)
            for_sets, rest = np.split(order, [n_calibration])
            rows = np.sort(rest[:N_EVALUATION])
            yield self.ranked.rows(np.sort(for_sets)), self.ranked.rows(rows)


def mean_and_error(values):
    """Mean and standard error over splits, as text."""
    values = np.asarray(values, dtype=float)
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0
    return f"{values.mean():.4f} ± {error:.4f}", values.mean(), error


def controlled(parts, risk, alpha, bands, n_bands):
    """Rows of the table: of each band the level that was had, and what came out."""
    losses, levels, sizes = [], [], []
    for calibration, evaluation in parts:
        found = calibration.thresholds(risk, alpha, bands, n_bands)
        thresholds = np.array([threshold.score for threshold in found])
        loss, *size = at_thresholds(evaluation, thresholds, bands)
        losses.append(loss[:, 0 if risk == "recall" else 1])
        levels.append([threshold.level for threshold in found])
        sizes.append(size)
    for band in range(n_bands):
        text, mean, error = mean_and_error([loss[band] for loss in losses])
        had = [level[band] for level in levels]
        reached = np.mean(np.array(had) <= alpha)
        level = f"{alpha}" if reached == 1 else f"{np.mean(had):.3f}"
        holds = "yes" if mean <= np.mean(had) + 2 * error else "NO"
        size = np.mean(sizes, axis=0)
        name = "all" if n_bands == 1 else BANDS[band]
        print(
            f"| {risk} | {name} | {alpha} | {level} ({reached:.0%}) | {text} | {holds} "
            f"| {size[0]:.1f}, {size[1]:.0f} | {size[2]:.2f} |",
            flush=True,
        )


def best_f1(ranked):
    """The threshold of the best micro-averaged F1."""
    order = np.argsort(-ranked.scores, axis=None)
    hits = np.cumsum(ranked.hits.ravel()[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + ranked.truth.nnz)
    return ranked.scores.ravel()[order][f1.argmax()]


def plain(parts, name, threshold_of):
    """A row of the table of plain thresholds."""
    all_labels, results = None, []
    for calibration, evaluation in parts:
        if all_labels is None:
            all_labels = np.zeros(evaluation.truth.shape[1], dtype=int)
        threshold = np.array([threshold_of(calibration)])
        loss, *size = at_thresholds(evaluation, threshold, all_labels)
        results.append((*loss[0], *size))
    missed, wrong = (mean_and_error([r[i] for r in results])[0] for i in (0, 1))
    size = np.mean([r[2:] for r in results], axis=0)
    print(f"| {name} | {missed} | {wrong} | {size[0]:.1f}, {size[1]:.0f} |", flush=True)


def doubtful(parts, precision):
    """A row of the table of abstention."""
    right, coverage = [], []
    for calibration, evaluation in parts:
        given = calibration.scores[:, 0], calibration.hits[:, 0]
        threshold = confidence_threshold(*given, precision, DELTA)
        answered = evaluation.scores[:, 0] > threshold
        coverage.append(answered.mean())
        if answered.any():
            right.append(evaluation.hits[answered, 0].mean())
    shown = "-, none answered"
    if right:
        missed = np.mean(np.array(right) < precision)
        shown = f"{np.mean(right):.4f}, {np.min(right):.4f} | {missed:.0%}"
    print(f"| {precision} | {np.mean(coverage):.3f} | {shown} |", flush=True)


def report(folder, args):
    """Fit, rank, and print the tables of a data set."""
    (X, Y), (X_test, Y_test) = load_folder(folder)
    model = XRLinearClassifier(beam_size=args.beam_size, random_state=0).fit(X, Y)
    rng = np.random.RandomState(0)
    rows = np.sort(rng.permutation(X_test.shape[0])[: args.rows])
    some = np.sort(rng.permutation(X.shape[0])[:N_EVALUATION])
    ranked = ranked_truth(model, X_test[rows], Y_test[rows], args.depth)
    seen = ranked_truth(model, X[some], Y[some], args.depth)
    bands = frequency_groups(np.bincount(Y.indices, minlength=Y.shape[1]), BOUNDS)
    one = np.zeros_like(bands)
    print(f"\n### {folder.name}: {len(rows)} test rows, the best {args.depth} labels\n")
    retrieved = frequency_breakdown(
        ranked.truth, (ranked.labels, ranked.scores), Y, args.depth, bounds=BOUNDS
    )
    print("retrieved share of true labels:", retrieved["recall"].round(3))
    print("true pairs by band:", retrieved["n_true"])
    print(
        "\n| risk | labels | alpha | level had (splits at alpha) | mean risk |", end=""
    )
    print(" holds | labels in a set, median | sets not empty |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    of_risk = {
        "recall": Splits(ranked, args.splits),
        "false_discovery": Splits(best(ranked, SHALLOW), args.splits),
    }
    for risk, parts in of_risk.items():
        for alpha in ALPHAS + (MORE_ALPHAS if risk == "recall" else ()):
            controlled(parts, risk, alpha, one, 1)
    for risk, parts in of_risk.items():
        for alpha in ALPHAS:
            controlled(parts, risk, alpha, bands, len(BANDS))
    parts = of_risk["false_discovery"]
    print("\n| threshold | missed | wrong | labels in a set, median |")
    print("| --- | --- | --- | --- |")
    plain(parts, "0.5", lambda part: 0.5)
    plain(parts, "best F1 of the held-out part", best_f1)
    for alpha in ALPHAS:
        for risk in ("recall", "false_discovery"):
            (found,) = seen.thresholds(risk, alpha, one, 1)
            name = f"{risk} {alpha} on training rows"
            plain(parts, name, lambda part, score=found.score: score)
    print("\n| wanted precision | answered | precision@1, least | splits below |")
    print("| --- | --- | --- | --- |")
    for precision in (0.6, 0.7, 0.8, 0.85, 0.9):
        doubtful(parts, precision)


def main():
    """Parse the arguments, and report on each folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--depth", type=int, default=1000, help="labels per row")
    parser.add_argument("--beam-size", type=int, default=200)
    parser.add_argument("--rows", type=int, default=12_000, help="test rows")
    args = parser.parse_args()
    for folder in args.folders:
        report(folder, args)


if __name__ == "__main__":
    main()
