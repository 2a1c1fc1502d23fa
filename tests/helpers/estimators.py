"""The package's classifiers, small, for tests that hold for all of them."""

import pytest
import sklearn
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    XMRClassifier,
    XRBanditClassifier,
    XRCalibratedClassifier,
    XRConformalClassifier,
    XREnsembleClassifier,
    XRForestClassifier,
    XRHierarchyClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
)

# What older versions that are supported cannot do, or do otherwise (.ci/floors; 1.8 is
# the newest for Python 3.13 without its global lock).
SKLEARN_1_7 = sklearn.__version__.startswith("1.7.")
SKLEARN_BEFORE_1_9 = SKLEARN_1_7 or sklearn.__version__.startswith("1.8.")

LINEAR = XRLinearClassifier(random_state=0)
CLASSIFIERS = {
    "linear": LINEAR,
    "linear, matched": XRLinearClassifier(
        HierarchicalLabelClusterer(branching_factor=3, max_leaf_size=5, random_state=0),
        loss="logistic",
        negative_sampling="tfn+man",
        random_state=0,
    ),
    "linear, costs": XRLinearClassifier(
        HierarchicalLabelClusterer(method="kmeans", max_leaf_size=8, random_state=0),
        loss="hinge",
        negative_sampling="man",
        cost_sensitive="induce",
        relevance_norm="l1",
        random_state=0,
    ),
    "ensemble": XREnsembleClassifier(n_estimators=2, random_state=0),
    "neighbors": XRNeighborsClassifier(n_neighbors=20),
    "forest": XRForestClassifier(n_estimators=30, random_state=0),
    "stack": XRStackingClassifier(
        # Boosting of 10 rounds: threads of scikit-learn's wait for each other in 100.
        final_estimator=HistGradientBoostingClassifier(max_iter=10),
        random_state=0,
    ),
    "bandit": XRBanditClassifier(random_state=0),
    "calibrated": XRCalibratedClassifier(random_state=0),
    # Without a thesaurus, which would need these labels: test_hierarchy.py has one.
    "hierarchy": XRHierarchyClassifier(random_state=0),
    "hierarchy, combined": XRHierarchyClassifier(LINEAR, broader="combine"),
    "sets": XRConformalClassifier(alpha=0.4, random_state=0),
    "stages": XMRClassifier(
        HierarchicalLabelClusterer(max_leaf_size=10), random_state=0
    ),
    "own stages": XMRClassifier(
        KMeans(4, n_init=1, random_state=0),
        DecisionTreeClassifier(random_state=0),
        LogisticRegression(),
        random_state=0,
    ),
}
each_classifier = pytest.mark.parametrize("clf", CLASSIFIERS.values(), ids=CLASSIFIERS)
