"""Fitting the models inside: what each is given, and what it says of it."""

from copy import copy

import numpy as np
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import has_fit_parameter

from sklearn_xmr.compose._one_vs_rest import fit_one_vs_rest
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._rankings import values_at
from sklearn_xmr.utils._response import label_columns, last_estimator, last_step
from sklearn_xmr.utils._sklearn import check_method_params, routing_enabled

METADATA = ("sample_weight", "relevance", "negatives")


def own_copy(estimator):
    """A copy, down to the classifier of a pipeline, whose change the original lacks.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier, pipeline or search.

    Returns
    -------
    estimator
        It shares all else with the original; what is frozen there is not so here.
    """
    if isinstance(estimator, FrozenEstimator):
        return own_copy(estimator.estimator)
    new = copy(estimator)
    if hasattr(new, "best_estimator_"):
        new.best_estimator_ = own_copy(new.best_estimator_)
    elif isinstance(new, Pipeline):
        *before, (name, last) = new.steps
        new.steps = [*before, (name, own_copy(last))]
    return new


def adds_labels(self):
    """Whether the model of a meta-estimator, fitted or not, can add labels."""
    model = getattr(self, "estimator_", self.estimator)
    return model is None or hasattr(last_estimator(model), "add_labels")


def learns_on(self):
    """Whether the model of a meta-estimator, fitted or not, has a ``partial_fit``."""
    model = getattr(self, "estimator_", self.estimator)
    return model is not None and hasattr(last_estimator(model), "partial_fit")


def router_of_fit(estimator, models):
    """A router that hands metadata of ``fit`` on to the ``fit`` of models.

    Parameters
    ----------
    estimator : estimator
        The one that holds the models.
    models : dict
        Unfitted models by name.

    Returns
    -------
    MetadataRouter
    """
    mapping = MethodMapping().add(caller="fit", callee="fit")
    router = MetadataRouter(owner=estimator).add_self_request(estimator)
    return router.add(method_mapping=mapping, **models)


def asking(model):
    """A default model, asking for all metadata that it takes where routing is enabled.

    Parameters
    ----------
    model : estimator
        Not the user's.

    Returns
    -------
    estimator
        The model.
    """
    if routing_enabled():
        taken = [name for name in METADATA if has_fit_parameter(model, name)]
        model.set_fit_request(**dict.fromkeys(taken, True))
    return model


def route_fit(estimator, models, data, more=None, used=()):
    """What else the ``fit`` of each model is given.

    With metadata routing enabled: what the model requests. Otherwise what its ``fit``
    takes; OneVsRestClassifier is given weights where its classifier takes them.

    Parameters
    ----------
    estimator : estimator
        The one that holds the models, a router.
    models : dict
        Unfitted models by the names that the router knows.
    data : TrainingData
        What is known of the instances.
    more : dict, default=None
        Further metadata, see :func:`further_metadata`.
    used : tuple of str, default=()
        What the estimator itself uses, if no model takes it.

    Returns
    -------
    dict of dict
        Parameters of ``fit``, for all instances, by the name of the model.

    Raises
    ------
    ValueError
        If something is given that nobody takes.
    """
    metadata = {**data.fit_parameters(METADATA), **(more or {})}
    if routing_enabled():
        routed = process_routing(estimator, "fit", **metadata)
        return {name: routed[name]["fit"] for name in models}
    routed = {
        key: {name: value for name, value in metadata.items() if _takes(model, name)}
        for key, model in models.items()
    }
    taken = {name for parameters in routed.values() for name in parameters}
    for name in metadata.keys() - taken - set(used):
        raise ValueError(
            f"{name} is given, but the fit of none of the models takes it: "
            f"{', '.join(type(model).__name__ for model in models.values())}"
        )
    return routed


def _takes(model, name):
    if isinstance(model, OneVsRestClassifier) and name == "sample_weight":
        model = model.estimator
    return has_fit_parameter(model, name)


def further_metadata(X, fit_params, sample_weight):
    """Metadata that only metadata routing knows, for instances of positive weight.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        All instances.
    fit_params : dict
        As ``fit`` got it.
    sample_weight : array-like of shape (n_samples,) or None
        Checked before.

    Returns
    -------
    dict
    """
    if not fit_params or sample_weight is None:
        return fit_params
    kept = np.flatnonzero(np.asarray(sample_weight, dtype=np.float32))
    return check_method_params(X, fit_params, kept)


def fit_model(model, data, parameters, rows=None):
    """Fit a model, on some of the instances.

    Parameters
    ----------
    model : estimator
        To be fitted.
    data : TrainingData
        The instances and their labels.
    parameters : dict
        What else ``fit`` is given, see :func:`route_fit`.
    rows : ndarray of int, default=None
        Instances; None for all.

    Returns
    -------
    estimator
        The model, fitted.
    """
    if rows is not None:
        parameters = check_method_params(data.X, parameters, rows)
        data = data.rows(rows)
    return fit_routed(model, data.X, targets_for(model, data.Y), parameters)


def fit_routed(model, X, y, parameters):
    """Fit a model; OneVsRestClassifier with weights too, where routing is disabled.

    Parameters
    ----------
    model : estimator
        To be fitted.
    X : array-like of shape (n_samples, n_features)
        Instances.
    y : array-like of shape (n_samples,) or (n_samples, n_labels)
        Targets.
    parameters : dict
        What else ``fit`` is given.

    Returns
    -------
    estimator
        The model, fitted.
    """
    if (
        isinstance(model, OneVsRestClassifier)
        and "sample_weight" in parameters
        and not routing_enabled()
    ):
        return fit_one_vs_rest(model, X, y, parameters["sample_weight"])
    return model.fit(X, y, **parameters)


def targets_for(model, Y):
    """Targets as a model takes them: few of scikit-learn's take sparse ones.

    Parameters
    ----------
    model : estimator
        Also a pipeline that ends with one.
    Y : csr_matrix of shape (n_samples, n_labels)
        Label indicator.

    Returns
    -------
    csr_matrix or ndarray of int
        Y, or the same dense for models that have no ``predict_topk``.
    """
    if hasattr(last_estimator(model), "predict_topk"):
        return Y
    check_memory(
        f"dense targets of {type(model).__name__}",
        Y.shape,
        ("instances", "labels"),
        "use a model that takes sparse targets, such as those of this package",
        n_bytes=12,
    )
    return Y.toarray().astype(int)


def probabilities_of(model, scores):
    """Probabilities for scores of a model, which may be logarithms or margins.

    Parameters
    ----------
    model : estimator
        With a ``scoring_rule``, if it is of label trees.
    scores : ndarray of float
        What its ``predict_topk`` or ``score_pairs`` gives.

    Returns
    -------
    ndarray of float
    """
    rule = getattr(model, "scoring_rule", None)
    return scores if rule is None else rule.of_scores(scores)


def retrieved_matrix(model, X):
    """What the ``predict_proba`` of a model retrieves.

    Parameters
    ----------
    model : estimator
        A fitted one; also a pipeline or a search.
    X : array-like of shape (n_samples, n_features)
        Instances, as the model takes them.

    Returns
    -------
    csr_matrix of shape (n_samples, n_labels)
    """
    return sparse.csr_matrix(label_columns(model, model.predict_proba(X)))


def probabilities_at(model, X, pairs):
    """A model's probabilities of pairs; 0 for what it neither scores nor retrieves.

    Parameters
    ----------
    model : estimator
        A fitted one; also a pipeline or a search.
    X : array-like of shape (n_samples, n_features)
        Instances, as the model takes them.
    pairs : csr_matrix of shape (n_samples, n_labels)
        Canonical.

    Returns
    -------
    ndarray of float of shape (pairs.nnz,)
    """
    ranker, features = last_step(model, X)
    if not hasattr(ranker, "score_pairs"):
        return values_at(retrieved_matrix(model, X), pairs)
    return probabilities_of(ranker, ranker.score_pairs(features, pairs).data)


def refuse_settings(model, names, role):
    """Refuse settings of a model that would have no effect where it is used.

    Parameters
    ----------
    model : estimator
        Checked if it is an XRLinearClassifier.
    names : tuple of str
        Its parameters without effect.
    role : str
        What errors call the model.

    Raises
    ------
    ValueError
        If one of the parameters is not at its default.
    """
    if not isinstance(model, XRLinearClassifier):
        return
    default = XRLinearClassifier()
    for name in names:
        given, usual = getattr(model, name), getattr(default, name)
        if given is usual or (isinstance(given, (int, str)) and given == usual):
            continue
        raise ValueError(
            f"{name} of the {role} must be left at its default, {usual!r}, got "
            f"{given!r}: it would have no effect here"
        )
