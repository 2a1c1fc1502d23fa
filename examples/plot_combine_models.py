"""
====================================
Combine trees and nearest neighbours
====================================

Models that make different errors are better together. The stack learns on held-out
instances how much weight each of them deserves.
"""

# %%
# Each model alone, then the stack
# --------------------------------

import time

import matplotlib.pyplot as plt
import numpy as np

from sklearn_xmr import (
    XREnsembleClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import precision_at_k

train, test = load_tate_subjects(subset="train"), load_tate_subjects(subset="test")
vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
X, X_test = vectorizer.fit_transform(train.data), vectorizer.transform(test.data)
models = {
    "neighbours": XRNeighborsClassifier(power=4.0),
    "a tree": XRLinearClassifier(random_state=0),
    "three trees": XREnsembleClassifier(n_estimators=3, random_state=0),
    "stack": XRStackingClassifier(random_state=0),
}
table = []
for name, model in models.items():
    start = time.perf_counter()
    model.fit(X, train.target)
    seconds = time.perf_counter() - start
    topk = model.predict_topk(X_test, k=5)
    table.append([precision_at_k(test.target, topk, k=k) for k in (1, 3, 5)])
    print(f"{name:12} P@1 {table[-1][0]:.3f}  P@5 {table[-1][2]:.3f}  {seconds:.1f} s")

# %%
# Comparison
# ----------

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
places = np.arange(3)
for shift, (name, row) in enumerate(zip(models, table, strict=True)):
    axes.bar(places + 0.2 * (shift - 1.5), row, 0.2, label=name)
axes.set_xticks(places, ["P@1", "P@3", "P@5"])
axes.set_ylim(0.4, None)
axes.legend()
