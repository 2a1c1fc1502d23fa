"""Damaged files of caches and checkpoints: made again, or an error that names them."""

import io

import numpy as np

from fuzzing.files import Case, FileKind, Finding, require
from fuzzing.mutations import damaged
from sklearn_xmr.transformer._cache import cached_array, cached_tokens, cached_training
from sklearn_xmr.transformer._tokens import TokenizedTexts

try:
    import torch

    from sklearn_xmr.transformer._checkpoints import Checkpoints
except ImportError:
    torch = None

SHAPE = (3, 4)
IDS, OFFSETS = np.arange(7, dtype=np.int32), np.array([0, 3, 3, 7])
STRANGE = (
    *(np.float64(2), np.zeros(0), np.zeros((2, 2)), np.array(["a"] * 4)),
    *(OFFSETS[::-1], OFFSETS[:-1], OFFSETS - 1, OFFSETS + 0.0, np.array([0, 9, -2, 7])),
    *(np.ones(SHAPE), np.ones(SHAPE, dtype="S1"), np.ones(SHAPE[::-1], dtype="f4")),
    *(np.ones(SHAPE, dtype="c8"), np.array([0, 2**62, 2**62, 7]), OFFSETS.astype("u1")),
    np.array([None] * 4, dtype=object),
)


def saved(array):
    """Bytes of a file of NumPy."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def torch_saved(value):
    """Bytes of a file of torch."""
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


class Caches(FileKind):
    """Arrays, tokens, trained weights and states of training."""

    def __init__(self, folder):
        super().__init__(folder)
        self.seeds = [
            Case("array.npy", saved(np.ones(SHAPE, dtype=np.float32))),
            Case("tokens.ids", IDS.tobytes()),
            Case("tokens.offsets.npy", saved(OFFSETS)),
        ]
        if torch:
            weights = {"w": torch.ones(2, 3), "b": torch.zeros(3)}
            trained = weights, [{"loss": 0.5}]
            state = {"fingerprint": "x", "weights": weights, "step": 3}
            self.seeds += [
                Case("training.pt", torch_saved(state)),
                Case("weights.pt", torch_saved(trained)),
            ]

    def mutated(self, case, rng):
        is_array = case.name.endswith(".npy")
        if is_array and rng.random() < 0.3:
            return Case(case.name, saved(rng.choice(STRANGE)))
        if case.name == "weights.pt" and rng.random() < 0.3:
            value = rng.choice((3, None, {}, [], ({},), ({"w": 1}, []), ([], {})))
            return Case(case.name, torch_saved(value))
        if case.name == "training.pt" and rng.random() < 0.3:
            value = rng.choice((3, None, {}, [], {"fingerprint": 3}, "fingerprint"))
            return Case(case.name, torch_saved(value))
        return Case(case.name, damaged(case.content, rng))

    def name_in_errors(self, case):
        return "training.pt"

    def read(self, case):
        self.write(Case("tokens.ids", IDS.tobytes()))
        self.write(Case("tokens.offsets.npy", saved(OFFSETS)))
        self.write(case)
        readers = {
            "array.npy": self.read_array,
            "weights.pt": self.read_weights,
            "training.pt": self.read_state,
        }
        return readers.get(case.name, self.read_tokens)()

    def read_array(self):
        made = []

        def fill(out):
            made.append(True)
            out[:] = 1

        array = cached_array(self.folder, "array", SHAPE, fill)
        require(array.shape == SHAPE, f"an array of shape {array.shape}")
        require(array.dtype == np.float32, f"an array of {array.dtype}")
        array.sum()
        return "made again" if made else "kept"

    def read_tokens(self):
        made = []

        def make(path):
            made.append(True)
            IDS.tofile(path)
            return TokenizedTexts(IDS, OFFSETS)

        tokens = cached_tokens(self.folder, "tokens", make, len(OFFSETS) - 1)
        require(len(tokens) == len(OFFSETS) - 1, f"tokens of {len(tokens)} texts")
        require(tokens.lengths.min() >= 0, "negative lengths")
        tokens.padded(np.arange(len(tokens)), 0)
        return "made again" if made else "kept"

    def read_weights(self):
        made = []

        def make():
            made.append(True)
            return {"w": torch.ones(2, 3)}, []

        weights, history = cached_training(self.folder, "weights", make)
        are_tensors = all(isinstance(each, torch.Tensor) for each in weights.values())
        require(are_tensors, "weights that are no tensors")
        require(isinstance(history, list), "a history that is no list")
        return "made again" if made else "kept"

    def read_state(self):
        state = Checkpoints(self.folder, "x").load()
        if not isinstance(state, dict):
            raise Finding(f"a state of class {type(state).__name__}")
        return "a state"
