"""Write small models of libpecos, and what it predicts:

    PYTHON tests/helpers/make_libpecos_fixtures.py tests/persistence/fixtures/libpecos

PYTHON: one that has libpecos (1.2.8 wrote the files) and scikit-learn. Each folder is
what ``XLinearModel.save`` writes; ``answers.json`` holds the instances and, for each
model, the rankings by libpecos for several beams and post-processors.
"""

import json
import sys
from pathlib import Path

import numpy as np
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel
from scipy import sparse

N_SAMPLES, N_FEATURES, N_LABELS, N_TEST = 80, 12, 20, 3
MODELS = {  # name: (branching factor or None, leaf size, bias, saved parameters)
    "flat": (None, None, 1.0, {"only_topk": 7, "post_processor": "l2-hinge"}),
    "two_levels": (
        8,
        4,
        2.5,
        {"beam_size": 2, "only_topk": 4, "post_processor": "sigmoid"},
    ),
    "three_levels": (2, 5, -1.0, {}),
}
QUESTIONS = [  # beam size and post-processor; None: as saved
    (None, None),
    (1, "l3-hinge"),
    (2, "log-sigmoid"),
    (3, "l1-hinge"),
    (3, "log-l4-hinge"),
    (20, "noop"),
    (20, "l4-hinge"),
]


def make_data():
    """X and Y of a few numbers with one decimal, so that no file is large."""
    rng = np.random.RandomState(0)
    X = np.where(
        rng.rand(N_SAMPLES, N_FEATURES) < 0.4, rng.rand(N_SAMPLES, N_FEATURES), 0
    )
    Y = (X @ rng.randn(N_FEATURES, N_LABELS) > 0.8).astype(np.float32)
    return np.round(X, 1).astype(np.float32), Y


def answer(model, X, beam_size, post_processor):
    """What libpecos predicts, as lists of labels and of scores."""
    given = {"beam_size": beam_size, "post_processor": post_processor}
    found = model.predict(X, **{n: v for n, v in given.items() if v is not None})
    rows = [found[i] for i in range(found.shape[0])]
    order = [np.argsort(-row.data, kind="stable") for row in rows]
    return {
        **given,
        "labels": [r.indices[o].tolist() for r, o in zip(rows, order)],
        "scores": [[float(f"{s:.7g}") for s in r.data[o]] for r, o in zip(rows, order)],
    }


def main():
    """Write the models and the answers."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    X, Y = make_data()
    X, Y = sparse.csr_matrix(X), sparse.csc_matrix(Y)
    answers = {"X": X[:N_TEST].toarray().astype(float).round(1).tolist()}
    for name, (width, leaf, bias, saved) in MODELS.items():
        chain = None
        if width is not None:
            vectors = LabelEmbeddingFactory.create(Y, X, method="pifa")
            chain = Indexer.gen(vectors, nr_splits=width, max_leaf_size=leaf, seed=0)
        model = XLinearModel.train(X, Y, C=chain, bias=bias, pred_kwargs=saved)
        model.save(str(folder / name))
        answers[name] = [answer(model, X[:N_TEST], *given) for given in QUESTIONS]
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
