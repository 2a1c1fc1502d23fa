"""The backend of examples/annif in Annif's own hands: projects, vocabularies, corpora.

Behaviour is what Annif's documentation says of backends that learn, and what its users
know of the one for omikuji.
"""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from annif_files import write_vocabulary

pytest.importorskip("annif.backend")

from annif.backend import get_backend
from annif.corpus import Document, DocumentList, SubjectSet
from annif.exception import (
    ConfigurationException,
    NotEnabledException,
    NotInitializedException,
    NotSupportedException,
    OperationFailedException,
)
from annif.vocab import VocabFileCSV

TEXT = "Venice: the Grand Canal, with boats and a bridge, watercolour"


def files(project):
    return sorted(os.listdir(project.datadir))


def best(project, text, **params):
    """Subjects of a text, best first, and their scores."""
    hits = list(project.backend.suggest([Document(text=text)], params)[0])
    return [hit.subject_id for hit in hits], [hit.score for hit in hits]


def f1_at_5(project, corpus):
    from annif.eval import EvaluationBatch

    batch = EvaluationBatch(project.subjects)
    for documents in corpus.doc_batches:
        found = project.suggest(documents)
        batch.evaluate_many(found, [d.subject_set for d in documents])
    return batch.results(metrics=["F1@5"])["F1@5"]


@pytest.fixture
def trained(make_project, corpus):
    project = make_project()
    project.train(corpus("train", project))
    return project


# --- the life of a project ---------------------------------------------------------


def test_annif_finds_the_backend(module):
    assert get_backend("xmr") is module.XMRBackend


def test_default_parameters_are_annifs_and_the_backends(make_project):
    params = make_project().backend.params
    assert params["limit"] == 100
    assert (params["min_df"], params["ngram"], params["trees"]) == (1, 1, "1")


def test_training_writes_a_model_and_documents(trained):
    assert files(trained) == ["xmr-model.xmr", "xmr-train.tsv"]
    assert trained.is_trained
    assert trained.modification_time is not None


def test_suggestions_are_good_and_within_the_range_of_scores(trained, corpus):
    subjects, scores = best(trained, TEXT)
    assert len(subjects) == 100
    assert 1 >= scores[0] > 0.2
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0
    assert f1_at_5(trained, corpus("test", trained)) > 0.3


def test_a_batch_gives_what_each_text_gives(trained, tate):
    texts = [*tate.texts[1400:1420], ""]
    batch = trained.backend.suggest([Document(text=text) for text in texts])
    for i, text in enumerate(texts):
        one = trained.backend.suggest([Document(text=text)])
        np.testing.assert_allclose(
            batch[i].as_vector(), one[0].as_vector(), rtol=1e-5, atol=1e-12
        )


def test_another_process_suggests_the_same(trained, make_project):
    again = make_project()
    assert again.is_trained
    assert best(again, TEXT) == best(trained, TEXT)


@pytest.mark.parametrize("limit", [1, 3, "8"])
def test_limit_of_call(trained, limit):
    assert best(trained, TEXT, limit=limit)[0] == best(trained, TEXT)[0][: int(limit)]


def test_limit_of_configuration_and_above_the_vocabulary(make_project, corpus):
    project = make_project(limit=4)
    project.train(corpus("train", project))
    assert len(best(project, TEXT)[0]) == 4
    n_subjects = len(project.subjects)
    assert 100 < len(best(project, TEXT, limit=10**6)[0]) <= n_subjects


@pytest.mark.parametrize("text", ["", " \n", "qqxzy wqqx", "12 34 .", "of at"])
def test_texts_that_say_nothing_get_nothing(trained, text):
    assert best(trained, text) == ([], [])


def test_no_documents_give_an_empty_batch(trained):
    assert len(trained.backend.suggest([])) == 0


def test_several_trees(make_project, corpus):
    project = make_project(trees=2)
    project.train(corpus("train", project))
    assert len(project.backend._model[-1].estimators_) == 2
    assert len(best(project, TEXT)[0]) == 100


def test_shape_of_the_tree(make_project, corpus):
    project = make_project(cluster_k=3, max_leaf_size=10)
    project.train(corpus("train", project))
    tree = project.backend._model[-1].tree_
    assert tree.n_levels > 2
    assert tree.level_sizes[0] <= 3


def test_words_with_other_characters_keep_their_meaning(module, trained):
    def words(text):
        return trained.backend._words(Document(text=text))

    assert words("COVID-19 isn't") == "covid_2d19 n_27t"
    assert words("हिन्दी") != words("हन्दी")
    for word in words("a.b/c d’Arc e=mc² state-of-the-art").split():
        assert not module.NO_WORD.search(word)


# --- subjects that come and go -----------------------------------------------------


def test_deprecated_subjects_make_room_for_others(trained, tate):
    first, second = best(trained, TEXT, limit=5)[0], best(trained, TEXT, limit=7)[0]
    gone = set(first[:2])
    # As Annif stores it; what its own update writes ends at the first of them (1.4.3).
    stored = Path(trained.vocab.datadir, trained.vocab.INDEX_FILENAME_CSV)
    write_vocabulary(stored, tate.names, deprecated=gone)
    again = reread(trained)
    assert best(again, TEXT, limit=5)[0] == [s for s in second if s not in gone]


def reread(project):
    """The project as another process finds it."""
    from annif.registry import AnnifRegistry

    registry = project.registry
    again = AnnifRegistry(registry._projects_config_path, registry._datadir, False)
    return again.get_project(project.project_id)


def test_excluded_subjects(trained, tmp_path):
    first = best(trained, TEXT, limit=3)[0]
    uri = trained.subjects[first[0]].uri
    config = tmp_path / "projects.cfg"
    text = config.read_text().replace("vocab=tate", f"vocab=tate(exclude={uri})")
    config.write_text(text)
    assert first[0] not in best(reread(trained), TEXT)[0]
    assert best(reread(trained), TEXT, limit=2)[0] == first[1:]


def test_new_subjects_wait_for_learning(trained, tate, tmp_path):
    write_vocabulary(tmp_path / "grown.csv", [*tate.names, "zeppelin"])
    trained.vocab.load_vocabulary(VocabFileCSV(str(tmp_path / "grown.csv")))
    again = reread(trained)
    new = len(tate.names)
    assert new not in best(again, TEXT)[0]
    subjects = SubjectSet([new])
    texts = ["a bridge over the harbour", "a bridge of stone", "a bridge by night"]
    again.learn(
        DocumentList([Document(text=t, subject_set=subjects) for t in texts * 3])
    )
    assert new in best(again, "a bridge of stone", limit=10)[0]


def test_a_vocabulary_that_was_replaced_is_told(trained, tate, tmp_path):
    write_vocabulary(tmp_path / "other.csv", tate.names[:20])
    trained.vocab.load_vocabulary(VocabFileCSV(str(tmp_path / "other.csv")), force=True)
    with pytest.raises(OperationFailedException, match=r"knows \d+ .* has 20.*train"):
        best(reread(trained), TEXT)


# --- cached documents --------------------------------------------------------------


def test_cached_documents_take_new_parameters(trained, make_project):
    n_before = len(trained.backend._model[0].terms_)
    project = make_project(min_df=3, ngram=2)
    project.train("cached")
    assert len(project.backend._model[0].terms_) != n_before
    assert best(project, TEXT)[0]


def test_cached_documents_give_the_same_model(trained, make_project):
    project = make_project()
    project.train("cached")
    assert best(project, TEXT) == best(trained, TEXT)


def test_cached_without_documents_says_what_to_do(make_project):
    with pytest.raises(NotInitializedException, match="annif train with paths first"):
        make_project().train("cached")


def test_documents_without_subjects_or_words_are_left_out(make_project, corpus, tate):
    project = make_project()
    documents = list(corpus("train", project).documents)
    none = [Document(text=TEXT), Document(text="", subject_set=SubjectSet([1]))]
    project.train(DocumentList([*none, *documents]))
    cached = Path(project.datadir, "xmr-train.tsv").read_text(encoding="utf-8")
    assert cached.count("\n") == sum(bool(d.subject_set) for d in documents)


# --- learning ----------------------------------------------------------------------


def test_learning_adds_documents_and_keeps_the_tree(trained, corpus):
    before = f1_at_5(trained, corpus("test", trained))
    tree = trained.backend._model[-1].tree_
    trained.learn(corpus("more", trained))
    after = trained.backend._model[-1].tree_
    np.testing.assert_array_equal(after.node_of_label(0), tree.node_of_label(0))
    assert f1_at_5(trained, corpus("test", trained)) > before - 0.01
    assert files(trained) == ["xmr-model.xmr", "xmr-train.tsv"]


def test_learning_needs_permission(make_project, corpus):
    project = make_project(allow_learn="false")
    project.train(corpus("train", project))
    with pytest.raises(NotEnabledException):
        project.learn(corpus("more", project))


def test_learning_needs_a_model_and_its_documents(make_project, corpus, trained):
    os.remove(os.path.join(trained.datadir, "xmr-train.tsv"))
    with pytest.raises(NotInitializedException, match="documents of an earlier"):
        trained.learn(corpus("more", trained))
    os.remove(os.path.join(trained.datadir, "xmr-model.xmr"))
    with pytest.raises(NotInitializedException, match="run annif train first"):
        trained.learn(corpus("more", trained))


def test_suggestions_go_on_while_it_learns(trained, corpus):
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            answers.append(len(best(trained, TEXT, limit=10)[0]))

    thread = threading.Thread(target=ask)
    thread.start()
    trained.learn(corpus("more", trained))
    stop.set()
    thread.join()
    assert answers
    assert set(answers) == {10}


# --- errors ------------------------------------------------------------------------


def test_suggesting_before_training(make_project):
    with pytest.raises(NotInitializedException):
        make_project().suggest([Document(text=TEXT)])
    with pytest.raises(NotInitializedException, match="run annif train first"):
        best(make_project(), TEXT)


def test_training_without_documents(make_project, tate):
    with pytest.raises(NotSupportedException, match="no documents"):
        make_project().train(DocumentList([]))
    with pytest.raises(NotSupportedException, match="a subject of the vocabulary"):
        make_project().train(DocumentList([Document(text=TEXT)]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"min_df": "few"}, "min_df must be a whole number from 1, got 'few'"),
        ({"ngram": "0"}, "ngram must be a whole number from 1, got '0'"),
        ({"trees": "1.5"}, "trees must be a whole number"),
        ({"cluster_k": "1"}, 'cluster_k must be a whole number from 2 or "auto"'),
        ({"C": "-1"}, "'C' parameter of XRLinearClassifier must be"),
        ({"beam_size": "wide"}, "'beam_size' parameter"),
        ({"min_df": "5000"}, "no terms|min_df|max_df"),
    ],
)
def test_wrong_parameters_are_explained(make_project, corpus, params, message):
    project = make_project()
    with pytest.raises(ConfigurationException, match=message):
        project.train(corpus("train", project), {"xmr": params})
    assert not project.is_trained


def test_a_limit_that_is_none(trained):
    with pytest.raises(ConfigurationException, match="limit must be a whole number"):
        best(trained, TEXT, limit="all")


def test_parameters_that_are_almost_known(make_project, corpus, caplog):
    project = make_project(beamsize=20)
    project.train(corpus("train", project))
    assert "did you mean 'beam_size'" in caplog.text
    assert caplog.text.count("did you mean") == 1


def test_a_damaged_model(trained, make_project):
    path = os.path.join(trained.datadir, "xmr-model.xmr")
    with open(path, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(OperationFailedException, match="cannot be loaded.*train again"):
        best(make_project(), TEXT)


def test_a_failed_training_leaves_the_model(trained, corpus, monkeypatch, module):
    before = best(trained, TEXT)

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr(module, "save_model", full)
    with pytest.raises(OSError, match="no space"):
        trained.learn(corpus("more", trained))
    monkeypatch.undo()
    assert best(trained, TEXT) == best(reread(trained), TEXT) == before


@pytest.mark.parametrize("jobs", [0, 1, 2])
def test_jobs_do_not_change_the_model(make_project, corpus, trained, jobs):
    project = make_project()
    project.train(corpus("train", project), jobs=jobs)
    assert best(project, TEXT) == best(trained, TEXT)
