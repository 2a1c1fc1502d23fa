"""
========================
Calibrated probabilities
========================

Scores of a label tree rank labels well, but they are poor probabilities. A calibrated
classifier learns probabilities from held-out instances, and the decision threshold
with the best F1.
"""

# %%
# Reliability of the five best labels
# -----------------------------------

import matplotlib.pyplot as plt
from sklearn.metrics import f1_score

from sklearn_xmr import XRCalibratedClassifier, XRLinearClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import CalibrationAtKDisplay

train, test = load_tate_subjects(subset="train"), load_tate_subjects(subset="test")
vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
X, X_test = vectorizer.fit_transform(train.data), vectorizer.transform(test.data)
tree = XRLinearClassifier(random_state=0)
models = {
    "tree": tree,
    "isotonic": XRCalibratedClassifier(tree, decision_threshold="f1", random_state=0),
}
figure, axes = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
for name, model in models.items():
    model.fit(X, train.target)
    CalibrationAtKDisplay.from_estimator(
        model, X_test, test.target, k=5, name=name, ax=axes
    )

# %%
# The threshold
# -------------

for name, model in models.items():
    given = model.predict(X_test)
    f1 = f1_score(test.target, given, average="micro")
    print(f"{name:10} {given.nnz / given.shape[0]:.1f} labels per row, F1 = {f1:.3f}")
