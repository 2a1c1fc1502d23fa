"""Label trees from arrays of any content: each label once, or an error.

A case is JSON: which function makes the tree, and of what.
"""

import json
import pickle

import numpy as np

from fuzzing.files import Case, FileKind, require
from fuzzing.mutations import NUMBERS, OTHERS, change_json
from sklearn_xmr import LabelTree

TREE = LabelTree.from_parents([-1, -1, 0, 0, 1, 1, 2, 2])
DOCUMENTS = [
    {"from_labels": [[0, 1, 0, 2, 1]]},
    {"from_parents": [[-1, -1, 0, 0, 1, 1, 2, 2]]},
    {"from_parents": [[-1, 0, 0, 1, 1], [0, 2, 3, 4]]},
    {
        "from_membership": [
            [[[1, 0], [0, 1], [1, 0]], [[1, 0, 0], [0, 0, 1], [0, 1, 0]]]
        ]
    },
    {"new": [[[0, 2], [0, 1, 3]], [2, 0, 1]]},
    {"state": [[[0, 2], [0, 1, 3]], [2, 0, 1]]},
    {"flat": [3]},
    {"with_labels": [[0, 1, 2]]},
    {"without_labels": [[0, 3]]},
    {"labels_under": [1, 0]},
    {"node_of_label": [1]},
]
SMALL = (*(n for n in NUMBERS if n != 2**31 - 1 and n != 2**31), 3, 4, -2, float("nan"))


class Trees(FileKind):
    """All ways to make a tree."""

    seeds = [Case("tree.json", json.dumps(each).encode()) for each in DOCUMENTS]

    def mutated(self, case, rng):
        document = json.loads(case.content)
        for _ in range(rng.choice((1, 1, 2))):
            ((_, arguments),) = document.items()
            change_json(arguments, rng, SMALL, (*OTHERS, [0], [[0]], [[1, 0]]))
        return Case(case.name, json.dumps(document).encode())

    def name_in_errors(self, case):
        return ""

    def read(self, case):
        ((name, arguments),) = json.loads(case.content).items()
        if name not in {key for each in DOCUMENTS for key in each}:
            raise ValueError(f"{name} makes no tree")
        if name in ("labels_under", "node_of_label"):
            return self.check_labels(getattr(TREE, name)(*arguments))
        if name == "new":
            tree = LabelTree(*arguments)
        elif name == "state":
            tree = of_state(*arguments)
        else:
            tree = getattr(TREE, name)(*arguments)
        self.check(tree)
        return "a tree"

    def check_labels(self, labels):
        labels = np.asarray(labels)
        in_range = labels.min() >= 0 and labels.max() < TREE.n_labels
        require(labels.dtype.kind == "i" and in_range, "wrong numbers")
        return "numbers"

    def check(self, tree):
        """A tree of all labels, that is the same after a way there and back."""
        n = tree.n_labels
        require(sorted(tree.label_order.tolist()) == list(range(n)), "label_order")
        sizes = [1, *tree.level_sizes]
        for offsets, size in zip(tree.offsets, sizes, strict=False):
            require(len(offsets) == size + 1, "offsets do not fit the level above")
        parents = tree.to_parents()
        again = LabelTree.from_parents(parents, np.arange(n))
        same = np.array_equal(again.to_parents(), parents)
        require(same, "another tree after to_parents and from_parents")
        require(pickle.loads(pickle.dumps(tree)) == tree, "another tree after a pickle")
        require("root" in tree.to_text(), "no text")


def of_state(offsets, order):
    """As a loaded pickle makes a tree."""
    tree = LabelTree.__new__(LabelTree)
    tree.__setstate__({"_offsets": offsets, "_label_order": order})
    return tree
