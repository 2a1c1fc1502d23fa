"""
===============================
Tune a pipeline by metrics at k
===============================

scikit-learn's searches work without changes. Scorers at k ask for k labels only, and
several of them share one prediction.
"""

# %%
# A pipeline and a grid
# ---------------------
# 6,000 artworks, drawn at random: those of one artist lie side by side in the data, so
# that the first 6,000 would be of few artists, and each fold of others.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, LearningCurveDisplay
from sklearn.pipeline import make_pipeline
from sklearn.utils import shuffle

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import make_topk_scorers
from sklearn_xmr.model_selection import IterativeStratifiedKFold, learning_curve

train = load_tate_subjects(subset="train")
texts, Y = shuffle(train.data, train.target, n_samples=6000, random_state=0)
model = make_pipeline(
    TfidfVectorizer(sublinear_tf=True), XRLinearClassifier(random_state=0)
)
C = [0.1, 0.3, 1.0, 3.0, 10.0]
search = GridSearchCV(
    model,
    {"xrlinearclassifier__C": C, "tfidfvectorizer__ngram_range": [(1, 1), (1, 2)]},
    scoring=make_topk_scorers(["precision_at_1", "ndcg_at_5"]),
    refit="ndcg_at_5",
    cv=IterativeStratifiedKFold(3, random_state=0),
)
search.fit(texts, Y)
print(search.best_params_)

# %%
# Results of the search
# ---------------------

results = search.cv_results_
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for pairs in ((1, 1), (1, 2)):
    these = [p["tfidfvectorizer__ngram_range"] == pairs for p in results["params"]]
    values = results["mean_test_ndcg_at_5"][these]
    spread = results["std_test_ndcg_at_5"][these]
    axes.errorbar(C, values, spread, marker="o", capsize=3, label=f"words {pairs}")
axes.set(xscale="log", xlabel="C", ylabel="nDCG@5")
axes.legend()

# %%
# Would more data help?
# ---------------------
# Yes: nDCG on the test folds still rises where the data end.

sizes, train_scores, test_scores = learning_curve(
    search.best_estimator_,
    texts,
    Y,
    train_sizes=np.geomspace(0.05, 1, 5),
    scoring="ndcg_at_5",
    cv=IterativeStratifiedKFold(3, random_state=0),
)
display = LearningCurveDisplay(
    train_sizes=sizes,
    train_scores=train_scores,
    test_scores=test_scores,
    score_name="nDCG@5",
).plot()
display.ax_.minorticks_off()
display.ax_.set_xticks(sizes, [f"{size:,}" for size in sizes])
