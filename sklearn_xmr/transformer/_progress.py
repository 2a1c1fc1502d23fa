"""One line at a time about a training run: step, loss, metric, time left."""

import time
from collections import deque

from sklearn_xmr.utils._callbacks import NO_TASKS


class Progress:
    """Prints at most one line for every ``every`` steps; nothing at ``verbose=0``.

    Parameters
    ----------
    verbose : int
        1: one line for each level. 2: also one line for every ``every`` steps.
    every : int
        Steps whose mean loss is printed and recorded together.
    tasks : FitTasks
        Levels, and the steps of each, for callbacks.

    Attributes
    ----------
    history : list of dict
        "level", "step", and "loss" (mean of the steps since the record before) or
        "metric" with its "name".
    """

    def __init__(self, verbose, every=50, tasks=NO_TASKS):
        self.verbose, self.every, self.tasks = verbose, every, tasks
        self.history = []

    def start(self, level, n_steps, first):
        """A level begins, or resumes, at a step."""
        self.level, self.name = level, f"level {level}"
        self.n_steps, self.first = n_steps, first
        self.started, self.losses = time.perf_counter(), deque(maxlen=self.every)
        if self.verbose and first:
            self._say(f"resumes at step {first} of {n_steps}")

    def step(self, done, loss):
        """A step is done; `loss` may be a tensor, which is read when a line is due."""
        self.losses.append(loss)
        if done % self.every and done != self.n_steps:
            return
        self.record(done, loss=self._mean_loss())
        if self.verbose > 1:
            spent = time.perf_counter() - self.started
            left = spent / (done - self.first) * (self.n_steps - done)
            self._say(
                f"step {done} of {self.n_steps}, loss {self._mean_loss():.4f}, "
                f"{left:.0f} s left"
            )

    def record(self, done, **values):
        """Append to the history."""
        self.history.append({"level": self.level, "step": done, **values})

    def metric(self, done, k, value, best):
        """A validation metric was measured."""
        self.record(done, metric=float(value), name=f"P@{k}")
        if self.verbose:
            mark = " (best so far)" if best else ""
            self._say(f"step {done}: validation P@{k} {value:.4f}{mark}")

    def end(self):
        """The level is done."""
        if self.verbose == 1 and self.losses:
            spent = time.perf_counter() - self.started
            self._say(
                f"{self.n_steps} steps, loss {self._mean_loss():.4f}, {spent:.0f} s"
            )

    def say(self, message):
        """Any other event."""
        if self.verbose:
            print(f"[XTransformer] {message}", flush=True)

    def _say(self, message):
        print(f"[XTransformer] {self.name}: {message}", flush=True)

    def _mean_loss(self):
        return sum(float(loss) for loss in self.losses) / len(self.losses)
