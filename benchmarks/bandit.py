"""A bandit's reward over 20,000 rounds, by inverse gap weighting and other policies.

    python benchmarks/bandit.py FOLDER [--rounds 20000] [--warm 300] [--seeds 3]
    python benchmarks/bandit.py FOLDER --tune   # on a seed that is not reported

FOLDER has X.trn.npz and Y.trn.npz, as ``compare_peers.py`` writes them. Each round
shows 5 labels for a training row; the reward is the number of those that the row has.
All policies start from the same rows, all of whose labels are known, and learn alike.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from sklearn_xmr import XRBanditClassifier

K, BATCH, LAST = 5, 100, 5000
TUNING_SEED = 99
GAMMAS, ALTERNATIVES = (10.0, 30.0, 100.0), (2, 5, 15)
EPSILONS = (0.01, 0.03, 0.1, 0.3)


class InverseGaps:
    """``XRBanditClassifier`` as it is; ``n_explored=0`` is greedy."""

    def __init__(self, **settings):
        self.settings = settings

    def show(self, bandit, X, rng):
        """Labels and propensities."""
        return bandit.recommend(X, k=K)


class EpsilonGreedy(InverseGaps):
    """With probability epsilon, the last label is another candidate, or any other.

    ``among`` is "alternatives", those of the bandit, or "labels".
    """

    def __init__(self, epsilon, among="alternatives"):
        super().__init__(n_explored=0)
        self.epsilon, self.among = epsilon, among

    def show(self, bandit, X, rng):
        """Labels and propensities."""
        n_others = bandit.n_alternatives
        if self.among == "alternatives":
            labels, _ = bandit.predict_topk(X, k=K + n_others)
            others = labels[:, K:]
        else:
            labels, _ = bandit.predict_topk(X, k=K)
            others = rng.randint(bandit.n_labels_, size=(len(labels), 1))
            n_others = bandit.n_labels_ - K
        drawn = others[
            np.arange(len(labels)), rng.randint(others.shape[1], size=len(labels))
        ]
        explores = rng.rand(len(labels)) < self.epsilon
        # A random label that is shown anyway, or none, is no exploration.
        explores &= (drawn >= 0) & ~(labels[:, :K] == drawn[:, None]).any(axis=1)
        shown, shares = labels[:, :K].copy(), np.ones((len(labels), K))
        shares[:, -1] = np.where(explores, self.epsilon / n_others, 1 - self.epsilon)
        shown[explores, -1] = drawn[explores]
        return shown, shares


class Random(InverseGaps):
    """Any labels."""

    def show(self, bandit, X, rng):
        """Labels and propensities."""
        n = X.shape[0]
        labels = [rng.choice(bandit.n_labels_, K, replace=False) for _ in range(n)]
        return np.array(labels), np.full((n, K), K / bandit.n_labels_)


def simulate(data, policy, n_rounds, n_warm, seed):
    """Rewards of all rounds, and the microseconds of an action."""
    X, Y = data
    rng = np.random.RandomState(seed)
    rows = rng.permutation(X.shape[0])[: n_warm + n_rounds]
    X, Y = X[rows], Y[rows]
    bandit = XRBanditClassifier(random_state=seed, **policy.settings)
    bandit.fit(X[:n_warm], Y[:n_warm])
    rewards, seconds = [], 0.0
    for first in range(n_warm, n_warm + n_rounds, BATCH):
        x, y = X[first : first + BATCH], Y[first : first + BATCH]
        began = time.perf_counter()
        labels, propensities = policy.show(bandit, x, rng)
        seconds += time.perf_counter() - began
        places = np.arange(len(labels))[:, None], np.maximum(labels, 0)
        found = y[places].toarray() * (labels >= 0)
        bandit.learn_rewards(x, labels, found, propensities)
        rewards.append(found.sum(axis=1))
    return np.concatenate(rewards), 1e6 * seconds / n_rounds


def report(name, data, policy, args, seeds):
    """Print means over seeds, with standard errors; return the means of each seed."""
    found, micros = [], []
    for seed in seeds:
        rewards, taken = simulate(data, policy, args.rounds, args.warm, seed)
        found.append((rewards.mean(), rewards[-LAST:].mean()))
        micros.append(taken)
    found = np.array(found)
    means = found.mean(axis=0)
    errors = (
        found.std(axis=0, ddof=1) / np.sqrt(len(seeds)) if len(seeds) > 1 else [0, 0]
    )
    shown = ", ".join(f"{m:.4f} ± {e:.4f}" for m, e in zip(means, errors, strict=True))
    print(f"{name:32} {shown}; {np.mean(micros):.0f} µs an action", flush=True)
    return found


def policies(args):
    """Those that are compared, by name."""
    return {
        f"inverse gap, gamma {args.gamma:g}": InverseGaps(gamma=args.gamma),
        f"epsilon {args.epsilon:g} of alternatives": EpsilonGreedy(args.epsilon),
        f"epsilon {args.epsilon:g} of all": EpsilonGreedy(args.epsilon, "labels"),
        "greedy": InverseGaps(n_explored=0),
        "random": Random(),
    }


def candidates():
    """Those among which to choose, by name."""
    return {
        **{
            f"inverse gap, {n} alternatives, gamma {g:g}": InverseGaps(
                gamma=g, n_alternatives=n
            )
            for n in ALTERNATIVES
            for g in GAMMAS
        },
        **{f"epsilon {e:g} of alternatives": EpsilonGreedy(e) for e in EPSILONS},
        **{f"epsilon {e:g} of all": EpsilonGreedy(e, "labels") for e in EPSILONS},
        "greedy": InverseGaps(n_explored=0),
    }


def time_single(data, args):
    """Print the median microseconds of one action at a time, on one thread."""
    X, Y = data
    bandit = XRBanditClassifier(random_state=0).fit(X[:20000], Y[:20000])
    rows = [X[row] for row in range(X.shape[0] - 2000, X.shape[0])]
    taken = []
    for x in rows:
        began = time.perf_counter()
        bandit.recommend(x, k=K)
        taken.append(time.perf_counter() - began)
    block = X[-2000:]
    began = time.perf_counter()
    bandit.recommend(block, k=K)
    whole = (time.perf_counter() - began) / 2000
    print(
        f"{bandit.n_labels_} labels: one by one {1e6 * np.median(taken):.0f} µs, "
        f"2,000 at once {1e6 * whole:.0f} µs an action"
    )


def main():
    """Tune, or compare over seeds and time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--warm", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gamma", type=float, default=30.0)
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--tune", action="store_true")
    args = parser.parse_args()
    data = [
        sparse.csr_matrix(sparse.load_npz(args.folder / f"{which}.trn.npz"))
        for which in "XY"
    ]
    if args.tune:
        for name, policy in candidates().items():
            report(name, data, policy, args, [TUNING_SEED])
        return
    found = {
        name: report(name, data, policy, args, range(args.seeds))
        for name, policy in policies(args).items()
    }
    first, *others = found
    for other in others:
        gaps = found[first] - found[other]
        errors = gaps.std(axis=0, ddof=1) / np.sqrt(len(gaps))
        print(
            f"{first} - {other}: "
            + ", ".join(
                f"{m:+.4f} ± {e:.4f}"
                for m, e in zip(gaps.mean(axis=0), errors, strict=True)
            )
        )
    with threadpool_limits(1):
        time_single(data, args)


if __name__ == "__main__":
    main()
