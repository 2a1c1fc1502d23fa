"""XR-Linear of sklearn_xmr as a backend of Annif, called ``xmr``.

Where this folder is installed (``pip install examples/annif``), Annif's own command
knows the backend. Without an installation, this file stands for the command:

    python examples/annif/annif_xmr.py load-vocab yso yso.csv
    python examples/annif/annif_xmr.py train yso-xmr-en titles.tsv
    python examples/annif/annif_xmr.py eval yso-xmr-en test.tsv
    python examples/annif/annif_xmr.py run

A project of ``projects.cfg``, with all parameters that the backend has and their
defaults:

    [yso-xmr-en]
    name=YSO by XR-Linear
    language=en
    vocab=yso
    analyzer=snowball(english)
    backend=xmr
    limit=100
    # how texts become features
    min_df=1
    ngram=1
    # label trees whose scores are averaged, and their shape
    trees=3
    cluster_k=auto
    max_leaf_size=auto
    # of XRLinearClassifier
    C=1.0
    beam_size=auto
    loss=squared_hinge
    negative_sampling=hard
    weight_threshold=0.09
    # permits annif learn, and learning over REST
    allow_learn=true

Of a project's folder, ``xmr-model.xmr`` is the model, words and weights in one file
that is mapped and holds no code. ``xmr-train.tsv`` holds the tokenised documents of the
training, in Annif's own format for short texts, for ``train --cached`` and ``learn``.
"""

import ast
import difflib
import os
import re
import threading
from contextlib import contextmanager
from itertools import chain

import annif.backend
import annif.util
import click
import numpy as np
from annif import create_app  # noqa: F401, for servers: "annif_xmr:create_app()"
from annif.backend.backend import AnnifLearningBackend
from annif.corpus import DocumentFileTSV
from annif.exception import (
    ConfigurationException,
    NotInitializedException,
    NotSupportedException,
    OperationFailedException,
)
from annif.suggestion import SuggestionBatch
from scipy import sparse
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    XREnsembleClassifier,
    XRLinearClassifier,
    load_model,
    predict_topk,
    save_model,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

TEXT_PARAMETERS = {"min_df": 1, "ngram": 1}
TREE_PARAMETERS = {"trees": 3, "cluster_k": "auto", "max_leaf_size": "auto"}
MODEL_PARAMETERS = {  # by the names of XRLinearClassifier
    "C": 1.0,
    "beam_size": "auto",
    "loss": "squared_hinge",
    "negative_sampling": "hard",
    "weight_threshold": 0.09,
}
SHAPE = {"cluster_k": 100, "max_leaf_size": 96}  # where "auto" does not hold for both
HIDDEN = 1e-30  # weight of a subject that is not to be suggested
NO_WORD = re.compile(r"\W")


class XMRBackend(AnnifLearningBackend):
    """tf-idf of the analyzer's words, ranked by XR-Linear on label trees.

    The columns of the model are Annif's subject numbers, which stay the same when a
    vocabulary is updated.
    """

    name = "xmr"
    DEFAULT_PARAMETERS = {**TEXT_PARAMETERS, **TREE_PARAMETERS, **MODEL_PARAMETERS}
    MODEL_FILE = "xmr-model.xmr"
    # Annif takes files that are not called "*-train*" for a model.
    TRAIN_FILE = "xmr-train.tsv"
    LEARN_FILE = "xmr-train-learn.tsv"

    _model = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._learning = threading.Lock()  # REST may ask for two at once

    # --- suggest -------------------------------------------------------------------

    def initialize(self, parallel=False):
        """Map the model; it is read when it is needed."""
        if self._model is None:
            self._model = self._hide_inactive(self._load())

    def _suggest_batch(self, documents, params):
        model, k = self._model, whole_number(params, "limit")
        shape = len(documents), len(self.project.subjects)
        if not documents:
            return SuggestionBatch(sparse.csr_array(shape, dtype=np.float32))
        texts = [self._words(document) for document in documents]
        # A text without a known word would get what the intercepts favour.
        labels, scores = predict_topk(model, texts, k=k, skip_empty=True)
        rows, places = np.nonzero((labels >= 0) & (scores > HIDDEN))
        entries = scores[rows, places], (rows, labels[rows, places])
        return SuggestionBatch(sparse.csr_array(entries, shape, dtype=np.float32))

    def _words(self, document):
        """A text's words with spaces between, each one word of the vectorizer's too.

        The kernels of the vectorizer know runs of word characters; the others, as in
        "covid-19" or in the vowel signs of many scripts, are spelled out.
        """
        words = self.project.analyzer.tokenize_words(document.text)
        return " ".join(NO_WORD.sub(spelled_out, word) for word in words)

    def _load(self):
        """The model in the project's folder."""
        path = self._path(self.MODEL_FILE)
        self.debug(f"loading {path}")
        try:
            return load_model(path)
        except FileNotFoundError:
            message = f"no model {path}: run annif train first"
            raise NotInitializedException(message, backend_id=self.backend_id) from None
        except ValueError as error:
            message = f"{error}; run annif train again"
            raise OperationFailedException(
                message, backend_id=self.backend_id
            ) from error

    def _hide_inactive(self, model):
        """Rank subjects that are deprecated or excluded behind all others.

        They take no places of the others then, as they would if left out at the end.
        """
        n_known, n_subjects = model[-1].n_labels_, len(self.project.subjects)
        if n_known > n_subjects:
            raise OperationFailedException(
                f"the model knows {n_known} subjects, the vocabulary has {n_subjects}: "
                "load the one that it was trained with, or run annif train again",
                backend_id=self.backend_id,
            )
        weight = np.full(n_subjects, HIDDEN)
        weight[[subject_id for subject_id, _ in self.project.subjects.active]] = 1
        if weight[:n_known].min() < 1:
            model[-1].set_params(label_weight=weight[:n_known])
        return model

    # --- train and learn -----------------------------------------------------------

    def _train(self, corpus, params, jobs=0):
        with self._learning, self._annif_errors():
            model = new_model(params)  # says what is wrong before the corpus is read
            self._warn_of_unknown(params)
            if corpus != "cached":
                self._store(self._usable(corpus), self.TRAIN_FILE)
            texts, subjects = self._read(self.TRAIN_FILE)
            X = model[0].fit_transform(texts)
            self._fit_and_save(model, X, subjects, jobs)

    def _learn(self, corpus, params):
        """Train on old and new documents, with the words and label tree of before."""
        with self._learning, self._annif_errors():
            model = self._load()  # of its own: suggestions go on with the other
            self._check_cached()
            new = self._usable(corpus)
            with open(self._path(self.TRAIN_FILE), encoding="utf-8") as old:
                self._store(chain(old, new), self.LEARN_FILE)
            texts, subjects = self._read(self.LEARN_FILE)
            take_parameters(model[-1], params)
            self._fit_and_save(model, model[0].transform(texts), subjects)
            os.replace(self._path(self.LEARN_FILE), self._path(self.TRAIN_FILE))

    def _fit_and_save(self, model, X, subjects, jobs=0):
        """Fit the classifier, and put the model in the place of the one before."""
        Y = indicator(subjects, len(self.project.subjects))
        some = np.flatnonzero(np.diff(X.indptr))  # documents of known words
        self.info(f"training on {len(some)} documents of {X.shape[1]} words")
        # OpenMP's threads; None is as many as it takes by itself.
        with threadpool_limits(limits=jobs or None):
            model[-1].fit(X[some], Y[some])
        save_model(model, self._path(self.MODEL_FILE))
        self._model = self._hide_inactive(self._load())

    def _usable(self, corpus):
        """Lines of the documents that have words and subjects; an error without any."""
        if corpus.is_empty():
            raise NotSupportedException(
                f"cannot train {self.name} project with no documents",
                backend_id=self.backend_id,
            )
        lines = self._lines(corpus)
        first = next(lines, None)
        if first is None:
            raise NotSupportedException(
                "cannot train without a document that has a word for the analyzer and "
                "a subject of the vocabulary",
                backend_id=self.backend_id,
            )
        return chain([first], lines)

    def _lines(self, corpus):
        for document in corpus.documents:
            words, subjects = self._words(document), document.subject_set
            if words and subjects:
                uris = (f"<{self.project.subjects[i].uri}>" for i in subjects)
                yield f"{words}\t{' '.join(uris)}\n"

    def _store(self, lines, name):
        """Write lines to a file, whole or not at all."""
        annif.util.atomic_save(lines, self.datadir, name, method=write_lines)

    def _read(self, name):
        """Words and subjects of the documents in a file, the subjects once they are.

        Returned are an iterator over the words, so that texts are not all in memory,
        and a list that it fills.
        """
        self._check_cached()
        corpus, subjects = DocumentFileTSV(self._path(name), self.project.subjects), []

        def texts():
            for document in corpus.documents:
                if document.subject_set:  # its subjects may be deprecated by now
                    subjects.append(list(document.subject_set))
                    yield document.text

        return texts(), subjects

    def _check_cached(self):
        if not os.path.exists(self._path(self.TRAIN_FILE)):
            raise NotInitializedException(
                f"no {self._path(self.TRAIN_FILE)} with the documents of an earlier "
                "training: run annif train with paths first",
                backend_id=self.backend_id,
            )

    def _path(self, name):
        return os.path.join(self.datadir, name)

    @contextmanager
    def _annif_errors(self):
        """What the estimators say about parameters, as an error of Annif's command."""
        try:
            yield
        except (ValueError, TypeError) as error:
            raise ConfigurationException(
                str(error), backend_id=self.backend_id
            ) from error

    def _warn_of_unknown(self, params):
        """A warning for each parameter that is almost one of the backend's."""
        known = self.default_params()
        for name in sorted(set(params) - set(known)):
            meant = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            if meant:
                self.warning(f"no parameter {name!r}; did you mean {meant[0]!r}?")


# --- parameters to estimators ------------------------------------------------------


def new_model(params):
    """The unfitted pipeline that parameters ask for; ValueError where they cannot."""
    vectorizer = TfidfVectorizer(
        lowercase=False,  # the analyzer has had its way with the words
        token_pattern=r"\w+",
        ngram_range=(1, whole_number(params, "ngram")),
        min_df=whole_number(params, "min_df"),
        sublinear_tf=True,
        dtype=np.float32,
    )
    return make_pipeline(vectorizer, new_classifier(params))


def new_classifier(params):
    """XR-Linear on one label tree, or the mean of several."""
    one = XRLinearClassifier(new_clusterer(params), random_state=0)
    take_parameters(one, params)
    n_trees = whole_number(params, "trees")
    if n_trees == 1:
        return one
    return XREnsembleClassifier(one, n_estimators=n_trees, random_state=0)


def new_clusterer(params):
    """What builds a label tree; None leaves it to XRLinearClassifier."""
    if all(params[name] == "auto" for name in SHAPE):
        return None
    k, size = (whole_number(params, name, SHAPE[name], least=2) for name in SHAPE)
    return HierarchicalLabelClusterer(branching_factor=k, max_leaf_size=size)


def take_parameters(classifier, params):
    """Set those of XRLinearClassifier; the tree of a fitted one stays from now on."""
    given = {name: value_of(params[name]) for name in MODEL_PARAMETERS}
    if isinstance(classifier, XREnsembleClassifier):  # which builds its trees again
        classifier.estimator.set_params(**given)
    else:
        classifier.set_params(**given, warm_start=True)


def value_of(setting):
    """The number or None of a configuration file, or the word itself."""
    try:
        return ast.literal_eval(setting) if isinstance(setting, str) else setting
    except (ValueError, SyntaxError):
        return setting


def whole_number(params, name, auto=None, least=1):
    """A parameter as an integer; ``auto`` where it may say "auto"."""
    value = params[name]
    if value == "auto" and auto is not None:
        return auto
    value = value_of(value)
    if type(value) is not int or value < least:
        also = "" if auto is None else ' or "auto"'
        raise ConfigurationException(
            f"{name} must be a whole number from {least}{also}, got {params[name]!r}",
            backend_id=XMRBackend.name,
        )
    return value


# --- documents ---------------------------------------------------------------------


def spelled_out(character):
    """A character that is none of a word, in characters that are."""
    return f"_{ord(character[0]):x}"


def write_lines(lines, path):
    """Write lines to a file."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(lines)


def indicator(subjects, n_subjects):
    """A row for each list of subject numbers, with a one for each of them."""
    indptr = np.cumsum([0, *map(len, subjects)])
    indices = np.fromiter(chain.from_iterable(subjects), np.int64, indptr[-1])
    shape = len(subjects), n_subjects
    return sparse.csr_matrix((np.ones(len(indices)), indices, indptr), shape)


# --- Annif's command ---------------------------------------------------------------


def register():
    """Make the backend known to Annif, which has no other place for it (1.4)."""
    annif.backend._backend_fns[XMRBackend.name] = lambda: XMRBackend


@click.command("xmr")
def show_parameters():
    """Show the parameters of the backend xmr, and their defaults."""
    for name, default in XMRBackend.DEFAULT_PARAMETERS.items():
        click.echo(f"{name}={default}")


# Flask, under Annif's command, imports the modules of its entry point "flask.commands".
register()

if __name__ == "__main__":
    import annif.cli

    annif.cli.cli(prog_name="annif")
