"""Plans, tasks and their assembly: what comes out is what one process makes."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from same_models import assert_same
from scipy import sparse
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    LabelNamesClassifier,
    LabelTree,
    XRBanditClassifier,
    XRCalibratedClassifier,
    XRConformalClassifier,
    XREnsembleClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    make_topk_scorer,
    predict_topk,
)
from sklearn_xmr.datasets import (
    load_tate_subjects,
    make_xmr_classification,
    open_csr,
    write_csr,
)
from sklearn_xmr.distributed import (
    FitPlan,
    assemble_fit,
    fit_distributed,
    plan_fit,
    run_fit_task,
)
from sklearn_xmr.distributed.__main__ import main
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import precision_at_k

DEEP = HierarchicalLabelClusterer(branching_factor=3, max_leaf_size=6, random_state=0)


@pytest.fixture(scope="module")
def problem():
    return make_xmr_classification(700, 300, 120, random_state=0)


def in_tasks(estimator, X, y, folder, n_tasks=7, **fit_params):
    """Fit by the three functions, with tasks of a stage in any order."""
    plan = plan_fit(estimator, X, y, folder, n_tasks=n_tasks, **fit_params)
    for stage in plan.stages:
        for task in sorted(stage, key=lambda task: hash((task.number, 5))):
            run_fit_task(folder, task.number)
    return assemble_fit(folder)


SETTINGS = {
    "default": {},
    "teacher-forced": {"negative_sampling": "tfn"},
    "matcher-aware": {"negative_sampling": "man", "beam_size": 3},
    "both": {"negative_sampling": "tfn+man", "path_weight": 0.5},
    "exact search": {"negative_sampling": "man", "beam_size": None},
    "wide": {"clusterer": None},
    "flat": {"clusterer": LabelTree.flat(120)},
    "float16": {"weight_dtype": "float16", "weight_threshold": 0.0},
    "float32": {"weight_dtype": "float32", "loss": "logistic"},
    "never pruned": {"weight_threshold": 0.0},
    "all pruned": {"weight_threshold": 1e6},
    "no intercept": {"bias": 0.0, "loss": "hinge"},
    "by propensity": {"cost_sensitive": "propensity"},
}


@pytest.mark.filterwarnings("ignore:no weight of")
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_fit_in_tasks_equals_that_of_one_process(settings, problem, tmp_path):
    clf = XRLinearClassifier(**{"clusterer": DEEP, "random_state": 0, **settings})
    assert_same(in_tasks(clf, *problem, tmp_path / "a"), clf.fit(*problem), tmp_path)


@pytest.mark.parametrize("given", ["sample_weight", "relevance", "negatives", "all"])
def test_what_is_known_of_the_data_takes_part(given, problem, tmp_path):
    X, Y = problem
    rng = np.random.default_rng(0)
    relevance = Y.copy()
    relevance.data = rng.integers(0, 5, len(Y.data)).astype(np.float32)
    wrong = sparse.random(*Y.shape, 0.01, format="csr", random_state=0)
    wrong -= wrong.multiply(Y)
    wrong.eliminate_zeros()
    known = {
        "sample_weight": rng.integers(0, 3, len(Y.indptr) - 1),
        "relevance": relevance,
        "negatives": wrong,
    }
    known = known if given == "all" else {given: known[given]}
    clf = XRLinearClassifier(DEEP, relevance_norm="max", random_state=0)
    found = in_tasks(clf, X, Y, tmp_path / "a", **known)
    assert_same(found, clf.fit(X, Y, **known), tmp_path)


@pytest.mark.parametrize("n_tasks", [1, 3, 1000])
def test_the_number_of_tasks_does_not_matter(n_tasks, problem, tmp_path):
    clf = XRLinearClassifier(DEEP, random_state=0)
    found = in_tasks(clf, *problem, tmp_path / "a", n_tasks=n_tasks)
    assert_same(found, clf.fit(*problem), tmp_path)


def test_searches_of_many_instances(tmp_path):
    """Several search tasks, each for blocks of instances."""
    X, Y = make_xmr_classification(35_000, 60, 40, random_state=0)
    clf = XRLinearClassifier(DEEP, tol=2, random_state=0)
    found = in_tasks(clf, X, Y, tmp_path / "a")
    searches = [t for t in FitPlan(tmp_path / "a").tasks if t.training.kind == "search"]
    assert len(searches) > 1
    assert_same(found, clf.fit(X, Y), tmp_path)


def test_sparse_and_dense_features(problem, tmp_path):
    X, Y = problem
    dense = np.random.default_rng(0).normal(size=(X.shape[0], 5))
    clf = XRLinearClassifier(DEEP, random_state=0)
    kinds = HybridFeatures(X, dense), HybridFeatures(None, dense)
    for number, both in enumerate(kinds):
        found = in_tasks(clf, both, Y, tmp_path / str(number))
        assert_same(found, clf.fit(both, Y), tmp_path)


def test_classes_instead_of_an_indicator(problem, tmp_path):
    X, Y = problem
    y = np.char.add("class ", np.asarray(Y.argmax(axis=1)).ravel().astype(str))
    clf = XRLinearClassifier(random_state=0)
    assert_same(in_tasks(clf, X, y, tmp_path / "a"), clf.fit(X, y), tmp_path)


def test_ensembles_train_their_trees_side_by_side(problem, tmp_path):
    ensemble = XREnsembleClassifier(XRLinearClassifier(DEEP), 2, random_state=0)
    plan = plan_fit(ensemble, *problem, tmp_path / "a")
    assert {task.tree for task in plan.stages[0]} == {0, 1}
    assert len([name for name in os.listdir(tmp_path / "a") if "features" in name]) == 1
    found = in_tasks(ensemble, *problem, tmp_path / "a")
    assert_same(found, ensemble.fit(*problem), tmp_path)


def test_texts_and_names(tmp_path):
    tate = load_tate_subjects()
    texts = list(tate.data[:600])
    names = [[tate.target_names[i] for i in row.indices] for row in tate.target[:600]]
    model = make_pipeline(
        TfidfVectorizer(),
        LabelNamesClassifier(XRLinearClassifier(random_state=0)),
    )
    found = in_tasks(model, texts, names, tmp_path / "a")
    assert_same(found, model.fit(texts, names), tmp_path)


ASKING = {
    "stack": XRStackingClassifier(random_state=0),
    "bandit": XRBanditClassifier(XRLinearClassifier(), random_state=0),
    "calibrated": XRCalibratedClassifier(XRLinearClassifier(), random_state=0),
    "sets": XRConformalClassifier(XRLinearClassifier(), alpha=0.5, random_state=0),
}


@pytest.mark.parametrize("model", ASKING.values(), ids=ASKING)
def test_models_that_ask_their_trees_meanwhile(model, problem, tmp_path):
    with pytest.raises(ValueError, match="fit_distributed fits others too"):
        plan_fit(model, *problem, tmp_path / "plan")
    found = fit_distributed(model, *problem, directory=tmp_path / "a")
    model.fit(*problem)
    for one, other in zip(
        found.predict_topk(problem[0]), model.predict_topk(problem[0]), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_models_without_trees_are_refused(problem, tmp_path):
    with pytest.raises(ValueError, match="fit_distributed fits others too"):
        plan_fit(XRNeighborsClassifier(), *problem, tmp_path)
    with pytest.raises(ValueError, match="must train label trees"):
        fit_distributed(XRNeighborsClassifier(), *problem, directory=tmp_path)


def test_neither_the_estimator_nor_later_fits_are_changed(problem, tmp_path):
    clf = XRLinearClassifier(DEEP, random_state=0)
    plan_fit(clf, *problem, tmp_path)
    assert not hasattr(clf, "model_")
    assert clf.fit(*problem).predict_topk(problem[0], k=3)[0].shape == (700, 3)


# --- folders of matrices, and URLs ----------------------------------------------------


def test_matrices_of_folders_are_not_copied(problem, tmp_path):
    for name, matrix in zip("XY", problem, strict=True):
        write_csr(matrix, tmp_path / name)
    clf = XRLinearClassifier(DEEP, random_state=0)
    found = in_tasks(clf, tmp_path / "X", tmp_path / "Y", tmp_path / "a")
    assert not [name for name in os.listdir(tmp_path / "a") if "features" in name]
    mapped = open_csr(tmp_path / "X"), open_csr(tmp_path / "Y")
    assert_same(found, clf.fit(*mapped), tmp_path)


def test_a_url_is_as_good_as_a_path(problem, tmp_path):
    pytest.importorskip("fsspec")
    clf = XRLinearClassifier(DEEP, random_state=0)
    found = in_tasks(clf, *problem, f"memory://{tmp_path.name}")
    assert_same(found, clf.fit(*problem), tmp_path)


# --- what goes wrong ------------------------------------------------------------------


def test_a_part_that_is_missing_is_named(problem, tmp_path):
    clf = XRLinearClassifier(DEEP, random_state=0)
    plan = plan_fit(clf, *problem, tmp_path, n_tasks=5)
    with pytest.raises(FileNotFoundError, match=r"train-1-0-1.xmr is missing"):
        assemble_fit(tmp_path)
    search = next(task for task in plan.tasks if task.training.kind == "search")
    with pytest.raises(FileNotFoundError, match="is missing: the task that writes it"):
        run_fit_task(tmp_path, search.number)
    with pytest.raises(ValueError, match="number must be 0 to"):
        run_fit_task(tmp_path, len(plan.tasks))
    with pytest.raises(FileNotFoundError, match="holds no plan"):
        run_fit_task(tmp_path / "elsewhere", 0)


@pytest.mark.parametrize("place", [40, 200, 5000])
def test_a_damaged_part_is_named(place, problem, tmp_path):
    clf = XRLinearClassifier(DEEP, random_state=0)
    in_tasks(clf, *problem, tmp_path)
    part = next((tmp_path / "tree-1" / "parts").glob("train-3-*"))
    content = bytearray(part.read_bytes())
    content[place] ^= 1
    part.write_bytes(content)
    with pytest.raises(ValueError, match=part.name):
        assemble_fit(tmp_path)
    shutil.copy(next((tmp_path / "tree-1" / "parts").glob("train-2-*")), part)
    with pytest.raises(ValueError, match="the part of another task"):
        assemble_fit(tmp_path)


def test_a_fit_that_was_ended_goes_on(problem, tmp_path):
    clf = XRLinearClassifier(DEEP, random_state=0)
    plan = plan_fit(clf, *problem, tmp_path, n_tasks=5)
    for task in plan.stages[0]:
        assert not run_fit_task(tmp_path, task.number)["was_done"]
    again = plan_fit(clf, *problem, tmp_path, n_tasks=50)
    assert [task.number for task in again.tasks if again.is_done(task)] == [
        task.number for task in plan.stages[0]
    ]
    assert run_fit_task(tmp_path, plan.stages[0][0].number)["was_done"]
    found = fit_distributed(clf, *problem, directory=tmp_path)
    assert_same(found, clf.fit(*problem), tmp_path)


def test_a_folder_of_another_fit_is_refused(problem, tmp_path):
    X, Y = problem
    clf = XRLinearClassifier(DEEP, random_state=0)
    plan_fit(clf, X, Y, tmp_path)
    for other, data, what in (
        (XRLinearClassifier(DEEP, C=2, random_state=0), (X, Y), r"C \* positive_cost"),
        (clf, (X * 2, Y), "X"),
        (clf, (X[::2], Y[::2]), "y"),
    ):
        with pytest.raises(ValueError, match=f"differs in .*{what}"):
            fit_distributed(other, *data, directory=tmp_path)
    found = fit_distributed(clf, X, Y, directory=tmp_path / ".")
    assert_same(found, clf.fit(X, Y), tmp_path)


def test_a_plan_that_others_were_refused_is_as_it_was(problem, tmp_path):
    X, Y = problem
    clf = XRLinearClassifier(DEEP, random_state=0)
    plan = plan_fit(clf, X, Y, tmp_path)
    with pytest.raises(ValueError, match="differs in"):
        plan_fit(clf, X * 2, Y, tmp_path)
    for stage in plan.stages:
        for task in stage:
            run_fit_task(tmp_path, task.number)
    assert_same(assemble_fit(tmp_path), clf.fit(X, Y), tmp_path)


def fails(*args):
    raise OSError(28, "No space left on device")


def test_a_task_that_fails_says_which_and_keeps_the_rest(
    problem, tmp_path, monkeypatch
):
    clf = XRLinearClassifier(DEEP, random_state=0)
    done = []

    def fail_at_the_third(self, task):
        done.append(task)
        return fails() if len(done) == 3 else execute(self, task)

    training = "sklearn_xmr.linear.StoredTraining.execute"
    from sklearn_xmr.linear import StoredTraining

    execute = StoredTraining.execute
    with monkeypatch.context() as patch:
        patch.setattr(training, fail_at_the_third)
        with pytest.raises(
            RuntimeError, match=r"task \d+ .* failed: OSError: .*No space"
        ):
            fit_distributed(clf, *problem, directory=tmp_path, n_tasks=9)
    parts = os.listdir(tmp_path / "tree-1" / "parts")
    assert parts and not [name for name in parts if "part" in name.rpartition(".")[2]]
    assert_same(
        fit_distributed(clf, *problem, directory=tmp_path), clf.fit(*problem), tmp_path
    )


def test_checkpoints_have_no_place_beside_parts(problem, tmp_path):
    clf = XRLinearClassifier(random_state=0, checkpoint_dir=tmp_path / "levels")
    with pytest.raises(ValueError, match="checkpoint_dir must be None"):
        plan_fit(clf, *problem, tmp_path / "plan")


def test_clients_that_are_none(problem, tmp_path):
    with pytest.raises(TypeError, match="client must be a dask.distributed.Client"):
        fit_distributed(XRLinearClassifier(), *problem, directory=tmp_path, client=3)


# --- who does it ----------------------------------------------------------------------


def test_an_executor(problem, tmp_path):
    clf = XRLinearClassifier(DEEP, random_state=0)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as executor:
        found = fit_distributed(
            clf, *problem, directory=tmp_path / "a", client=executor, n_tasks=8
        )
    assert_same(found, clf.fit(*problem), tmp_path)


def test_joblib(problem, tmp_path):
    clf = XRLinearClassifier(DEEP, random_state=0)
    with parallel_config("loky", n_jobs=2):
        found = fit_distributed(clf, *problem, directory=tmp_path / "a", n_tasks=8)
    assert_same(found, clf.fit(*problem), tmp_path)


def test_progress_is_printed(problem, tmp_path, capsys):
    clf = XRLinearClassifier(DEEP, random_state=0)
    fit_distributed(clf, *problem, directory=tmp_path, n_tasks=3, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[fit_distributed] stage 1: ")
    assert len(lines) == len(FitPlan(tmp_path).stages) + len(FitPlan(tmp_path).tasks)


def command(*args):
    call = [sys.executable, "-m", "sklearn_xmr.distributed", *map(str, args)]
    return subprocess.run(call, capture_output=True, text=True, check=False)


def test_a_batch_scheduler(problem, tmp_path, monkeypatch):
    for name, matrix in zip("XY", problem, strict=True):
        write_csr(matrix, tmp_path / name)
    estimator = "XRLinearClassifier(negative_sampling='tfn', random_state=0)"
    folder = tmp_path / "plan"
    planned = command(
        "plan", estimator, tmp_path / "X", tmp_path / "Y", folder, "--n-tasks", 2
    )
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.startswith("stage 1: ")
    n_tasks = len(FitPlan(folder).tasks)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    assert command("task", folder, "--stage", 1).returncode == 0
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    for index in range(1, n_tasks):
        assert command("task", folder, "--stage", 1, "--index", index).returncode == 0
    assert "0 left" in command("stages", folder).stdout
    assert command("assemble", folder, tmp_path / "model.xmr").returncode == 0
    clf = XRLinearClassifier(negative_sampling="tfn", random_state=0)
    clf.fit(problem[0], problem[1].astype(np.float32))
    from sklearn_xmr import load_model

    assert_same(load_model(tmp_path / "model.xmr"), clf, tmp_path)
    wrong = command("plan", "print(1)", tmp_path / "X", tmp_path / "Y", folder)
    assert wrong.returncode == 1 and "has no estimator print" in wrong.stderr
    missing = command("task", folder, "--stage", 1)
    assert missing.returncode == 1 and "--index is missing" in missing.stderr


def test_the_plan_says_what_tasks_cost(problem, tmp_path):
    plan = plan_fit(XRLinearClassifier(DEEP, random_state=0), *problem, tmp_path)
    n_children = sum(
        task.training.n_labels for task in plan.tasks if task.training.kind == "train"
    )
    assert n_children == sum(assemble_sizes(plan))
    for stage in plan.stages:
        seconds = [task.training.seconds for task in stage]
        assert seconds == sorted(seconds, reverse=True)
        assert all(task.training.nbytes > 0 for task in stage)
    assert json.dumps([task.training.n_rows for task in plan.tasks])


def assemble_sizes(plan):
    """Number of nodes of each level of the only tree."""
    from sklearn_xmr.linear import StoredTraining

    return StoredTraining(f"{plan.directory}/tree-1").tree.level_sizes


# --- searches, places, damage ---------------------------------------------------------


def test_searches_take_the_same_model_fitted_before_or_not(problem, tmp_path):
    X, Y = problem
    search = GridSearchCV(
        XRLinearClassifier(DEEP, random_state=0),
        {"C": [1e-6, 1.0]},
        cv=2,
        scoring=make_topk_scorer(precision_at_k, k=1),
    )
    local = search.fit(X, Y)
    found = fit_distributed(local, X, Y, directory=tmp_path / "a", n_tasks=2)
    assert found.best_params_ == local.best_params_ == {"C": 1.0}
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"]
    )


def test_a_task_that_fails_inside_a_search_is_told(problem, tmp_path, monkeypatch):
    X, Y = problem
    search = GridSearchCV(
        XRLinearClassifier(random_state=0),
        {"C": [1.0, 2.0]},
        cv=2,
        scoring=make_topk_scorer(precision_at_k, k=1),
    )
    monkeypatch.setattr("sklearn_xmr.linear.StoredTraining.execute", fails)
    with (
        pytest.raises(RuntimeError, match="failed: OSError"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        fit_distributed(search, X, Y, directory=tmp_path)


def test_a_transformer_that_holds_trees(problem, tmp_path):
    X, Y = problem
    trees = XRLinearClassifier(DEEP, random_state=0)
    model = make_pipeline(trees, XRLinearClassifier(random_state=0))
    found = fit_distributed(model, X, Y, directory=tmp_path, n_tasks=2)
    one, other = predict_topk(found, X), predict_topk(model.fit(X, Y), X)
    assert (one[0] == other[0]).all()


def test_a_plan_can_be_moved_and_used_from_elsewhere(problem, tmp_path, monkeypatch):
    clf = XRLinearClassifier(DEEP, random_state=0)
    monkeypatch.chdir(tmp_path)
    plan = plan_fit(clf, *problem, "plan", n_tasks=3)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    for task in plan.stages[0]:
        run_fit_task(plan.directory, task.number)
    shutil.move(tmp_path / "plan", tmp_path / "moved")
    for stage in plan.stages[1:]:
        for task in stage:
            run_fit_task("../moved", task.number)
    assert_same(assemble_fit("../moved"), clf.fit(*problem), tmp_path)


@pytest.mark.parametrize("name", ["", Path("memory://bucket/plan")])
def test_folders_that_are_none(name, problem):
    with pytest.raises(ValueError, match="empty|become a path"):
        plan_fit(XRLinearClassifier(), *problem, name)


def test_urls_of_no_known_file_system(problem):
    pytest.importorskip("fsspec")
    with pytest.raises(ValueError, match="what"):
        plan_fit(XRLinearClassifier(), *problem, "what://x/plan")


def test_matrices_that_have_been_replaced_are_noticed(problem, tmp_path):
    X, Y = problem
    write_csr(X, tmp_path / "X")
    clf = XRLinearClassifier(DEEP, random_state=0)
    plan_fit(clf, tmp_path / "X", Y, tmp_path / "plan")
    shutil.rmtree(tmp_path / "X")
    write_csr(X * 2, tmp_path / "X")
    with pytest.raises(ValueError, match="holds another matrix than that of the plan"):
        run_fit_task(tmp_path / "plan", 0)


@pytest.mark.parametrize("name", ["sparse/data.npy", "sparse/indices.npy"])
def test_damaged_features_are_noticed(name, problem, tmp_path):
    plan_fit(XRLinearClassifier(DEEP, random_state=0), *problem, tmp_path)
    path = next(tmp_path.glob("features-*")) / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not what was written"):
        run_fit_task(tmp_path, 0)


def test_damaged_targets_are_noticed(problem, tmp_path):
    plan_fit(XRLinearClassifier(DEEP, random_state=0), *problem, tmp_path)
    path = tmp_path / "tree-1" / "target-1.xmr"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"target-1\.xmr cannot be read"):
        run_fit_task(tmp_path, 0)


def test_a_damaged_part_can_be_made_again(problem, tmp_path):
    clf = XRLinearClassifier(DEEP, random_state=0)
    in_tasks(clf, *problem, tmp_path)
    part = next((tmp_path / "tree-1" / "parts").glob("train-2-*"))
    part.write_bytes(part.read_bytes()[:-64])
    with pytest.raises(ValueError, match=f"{part.name} cannot be read"):
        assemble_fit(tmp_path)
    part.unlink()
    assert_same(in_tasks(clf, *problem, tmp_path), clf.fit(*problem), tmp_path)


def test_local_copies_are_the_users_own(problem, tmp_path, monkeypatch):
    """A folder that somebody else has prepared is not used."""
    pytest.importorskip("fsspec")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    prepared = tmp_path / f"sklearn_xmr-{os.getuid()}"
    (tmp_path / "theirs").mkdir(mode=0o777)
    prepared.symlink_to(tmp_path / "theirs")
    clf = XRLinearClassifier(DEEP, random_state=0)
    in_tasks(clf, *problem, f"memory://{tmp_path.name}-2")
    assert not list((tmp_path / "theirs").iterdir())


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("stages", "none"), "holds no plan"),
        (("plan", "XRLinearClassifier(", "X", "Y", "P"), "ESTIMATOR is no expression"),
        (("plan", "load_model('x')", "X", "Y", "P"), "has no estimator load_model"),
        (
            ("plan", "XRLinearClassifier(C=x)", "X", "Y", "P"),
            "constants and estimators",
        ),
        (("plan", "XRLinearClassifier", "X", "Y", "P"), "must be a call such as"),
    ],
)
def test_wrong_commands(arguments, words, capsys):
    assert main(list(arguments)) == 1
    assert words in capsys.readouterr().err


def test_job_arrays(problem, tmp_path, monkeypatch, capsys):
    plan = plan_fit(XRLinearClassifier(random_state=0), *problem, tmp_path)
    for stage, index, words in (
        (0, 0, "--stage must be 1 to"),
        (9, 0, "--stage must be 1 to"),
        (1, -1, "--index must be 0 or more"),
    ):
        given = ["--stage", str(stage), f"--index={index}"]
        assert main(["task", str(tmp_path), *given]) == 1
        assert words in capsys.readouterr().err
    assert main(["task", str(tmp_path), "--stage", "1", "--index", "99"]) == 0
    assert "there is no task 99" in capsys.readouterr().out
    monkeypatch.setenv("SGE_TASK_ID", "1")  # which counts from 1
    assert main(["task", str(tmp_path), "--stage", "1"]) == 0
    assert plan.is_done(plan.stages[0][0])
