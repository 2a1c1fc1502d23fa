"""What callbacks and the screen are told during fit."""

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    XREnsembleClassifier,
    XRLinearClassifier,
    XRStackingClassifier,
)
from sklearn_xmr.metrics import make_topk_scorers

callback = pytest.importorskip("sklearn.callback")


class Recorder(callback.AutoPropagatedCallback):
    """Names of all tasks, when they begin and end."""

    max_propagation_depth = None

    def __init__(self):
        self.begun, self.ended, self.is_set_up = [], [], 0

    def setup(self, estimator, context):
        self.is_set_up += 1

    def teardown(self, estimator, context):
        self.is_set_up -= 1

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((context.estimator_name, context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.ended.append((context.estimator_name, context.task_name))


def test_tasks_of_a_fit(small):
    recorder = Recorder()
    clf = XRLinearClassifier(random_state=0).set_callbacks(recorder).fit(*small)
    tasks = ["fit", "label tree", "levels"]
    assert [name for _, name in recorder.begun] == tasks
    assert [name for _, name in recorder.ended] == [*tasks[1:], "fit"]
    assert recorder.is_set_up == 0
    plain = XRLinearClassifier(random_state=0).fit(*small)
    assert (clf.predict_proba(small[0]) != plain.predict_proba(small[0])).nnz == 0
    assert clone(clf).fit(*small).score(*small) > 0  # callbacks are shared by clones


def test_levels_are_tasks_where_they_are_trained_one_by_one(small):
    recorder = Recorder()
    clf = XRLinearClassifier(
        HierarchicalLabelClusterer(branching_factor=4, max_leaf_size=5),
        negative_sampling="man",
    )
    clf.set_callbacks(recorder).fit(*small)
    levels = [f"level {i + 1}" for i in range(clf.tree_.n_levels)]
    assert [name for _, name in recorder.ended if "level " in name] == levels


def test_teardown_comes_after_a_failure_too(small):
    X, Y = small
    recorder = Recorder()
    clf = XRLinearClassifier().set_callbacks(recorder)
    with pytest.raises(ValueError, match="inconsistent"):
        clf.fit(X[:10], Y)
    assert recorder.is_set_up == 0
    assert clf.fit(X, Y).score(X, Y) > 0


@pytest.mark.filterwarnings("ignore:The estimator MaxAbsScaler does not support call")
def test_callbacks_reach_through_search_and_pipeline(small):
    recorder = Recorder()
    pipeline = make_pipeline(MaxAbsScaler(), XRLinearClassifier(random_state=0))
    search = GridSearchCV(pipeline, {"xrlinearclassifier__C": [0.5, 1.0]}, cv=2)
    search.set_callbacks(recorder).fit(*small)
    trees = recorder.ended.count(("XRLinearClassifier", "label tree"))
    assert trees == 2 * 2 + 1


def test_trees_of_an_ensemble_are_nested(small):
    recorder = Recorder()
    clf = XREnsembleClassifier(n_estimators=2, random_state=0)
    clf.set_callbacks(recorder).fit(*small)
    tree = [("XRLinearClassifier", name) for name in ("label tree", "levels", "fit")]
    assert recorder.ended == [*tree, *tree, ("XREnsembleClassifier", "fit")]
    assert recorder.is_set_up == 0


def test_parts_of_a_stack_are_tasks(small):
    recorder = Recorder()
    clf = XRStackingClassifier(cv=2, random_state=0)
    clf.set_callbacks(recorder).fit(*small)
    parts = ["models without held-out instances"] * 2
    names = [*parts, "classifier of pairs", "models", "fit"]
    assert [name for _, name in recorder.ended] == names


def test_progress_bars_show_our_tasks(small, capsys):
    pytest.importorskip("rich")
    clf = XRLinearClassifier(random_state=0).set_callbacks(callback.ProgressBar())
    clf.fit(*small)
    shown = capsys.readouterr().out
    assert "XRLinearClassifier" in shown


def test_monitors_score_the_fitted_estimator(small):
    X, Y = small
    scorer = make_topk_scorers(["precision_at_1"])
    monitor = callback.ScoringMonitor(scoring=scorer)
    clf = XRLinearClassifier(random_state=0).set_callbacks(monitor).fit(X, Y)
    logs = repr(monitor.get_logs().data)
    assert repr(scorer(clf, X, Y)["precision_at_1"]) in logs


@pytest.mark.parametrize("negatives", ["tfn", "man"])
def test_a_line_for_each_level(small, capsys, negatives):
    clf = XRLinearClassifier(negative_sampling=negatives, random_state=0)
    clf.fit(*small)
    assert capsys.readouterr().out == ""  # silent by default
    clf.set_params(verbose=1).fit(*small)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[XRLinear] label tree: LabelTree(")
    levels = [line for line in lines if line.startswith("[XRLinear] level ")]
    assert len(lines) == 1 + len(levels) and len(levels) == clf.tree_.n_levels
