"""Rankers of the labels inside each group."""

import numpy as np
from scipy import sparse
from sklearn.base import clone

from sklearn_xmr.compose._fitting import fit_routed
from sklearn_xmr.linear import TreeModel, train_level
from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.utils._checkpoint_folders import in_own_folder
from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._rankings import rows_of_pairs
from sklearn_xmr.utils._response import label_columns
from sklearn_xmr.utils._sklearn import check_method_params
from sklearn_xmr.utils._storable import storable


def rows_of_groups(sampling, teacher, matching):
    """Instances whose labels outside a group are negatives for the group's ranker.

    Parameters
    ----------
    sampling : {"tfn", "man", "tfn+man"}
        Which instances; see :class:`XMRClassifier`.
    teacher : csr_matrix of shape (n_samples, n_groups)
        Instances with a label of the group.
    matching : csr_matrix of shape (n_samples, n_groups) or None
        Instances that the matcher sends to the group; None for "tfn".

    Returns
    -------
    csr_matrix of shape (n_samples, n_groups)
    """
    if sampling == "tfn":
        return teacher
    ones = matching.copy()
    ones.data[:] = 1  # a score of 0 is a match too
    return ones if sampling == "man" else ones + teacher


@storable
class LinearGroupRanker:
    """Linear models of all groups' labels, trained together by the block solver.

    Parameters
    ----------
    settings : XRLinearClassifier
        Loss, costs, tolerance, and how margins become scores.
    copies : LabelCopies
        The labels of each group.

    Attributes
    ----------
    model_ : TreeModel
        The copies as labels of one level.
    """

    def __init__(self, settings, copies):
        self.settings, self.copies = settings, copies

    def fit(self, data, teacher, rows, parameters, rng):
        """Train on the instances of each group.

        Parameters
        ----------
        data : TrainingData
            X as CSR.
        teacher : csr_matrix of shape (n_samples, n_groups)
            Instances with a label of the group.
        rows : csr_matrix of shape (n_samples, n_groups)
            Negatives of the group, see :func:`rows_of_groups`. Other instances with a
            label of the group count for these labels only.
        parameters : dict
            ``sample_weight``, if it is given to the ranker.
        rng : RandomState
            Draws the seed of the solver.

        Returns
        -------
        self : LinearGroupRanker
            The fitted ranker.
        """
        target = data.Y[:, self.copies.label].tocsr()
        target.sort_indices()
        weights = train_level(
            HybridFeatures.of_blocks(data.X),
            target,
            teacher,
            self.copies.group_ptr,
            self.settings.solver_settings(rng),
            matched=None if rows is teacher else rows,
            weight=parameters.get("sample_weight"),
        )
        self.model_ = TreeModel.of_one_level(weights)
        return self

    def score(self, X, matching, copies, starts):
        """Score of each copy of the groups that are stored in ``matching``.

        Parameters
        ----------
        X : csr_matrix of shape (n_samples, n_features)
            Instances.
        matching : csr_matrix of shape (n_samples, n_groups)
            Sorted indices.
        copies : ndarray of int
            Those of each stored group, one after another.
        starts : ndarray of int of shape (matching.nnz + 1,)
            Where each stored group's copies begin.

        Returns
        -------
        ndarray of float of shape (len(copies),)
        """
        pairs = sparse.csr_matrix(
            (np.ones(len(copies), dtype=bool), copies, starts[matching.indptr]),
            shape=(X.shape[0], len(self.copies.label)),
        )
        rule = self.settings.scoring_rule
        scores = self.model_.score_pairs(
            HybridFeatures.of_blocks(X), pairs, post_processor=rule
        )
        return rule.probabilities(scores.data)


@storable
class PerGroupRanker:
    """A classifier of its own for each group.

    Parameters
    ----------
    estimator : classifier
        Of several labels, with ``predict_proba``.
    copies : LabelCopies
        The labels of each group.

    Attributes
    ----------
    models_ : list
        A classifier for each group.
    """

    def __init__(self, estimator, copies):
        self.estimator, self.copies = estimator, copies

    def fit(self, data, teacher, rows, parameters, rng):
        """Fit the classifier of each group on the group's instances.

        Parameters
        ----------
        data : TrainingData
            X as CSR.
        teacher : csr_matrix of shape (n_samples, n_groups)
            Not looked at: ``rows`` holds these instances too.
        rows : csr_matrix of shape (n_samples, n_groups)
            Instances of each group.
        parameters : dict
            What else the classifiers' ``fit`` is given, for all instances.
        rng : RandomState
            Not looked at: the classifiers have seeds.

        Returns
        -------
        self : PerGroupRanker
            The fitted ranker.
        """
        of_group, by_label = rows.tocsc(), data.Y.tocsc()
        self.models_ = []
        for group in range(self.copies.n_groups):
            place = slice(*of_group.indptr[group : group + 2])
            here = np.sort(of_group.indices[place])
            targets = by_label[:, self.copies.labels_of(group)].tocsr()[here]
            check_memory(
                f"dense targets of group {group}",
                targets.shape,
                ("instances", "labels"),
                "group the labels into smaller groups",
                n_bytes=12,
            )
            given = check_method_params(data.X, parameters, here)
            model = in_own_folder(clone(self.estimator), f"group_{group}")
            model = _GroupModel(model, data.X[here], targets.toarray(), given)
            self.models_.append(model)
        return self

    def score(self, X, matching, copies, starts):
        """Score of each copy of the groups that are stored in ``matching``.

        Parameters
        ----------
        X : csr_matrix of shape (n_samples, n_features)
            Instances.
        matching : csr_matrix of shape (n_samples, n_groups)
            Sorted indices.
        copies : ndarray of int
            Those of each stored group, one after another.
        starts : ndarray of int of shape (matching.nnz + 1,)
            Where each stored group's copies begin.

        Returns
        -------
        ndarray of float of shape (len(copies),)
        """
        scores = np.zeros(len(copies))
        row_of = rows_of_pairs(matching)
        order = np.argsort(matching.indices, kind="stable")
        bounds = np.searchsorted(
            matching.indices[order], np.arange(self.copies.n_groups + 1)
        )
        for group, model in enumerate(self.models_):
            stored = order[bounds[group] : bounds[group + 1]]
            if len(stored):
                places = starts[stored][:, None] + np.arange(self.copies.size[group])
                scores[places] = model.predict_proba(X[row_of[stored]])
        return scores


@storable
class _GroupModel:
    """A classifier of the labels that vary; the others keep their frequency, 0 or 1."""

    def __init__(self, unfitted, X, targets, parameters):
        share = targets.mean(axis=0) if len(targets) else np.zeros(targets.shape[1])
        self._share = share
        self._varying = np.flatnonzero((share > 0) & (share < 1))
        self._model = None
        if len(self._varying):
            y = targets[:, self._varying].astype(int)
            y = y.ravel() if y.shape[1] == 1 else y
            self._model = fit_routed(unfitted, X, y, parameters)

    def predict_proba(self, X):
        """Probability of each label (ndarray of shape (n_samples, n_labels))."""
        proba = np.tile(self._share, (X.shape[0], 1))
        if self._model is not None:
            found = label_columns(self._model, self._model.predict_proba(X))
            found = found.toarray() if sparse.issparse(found) else found
            # Of a single label: the columns of its classes 0 and 1.
            proba[:, self._varying] = found[:, -len(self._varying) :]
        return proba
