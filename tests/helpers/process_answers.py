"""What tests ask of models in other processes, which import this file by its name."""

from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.utils._openmp_helpers import effective_n_threads

X, Y = make_xmr_classification(150, 80, 30, random_state=0)
shared = {}  # what a forked child finds


def answer_of(clf):
    """Labels and scores of some rows, as bytes."""
    return b"".join(part.tobytes() for part in clf.predict_topk(X[:40], k=3))


def answer_and_threads(clf=None):
    """That and the number of threads allowed; None: the model from before the fork."""
    return answer_of(shared["model"] if clf is None else clf), effective_n_threads()
