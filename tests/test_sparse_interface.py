"""scikit-learn's option ``sparse_interface`` holds for every matrix that users get."""

import numpy as np
import pytest
from estimators import each_classifier
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.cluster import KMeans

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    LabelNamesClassifier,
    RecursiveLabelClusterer,
    XMRClassifier,
    XRLinearClassifier,
    label_representation,
    load_model,
    save_model,
)
from sklearn_xmr.datasets import (
    dump_xmc_file,
    load_labelled_texts,
    load_tate_subjects,
    load_xmc_file,
    make_xmr_classification,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.preprocessing import LabelNameBinarizer

pytestmark = pytest.mark.skipif(
    "sparse_interface" not in get_config(), reason="scikit-learn has no such option"
)
NAMES = [["sea", "ship"], ["sea"], ["air"]] * 4
X, Y = make_xmr_classification(120, 30, 8, random_state=0)


def xmc_file(folder):
    dump_xmc_file(X, Y, folder / "xmc.txt")
    return load_xmc_file(folder / "xmc.txt")


def texts_file(folder):
    (folder / "texts.csv").write_text("text,labels\na ship,sea;ship\nthe sky,air\n")
    return load_labelled_texts(folder / "texts.csv").target


def linear(folder):
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    save_model(clf, folder / "model.xmr")
    clf = load_model(folder / "model.xmr")
    scores = clf.score_pairs(X, [1, 2])
    return clf.predict(X), clf.transform(X), scores, clf.weights_[0].to_csr()


def clusters(folder):
    found = HierarchicalLabelClusterer(max_leaf_size=10, random_state=0).fit(X)
    two = KMeans(2, n_init=1, random_state=0)
    other = RecursiveLabelClusterer(two, max_leaf_size=60, random_state=0).fit(X)
    return found.cluster_centers_, other.cluster_centers_


def stages(folder):
    clf = XMRClassifier(HierarchicalLabelClusterer(max_leaf_size=3), random_state=0)
    return clf.fit(X, Y).membership_, clf.predict_proba(X)


def names(folder):
    clf = LabelNamesClassifier(XRLinearClassifier(random_state=0)).fit(X[:12], NAMES)
    binarizer = LabelNameBinarizer().fit(NAMES)
    return clf.predict_proba(X[:3]), clf.indicator(NAMES), binarizer.transform(NAMES)


RESULTS = {
    "generated": lambda folder: make_xmr_classification(20, 30, 8, random_state=0),
    "Tate": lambda folder: load_tate_subjects(subset="test").target,
    "XMC file": xmc_file,
    "file of texts": texts_file,
    "representation": lambda folder: label_representation(X, Y),
    "representation, both": lambda folder: label_representation(
        X, Y, "pifa+lf", label_features=Y.T @ X
    ),
    "names": lambda folder: LabelNameBinarizer().fit_transform(NAMES),
    "names of a model": names,
    "tf-idf": lambda folder: TfidfVectorizer().fit_transform(["a ship", "the sea"]),
    "linear": linear,
    "clusters": clusters,
    "stages": stages,
}


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_sparse_results_are_of_the_kind_asked_for(make, tmp_path):
    kinds = {"spmatrix": sparse.spmatrix, "sparray": sparse.sparray}
    found = {}
    for interface, kind in kinds.items():
        with config_context(sparse_interface=interface):
            result = make(tmp_path)
        found[interface] = result if isinstance(result, tuple) else (result,)
        assert all(isinstance(matrix, kind) for matrix in found[interface])
    for matrix, array in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(matrix.toarray(), array.toarray())


@each_classifier
def test_models_are_the_same_whatever_the_option(clf):
    usual = clone(clf).fit(X, Y)
    with config_context(sparse_interface="sparray"):
        other = clone(clf).fit(sparse.csr_array(X), sparse.csr_array(Y))
        labels, scores = other.predict_topk(sparse.csr_array(X))
    expected = usual.predict_topk(X)
    np.testing.assert_array_equal(labels, expected[0])
    np.testing.assert_array_equal(scores, expected[1])
