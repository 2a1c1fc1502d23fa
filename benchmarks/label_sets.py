"""Label sets with a guarantee, over 100 random splits of each data set.

    python benchmarks/label_sets.py FOLDER

The model is fitted once, on the training rows, and ranks random test rows once. These
are cut at random into five parts, 20 times; each part in turn calibrates the sets, and
the others evaluate them. So each row calibrates as often as any other, and no lucky
draw of easy rows is in the means. Printed are for each level the mean risk and its
standard error over the splits, how large sets are, and the same of plain thresholds:
0.5, that of the best F1, and that which has the wanted risk on the training rows. Where
a level is out of reach, the level that is had stands beside it.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from compare_peers import load_folder

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.compose._risk_control import RankedTruth, confidence_threshold
from sklearn_xmr.metrics import frequency_breakdown
from sklearn_xmr.utils._indicator import frequency_groups

RISKS = ("recall", "false_discovery")
ALPHAS = {"recall": (0.1, 0.2, 0.3, 0.4, 0.5), "false_discovery": (0.1, 0.2, 0.3)}
BAND_ALPHAS = (0.1, 0.2, 0.3)
BOUNDS = (10, 100)
BANDS = ("below 10", "10 to 99", "100 and more")
PRECISIONS = (0.6, 0.7, 0.8, 0.85, 0.9)
DELTA = 0.05
N_PARTS = 5
SHALLOW = 100  # labels of sets with few wrong ones, which are small
N_SEEN = 5000  # training rows


def splits(n_rows, n_splits):
    """Rows to calibrate on and to evaluate, of random cuts into parts."""
    for seed in range(n_splits // N_PARTS):
        order = np.random.RandomState(seed).permutation(n_rows)
        parts = np.array_split(order, N_PARTS)
        for number, part in enumerate(parts):
            others = parts[:number] + parts[number + 1 :]
            yield np.sort(part), np.sort(np.concatenate(others))


def best(ranked, k):
    """The same of the k best labels."""
    parts = (part[:, :k] for part in (ranked.labels, ranked.scores, ranked.hits))
    return RankedTruth(*parts, ranked.truth)


def missed(ranked, thresholds, bands):
    """Mean share of missed labels, for the labels of each band."""
    rows, places = np.nonzero(ranked.hits)
    band_of = bands[ranked.labels[rows, places]]
    found = ranked.scores[rows, places] >= thresholds[band_of]
    losses = []
    for band in range(len(thresholds)):
        n_true = ranked.truth @ (bands == band).astype(int)
        n_found = np.bincount(rows[found & (band_of == band)], minlength=len(n_true))
        has = n_true > 0
        losses.append(1 - (n_found[has] / n_true[has]).mean())
    return losses


def wrong(ranked, thresholds, bands):
    """Mean share of wrong labels, among those of each band."""
    band_of, losses = bands[ranked.labels], []
    inside = ranked.scores >= thresholds[band_of]
    for band in range(len(thresholds)):
        members = inside & (band_of == band)
        size = members.sum(axis=1)
        losses.append(((members & ~ranked.hits).sum(axis=1) / size.clip(1)).mean())
    return losses


def sizes(ranked, thresholds, bands):
    """Mean and median number of labels in a set, and share of sets that have any."""
    size = (ranked.scores >= thresholds[bands[ranked.labels]]).sum(axis=1)
    return size.mean(), np.median(size), (size > 0).mean()


def measured(ranked, thresholds, bands, risk):
    """Losses of each band and sizes of sets, for these thresholds."""
    some = ranked.rows(slice(None, None, 4))  # sizes vary little, and take long
    loss = missed if risk == "recall" else wrong
    return loss(ranked, thresholds, bands), sizes(some, thresholds, bands)


def mean_and_error(values):
    """Mean and standard error over splits."""
    return np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5


class Report:
    """What came out in each split, for each setting."""

    def __init__(self):
        self.controlled = defaultdict(list)  # by risk, number of bands, level
        self.plain = defaultdict(list)
        self.answered = defaultdict(list)

    def add_controlled(self, risk, alpha, bands, calibration, evaluation):
        """Choose thresholds on one part, and evaluate them on the other."""
        n_bands = bands.max() + 1
        found = calibration.thresholds(risk, alpha, bands, n_bands)
        thresholds = np.array([threshold.score for threshold in found])
        levels = [threshold.level for threshold in found]
        result = levels, *measured(evaluation, thresholds, bands, risk)
        self.controlled[risk, n_bands, alpha].append(result)

    def add_plain(self, name, threshold, evaluation, bands):
        """Evaluate one threshold for all labels."""
        loss, size = measured(evaluation, np.array([threshold]), bands, "recall")
        more = wrong(evaluation, np.array([threshold]), bands)
        self.plain[name].append((loss[0], more[0], *size[:2]))

    def add_answered(self, precision, calibration, evaluation):
        """Choose which rows are answered, and count right answers among the others."""
        given = calibration.scores[:, 0], calibration.hits[:, 0]
        threshold = confidence_threshold(*given, precision, DELTA)
        answered = evaluation.scores[:, 0] > threshold
        right = evaluation.hits[answered, 0].mean() if answered.any() else np.nan
        self.answered[precision].append((answered.mean(), right))

    def print(self):
        """Three tables."""
        print(
            "\n| risk | labels | alpha | level had (splits at alpha) | mean risk | ",
            end="",
        )
        print("holds | labels in a set, median | sets not empty |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for (risk, n_bands, alpha), results in self.controlled.items():
            for band in range(n_bands):
                self._print_controlled(risk, n_bands, alpha, band, results)
        print("\n| threshold | missed | wrong | labels in a set, median |")
        print("| --- | --- | --- | --- |")
        for name, results in self.plain.items():
            values = np.mean(results, axis=0)
            shown = f"{values[0]:.4f} | {values[1]:.4f} | {values[2]:.1f}, "
            print(f"| {name} | {shown}{values[3]:.0f} |")
        print("\n| wanted precision | answered | precision@1 | least | splits below |")
        print("| --- | --- | --- | --- | --- |")
        for precision, results in self.answered.items():
            coverage, right = np.array(results).T
            right = right[~np.isnan(right)]
            shown = "- | - | -"
            if len(right):
                below = f"{(right < precision).mean():.0%}"
                shown = f"{right.mean():.4f} | {right.min():.4f} | {below}"
            print(f"| {precision} | {coverage.mean():.3f} | {shown} |")

    def _print_controlled(self, risk, n_bands, alpha, band, results):
        levels = np.array([level[band] for level, _, _ in results])
        mean, error = mean_and_error([loss[band] for _, loss, _ in results])
        size = np.mean([size for _, _, size in results], axis=0)
        name = "all" if n_bands == 1 else BANDS[band]
        holds = "yes" if mean <= levels.mean() + 2 * error else "NO"
        print(
            f"| {risk} | {name} | {alpha} | {levels.mean():.3f} "
            f"({np.mean(levels <= alpha):.0%}) | {mean:.4f} ± {error:.4f} | {holds} "
            f"| {size[0]:.1f}, {size[1]:.0f} | {size[2]:.2f} |"
        )


def best_f1(ranked):
    """The threshold of the best micro-averaged F1."""
    order = np.argsort(-ranked.scores, axis=None)
    hits = np.cumsum(ranked.hits.ravel()[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + ranked.truth.nnz)
    return ranked.scores.ravel()[order][f1.argmax()]


def evaluate(ranked, seen, bands, n_splits):
    """All settings in all splits."""
    report, one = Report(), np.zeros_like(bands)
    shallow, seen_shallow = best(ranked, SHALLOW), best(seen, SHALLOW)
    plain = {"0.5": 0.5}
    for risk, known in zip(RISKS, (seen, seen_shallow), strict=True):
        for alpha in BAND_ALPHAS:
            (found,) = known.thresholds(risk, alpha, one, 1)
            plain[f"{risk} {alpha} on training rows"] = found.score
    for for_sets, others in splits(len(ranked.labels), n_splits):
        of_risk = {
            "recall": (ranked.rows(for_sets), ranked.rows(others)),
            "false_discovery": (shallow.rows(for_sets), shallow.rows(others)),
        }
        for groups in (one, bands):
            for risk, parts in of_risk.items():
                for alpha in ALPHAS[risk] if groups is one else BAND_ALPHAS:
                    report.add_controlled(risk, alpha, groups, *parts)
        calibration, evaluation = of_risk["false_discovery"]
        plain["best F1 of the held-out part"] = best_f1(calibration)
        for name, threshold in plain.items():
            report.add_plain(name, threshold, evaluation, one)
        for precision in PRECISIONS:
            report.add_answered(precision, calibration, evaluation)
    return report


def run(folder, args):
    """Fit, rank, and print the tables of a data set."""
    (X, Y), (X_test, Y_test) = load_folder(folder)
    model = XRLinearClassifier(beam_size=args.beam_size, random_state=0).fit(X, Y)
    rng = np.random.RandomState(0)
    rows = np.sort(rng.permutation(X_test.shape[0])[: args.rows])
    some = np.sort(rng.permutation(X.shape[0])[:N_SEEN])
    ranked, seen = (
        RankedTruth.of(*model.predict_topk(of_X, k=args.depth), of_Y.tocsr())
        for of_X, of_Y in ((X_test[rows], Y_test[rows]), (X[some], Y[some]))
    )
    bands = frequency_groups(np.bincount(Y.indices, minlength=Y.shape[1]), BOUNDS)
    print(f"\n### {folder.name}: {len(rows)} test rows, the best {args.depth} labels\n")
    retrieved = frequency_breakdown(
        ranked.truth, (ranked.labels, ranked.scores), Y, args.depth, bounds=BOUNDS
    )
    print("Retrieved share of true labels by band:", retrieved["recall"].round(3))
    print("True pairs by band:", retrieved["n_true"], flush=True)
    evaluate(ranked, seen, bands, args.splits).print()


def main():
    """Parse the arguments, and report on each folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--depth", type=int, default=1000, help="labels per row")
    parser.add_argument("--beam-size", type=int, default=200)
    parser.add_argument("--rows", type=int, default=5000, help="test rows")
    args = parser.parse_args()
    for folder in args.folders:
        run(folder, args)


if __name__ == "__main__":
    main()
