"""Gradients in float16: scaled up on the way through the encoder, down afterwards."""

import torch

FIRST = 2.0**16
GROW_AFTER = 2000  # steps without an overflow


class GradientScale:
    """Keeps small gradients above float16's smallest number; 1 for other types.

    Only the encoder computes in half precision: the head's gradients are not scaled. A
    step whose gradients overflow is skipped, and the scale is halved.

    Parameters
    ----------
    half : torch.dtype or None
        Type of the encoder's matrix products.

    References
    ----------
    P. Micikevicius et al. "Mixed precision training", ICLR 2018.
    """

    def __init__(self, half):
        self.is_on = half == torch.float16
        self.value = FIRST if self.is_on else 1.0
        self.n_good = 0

    def enter(self, embedded):
        """The encoder's output; gradients that come back to it are scaled."""
        if not self.is_on:
            return embedded
        embedded = embedded.float()  # scaled before they become float16 again
        embedded.register_hook(lambda gradient: gradient * self.value)
        return embedded

    def leave(self, gradients, loss):
        """Undo the scale in place; whether the step may be taken.

        Parameters
        ----------
        gradients : list of tensors
            Gradients of the encoder, summed over processes.
        loss : tensor
            Loss of the step.

        Returns
        -------
        bool
            False if a gradient or the loss has overflowed.
        """
        if not self.is_on:
            return True
        total = sum(gradient.abs().sum() for gradient in gradients) + loss
        if not bool(torch.isfinite(total)):
            self.value, self.n_good = self.value / 2, 0
            return False
        for gradient in gradients:
            gradient /= self.value
        self.n_good += 1
        if self.n_good == GROW_AFTER:
            self.value, self.n_good = self.value * 2, 0
        return True

    def state(self):
        """What a checkpoint keeps."""
        return {"value": self.value, "n_good": self.n_good}

    def load_state(self, state):
        """Resume from :meth:`state`."""
        self.value, self.n_good = state["value"], state["n_good"]
