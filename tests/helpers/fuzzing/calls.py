"""Calls of all public estimators and functions with good and hostile arguments.

A call ends with a result that makes sense, or with a ValueError or TypeError that says
something; arguments stay as they are, and so does an estimator whose method fails.
"""

import contextlib
import inspect as signatures
import io
import os
import pickle
from functools import partial
from math import isnan
from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

import sklearn_xmr as xmr
from fuzzing import arguments as a
from fuzzing.files import Finding
from sklearn_xmr import datasets, inspection, linear, metrics, model_selection
from sklearn_xmr.feature_extraction import text
from sklearn_xmr.preprocessing import HybridFeatures, LabelNameBinarizer

LINEAR = xmr.XRLinearClassifier(
    xmr.HierarchicalLabelClusterer(branching_factor=2, max_leaf_size=2, random_state=0),
    random_state=0,
)
NEIGHBORS = xmr.XRNeighborsClassifier(3)
TREE = xmr.LabelTree.from_labels([0, 1, 0, 1, 2, 2])
LABEL_TEXTS = [f"w{j} w{j + 1}" for j in range(a.N_LABELS)]


def encode(texts):
    """A text encoder: a function."""
    return np.array(
        [[len(each), each.count("w"), 1] for each in texts], dtype=np.float32
    )


# Class, arguments that make it small and quick, how often it is drawn, kind of input.
ESTIMATORS = {
    xmr.XRLinearClassifier: (
        {"clusterer": LINEAR.clusterer, "random_state": 0},
        8,
        "X",
    ),
    xmr.XRNeighborsClassifier: ({"n_neighbors": 3}, 8, "X"),
    xmr.XRForestClassifier: ({"n_estimators": 2, "random_state": 0}, 1, "X"),
    xmr.XRLabelVectorsClassifier: ({}, 6, "X"),
    xmr.XREnsembleClassifier: (
        {"estimator": LINEAR, "n_estimators": 2, "random_state": 0},
        2,
        "X",
    ),
    xmr.XMRClassifier: (
        {"indexer": LINEAR.clusterer, "matcher": LINEAR, "random_state": 0},
        2,
        "X",
    ),
    xmr.XRBanditClassifier: ({"estimator": LINEAR, "random_state": 0}, 2, "X"),
    xmr.XRCalibratedClassifier: ({"estimator": LINEAR, "random_state": 0}, 2, "X"),
    xmr.XRHierarchyClassifier: ({"estimator": LINEAR, "random_state": 0}, 2, "X"),
    xmr.XRConformalClassifier: ({"estimator": LINEAR, "random_state": 0}, 2, "X"),
    xmr.XRStackingClassifier: (
        {
            "estimators": [("a", LINEAR), ("b", NEIGHBORS)],
            "final_estimator": LogisticRegression(),
            "random_state": 0,
        },
        1,
        "X",
    ),
    xmr.HierarchicalLabelClusterer: (
        {"branching_factor": 2, "max_leaf_size": 2},
        6,
        "X",
    ),
    xmr.RecursiveLabelClusterer: ({"max_leaf_size": 2, "max_depth": 2}, 1, "X"),
    xmr.XRLabelTextClassifier: ({"label_texts": LABEL_TEXTS}, 4, "texts"),
    xmr.XTransformerClassifier: (
        {"encoder": encode, "fine_tuning": None, "random_state": 0},
        1,
        "texts",
    ),
    xmr.LabelNamesClassifier: ({"estimator": LINEAR}, 4, "names"),
    LabelNameBinarizer: ({}, 6, "only names"),
    text.CountVectorizer: ({}, 6, "only texts"),
    text.TfidfVectorizer: ({}, 6, "only texts"),
    text.HashingVectorizer: ({"n_features": 64}, 6, "only texts"),
}
INPUTS = {  # what fit takes
    "X": {"X": a.matrix(a.X), "y": a.targets},
    "texts": {"X": a.texts, "y": a.targets},
    "names": {"X": a.matrix(a.X), "y": a.names},
    "only names": {"y": a.names},
    "only texts": {"raw_documents": a.texts},
}
MORE = {  # further arguments of methods, by name; drawn now and then
    "sample_weight": a.weights,
    "relevance": lambda rng, bad: a.matrix(a.Y * 2.5)(rng, bad),
    "negatives": a.matrix(1 - a.Y),
    "k": a.count,
    "candidates": a.pairs,
    "return_n_visited": a.option(True, False),
    "n_neighbors": a.count,
    "n_nearest": a.count,
    "labels": a.labels,
    "clusters": a.labels,
    "level": a.count,
    "node": a.count,
    "threshold": a.share,
    "energy": a.share,
    "max_weights_per_label": a.count,
    "dtype": a.option("int8", "float16", "float32", None),
    "share": a.share,
    "decay": a.share,
    "Y": a.matrix(a.Y),
    "document": lambda rng, bad: a.scalar(rng) if bad else rng.choice(a.TEXTS),
}
METHODS = {  # the first arguments by name ("X" and "y" stand for what fit takes)
    "predict": "X",
    "predict_topk": "X k candidates return_n_visited",
    "predict_proba": "X",
    "score": "X y sample_weight",
    "score_pairs": "X candidates",
    "transform": "X",
    "votes": "X n_nearest",
    "kneighbors": "X n_neighbors",
    "topk_predictor": "k",
    "add_labels": "X y clusters sample_weight relevance",
    "partial_fit": "X y sample_weight relevance negatives decay",
    "predict_set": "X",
    "recommend": "X k",
    "remove_labels": "labels",
    "refit_branch": "X y level node sample_weight relevance",
    "prune": "threshold energy max_weights_per_label dtype",
    "estimate_model_size": "X y share",
    "fit_predict": "X y",
    "fit_transform": "X y",
    "inverse_transform": "Y",
    "names_of": "labels",
    "read": "document",
}
NEEDED = {
    "X",
    "y",
    "Y",
    "candidates",
    "labels",
    "level",
    "node",
    "document",
    "clusters",
}
# Parameters whose huge values ask for endless work, which a user may want.
WORK = {
    "n_estimators",
    "max_iter",
    "max_depth",
    "cv",
    "n_jobs",
    "n_features",
    "verbose",
}
NEVER = {"n_jobs", "input", "checkpoint_dir", "cache_dir", "device", "precision"}


def score_metric(function):
    """A metric at k, of indicators and scores."""
    given = {
        "y_true": a.targets,
        "y_score": a.matrix(a.X[:, : a.N_LABELS]),
        "k": a.count,
        "sample_weight": a.weights,
        "n_bins": a.few,
        "Y_train": a.targets,
        "propensities": propensities,
        "average_over": a.option("seen", "all"),
        "normalize": a.option(True, False),
        "bounds": a.option((10, 100), (1, 2)),
    }
    wanted = function.__code__.co_varnames
    return {name: draw for name, draw in given.items() if name in wanted}


def propensities(rng, is_hostile):
    """A number for each label."""
    return a.weights(rng, True) if is_hostile else np.linspace(0.1, 1, a.N_LABELS)


LABEL_NAMES, FEATURE_NAMES = a.names_of(a.N_LABELS), a.names_of(a.N_FEATURES)
ONE_ROW = a.matrix(a.X[:1])
LABEL = a.option(0, 3, a.N_LABELS - 1)


def call_predictor(estimator, k, row):
    """One row through the function for single instances."""
    predictor = xmr.topk_predictor(estimator, k)
    return predictor(row)


def split(y, n_splits, random_state):
    folds = model_selection.IterativeStratifiedKFold(
        n_splits, random_state=random_state
    )
    return list(folds.split(np.zeros((a.N_ROWS, 1)), y))


def hybrid(sparse_part, dense, X):
    """Both parts, and a model of them."""
    both = HybridFeatures(sparse_part, dense)
    return both.squared_norms()


def both_parts(rng, is_hostile):
    """Features as trees take them."""
    if is_hostile and rng.random() < 0.3:
        return a.strange(a.X, rng)
    n_features = rng.choice((1, 9)) if is_hostile else a.N_FEATURES
    return HybridFeatures(sparse.csr_matrix(np.resize(a.X, (a.N_ROWS, n_features))))


def tree_topk(X, k, beam_size, post_processor, label_weight, model):
    return model.topk(
        X,
        k,
        beam_size=beam_size,
        post_processor=post_processor,
        label_weight=label_weight,
    )


POST = a.option("l3_hinge", "l1_hinge", "sigmoid", "log_sigmoid", "noop")
# Functions, and how each argument is drawn. "estimator" is fitted, "model" its trees.
FUNCTIONS = {
    xmr.predict_topk: {"estimator": None, "X": a.matrix(a.X), "k": a.count},
    call_predictor: {"estimator": None, "k": a.count, "row": ONE_ROW},
    xmr.label_representation: {
        "X": a.matrix(a.X),
        "Y": a.targets,
        "method": a.option("pifa", "pii", "svd"),
        "feature_share": a.share,
        "n_components": a.few,
        "random_state": a.count,
    },
    tree_topk: {
        "model": None,
        "X": both_parts,
        "k": a.count,
        "beam_size": a.count,
        "post_processor": POST,
        "label_weight": propensities,
    },
    linear.TreeModel.score_pairs: {
        "self": None,
        "X": both_parts,
        "pairs": a.matrix(a.Y),
        "post_processor": POST,
    },
    linear.TreeModel.matching: {"self": None, "X": both_parts, "beam_size": a.count},
    linear.TreeModel.pruned: {
        "self": None,
        "threshold": a.share,
        "energy": a.share,
        "max_weights_per_label": a.count,
        "dtype": MORE["dtype"],
    },
    linear.level_targets: {"Y": a.matrix(a.Y), "tree": a.option(TREE)},
    datasets.make_xmr_classification: {
        "n_samples": a.few,
        "n_features": a.few,
        "n_labels": a.few,
        "labels_per_sample": a.share,
        "features_per_sample": a.share,
        "branching_factor": a.count,
        "exponent": a.share,
        "noise": a.share,
        "return_clusters": a.option(True, False),
        "random_state": a.count,
    },
    metrics.propensity_scores: {"Y_train": a.targets, "A": a.share, "B": a.share},
    model_selection.iterative_train_test_split: {
        "*": a.matrix(a.X),
        "y": a.targets,
        "test_size": a.share,
        "random_state": a.count,
    },
    split: {"y": a.targets, "n_splits": a.count, "random_state": a.count},
    hybrid: {
        "sparse_part": a.matrix(a.X),
        "dense": a.matrix(a.X[:, :3]),
        "X": a.matrix(a.X),
    },
    inspection.explain: {
        "estimator": None,
        "X": ONE_ROW,
        "label": LABEL,
        "feature_names": FEATURE_NAMES,
        "label_names": LABEL_NAMES,
    },
    inspection.search_path: {
        "estimator": None,
        "X": ONE_ROW,
        "k": a.count,
        "label_names": LABEL_NAMES,
    },
    inspection.top_features: {
        "estimator": None,
        "label": LABEL,
        "n_features": a.count,
        "feature_names": FEATURE_NAMES,
    },
    inspection.nearest_labels: {
        "estimator": None,
        "label": LABEL,
        "n_labels": a.count,
        "label_names": LABEL_NAMES,
    },
    partial(inspection.view_label_tree, open_browser=False): {
        "estimator": None,
        "label_names": LABEL_NAMES,
        "label_counts": propensities,
    },
    partial(inspection.view_search_path, open_browser=False): {
        "estimator": None,
        "X": ONE_ROW,
        "k": a.count,
        "true_labels": a.labels,
        "n_nodes": a.count,
    },
    xmr.make_text_classifier: {
        "texts": a.option("short", "long"),
        "min_df": a.count,
        "beside_min_df": a.count,
    },
    xmr.make_topk_scorer: {
        "metric": a.option(metrics.precision_at_k, metrics.ndcg_at_k),
        "k": a.count,
    },
    metrics.get_topk_scorer: {"name": a.option("precision_at_1", "ndcg_at_5")},
    metrics.make_topk_scorers: {"scorers": a.option(["precision_at_1"], {})},
    model_selection.cross_val_predict_topk: {
        "estimator": None,
        "X": a.matrix(a.X),
        "y": a.targets,
        "k": a.count,
        "cv": a.few,
    },
    **{
        getattr(metrics, name): {**score_metric(getattr(metrics, name))}
        for name in metrics.__all__
        if name.endswith("_at_k") or name == "frequency_breakdown"
    },
}
PROMISED = (ValueError, TypeError, NotFittedError)
AS_SCIKIT_LEARN = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
# What vectorizers remember: stop words they have warned of, the last counter.
REMEMBERED = {"_stop_words_id", "_last_counter"}
# Columns, or a number: who asks for more may find no memory.
MUCH = 10**6
HOSTILE_ARGUMENTS = (0, 1, 1, 1, 2, 3)


class Calls:
    """Calls drawn from a seed; each is a word for what came of it, or a finding."""

    def __init__(self, folder):
        os.chdir(folder)  # strings may be taken for paths
        self.fitted = {}
        for cls, (given, _, kind) in ESTIMATORS.items():
            self.fitted[cls] = pickle.dumps(cls(**given).fit(*GOOD[kind]))
        self.targets, self.shares = [], []
        for cls, (_, often, kind) in ESTIMATORS.items():
            self.add(partial(self.fit, cls), 2 * often)
            methods = [name for name in METHODS if hasattr(cls, name)]
            for name in methods:
                is_fit = name.startswith("fit_") and often < 3
                self.add(partial(self.call_method, cls, name), 1 if is_fit else often)
        for function in FUNCTIONS:
            slow = function is model_selection.cross_val_predict_topk
            self.add(partial(self.call_function, function), 1 if slow else 6)

    def add(self, target, often):
        self.targets.append(target)
        self.shares.append(often)

    def try_one(self, rng):
        """Outcome of a call."""
        (target,) = rng.choices(self.targets, self.shares)
        return target(rng)

    # --- what is called --------------------------------------------------------------

    def fit(self, cls, rng):
        """A new fit of a fitted estimator, with other parameters."""
        given, _, kind = ESTIMATORS[cls]
        estimator = pickle.loads(self.fitted[cls])
        parameters, values = drawn_parameters(cls, given, rng), {}
        with contextlib.suppress(*PROMISED):
            estimator.set_params(**parameters)
        n_hostile = rng.choice(HOSTILE_ARGUMENTS[:4]) if parameters else 1
        draws = dict(INPUTS[kind])
        draws.update(optional(estimator.fit, rng))
        values = drawn(draws, n_hostile, rng)
        name = f"{cls.__name__}.fit"
        return self.call(name, estimator.fit, values, estimator, parameters)

    def call_method(self, cls, name, rng):
        """A method of a fitted estimator."""
        _, _, kind = ESTIMATORS[cls]
        estimator = pickle.loads(self.fitted[cls])
        method = getattr(estimator, name, None)
        if method is None:
            return "no such method"
        first, *_ = INPUTS[kind]
        draws = {}
        for argument in METHODS[name].split():
            if argument in ("X", "y"):
                known = INPUTS[kind].get(argument) or INPUTS[kind].get("raw_documents")
                if argument == "X" and first == "y":
                    continue
                draws[argument] = known or a.targets
            elif argument in NEEDED or rng.random() < 0.5:
                draws[argument] = MORE[argument]
        if kind == "only names" and name in ("transform", "fit_transform"):
            draws = {"y": a.names}
        if kind == "only texts" and "y" in draws:
            del draws["y"]
        values = drawn(draws, rng.choice(HOSTILE_ARGUMENTS), rng)
        values = known_only(method, values)
        full_name = f"{cls.__name__}.{name}"
        return self.call(full_name, method, values, estimator, positional=True)

    def call_function(self, function, rng):
        """A function; an estimator among its arguments is fitted."""
        values = drawn(FUNCTIONS[function], rng.choice(HOSTILE_ARGUMENTS), rng)
        estimator = None
        for name in ("estimator", "self", "model"):
            if name in values:
                estimator = pickle.loads(self.fitted[xmr.XRLinearClassifier])
                values[name] = estimator if name == "estimator" else estimator.model_
                if name == "estimator" and rng.random() < 0.03:
                    values[name] = a.scalar(rng)
        inner = getattr(function, "func", function)
        return self.call(inner.__name__, function, values, estimator)

    # --- the call --------------------------------------------------------------------

    def call(self, name, function, values, estimator, more=None, positional=False):
        """Call and check; Finding for what must not happen."""
        prints = {key: a.fingerprint(value) for key, value in values.items()}
        state = dict(vars(estimator)) if estimator is not None else {}
        given = ", ".join(f"{k}={a.described(v)}" for k, v in values.items())
        where = f"{name}({given}; {more or ''})"
        try:
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                result = called(function, values, positional)
        except PROMISED as error:
            if not str(error).strip():
                raise Finding(
                    f"{type(error).__name__} without a word: {where}"
                ) from error
            self.check_state(where, estimator, state)
            outcome = "error of a promised class"
        except MemoryError as error:
            self.check_state(where, estimator, state)
            if not asks_for_much(values, more, error):
                raise Finding(f"MemoryError in {name} | {where}") from error
            outcome = "MemoryError of who asks for much"
        except Exception as error:
            kind = type(error).__name__
            if kind == "AttributeError" and name.partition(".")[0] in AS_SCIKIT_LEARN:
                return "AttributeError as of scikit-learn"  # which is documented
            raise Finding(f"{kind} in {name}: {error}"[:200] + f" | {where}") from error
        else:
            check_result(name, result, values, where)
            outcome = "result"
        for key, value in values.items():
            if a.fingerprint(value) != prints[key]:
                raise Finding(f"{name} changed its argument {key} | {where}")
        return outcome

    def check_state(self, where, estimator, state):
        if estimator is None:
            return
        now = {k: v for k, v in vars(estimator).items() if k not in REMEMBERED}
        state = {k: v for k, v in state.items() if k not in REMEMBERED}
        same = now.keys() == state.keys() and all(now[k] is state[k] for k in state)
        if not same:
            raise Finding(f"a failing call changed its estimator | {where}")


GOOD = {
    "X": (a.X, a.Y),
    "texts": (a.TEXTS, a.Y),
    "names": (a.X, a.NAMES),
    "only names": (a.NAMES,),
    "only texts": (a.TEXTS,),
}


def asks_for_much(values, more, error):
    """Whether arguments are huge, so that MemoryError is an answer."""
    if "Unable to allocate" in str(error):
        return True  # NumPy's says how much
    everything = [*values.values(), *(more or {}).values()]
    shapes = [getattr(value, "shape", None) or (0,) for value in everything]
    numbers = [v for v in everything if isinstance(v, Real) and not isnan(v)]
    return max([0, *(shape[-1] for shape in shapes), *numbers]) > MUCH


def called(function, values, positional):
    """The result; generators are run to their end."""
    values = dict(values)
    first = [values.pop(name) for name in ("*",) if name in values]
    if positional and values:
        first.append(values.pop(next(iter(values))))
    return function(*first, **values)


def known_only(method, values):
    """Without arguments that this method does not have."""
    accepted = signatures.signature(method).parameters
    first = next(iter(values), None)
    return {k: v for k, v in values.items() if k == first or k in accepted}


def optional(fit, rng):
    """Some of the further arguments of fit."""
    accepted = signatures.signature(fit).parameters
    known = ("negatives", "relevance", "sample_weight")
    return {
        name: MORE[name] for name in known if name in accepted and rng.random() < 0.3
    }


def drawn(draws, n_hostile, rng):
    """Values for all arguments, some of which are hostile."""
    drawing = [name for name, draw in draws.items() if draw is not None]
    hostile = set(rng.sample(drawing, min(n_hostile, len(drawing))))
    return {
        name: None if draw is None else draw(rng, name in hostile)
        for name, draw in draws.items()
    }


def drawn_parameters(cls, given, rng):
    """Other parameters of an estimator: allowed ones and hostile ones."""
    names = sorted(
        set(
            cls().get_params(deep=False)
            if not given
            else cls(**given).get_params(deep=False)
        )
    )
    names = [name for name in names if name not in NEVER]
    chosen = rng.sample(names, min(rng.choice((0, 1, 1, 2, 3)), len(names)))
    return {name: drawn_parameter(cls, name, rng) for name in chosen}


def drawn_parameter(cls, name, rng):
    constraints = getattr(cls, "_parameter_constraints", {}).get(name)
    if isinstance(constraints, list) and rng.random() < 0.5:
        values = []
        for each in constraints:
            values += sorted(getattr(each, "options", []), key=str)
            values += [None] if each is None else []
            values += [True, False] if each == "boolean" else []
        if values:
            return rng.choice(values)
    return a.scalar(rng, huge=name not in WORK)


def check_result(name, result, values, where):
    """Finding for a result that makes no sense."""
    method = name.rpartition(".")[2]
    if method in ("predict_topk", "tree_topk", "topk") and isinstance(result, tuple):
        check_topk(result, where)
    if (
        method.endswith("_at_k")
        and isinstance(result, Real)
        and not np.isfinite(result)
    ):
        raise Finding(f"{name} gives {result} | {where}")
    if method in ("transform", "matching") and sparse.issparse(result):
        indices = result.tocsr().indices
        if len(indices) and not 0 <= indices.min() <= indices.max() < result.shape[1]:
            raise Finding(f"{name}: indices out of range | {where}")


def check_topk(result, where):
    labels, scores = result[:2]
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        return  # names
    if labels.shape != scores.shape or labels.ndim != 2:
        raise Finding(f"labels of {labels.shape}, scores of {scores.shape} | {where}")
    if labels.size and (labels.min() < -1 or labels.max() >= a.N_LABELS + 1):
        raise Finding(f"labels out of range: {labels.min()}, {labels.max()} | {where}")
    finite = np.where(np.isneginf(scores), -1e38, scores)
    if np.isnan(scores).any() or (np.diff(finite, axis=1) > 0).any():
        raise Finding(f"scores are NaN, or do not descend | {where}")
    if (
        np.diff(np.sort(labels, axis=1), axis=1)[:, :] == 0
    ).any() and labels.min() >= 0:
        raise Finding(f"a label is there twice | {where}")
