"""
=================================
Combine a text encoder and tf-idf
=================================

Embeddings of a pre-trained encoder are used together with tf-idf, first frozen, then
fine-tuned. Pass the folder of an encoder, or its name on the hub:

    python examples/text_encoder.py sentence-transformers/all-MiniLM-L6-v2

A slice of 5,000 of Tate's artworks takes about two minutes on two cores.
"""

# %%
# Data
# ----

import sys
import time

from sklearn.utils import shuffle

from sklearn_xmr import FineTuning, XTransformerClassifier, predict_topk
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.metrics import precision_at_k

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"
encoder = sys.argv[1] if len(sys.argv) > 1 else DEFAULT
train = load_tate_subjects(subset="train")
data, target = shuffle(train.data, train.target, n_samples=7000, random_state=0)
texts, Y = data[:5000], target[:5000]
test, truth = data[5000:], target[5000:]


def report(name, clf):
    """Fit, and print precision and time."""
    start = time.perf_counter()
    topk = predict_topk(clf.fit(texts, Y), test, k=5)
    seconds = time.perf_counter() - start
    p1, p5 = (100 * precision_at_k(truth, topk, k=k) for k in (1, 5))
    print(f"{name:<20} P@1 {p1:.2f}  P@5 {p5:.2f}  {seconds:.1f} s", flush=True)


# %%
# The frozen encoder
# ------------------

clf = XTransformerClassifier(encoder, fine_tuning=None, max_length=32, random_state=0)
report("frozen", clf)

# %%
# Fine-tuned
# ----------
# Two epochs. The embeddings of the frozen encoder are cached.

report("fine-tuned", clf.set_params(fine_tuning=FineTuning(n_epochs=2.0)))
