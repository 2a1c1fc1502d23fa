"""
======================================
Sparse and dense features side by side
======================================

tf-idf is sparse, embeddings are dense. :class:`~sklearn_xmr.HybridUnion` keeps them in
two blocks with a kernel for each. Any dense features can be used; here they come from
a truncated SVD.
"""

# %%
# Sparse and dense features of the same texts
# -------------------------------------------

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from sklearn_xmr import HybridUnion, XRLinearClassifier, predict_topk
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import precision_at_k

train, test = load_tate_subjects(subset="train"), load_tate_subjects(subset="test")
values = {}


def report(name, model):
    """Fit, and print precision and time."""
    start = time.perf_counter()
    model.fit(train.data, train.target)
    seconds = time.perf_counter() - start
    topk = predict_topk(model, test.data, k=5)
    p1, p5 = (precision_at_k(test.target, topk, k=k) for k in (1, 5))
    values[name] = p1, p5
    print(f"{name:24} P@1 {p1:.3f}  P@5 {p5:.3f}  {seconds:.1f} s")


words = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32)
topics = make_pipeline(
    TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32),
    TruncatedSVD(64, random_state=0),
    Normalizer(),
)

# %%
# Words, topics, both
# -------------------

report("words", make_pipeline(words, XRLinearClassifier(random_state=0)))
report("topics", make_pipeline(topics, XRLinearClassifier(random_state=0)))
both = HybridUnion([("words", words), ("topics", topics)])
report("both", make_pipeline(both, XRLinearClassifier(random_state=0)))
print(both.transform(test.data[:3]))

# %%
# Comparison
# ----------

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for shift, (name, pair) in zip((-0.25, 0, 0.25), values.items(), strict=True):
    bars = axes.bar(np.arange(2) + shift, pair, 0.25, label=name)
    axes.bar_label(bars, fmt="{:.3f}")
axes.set_xticks([0, 1], ["P@1", "P@5"])
axes.margins(y=0.15)
_ = axes.legend()
