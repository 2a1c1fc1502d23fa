"""
====================
Explain a prediction
====================

A label's score is a product along its path in the label tree, where upper levels count
less, and each factor comes from a sum over features: explanations are exact.
"""

# %%
# A model
# -------

import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_xmr import XRLinearClassifier, predict_topk
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import (
    LabelTreeDisplay,
    SearchPathDisplay,
    explain,
    nearest_labels,
    top_features,
    view_label_tree,
    view_search_path,
)

train, test = load_tate_subjects(subset="train"), load_tate_subjects(subset="test")
names = train.target_names
model = make_pipeline(
    TfidfVectorizer(sublinear_tf=True, min_df=2), XRLinearClassifier(random_state=0)
).fit(train.data, train.target)

# %%
# The search path of one artwork
# ------------------------------

row = 5
artwork = test.data[row : row + 1]
print(artwork[0])
display = SearchPathDisplay.from_estimator(
    model, artwork, label_names=names, true_labels=test.target[row].indices
)

# %%
# Why the first label?
# --------------------

best = predict_topk(model, artwork, k=1)[0][0, 0]
explanation = explain(model, artwork, best, label_names=names)
print(explanation)

# %%

_ = explanation.plot()

# %%
# Important words and similar labels
# ----------------------------------

for label in ("sea", "soldier", "bed"):
    words = [name for name, _ in top_features(model, label, 6, label_names=names)]
    near = [name for _, name, _ in nearest_labels(model, label, 5, label_names=names)]
    print(f"{label}: words {', '.join(words)}; near {', '.join(near)}")

# %%
# The tree
# --------

counts = np.asarray(train.target.sum(axis=0)).ravel()
display = LabelTreeDisplay.from_estimator(model, label_names=names, label_counts=counts)

# %%
# In a browser
# ------------
# Interactive pages, each in one file: groups can be opened, labels be searched by name,
# and the path of a prediction shows for each label the features that support it.
# Without ``open_browser=False`` they open at once.

tree = view_label_tree(
    model, label_names=names, label_counts=counts, open_browser=False
)
path = view_search_path(
    model,
    artwork,
    label_names=names,
    true_labels=test.target[row].indices,
    open_browser=False,
)
path  # noqa: B018, the gallery shows it
