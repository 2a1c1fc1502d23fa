"""Linear heads over an encoder: scores of nodes, losses, and a row-wise Adam.

A node's score is ``z = w . e + b`` for a unit embedding ``e``; a pair of instance and
node has a sign ``y`` of 1 or -1 and a cost ``u``. The loss of an instance is the mean
of ``u * loss(y z)`` over its pairs, that of a batch the mean over instances, each
multiplied by its weight.
"""

from dataclasses import dataclass

import numpy as np
import torch

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass
class Pairs:
    """Pairs of a batch: CSR rows, as tensors.

    Parameters
    ----------
    row, node : LongTensor of shape (n_pairs,)
        Instance, by its place in the batch, and node of each pair.
    value : FloatTensor of shape (n_pairs,)
        Cost of a positive; negative for a negative.
    n_rows : int
        Number of instances.
    weight : FloatTensor of shape (n_rows,) or None, default=None
        Weight of each instance; None for 1.
    """

    row: torch.Tensor
    node: torch.Tensor
    value: torch.Tensor
    n_rows: int
    weight: torch.Tensor | None = None

    @classmethod
    def of(cls, matrix, rows, device, weight=None):
        """The stored pairs of some rows of a CSR matrix.

        Parameters
        ----------
        matrix : csr_matrix of shape (n_samples, n_nodes)
            Costs.
        rows : ndarray of int
            Instances of the batch.
        device : torch.device
            Where the tensors are made.
        weight : ndarray of shape (n_samples,), default=None
            Weights of all instances.

        Returns
        -------
        Pairs
        """
        part = matrix[rows]
        row = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
        if weight is not None:
            weight = torch.from_numpy(weight[rows].astype(np.float32)).to(device)
        return cls(
            torch.from_numpy(row).to(device),
            torch.from_numpy(part.indices.astype(np.int64)).to(device),
            torch.from_numpy(part.data.astype(np.float32)).to(device),
            len(rows),
            weight,
        )


def pointwise_loss(name, margin):
    """Loss of margins ``y z`` (tensor)."""
    if name == "logistic":
        return torch.nn.functional.softplus(-margin)
    hinge = (1 - margin).clamp_min(0)
    return hinge if name == "hinge" else hinge**2


class ShortlistHead:
    """Scores the nodes on instances' shortlists only.

    All nodes on any shortlist of a batch are scored for all its instances by one matrix
    product, from which the pairs are picked: no array of batch x shortlist x features
    is made, nothing is padded, and only rows of these nodes are updated.

    Parameters
    ----------
    weight : ndarray of float32 of shape (n_nodes, n_dense)
        First weights.
    bias : ndarray of float32 of shape (n_nodes,)
        First biases.
    device : torch.device
        Where the head computes.
    loss : {"squared_hinge", "hinge", "logistic"}, default="squared_hinge"
        Loss of a pair.
    """

    def __init__(self, weight, bias, device, loss="squared_hinge"):
        self.loss_name, self.device = loss, device
        self.weight = torch.from_numpy(np.column_stack([weight, bias]))
        self.weight = self.weight.float().to(device)  # the bias is the last column
        self.first = torch.zeros_like(self.weight)
        self.second = torch.zeros_like(self.weight)
        self.n_updates = torch.zeros(len(self.weight), device=device)

    def begin(self, pairs):
        """Start a step: rows of the nodes on any shortlist of the batch."""
        self._nodes = torch.unique(pairs.node)
        self._place = torch.empty(
            len(self.weight), dtype=torch.long, device=self.device
        )
        self._place[self._nodes] = torch.arange(len(self._nodes), device=self.device)
        self._rows = self.weight[self._nodes].requires_grad_()

    def loss(self, embedded, pairs):
        """Sum over instances of their mean losses, each times the instance's weight.

        Parameters
        ----------
        embedded : tensor of shape (n_rows, n_dense)
            Unit embeddings of a batch, or of a part of it.
        pairs : Pairs
            Of the same instances.

        Returns
        -------
        tensor
        """
        scores = score_nodes(embedded, self._rows)[pairs.row, self._place[pairs.node]]
        losses = pairs.value.abs() * pointwise_loss(
            self.loss_name, pairs.value.sign() * scores
        )
        counts = torch.bincount(pairs.row, minlength=pairs.n_rows).clamp_min(1)
        losses = losses / counts[pairs.row]
        if pairs.weight is not None:
            losses = losses * pairs.weight[pairs.row]
        return losses.sum()

    def gradients(self):
        """Gradients of the step's rows (list of tensors)."""
        if self._rows.grad is None:
            self._rows.grad = self._rows.detach() * 0
        return [self._rows.grad]

    def step(self, learning_rate):
        """One update of Adam on the step's rows, each with a count of its own."""
        nodes, (gradient,) = self._nodes, self.gradients()
        self.n_updates[nodes] += 1
        n = self.n_updates[nodes, None]
        first = BETA1 * self.first[nodes] + (1 - BETA1) * gradient
        second = BETA2 * self.second[nodes] + (1 - BETA2) * gradient**2
        self.first[nodes], self.second[nodes] = first, second
        size = (second / (1 - BETA2**n)).sqrt() + EPSILON
        self.weight[nodes] -= learning_rate * first / (1 - BETA1**n) / size

    def scores(self, embedded):
        """Scores of all nodes (ndarray of float32 of shape (n_rows, n_nodes))."""
        with torch.inference_mode():
            embedded = torch.tensor(embedded, device=self.device)
            return score_nodes(embedded, self.weight).cpu().numpy()

    def state(self):
        """Tensors to resume from (dict)."""
        return {name: getattr(self, name).detach().cpu().clone() for name in STATE}

    def load_state(self, state):
        """Resume from :meth:`state`."""
        for name in STATE:
            here, there = getattr(self, name).shape, state[name].shape
            if here != there:
                raise ValueError(f"{name} of shape {tuple(there)}, not {tuple(here)}")
            setattr(self, name, state[name].to(self.device))


STATE = ("weight", "first", "second", "n_updates")


class FullHead(ShortlistHead):
    """Scores all nodes, one block of them after another.

    Pairs hold the positives; all others are negatives of cost 1. Scores and
    their gradients exist for one block at a time. An instance's loss is the sum over
    all nodes, divided by their number: with as many negatives as there are, positives
    would drown in a mean, but Adam is invariant to the scale.

    Parameters
    ----------
    weight : ndarray of float32 of shape (n_nodes, n_dense)
        First weights.
    bias : ndarray of float32 of shape (n_nodes,)
        First biases.
    device : torch.device
        Where the head computes.
    loss : {"squared_hinge", "hinge", "logistic"}, default="squared_hinge"
        Loss of a pair.
    block : int, default=8192
        Nodes scored at a time.

    References
    ----------
    V. Jain et al. "Renee: End-to-end training of extreme classification models", MLSys
    2023.
    """

    def __init__(self, weight, bias, device, loss="squared_hinge", block=8192):
        super().__init__(weight, bias, device, loss)
        self.block = block

    def begin(self, pairs):
        """Start a step."""
        self._nodes = slice(None)
        self._gradient = torch.zeros_like(self.weight)

    def loss(self, embedded, pairs):
        """Sum over instances of their losses over all nodes, each times the weight.

        Parameters
        ----------
        embedded : tensor of shape (n_rows, n_dense)
            Unit embeddings of a batch, or of a part of it.
        pairs : Pairs
            Positives of the same instances.

        Returns
        -------
        tensor
        """
        return FullLoss.apply(embedded, self, pairs)

    def gradients(self):
        """Gradients of all rows (list of tensors)."""
        return [self._gradient]

    def add_gradients(self, embedded, pairs):
        """Add the gradients of all rows, block by block.

        Parameters
        ----------
        embedded : tensor of shape (n_rows, n_dense)
            Unit embeddings.
        pairs : Pairs
            Positives.

        Returns
        -------
        loss : tensor
            Of all nodes.
        gradient : tensor of shape (n_rows, n_dense)
            Its gradient by the embeddings.
        """
        by_embedded = torch.zeros_like(embedded)
        total = embedded.new_zeros(())
        for first in range(0, len(self.weight), self.block):
            rows = self.weight[first : first + self.block]
            loss, gradient = self._block_loss(embedded, pairs, first)
            total += loss
            by_embedded += gradient @ rows[:, :-1]
            by_rows = self._gradient[first : first + self.block]
            by_rows[:, :-1] += gradient.T @ embedded
            by_rows[:, -1] += gradient.sum(dim=0)
        return total, by_embedded

    def _block_loss(self, embedded, pairs, first):
        """Loss of the nodes from `first` on, and its gradient by their scores."""
        rows = self.weight[first : first + self.block]
        sign = torch.full((len(embedded), len(rows)), -1.0, device=self.device)
        cost = torch.ones_like(sign)
        here = (pairs.node >= first) & (pairs.node < first + len(rows))
        places = pairs.row[here], pairs.node[here] - first
        sign[places], cost[places] = 1.0, pairs.value[here]
        if pairs.weight is not None:
            cost *= pairs.weight[:, None]
        with torch.enable_grad():
            scores = score_nodes(embedded, rows).requires_grad_()
            loss = (cost * pointwise_loss(self.loss_name, sign * scores)).sum()
            (gradient,) = torch.autograd.grad(loss, scores)
        n_nodes = len(self.weight)
        return loss.detach() / n_nodes, gradient / n_nodes


class FullLoss(torch.autograd.Function):
    """Loss of a full head; gradients are found block by block on the way forward."""

    @staticmethod
    def forward(ctx, embedded, head, pairs):
        """Loss of all nodes (tensor)."""
        total, by_embedded = head.add_gradients(embedded.detach(), pairs)
        ctx.save_for_backward(by_embedded)
        return total

    @staticmethod
    def backward(ctx, by_loss):
        """Gradient by the embeddings."""
        return by_loss * ctx.saved_tensors[0], None, None


def score_nodes(embedded, rows):
    """``w . e + b`` (tensor of shape (n_rows, n_nodes))."""
    return embedded @ rows[:, :-1].T + rows[:, -1]


def weights_of(state):
    """Weights and biases of a head's state (two ndarrays)."""
    both = state["weight"].numpy()
    return both[:, :-1], both[:, -1]
