"""Folders with models of all kinds, and with something missing or damaged."""

import numpy as np
import pytest
from scipy import sparse
from tiny_encoder import WORDS, make_encoder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from sklearn_xmr import (
    FineTuning,
    XTransformerClassifier,
    load_model,
    predict_topk,
    save_model,
)
from sklearn_xmr.transformer._cache import clear_cache


@pytest.fixture(scope="module")
def problem():
    rng = np.random.RandomState(0)
    drawn = [rng.choice(60, rng.randint(3, 13)) for _ in range(80)]
    texts = [" ".join(WORDS[i] for i in some) for some in drawn]
    return texts, sparse.csr_matrix(
        [[float(i in some) for i in range(20)] for some in drawn]
    )


def quick(**parameters):
    """A short fine-tuning."""
    return FineTuning(max_steps=2, batch_size=16, **parameters)


def classifier(folder, fine_tuning=None, **parameters):
    return XTransformerClassifier(
        folder, fine_tuning=fine_tuning, device="cpu", random_state=0, **parameters
    )


@pytest.mark.parametrize("kind", ["bert", "t5", "umt5", "pegasus"])
def test_the_half_that_reads(problem, tmp_path, kind):
    texts, Y = problem
    folder = make_encoder(tmp_path / "model", kind)
    clf = classifier(folder, quick()).fit(texts, Y)
    assert clf.score(texts, Y) > 0.2
    save_model(clf, tmp_path / "model.xmr")
    again = load_model(tmp_path / "model.xmr", verify=True)
    for ours, theirs in zip(
        predict_topk(clf, texts, 5), predict_topk(again, texts, 5), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_no_tokenizer(problem, tmp_path, kind):
    folder = make_encoder(tmp_path, kind, with_tokenizer=False)
    with pytest.raises(OSError, match=r"encoder='.*(tokenizer|model of the hub)"):
        classifier(folder).fit(*problem)


def test_a_tokenizer_with_more_words_than_the_model(problem, tmp_path):
    folder = make_encoder(tmp_path, vocab_size=32)
    with pytest.raises(OSError, match=r"encoder='.*64 tokens, but its model embeds 32"):
        classifier(folder).fit(*problem)


def test_lone_surrogates(problem, tmp_path):
    texts, Y = problem
    clf = classifier(make_encoder(tmp_path)).fit(
        [*texts, "word1 \ud800"], Y[[*range(80), 0]]
    )
    labels, _ = clf.predict_topk(["word1 \udfff word2", "word1 \ufffd word2"], k=3)
    np.testing.assert_array_equal(*labels)


def test_cut_caches_are_made_again(problem, tmp_path):
    texts, Y = problem
    folder, cache = make_encoder(tmp_path / "model"), tmp_path / "cache"
    clf = classifier(folder, quick(), cache_dir=cache).fit(texts, Y)
    expected, files = clf.predict_topk(texts, k=3), sorted(cache.iterdir())
    for length in (0, 20):
        for file in files:
            file.write_bytes(file.read_bytes()[:length])
        clear_cache()
        again = classifier(folder, quick(), cache_dir=cache).fit(texts, Y)
        for ours, theirs in zip(expected, again.predict_topk(texts, k=3), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert not [file for file in cache.iterdir() if file.stat().st_size <= 20]


def test_a_cut_checkpoint_is_named(problem, tmp_path):
    texts, Y = problem
    run = tmp_path / "run"
    fine_tuning = quick(checkpoint_dir=run, save_steps=1)
    clf = classifier(make_encoder(tmp_path / "model"), fine_tuning)
    clf.fit(texts, Y)
    for file in run.iterdir():
        file.write_bytes(file.read_bytes()[:20])
    clear_cache()
    with pytest.raises(ValueError, match=r"checkpoint_dir='.*run' .*delete it"):
        clf.fit(texts, Y)
