"""The fine-tuning loop: an encoder and a head, step by step.

A step's rows and its random numbers depend on seed, level and step only, so that a run
that resumes from a checkpoint, or works with another number of processes, gives the
same weights.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from sklearn_xmr.metrics import precision_at_k
from sklearn_xmr.transformer._checkpoints import whole_number
from sklearn_xmr.transformer._gradient_scale import GradientScale
from sklearn_xmr.transformer._heads import Pairs
from sklearn_xmr.transformer._tokens import shuffled_batches
from sklearn_xmr.transformer._torch import autocast

METRIC_K = 5


@dataclass(frozen=True)
class Level:
    """One training problem.

    Parameters
    ----------
    number : int
        Of the level, 0 for the children of the root.
    pairs : csr_matrix of shape (n_samples, n_nodes)
        Costs of positives and, for a shortlist head, negative values of negatives.
    rows : ndarray of int
        Instances to train on.
    validation : ndarray of int
        Instances to measure on; may be empty.
    """

    number: int
    pairs: sparse.csr_matrix
    rows: np.ndarray
    validation: np.ndarray


class FineTuningLoop:
    """Trains an encoder in place; made once for all levels.

    Parameters
    ----------
    encoder : TextEncoder
        The encoder.
    tokens : TokenizedTexts
        Of all texts.
    settings : FineTuning
        How to train.
    seed : int
        Of everything that is random.
    processes : OneProcess
        Processes that share the work of each step.
    half : torch.dtype or None
        Type of matrix products.
    checkpoints : Checkpoints
        Where the state is kept.
    progress : Progress
        Prints and records losses and metrics.
    sample_weight : ndarray of float32 of shape (n_texts,), default=None
        Weights of the texts.
    """

    def __init__(
        self,
        encoder,
        tokens,
        settings,
        *,
        seed,
        processes,
        half,
        checkpoints,
        progress,
        sample_weight=None,
    ):
        self.encoder, self.tokens, self.settings = encoder, tokens, settings
        self.seed, self.processes, self.half = seed, processes, half
        self.checkpoints, self.progress = checkpoints, progress
        self.device, self.scale = processes.device, GradientScale(half)
        self.micro_batch = settings.micro_batch_size or settings.batch_size
        self._batches_of = None  # level and epoch of the batches that are kept
        # A mean weight of 1 keeps the size of the updates.
        self.weight = None if sample_weight is None else _with_mean_1(sample_weight)
        self.encoder.model.to(self.device)
        self.encoder.choose_attention(self.device)

    # --- one level -------------------------------------------------------------------

    def fit_level(self, level, head, checkpoint=None, **to_keep):
        """Train encoder and head.

        Parameters
        ----------
        level : Level
            What to train on.
        head : ShortlistHead
            Scores the level's nodes.
        checkpoint : dict, default=None
            State of this level in a killed run, which is resumed.
        **to_keep
            Goes into each checkpoint.
        """
        self._begin()
        optimizer = self._optimizer()
        n_steps = self.count_steps(level)
        best = _Best(self.settings.n_iter_no_change)
        first = 0
        if checkpoint is not None:
            with self.checkpoints.reading():
                first = self._restore(checkpoint, optimizer, head, best, n_steps)
        self.progress.start(level.number, n_steps, first)
        with self.progress.tasks.task(f"level {level.number}", n_steps) as steps:
            for step in range(first, n_steps):
                with steps.task("step"):
                    self._set_learning_rate(optimizer, step, n_steps)
                    loss = self._step(level, head, optimizer, step, n_steps)
                self.progress.step(step + 1, loss)
                stop = self._evaluate(level, head, step + 1, n_steps, best)
                last = stop or step + 1 == n_steps
                if last or (step + 1) % self.settings.save_steps == 0:
                    self._save(level, head, optimizer, step + 1, stop, best, to_keep)
                if stop:
                    break
        best.restore(self.encoder, head)
        self._end()

    def _begin(self):
        self.encoder.forget_fingerprint()
        if self.settings.gradient_checkpointing:
            self.encoder.store_activations(False)

    def _end(self):
        self.encoder.model.zero_grad(set_to_none=True)
        if self.settings.gradient_checkpointing:
            self.encoder.store_activations(True)
        self.progress.end()

    def count_steps(self, level):
        """Optimiser steps of a level (int)."""
        if self.settings.max_steps is not None:
            return self.settings.max_steps
        per_epoch = -(-len(level.rows) // self.settings.batch_size)
        return max(1, round(self.settings.n_epochs * per_epoch))

    def rows_of_step(self, level, step):
        """Instances of a step."""
        per_epoch = -(-len(level.rows) // self.settings.batch_size)
        epoch, place = divmod(step, per_epoch)
        if self._batches_of != (level.number, epoch):
            seed = [self.seed % 2**32, level.number, epoch]
            rng = np.random.RandomState(seed)
            lengths = self.tokens.lengths[level.rows]
            self._batches = shuffled_batches(lengths, self.settings.batch_size, rng)
            self._batches_of = level.number, epoch
        return level.rows[self._batches[place]]

    def _optimizer(self):
        named = [p for p in self.encoder.model.named_parameters() if p[1].requires_grad]
        plain = [p for name, p in named if p.ndim < 2]  # biases, layer norms
        decayed = [p for name, p in named if p.ndim >= 2]
        groups = [
            {"params": decayed, "weight_decay": self.settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        # Fused: a fifth of the time on a CPU.
        fused = self.device.type in ("cpu", "cuda")
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate, fused=fused)

    def _factor(self, step, n_steps):
        """Linear warm-up, then linear decay to nothing."""
        warm = self.settings.warmup * n_steps
        if step < warm:
            return (step + 1) / (warm + 1)
        return (n_steps - step) / max(n_steps - warm, 1)

    def _set_learning_rate(self, optimizer, step, n_steps):
        for group in optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self._factor(step, n_steps)

    # --- one step --------------------------------------------------------------------

    def _step(self, level, head, optimizer, step, n_steps):
        """One update; the loss as a tensor that is not read yet."""
        rows = self.rows_of_step(level, step)
        self.encoder.model.train()
        optimizer.zero_grad(set_to_none=True)
        loss = self._gradients(level, head, rows, step)
        parameters = [p for p in self.encoder.model.parameters() if p.grad is not None]
        gradients = [p.grad for p in parameters]
        self.processes.sum(gradients + head.gradients())
        self.processes.sum([loss])
        if not self.scale.leave(gradients, loss):
            return loss
        limit = self.settings.max_grad_norm
        torch.nn.utils.clip_grad_norm_(parameters, limit, foreach=True)
        optimizer.step()
        rate = self.settings.head_learning_rate * self._factor(step, n_steps)
        head.step(rate)
        return loss

    def _gradients(self, level, head, rows, step):
        """Gradients of this process' share of a batch, in as many parts as fit."""
        while True:
            try:
                head.begin(self._pairs(level, rows))
                return self._accumulate(level, head, rows, step)
            except torch.OutOfMemoryError:
                if self.micro_batch == 1:
                    raise
                self.micro_batch = -(-self.micro_batch // 2)
                self.encoder.model.zero_grad(set_to_none=True)
            self.progress.say(
                f"out of memory on {self.device}: continues with {self.micro_batch} "
                "instances at a time (the same updates, more slowly)"
            )
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _accumulate(self, level, head, rows, step):
        mine = self.processes.share(rows)
        total = torch.zeros((), device=self.device)
        seed = (self.seed * 1009 + level.number) * 1_000_003 + step
        torch.manual_seed((seed + 7919 * self.processes.rank) % 2**63)
        for first in range(0, len(mine), self.micro_batch):
            some = mine[first : first + self.micro_batch]
            padded = self.tokens.padded(some, self.encoder.pad)
            batch = (torch.from_numpy(part).to(self.device) for part in padded)
            with autocast(self.device, self.half):
                embedded = self.encoder.embed(*batch)
            embedded = self.scale.enter(embedded)
            unit = torch.nn.functional.normalize(embedded, dim=1)
            pairs = self._pairs(level, some)
            loss = head.loss(unit, pairs) / len(rows)
            loss.backward()
            total += loss.detach()
        return total

    def _pairs(self, level, rows):
        return Pairs.of(level.pairs, rows, self.device, self.weight)

    def weights_of_rows(self, rows):
        """Weights of some instances, with a mean of 1 over all (ndarray), or None."""
        return None if self.weight is None else self.weight[rows]

    # --- between steps ---------------------------------------------------------------

    def encode(self, rows=None):
        """Unit embeddings of all texts, or of some; others are zero."""
        rows = np.arange(len(self.tokens)) if rows is None else rows
        mine = self.processes.share(rows)
        out = self.encoder.encode(self.tokens, self.device, self.half, rows=mine)
        return self.processes.collect(out)

    def _evaluate(self, level, head, done, n_steps, best):
        """Measure on the validation part where it is due; whether to stop."""
        if not len(level.validation) or (
            done % self.settings.eval_steps and done != n_steps
        ):
            return False
        rows = level.validation
        scores = head.scores(self.encode(rows)[rows])
        truth = level.pairs[rows].maximum(0)
        truth.eliminate_zeros()
        truth.data[:] = 1
        k = min(METRIC_K, truth.shape[1])
        weight = self.weights_of_rows(rows)
        value = precision_at_k(truth, scores, k=k, sample_weight=weight)
        better = best.offer(value, self.encoder, head)
        self.progress.metric(done, k, value, better)
        return best.is_over

    def _save(self, level, head, optimizer, done, stopped, best, to_keep):
        self.checkpoints.save(
            level=level.number,
            step=self.count_steps(level) if stopped else done,
            encoder=self.encoder.state(),
            head=head.state(),
            optimizer=optimizer.state_dict(),
            best=best.state(),
            scale=self.scale.state(),
            history=self.progress.history,
            **to_keep,
        )

    def _restore(self, state, optimizer, head, best, n_steps):
        """Load a checkpoint; the step to resume at."""
        self.encoder.load_state(state["encoder"])
        head.load_state(state["head"])
        optimizer.load_state_dict(state["optimizer"])
        best.load_state(state["best"])
        self.progress.history = [dict(entry) for entry in state["history"]]
        self.scale.load_state(state["scale"])
        return whole_number(state["step"], n_steps)


class _Best:
    """The best validation metric and the weights that gave it."""

    def __init__(self, patience):
        self.patience = patience
        self.value, self.misses, self.weights = -1.0, 0, None

    def offer(self, value, encoder, head):
        """Keep the weights if the metric is better; whether it is."""
        better = value > self.value
        self.misses = 0 if better else self.misses + 1
        if better:
            self.value, self.weights = float(value), (encoder.state(), head.state())
        return better

    @property
    def is_over(self):
        """Whether the metric has not become better for too long."""
        return self.misses >= self.patience

    def state(self):
        """What a checkpoint keeps."""
        return {"value": self.value, "misses": self.misses, "weights": self.weights}

    def load_state(self, state):
        """Go on from :meth:`state`."""
        self.value, self.misses = float(state["value"]), int(state["misses"])
        self.weights = state["weights"]

    def restore(self, encoder, head):
        """Go back to the best weights, if anything was measured."""
        if self.weights is not None:
            encoder.load_state(self.weights[0])
            head.load_state(self.weights[1])


def _with_mean_1(weights):
    return (weights / weights.mean()).astype(np.float32)
