"""The service of the examples answers over HTTP, also to many at a time."""

import http.client
import importlib.util
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_xmr import XRLinearClassifier, predict_topk
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

PATH = Path(__file__).parent.parent / "examples" / "service.py"


@pytest.fixture(scope="module")
def service():
    spec = importlib.util.spec_from_file_location("service", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def running(service, tmp_path_factory):
    """A server, its texts, and what the model says of them."""
    train = load_tate_subjects(subset="train")
    texts, Y = train.data[:2000], train.target[:2000]
    model = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    model.fit(texts, Y)
    path = tmp_path_factory.mktemp("service") / "model.joblib"
    joblib.dump((model, train.target_names), path)
    server = service.make_server(path, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    labels, _ = predict_topk(model, texts[:200], k=5)
    names = [[train.target_names[i] for i in row if i >= 0] for row in labels]
    yield server.server_port, texts, names
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/", body)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_answers_are_those_of_the_model(running):
    port, texts, names = running

    def labels_of(text):
        status, answer = ask(port, json.dumps({"text": text, "k": 5}))
        assert status == 200
        return [one["label"] for one in answer]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(labels_of, texts[:200])) == names


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"text": 3}',
        '{"text": "a", "k": 0}',
        '{"text": "a", "k": "b"}',
    ],
)
def test_bad_requests_get_a_reason_and_the_service_lives_on(running, body):
    port, texts, _ = running
    status, answer = ask(port, body)
    assert status == 400 and answer["error"]
    assert ask(port, json.dumps({"text": texts[0]}))[0] == 200
