"""The services of the examples answer over HTTP, to any client, without harm."""

import http.client
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    LabelNamesClassifier,
    XRLinearClassifier,
    predict_topk,
    save_model,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def service():
    spec = importlib.util.spec_from_file_location("service", EXAMPLES / "service.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fitted(n):
    """A model of n artworks, and their texts."""
    train = load_tate_subjects(subset="train")
    y = [[train.target_names[i] for i in row.indices] for row in train.target[:n]]
    model = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    return LabelNamesClassifier(model).fit(train.data[:n], y), train.data[:n]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Path of a model, its texts, and what the model says of them."""
    model, texts = fitted(2000)
    path = tmp_path_factory.mktemp("service") / "model.xmr"
    save_model(model, path)
    names = [[str(name) for name in row] for row in model.predict_topk(texts[:200])[0]]
    return path, texts, names


@pytest.fixture(scope="module")
def running(service, models):
    """A server's port, its texts, and what the model says of them."""
    path, texts, names = models
    before = threading.stack_size(1 << 17)  # as on musl, where nested JSON overflows it
    server = service.make_server(path, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, texts, names
    server.shutdown()
    thread.join()
    server.server_close()
    threading.stack_size(before)


@pytest.fixture(scope="module")
def asgi(models):
    """The same of uvicorn."""
    pytest.importorskip("uvicorn")
    path, texts, names = models
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, EXAMPLES / "service_asgi.py", path, "--port", str(port)]
    )
    try:
        wait_until_healthy(port, server)
        yield port, texts, names
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def inside(models, monkeypatch):
    """Starts uvicorn in a thread of this process: the module, the server, its port."""
    uvicorn, running = pytest.importorskip("uvicorn"), []
    monkeypatch.syspath_prepend(EXAMPLES)
    module = importlib.import_module("service_asgi")

    def start():
        config = uvicorn.Config(
            module.App(models[0]), http=module.Protocol, log_level="warning"
        )
        server, listener = uvicorn.Server(config), socket.socket()
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        return server, listener.getsockname()[1]

    yield module, start
    for server, thread in running:
        server.should_exit = True
        thread.join()


def wait_until_healthy(port, server):
    for _ in range(600):
        assert server.poll() is None
        try:
            if get(port, "/healthz")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


@pytest.fixture(params=["running", "asgi"])
def served(request):
    """Either server."""
    return request.getfixturevalue(request.param)


def ask(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/", body)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def raw(port, sent, wait=5):
    """The status line that a client gets for any bytes."""
    with socket.create_connection(("127.0.0.1", port), wait) as client:
        client.sendall(sent)
        return client.recv(100).split(b"\r\n")[0].decode()


def post(length, body=b"{}"):
    return (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n" + body
    )


def test_answers_are_those_of_the_model(served):
    port, texts, names = served

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
        "3",
        '{"text": 3}',
        '{"text": ""}',
        '{"text": " \\n"}',
        '{"text": "a", "k": 0}',
        '{"text": "a", "k": 2.5}',
        '{"text": "a", "k": "b"}',
        '{"text": "a", "k": true}',
        '{"text": "a", "k": 1e99}',
        "[" * 10_000,
        b"\xff\xfe",
    ],
)
def test_bad_requests_get_a_reason_and_the_service_lives_on(served, body):
    port, texts, _ = served
    status, answer = ask(port, body)
    assert status == 400 and answer["error"]
    assert ask(port, json.dumps({"text": texts[0]}))[0] == 200


@pytest.mark.parametrize(
    "body, reason",
    [
        ('{"text": ""}', "text must be a string with words, got ''"),
        ('{"text": "a", "k": 2.5}', "k must be an integer from 1 to 20, got 2.5"),
    ],
)
def test_reasons_name_what_was_found(served, body, reason):
    assert ask(served[0], body) == (400, {"error": reason})


@pytest.mark.parametrize("text", ["...", "zzzz qqqq"])
def test_texts_without_a_known_word_get_no_label(served, text):
    assert ask(served[0], json.dumps({"text": text})) == (200, [])


def test_serve_says_where_it_listens_once_it_does(service, models, monkeypatch, capsys):
    monkeypatch.setattr(service.Server, "serve_forever", service.Server.server_close)
    command = ["service.py", "serve", str(models[0]), "--host", "127.0.0.2"]
    monkeypatch.setattr("sys.argv", [*command, "--port", "0"])
    service.main()
    host, port = capsys.readouterr().out.strip("/\n").split("/")[-1].split(":")
    assert host == "127.0.0.2" and int(port) > 0


def test_a_body_that_is_too_long(served):
    port, texts, _ = served
    status, answer = ask(port, json.dumps({"text": "sea " * 20_000}))
    assert status == 413 and "65536" in answer["error"]
    assert ask(port, json.dumps({"text": texts[0]}))[0] == 200


@pytest.mark.parametrize(
    "sent, status",
    [
        (post(b"-1"), 400),
        (post(b"+2"), 400),
        (post(b"\xb2"), 400),
        (post(b"1" + b"0" * 12), 413),
        (post(b"1" + b"0" * 30), 413),
        (post(b"100", b"{"), 408),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 411),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"PUT / HTTP/1.1\r\n\r\n", 501),
    ],
)
def test_every_client_gets_an_answer(running, sent, status):
    port, texts, _ = running
    assert raw(port, sent).split()[1] == str(status)
    assert ask(port, json.dumps({"text": texts[0]}))[0] == 200


@pytest.mark.parametrize("sent", [post(b"-1"), post(b"100", b"{"), b"nonsense\r\n\r\n"])
def test_every_client_of_uvicorn_gets_an_answer(asgi, sent):
    port, texts, _ = asgi
    assert raw(port, sent).split()[1].startswith("4")
    assert ask(port, json.dumps({"text": texts[0]}))[0] == 200


PART = b"POST / HTTP/1.1\r\nHost: x\r\nX-"


@pytest.mark.parametrize("first", [b"", post(b"15", b'{"text": "sea"}')])
@pytest.mark.parametrize(
    "head, status",
    [
        (PART, "408"),
        (PART + b"A: " + b"a" * 600_000, "431"),
        (PART + b"\r\nX-".join(b"%d: a" % i for i in range(60_000)), "431"),
    ],
)
def test_uvicorn_waits_for_no_head_for_ever(inside, monkeypatch, first, head, status):
    module, start = inside
    monkeypatch.setattr(module, "SECONDS_TO_ASK", 0.5)
    _, port = start()
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(first)
        answer = b"]" if not first else client.recv(1000)
        while not answer.endswith(b"]"):
            answer += client.recv(1000)
        try:
            client.sendall(head)
            # h11 has a limit of its own.
            assert client.recv(1000).split()[1].decode() in (status, "400")
            while client.recv(1000):
                pass  # until it is closed
        except ConnectionError:
            assert status == "431"  # reset, for the rest of the head is not read
    assert ask(port, '{"text": "sea"}')[0] == 200


def test_uvicorn_closes_connections_that_ask_nothing(inside, monkeypatch):
    module, start = inside
    monkeypatch.setattr(module, "SECONDS_IDLE", 0.2)
    _, port = start()
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        assert client.recv(1) == b""
    assert ask(port, '{"text": "sea"}')[0] == 200


def test_answers_of_uvicorn_do_not_wait_for_an_acknowledgement(inside):
    _, start = inside
    server, port = start()
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(100)
        (connection,) = server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_slow_clients_do_not_hold_a_thread(running, service):
    """A byte now and then does not prolong the time that a request may take."""
    port, _, _ = running
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        try:
            for byte in post(b"100", b"{" * 100):
                client.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass  # the server has closed
    assert time.monotonic() - start < service.SECONDS_TO_ASK + 8


def test_no_more_connections_than_there_are_places(models, service, monkeypatch):
    monkeypatch.setattr(service, "MOST_CONNECTIONS", 2)
    server = service.make_server(models[0], 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = ("127.0.0.1", server.server_port)
        held = [socket.create_connection(address, 5) for _ in range(2)]
        time.sleep(0.3)
        assert raw(server.server_port, post(b"2")) == "HTTP/1.1 503 Service Unavailable"
        for client in held:
            client.close()
        time.sleep(0.3)
        assert ask(server.server_port, '{"text": "sea"}')[0] == 200
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_health_and_metrics(served):
    port, _, _ = served
    assert get(port, "/healthz") == (200, "ok\n")
    before = requests_of(get(port, "/metrics")[1])
    ask(port, '{"text": "sea"}')
    ask(port, "{")
    after = requests_of(get(port, "/metrics")[1])
    assert after["200"] == before.get("200", 0) + 1
    assert after["400"] == before.get("400", 0) + 1
    assert get(port, "/nothing")[0] == 404


def requests_of(text):
    lines = [line.split('"') for line in text.splitlines() if "status" in line]
    return {status: int(count.strip("} ")) for _, status, count in lines}


def test_a_model_is_changed_without_a_missed_request(service, models, tmp_path):
    path = tmp_path / "model.xmr"
    path.write_bytes(models[0].read_bytes())
    server = service.make_server(path, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop, statuses, other = threading.Event(), [], fitted(500)[0]

    def keep_asking():
        while not stop.is_set():
            statuses.append(ask(server.server_port, '{"text": "a storm at sea"}')[0])

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    before = server.tagger.file
    save_model(other, path)
    deadline = time.monotonic() + 20
    while server.tagger.file == before and time.monotonic() < deadline:
        time.sleep(0.05)
    (tmp_path / "bad").write_bytes(b"not a model")
    os.replace(tmp_path / "bad", path)  # the model before stays
    time.sleep(2 * service.SECONDS_TO_LOOK)
    stop.set()
    for thread in threads:
        thread.join()
    _, answer = ask(server.server_port, '{"text": "a storm at sea", "k": 5}')
    server.shutdown()
    server.server_close()
    assert server.tagger.file != before and set(statuses) == {200}
    expected = predict_topk(other, ["a storm at sea"], 5)[0][0]
    assert [one["label"] for one in answer] == [str(name) for name in expected]
