"""Paths, explanations and plots against what the models themselves say."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    LabelTree,
    Thesaurus,
    XRCalibratedClassifier,
    XREnsembleClassifier,
    XRLinearClassifier,
)
from sklearn_xmr.inspection import (
    CalibrationAtKDisplay,
    CoveragePrecisionDisplay,
    LabelFrequencyDisplay,
    LabelTreeDisplay,
    MetricAtKDisplay,
    ModelSizeDisplay,
    SearchPathDisplay,
    TrainingHistoryDisplay,
    explain,
    nearest_labels,
    search_path,
    top_features,
    view_in_thesaurus,
    view_label_tree,
    view_search_path,
)
from sklearn_xmr.inspection._outline import outline_of
from sklearn_xmr.inspection._plotting import figure_and_axes, score_text
from sklearn_xmr.linear._post_processor import POST_PROCESSORS
from sklearn_xmr.metrics import (
    ece_at_k,
    ndcg_at_k,
    precision_at_k,
    propensity_scores,
    psprecision_at_k,
    recall_at_k,
)


@pytest.fixture(autouse=True)
def no_windows():
    pytest.importorskip("matplotlib").use("Agg")
    yield
    pytest.importorskip("matplotlib.pyplot").close("all")


def deep_classifier(**parameters):
    """A tree of several levels, so that the beam has something to drop."""
    tree = HierarchicalLabelClusterer(
        branching_factor=4, max_leaf_size=5, random_state=0
    )
    settings = {"random_state": 0, "beam_size": 3, "weight_threshold": 0.0}
    return XRLinearClassifier(tree, **{**settings, **parameters})


@pytest.fixture
def fitted(small):
    X, Y = small
    return deep_classifier().fit(X, Y), X, Y


# --- paths --------------------------------------------------------------------------


def nodes_of_the_search(clf, x, n_levels):
    """The best nodes of a level, as many as the beam keeps, by the model's search."""
    X = HybridFeatures.of_blocks(x)
    search = clf.model_._search.search
    return search(X, n_levels, clf.beam_size, clf.beam_size, clf.scoring_rule, 1)[0]


@pytest.mark.parametrize("post_processor", POST_PROCESSORS)
def test_path_is_what_the_search_does(small, post_processor):
    X, Y = small
    clf = deep_classifier(post_processor=post_processor).fit(X, Y)
    assert clf.tree_.n_levels >= 3
    for row in range(0, 60, 7):
        x = X[row : row + 1]
        path = search_path(clf, x, k=4)
        for number, level in enumerate(path.levels[:-1]):
            nodes = nodes_of_the_search(clf, x, number + 1)
            kept = level.nodes[level.kept]
            assert set(kept) == set(nodes[0])
            margins = clf.weights_[number].to_csr() @ x.T
            margins = margins.toarray().ravel() + clf.weights_[number].intercept
            np.testing.assert_allclose(level.margins, margins[level.nodes], rtol=1e-4)
            below = clf.tree_.offsets[number + 1]
            children = [c for n in kept for c in range(below[n], below[n + 1])]
            if number + 2 < len(path.levels):
                assert set(path.levels[number + 1].nodes) == set(children)
        labels, scores = clf.predict_topk(x, k=4)
        last = path.levels[-1]
        found = scores[0] if "log_" not in post_processor else np.exp(scores[0])
        np.testing.assert_allclose(last.scores[last.kept], found, rtol=1e-4)
        np.testing.assert_array_equal(last.nodes[last.kept], labels[0])


@pytest.mark.parametrize("beam_size", [3, None])
@pytest.mark.parametrize("post_processor", ["l3_hinge", "log_sigmoid"])
def test_path_with_label_weights(small, beam_size, post_processor):
    X, Y = small
    clf = deep_classifier(beam_size=beam_size, post_processor=post_processor)
    clf.set_params(label_weight="inverse_propensity").fit(X, Y)
    changed = 0
    for row in range(0, 600, 37):
        x = X[row : row + 1]
        path = search_path(clf, x, k=3)
        last = path.levels[-1]
        labels, scores = clf.predict_topk(x, k=3)
        np.testing.assert_array_equal(last.nodes[last.kept], labels[0])
        scores = np.exp(scores) if "log_" in post_processor else scores
        weighted = last.scores[last.kept] / clf.propensities_[labels[0]]
        np.testing.assert_allclose(weighted, scores[0], rtol=1e-4)
        changed += (np.diff(last.scores) > 0).any()
    assert changed  # scores are without weights
    clf.set_params(post_processor="noop")
    with pytest.raises(ValueError, match="label_weight multiplies probabilities"):
        search_path(clf, X[:1])


def test_exact_search_keeps_what_it_needs(small):
    X, Y = small
    clf = deep_classifier(beam_size=None).fit(X, Y)
    for row in range(0, 600, 37):
        x = X[row : row + 1]
        path = search_path(clf, x, k=3)
        np.testing.assert_array_equal(
            path.levels[-1].nodes[:3], clf.predict_topk(x, k=3)[0][0]
        )


def test_path_as_text_and_dict(fitted):
    clf, X, _ = fitted
    names = [f"label {i}" for i in range(60)]
    path = search_path(clf, X[:1], k=2, label_names=names)
    data = json.loads(json.dumps(path.to_dict()))
    best = clf.predict_topk(X[:1], k=1)[0][0, 0]
    assert data["levels"][-1][0]["name"] == f"label {best}"
    assert sum(row["kept"] for row in data["levels"][-1]) == 2
    sizes = [row["n_labels"] for row in data["levels"][0]]
    assert sum(sizes) == 60
    text = path.to_text(n_nodes=2)
    assert f"label {best}" in text and "level 0: 3 of" in text
    assert len(text.splitlines()) == 3 * len(data["levels"])


def test_groups_are_shown_with_labels_of_large_intercepts(fitted):
    clf, X, _ = fitted
    names = [f"label {i}" for i in range(60)]
    path = search_path(clf, X[:1], label_names=names)
    order = clf.tree_.label_order.tolist()
    intercept = dict(zip(order, clf.model_.weights[-1].intercept, strict=True))
    for number, rows in enumerate(path.to_dict()["levels"][:-1]):
        row = rows[0]
        labels = np.flatnonzero(clf.tree_.node_of_label(number) == row["node"])
        best = max(labels.tolist(), key=intercept.get)
        assert row["examples"][0] == f"label {best}"
        assert len(row["examples"]) == 3
        among = f"({row['n_labels']} labels: {'; '.join(row['examples'])}; …)"
        assert among in path.to_text()
    assert path.examples(len(path.levels) - 1, 0) == []
    steps = explain(clf, X[:1], 0, label_names=names).steps
    assert [len(step.examples) for step in steps] == [3] * (len(steps) - 1) + [0]


@pytest.mark.parametrize(
    "score, text",
    [(0.98361, "0.9836"), (-2.5, "-2.5000"), (0.0, "0"), (3.2e-7, "3e-07")],
)
def test_small_scores_are_told_from_none(score, text):
    assert score_text(score) == text


# --- explanations -------------------------------------------------------------------


@pytest.mark.parametrize("post_processor", ["l3_hinge", "sigmoid", "l1_hinge"])
def test_explanations_add_up(small, post_processor):
    X, Y = small
    clf = deep_classifier(post_processor=post_processor).fit(X, Y)
    for row in range(0, 600, 53):
        x = X[row : row + 1]
        for label in (0, 17, int(clf.predict_topk(x, k=1)[0][0, 0])):
            explanation = explain(clf, x, label)
            for step in explanation.steps:
                total = step.intercept + sum(c for _, _, c in step.features)
                assert total == pytest.approx(step.margin, abs=1e-5)
                assert 1 <= step.rank <= step.n_siblings
            score = clf.score_pairs(x, [label])[0, label]
            assert explanation.score == pytest.approx(score, rel=1e-4)
            sizes = [step.n_labels for step in explanation.steps]
            assert sizes == sorted(sizes, reverse=True) and sizes[-1] == 1


def test_explanation_of_margins(small):
    X, Y = small
    clf = deep_classifier(post_processor="noop").fit(X, Y)
    explanation = explain(clf, X[:1], 3)
    assert explanation.score == pytest.approx(clf.score_pairs(X[:1], [3])[0, 3], 1e-4)


def test_dense_features_take_part(small):
    X, Y = small
    hybrid = HybridFeatures(X[:, :200], X[:, 200:].toarray())
    clf = deep_classifier(weight_dtype="float32").fit(hybrid, Y)
    explanation = explain(clf, hybrid[5], 7)
    score = clf.score_pairs(hybrid[5], [7])[0, 7]
    assert explanation.score == pytest.approx(score, rel=1e-4)
    names = {name for step in explanation.steps for name, _, _ in step.features}
    assert any(int(name[1:]) >= 200 for name in names)
    assert nearest_labels(clf, 7, 3)
    np.testing.assert_array_equal(
        search_path(clf, hybrid[5], k=2).levels[-1].nodes[:2],
        clf.predict_topk(hybrid[5], k=2)[0][0],
    )


@pytest.fixture
def texts_and_model():
    texts = ["red bird", "blue bird", "red fish", "blue fish"] * 3
    Y = sparse.csr_matrix([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]] * 3)
    clf = XRLinearClassifier(LabelTree.from_labels([0, 0, 1, 1]))
    return texts, Y, make_pipeline(TfidfVectorizer(), clf).fit(texts, Y)


NAMES = ["red", "blue", "bird", "fish"]


def test_names_come_through_pipelines_and_searches(texts_and_model):
    texts, Y, model = texts_and_model
    search = GridSearchCV(
        model, {"xrlinearclassifier__C": [1.0]}, cv=KFoldOfTwo(), scoring=None
    ).fit(texts, Y)
    for estimator in (model, search):
        explanation = explain(estimator, ["red bird"], "bird", label_names=NAMES)
        assert explanation.label == 2 and explanation.name == "bird"
        assert explanation.steps[-1].features[0][0] == "bird"
        assert [
            n for n, _ in top_features(estimator, "fish", 1, label_names=NAMES)
        ] == ["fish"]
    assert "bird" in str(explanation) and "intercept" in explanation.to_text()
    assert json.dumps(explanation.to_dict())
    assert repr(explanation).startswith("Explanation('bird', score=")
    given = ["a", "b", "c", "d"]
    clf, X = model[-1], model[:-1].transform(["red bird"])
    features = explain(clf, X, 2, feature_names=given).steps[-1].features
    assert {name for name, _, _ in features} <= set(given)
    assert explain(clf, X, 2).steps[-1].features[0][0].startswith("x")


class KFoldOfTwo:
    """Halves of the data: both have all labels."""

    def split(self, X, y=None, groups=None):
        half = np.arange(len(X)) < len(X) // 2
        yield np.flatnonzero(half), np.flatnonzero(~half)

    def get_n_splits(self, X=None, y=None, groups=None):
        return 1


def test_classes_of_1d_targets_are_names():
    X = np.eye(4)
    clf = XRLinearClassifier().fit(X, np.array(["a", "b", "c", "d"]))
    assert explain(clf, X[:1], "a").name == "a"
    assert outline_of(clf).examples == ["a", "b", "c", "d"]
    assert outline_of(make_pipeline(clf)).examples == ["a", "b", "c", "d"]


def test_names_are_taken_by_position(texts_and_model):
    pandas = pytest.importorskip("pandas")
    _, _, model = texts_and_model
    clf, X = model[-1], model[:-1].transform(["red bird"])
    labels = pandas.Series(NAMES, index=[9, 2, 1, 0])
    words = model[0].get_feature_names_out()
    features = pandas.Series(words, index=np.arange(len(words))[::-1])
    for name in NAMES:
        explanation = explain(clf, X, name, label_names=labels, feature_names=features)
        plain = explain(model, ["red bird"], name, label_names=NAMES)
        assert explanation.to_dict() == plain.to_dict()
    found = nearest_labels(clf, "bird", label_names=labels)
    assert found == nearest_labels(clf, "bird", label_names=NAMES)
    path = search_path(clf, X, label_names=labels)
    assert path.to_text() == search_path(clf, X, label_names=NAMES).to_text()
    vectors = np.eye(4) + 0.1
    found = nearest_labels(vectors, "blue", label_names=labels)
    assert {name for _, name, _ in found} == {"red", "bird", "fish"}
    assert outline_of(clf, labels).examples == NAMES
    shown = pandas.Series(["red bird"], index=[17])
    view = view_search_path(model, shown, label_names=labels, open_browser=False)
    assert '"text": "red bird"' in view.html


def test_parameters_that_act_are_checked(small):
    X, Y = small
    clf = deep_classifier().fit(X, Y)
    for name, value in {"beam_size": 0, "post_processor": "l9", "top_k": -1}.items():
        other = clone(clf).fit(X, Y).set_params(**{name: value})
        for use in (search_path, view_search_path):
            with pytest.raises(ValueError, match=f"The '{name}' parameter"):
                use(other, X[:1])
        with pytest.raises(ValueError, match=f"The '{name}' parameter"):
            explain(other, X[:1], 0)


def test_top_features_are_the_largest_weights(fitted):
    clf, _, _ = fitted
    weights = clf.weights_[-1].to_csr().toarray()
    place = int(np.flatnonzero(clf.tree_.label_order == 11)[0])
    order = np.argsort(-weights[place], kind="stable")[:5]
    found = top_features(clf, 11, 5)
    assert [name for name, _ in found] == [f"x{i}" for i in order]
    np.testing.assert_allclose([w for _, w in found], weights[place][order], rtol=1e-6)


def test_nearest_labels_are_those_of_the_largest_cosine(fitted):
    clf, _, _ = fitted
    total = np.empty((60, 400))
    total[clf.tree_.label_order] = clf.weights_[-1].to_csr().toarray()
    unit = total / np.linalg.norm(total, axis=1, keepdims=True)
    cosines = unit @ unit[4]
    cosines[4] = -1
    best = np.argsort(-cosines)[:3]
    found = nearest_labels(clf, 4, 3)
    assert [number for number, _, _ in found] == best.tolist()
    np.testing.assert_allclose([c for *_, c in found], cosines[best], rtol=1e-4)
    again = nearest_labels(sparse.csr_matrix(total), 4, 3)
    assert [number for number, _, _ in again] == best.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, X: explain(m, X[:2], 0), ValueError, "X must hold one instance"),
        (lambda m, X: explain(m, X[:1], 60), ValueError, "label must be a column of Y"),
        (lambda m, X: explain(m, X[:1], "a"), ValueError, "'a' is none of label_names"),
        (lambda m, X: explain(m, X[:1], 0.0), ValueError, "label must be a column"),
        (
            lambda m, X: explain(m, X[:1], 0, label_names=["a"]),
            ValueError,
            "label_names must hold a name for each of the 60 labels, got 1",
        ),
        (
            lambda m, X: explain(m, X[:1], 0, feature_names=["a"]),
            ValueError,
            "feature_names must hold a name for each of the",
        ),
        (lambda m, X: top_features(m, -1), ValueError, "label must be a column"),
        (
            lambda m, X: top_features(m, 0, 0),
            ValueError,
            "n_features must be an integer",
        ),
        (
            lambda m, X: nearest_labels(m, 0, 0),
            ValueError,
            "n_labels must be an integer",
        ),
        (lambda m, X: search_path(m, X[:1], k=0), ValueError, "k must be an integer"),
        (
            lambda m, X: view_search_path(m, X[:1], k=0, open_browser=False),
            ValueError,
            "k must be an integer",
        ),
        (
            lambda m, X: MetricAtKDisplay.from_estimator(m, X, X, max_k=0),
            ValueError,
            "max_k must be an integer",
        ),
        (
            lambda m, X: MetricAtKDisplay.from_predictions(X != 0, X, max_k=1.5),
            ValueError,
            "max_k must be an integer",
        ),
        (
            lambda m, X: MetricAtKDisplay.from_predictions(
                X != 0, X, metrics=["psprecision"]
            ),
            ValueError,
            "propensities must be given for the metric 'psprecision'",
        ),
        (
            lambda m, X: CalibrationAtKDisplay.from_predictions(X != 0, X, n_bins=0),
            ValueError,
            "n_bins must be an integer",
        ),
        (
            lambda m, X: LabelTreeDisplay.from_estimator(m, max_children=0),
            ValueError,
            "max_children must be an integer",
        ),
        (
            lambda m, X: LabelTreeDisplay.from_estimator(X),
            TypeError,
            "estimator must be an XRLinearClassifier",
        ),
        (
            lambda m, X: explain(m, X[:1], 0, label_names=dict.fromkeys(range(60))),
            TypeError,
            "label_names must be a sequence in the order",
        ),
        (
            lambda m, X: nearest_labels(X, 0, label_names=["a"]),
            ValueError,
            "label_names must hold",
        ),
        (
            lambda m, X: LabelTreeDisplay.from_estimator(m, root=(9, 0)),
            ValueError,
            r"root must be \(level, node\) of a group",
        ),
        (
            lambda m, X: LabelTreeDisplay.from_estimator(m, label_counts=[1]),
            ValueError,
            "label_counts must hold a number for each of the 60",
        ),
        (
            lambda m, X: TrainingHistoryDisplay.from_estimator(m),
            ValueError,
            "has no history_",
        ),
    ],
)
def test_bad_input(fitted, call, error, message):
    clf, X, _ = fitted
    with pytest.raises(error, match=message):
        call(clf, X)


def test_models_without_one_tree_are_refused(small):
    X, Y = small
    ensemble = XREnsembleClassifier(XRLinearClassifier(), 2, random_state=0).fit(X, Y)
    with pytest.raises(TypeError, match=r"take one of its trees \(estimators_\[0\]\)"):
        explain(ensemble, X[:1], 0)
    assert explain(ensemble.estimators_[0], X[:1], 0).score >= 0
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        explain(XRLinearClassifier(), X[:1], 0)


# --- plots --------------------------------------------------------------------------


def test_metrics_by_k(fitted):
    clf, X, Y = fitted
    propensities = propensity_scores(Y)
    display = MetricAtKDisplay.from_estimator(
        clf,
        X,
        Y,
        max_k=4,
        metrics=["precision", "ndcg", "psprecision"],
        propensities=propensities,
        name="tree",
    )
    topk = clf.predict_topk(X, 4)
    for k in range(1, 5):
        assert display.values["precision"][k - 1] == precision_at_k(Y, topk, k)
        assert display.values["ndcg"][k - 1] == ndcg_at_k(Y, topk, k)
        value = psprecision_at_k(Y, topk, k, propensities=propensities)
        assert display.values["psprecision"][k - 1] == value
    assert (
        display.lines_[0].get_ydata().tolist() == display.values["precision"].tolist()
    )
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend[0] == "tree: precision"
    again = display.plot(ax=display.ax_, name="other", color="red")
    assert again.figure_ is display.figure_
    with pytest.raises(ValueError, match="metrics must be among .* found 'auc'"):
        MetricAtKDisplay.from_predictions(Y, topk, metrics=["auc"])


def test_any_classifier_can_be_drawn(small):
    X, Y = small
    other = OneVsRestClassifier(LogisticRegression()).fit(X, Y.toarray().astype(int))
    display = MetricAtKDisplay.from_estimator(other, X, Y, max_k=3)
    scores = other.predict_proba(X)
    assert display.values["recall"][2] == recall_at_k(Y, scores, 3)


def test_metrics_by_label_frequency(fitted):
    clf, X, Y = fitted
    topk = clf.predict_topk(X, 3)
    draw = partial(
        LabelFrequencyDisplay.from_estimator, clf, X, Y, Y, k=3, bounds=(20, 40)
    )
    display = draw(metric="precision")
    assert display.values.sum() == pytest.approx(precision_at_k(Y, topk, 3))
    assert [bar.get_height() for bar in display.bars_] == display.values.tolist()
    assert display.n_labels.sum() == 60
    rare = draw(metric="psprecision")
    p = propensity_scores(Y)
    whole = psprecision_at_k(Y, topk, 3, propensities=p)
    assert rare.values.sum() == pytest.approx(whole)
    names = [tick.get_text() for tick in rare.ax_.get_xticklabels()]
    assert names == ["0–19", "20–39", "40+"]
    with pytest.raises(ValueError, match="metric must be one of"):
        draw(metric="auc")


def test_precision_by_coverage(fitted):
    clf, X, Y = fitted
    display = CoveragePrecisionDisplay.from_estimator(clf, X, Y, k=2, name="tree")
    labels, scores = clf.predict_topk(X, 2)
    truth, sure = Y.toarray(), scores[:, 0]
    right = np.take_along_axis(truth, labels, axis=1).sum(axis=1) / 2
    for threshold, share, precision in zip(
        display.thresholds, display.coverage, display.precision, strict=True
    ):
        answered = sure >= threshold
        assert share == pytest.approx(answered.mean())
        assert precision == pytest.approx(right[answered].mean())
    assert len(display.thresholds) == len(np.unique(sure))
    assert display.coverage[-1] == 1
    assert display.precision[-1] == pytest.approx(
        precision_at_k(Y, (labels, scores), 2)
    )
    assert display.line_.get_xdata().tolist() == display.coverage.tolist()
    assert display.ax_.get_ylabel() == "Precision at 2"
    again = display.plot(ax=display.ax_, name="other", color="red")
    assert again.figure_ is display.figure_
    with pytest.raises(ValueError, match="k must be an integer"):
        CoveragePrecisionDisplay.from_predictions(Y, (labels, scores), k=0)


def test_precision_by_coverage_of_what_is_not_retrieved():
    labels, scores = np.array([[1, -1], [-1, -1]]), np.array([[0.2, 0.0], [0.0, 0.0]])
    display = CoveragePrecisionDisplay.from_predictions(np.eye(2), (labels, scores))
    assert display.coverage.tolist() == [0.5, 1]
    assert display.precision.tolist() == [0, 0] and display.thresholds[0] == 0.2
    dense = CoveragePrecisionDisplay.from_predictions([[1, 0]], [[0.9, 0.1]])
    assert dense.precision == [1] and dense.ax_.get_legend() is None


def test_calibration_plot(fitted):
    clf, X, Y = fitted
    calibrated = XRCalibratedClassifier(clf, random_state=0).fit(X, Y)
    for model, name in ((clf, "tree"), (calibrated, "calibrated")):
        display = CalibrationAtKDisplay.from_estimator(model, X, Y, k=3, name=name)
        assert display.ece == ece_at_k(Y, model.predict_topk(X, 3), 3)
        gaps = np.abs(display.prob_true - display.prob_pred)
        assert (gaps * display.counts).sum() / display.counts.sum() == pytest.approx(
            display.ece
        )
        assert display.line_.get_label().startswith(f"{name} (ECE@3 =")


def test_size_plot_leaves_the_model_alone(fitted):
    clf, X, Y = fitted
    before, topk = clf.nbytes_, clf.predict_topk(X, 3)
    display = ModelSizeDisplay.from_estimator(
        clf, X, Y, k=1, thresholds=[0.0, 0.5, 1.0], name="tree"
    )
    assert clf.nbytes_ == before
    np.testing.assert_array_equal(clf.predict_topk(X, 3)[0], topk[0])
    assert display.precisions[0] == precision_at_k(Y, topk, 1)
    assert (np.diff(display.sizes) < 0).all()
    assert display.precisions[-1] < display.precisions[0]


def test_tree_plot(fitted):
    clf, _, Y = fitted
    names = [f"label {i}" for i in range(60)]
    counts = np.asarray(Y.sum(axis=0)).ravel()
    display = LabelTreeDisplay.from_estimator(
        clf, label_names=names, label_counts=counts, max_children=2
    )
    texts = [text.get_text() for text in display.texts_]
    assert texts[0] == "all labels (60)" and texts[-1].endswith("more")
    assert len(texts) == 1 + 2 + 1
    shown = {text.get_text() for text in display.ax_.texts}
    assert any(text.startswith("groups: level.number") for text in shown)
    for line in display.outline.children:
        assert "; ".join(line.examples) in shown and len(line.examples) == 5
    level, node = 0, 1
    branch = LabelTreeDisplay.from_estimator(
        clf, label_names=names, root=(level, node), max_depth=9, max_children=99
    )
    drawn = {text.get_text() for text in branch.texts_}
    under = {names[i] for i in clf.tree_.labels_under(level, node)}
    assert under <= drawn
    assert not drawn & (set(names) - under)


@pytest.mark.parametrize("max_depth", [1, 4])
def test_text_of_a_tree_is_legible_on_a_page(fitted, max_depth):
    """A figure is shrunk to the page's column, with its text, if it is wider."""
    clf, _, _ = fitted
    display = LabelTreeDisplay.from_estimator(
        clf, label_names=["a long name of a label"] * 60, max_depth=max_depth
    )
    assert display.figure_.get_figwidth() == 8
    assert min(text.get_fontsize() for text in display.ax_.texts) == 11
    display.figure_.canvas.draw()
    ends = [text.get_window_extent().x1 for text in display.ax_.texts]
    assert 0.5 < max(ends) / display.figure_.bbox.x1 < 1


def test_plots_on_axes_of_a_figure_keep_to_them(fitted):
    clf, X, _ = fitted
    figure, axes = figure_and_axes(None, (4, 4))
    names = ["a long name of a label"] * 60
    display = LabelTreeDisplay.from_estimator(clf, label_names=names, ax=axes)
    figure.canvas.draw()
    ends = [text.get_window_extent().x1 for text in axes.texts]
    assert display.figure_ is figure and max(ends) < 1.05 * figure.bbox.x1
    _, axes = figure_and_axes(None, (4, 4))
    display = SearchPathDisplay.from_estimator(clf, X[:1], ax=axes, label_names=names)
    assert any("…" in text.get_text() for text in display.texts_)


def test_outline_holds_each_label_once(fitted):
    clf, _, Y = fitted
    counts = np.asarray(Y.sum(axis=0)).ravel()

    def leaves(node):
        if not node.children:
            return [node.name]
        assert node.n_labels == sum(child.n_labels for child in node.children)
        assert node.weight == pytest.approx(sum(c.weight for c in node.children))
        return [name for child in node.children for name in leaves(child)]

    found = leaves(outline_of(clf, None, counts))
    assert sorted(map(int, found)) == list(range(60))


def test_path_and_explanation_plots(fitted):
    clf, X, _ = fitted
    display = SearchPathDisplay.from_estimator(clf, X[:1], k=2, true_labels=[3])
    best = clf.predict_topk(X[:1], k=1)[0][0, 0]
    assert any(text.get_text() == str(best) for text in display.texts_)
    shown = [text.get_text() for text in display.ax_.texts]
    first = display.path.levels[0]
    within = (
        f"{first.n_labels[0]} labels: {display.path.examples(0, first.nodes[0])[0]}"
    )
    assert any(text.startswith(within) for text in shown)
    assert "2 of" in display.ax_.get_title()
    axes = explain(clf, X[:1], best).plot(n_features=3)
    assert len(axes) == clf.tree_.n_levels
    assert len(axes[0].patches) <= 4
    assert axes[0].figure.get_figwidth() <= 9  # or it is shrunk on a page
    with pytest.raises(ValueError, match="axes must hold one for each"):
        explain(clf, X[:1], best).plot(axes=axes[:1])


def test_training_history():
    history = [
        {"level": 0, "step": 10, "loss": 0.5},
        {"level": 0, "step": 20, "loss": 0.4},
        {"level": 1, "step": 10, "loss": 0.3},
        {"level": 1, "step": 10, "metric": 0.7, "name": "P@5"},
    ]
    display = TrainingHistoryDisplay(history).plot()
    assert display.lines_[1].get_xdata().tolist() == [30]  # after the level before
    assert display.lines_[-1].get_ydata().tolist() == [0.7]


# --- pages --------------------------------------------------------------------------


def test_pages_are_written_and_opened(fitted, tmp_path, monkeypatch):
    clf, X, _ = fitted
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    view = view_label_tree(clf, path=tmp_path / "tree.html")
    assert opened == [(tmp_path / "tree.html").as_uri()]
    assert (tmp_path / "tree.html").read_text(encoding="utf-8") == view.html
    view_search_path(clf, X[:1])
    assert len(opened) == 2 and opened[1].endswith(".html")
    quiet = view_label_tree(clf, path=tmp_path / "quiet.html", open_browser=False)
    assert len(opened) == 2 and (tmp_path / "quiet.html").exists()
    assert quiet._repr_html_().startswith("<iframe srcdoc=")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of the system."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page that fails the test on any error in its script."""
    errors = []
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda r: r.url.startswith("http") and errors.append(r.url))
    yield page
    page.close()
    assert errors == []


def test_label_tree_page_in_a_browser(fitted, page, tmp_path):
    clf, _, Y = fitted
    names = [f"label {i}" for i in range(60)]
    names[7] = "</script><b>bold & 'quoted'</b>"
    counts = np.asarray(Y.sum(axis=0)).ravel()
    path = tmp_path / "tree.html"
    view_label_tree(
        clf, label_names=names, label_counts=counts, path=path, open_browser=False
    )
    page.goto(path.as_uri())
    groups = page.locator("button.node")
    assert groups.count() == 1 + clf.tree_.level_sizes[0]
    groups.nth(1).click()
    assert groups.count() > 1 + clf.tree_.level_sizes[0]
    groups.nth(1).click()
    assert groups.nth(1).get_attribute("aria-expanded") == "false"
    page.fill("#search", "LABEL 4")
    assert page.locator("#found").inner_text() == "11 labels"
    assert page.locator("mark").first.inner_text() == "label 4"
    page.fill("#search", "quoted")
    assert names[7] in page.locator("#tree").inner_text()
    assert page.locator("b").count() == 0


def test_search_path_page_in_a_browser(texts_and_model, page, tmp_path):
    _, _, model = texts_and_model
    path = tmp_path / "path.html"
    view_search_path(
        model,
        ["red <b>bird</b>"],
        k=2,
        label_names=NAMES,
        true_labels=[0, 2],
        path=path,
        open_browser=False,
    )
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(path.as_uri())
    assert page.locator("blockquote").inner_text() == "red <b>bird</b>"
    assert page.locator(".row").count() == 2 + 4
    assert page.locator(".row.true").count() == 2
    numbers = page.locator(".row .number").all_inner_texts()
    assert all(float(number) > 0 for number in numbers)  # small ones too
    assert "labels: " in page.locator(".row").first.inner_text()
    page.locator("summary").first.click()
    assert "intercept" in page.locator("details").first.inner_text()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360  # nothing sticks out on a telephone


def test_thesaurus_page_in_a_browser(texts_and_model, page, tmp_path):
    _, _, model = texts_and_model
    paths = [[f"<i>kind {label % 2}</i>", name] for label, name in enumerate(NAMES)]
    path = tmp_path / "thesaurus.html"
    view_in_thesaurus(
        model,
        ["red <b>bird</b>"],
        Thesaurus.from_paths(paths),
        k=len(NAMES),
        true_labels=[0],
        path=path,
        open_browser=False,
    )
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(path.as_uri())
    assert page.locator("blockquote").inner_text() == "red <b>bird</b>"
    assert page.locator(".row").count() == len(NAMES) + 2
    assert page.locator(".row.true").inner_text().startswith(f"{NAMES[0]} ✓")
    assert page.locator(".row .number").count() == len(NAMES)
    assert "<i>kind 1</i>" in page.locator("#terms").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
