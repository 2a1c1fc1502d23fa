"""A small tagging service, and its latency.

    python examples/service.py fit model.xmr
    python examples/service.py serve model.xmr --port 8000
    curl -d '{"text": "a storm at sea", "k": 5}' http://127.0.0.1:8000/
    python examples/service.py measure model.xmr

The server is Python's own, with one thread for each connection and limits on all that
a client may ask; ``service_asgi.py`` beside this file is the same service for uvicorn,
the one to deploy. ``topk_predictor`` may be called from any number of threads, and the
model is memory-mapped: several processes share one copy. To change the model, fit into
the same path: the file is replaced whole, and the service takes it up with one of the
next requests. A text without any known word gets no label.

GET /healthz says whether it answers, GET /metrics how often and how fast, as Prometheus
reads it. It answers this machine only; in a container, add ``--host 0.0.0.0``.
"""

import argparse
import http.client
import io
import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    LabelNamesClassifier,
    XRLinearClassifier,
    load_model,
    save_model,
    topk_predictor,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

MOST = 20  # labels in an answer
MOST_BYTES = 1 << 16  # in a request
MOST_CONNECTIONS = 64
STACK_BYTES = 8 << 20  # of a thread, for JSON as deep as Python reads; Alpine has less
SECONDS_TO_ASK = 2  # from the first byte of a request to the last
SECONDS_IDLE = 30  # a connection may stay open without a request
SECONDS_TO_LOOK = 1  # between looks at the file


class RequestError(Exception):
    """What is wrong with a request: the status and the reason."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Tagger:
    """Texts to label names; safe to call from many threads.

    When the file is replaced, one of the next requests loads the new one, while the
    others are answered by the old.
    """

    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        self.file, self.best = self.load()
        self.look_at = time.monotonic() + SECONDS_TO_LOOK

    def load(self):
        """Which file there is, and a function from a text to its labels."""
        # Before the file is opened: one that is replaced meanwhile is loaded again.
        found = os.stat(self.path)
        # A text without a known word would get the most frequent labels.
        best = topk_predictor(load_model(self.path), k=MOST, skip_empty=True)
        return (found.st_ino, found.st_mtime_ns), best

    def __call__(self, text, k=5):
        if time.monotonic() >= self.look_at and self.lock.acquire(blocking=False):
            try:
                self.renew()
            finally:
                self.lock.release()
        labels, scores = self.best(text)
        return [
            {"label": str(label), "score": round(float(score), 4)}
            for label, score in zip(labels[:k], scores[:k], strict=True)
        ]

    def renew(self):
        """Load the file again if it is another one; a bad one changes nothing."""
        self.look_at = time.monotonic() + SECONDS_TO_LOOK
        try:
            found = os.stat(self.path)
            if (found.st_ino, found.st_mtime_ns) != self.file:
                self.file, self.best = self.load()
        except (OSError, ValueError) as error:
            print(f"{self.path} is not taken up: {error}", flush=True)


class Metrics:
    """Requests by status, and the time that answers took."""

    def __init__(self):
        self.lock, self.counts, self.seconds = threading.Lock(), {}, 0.0

    def add(self, status, seconds):
        """Count an answer."""
        with self.lock:
            self.counts[status] = self.counts.get(status, 0) + 1
            self.seconds += seconds

    def __str__(self):
        with self.lock:
            lines = [
                f'tagger_requests_total{{status="{status}"}} {count}'
                for status, count in sorted(self.counts.items())
            ]
            return "\n".join([*lines, f"tagger_seconds_total {self.seconds:.6f}", ""])


def answer_of(tagger, body):
    """Labels for the body of a request; RequestError says what is wrong with it."""
    try:
        asked = json.loads(body)
        text, k = asked["text"], asked.get("k", 5)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        reason = f"a JSON object with text is wanted: {type(error).__name__}: {error}"
        raise RequestError(400, reason) from error
    if not isinstance(text, str) or not text.strip():  # nothing to tag
        raise RequestError(400, f"text must be a string with words, got {text!r:.40}")
    if type(k) is not int or not 1 <= k <= MOST:
        raise RequestError(400, f"k must be an integer from 1 to {MOST}, got {k!r:.40}")
    return tagger(text, k)


class DeadlineReader(io.RawIOBase):
    """Bytes of a socket until a deadline, however slowly they come."""

    def __init__(self, connection):
        self.connection, self.deadline = connection, None

    def readable(self):
        """Always."""
        return True

    def readinto(self, buffer):
        """Up to as many bytes as there is room for; TimeoutError past the deadline."""
        left = SECONDS_IDLE
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the request took too long")
        self.connection.settimeout(left)
        n = self.connection.recv_into(buffer)
        if self.deadline is None:  # the first byte of a request
            self.deadline = time.monotonic() + SECONDS_TO_ASK
        return n


class Handler(BaseHTTPRequestHandler):
    """POST {"text": ..., "k": ...}; the answer is a list of labels and scores."""

    protocol_version = "HTTP/1.1"  # connections stay open
    disable_nagle_algorithm = True  # or answers wait 40 ms for an acknowledgement
    wbufsize = -1  # headers and body in one packet
    timeout = SECONDS_IDLE

    def setup(self):
        """Read with a deadline."""
        super().setup()
        self.reader = DeadlineReader(self.connection)
        self.rfile = io.BufferedReader(self.reader)

    def handle_one_request(self):
        """The next request of a connection has a time of its own."""
        self.reader.deadline = None
        super().handle_one_request()

    def do_POST(self):
        """Labels of a text."""
        start = time.perf_counter()
        try:
            status, answer = 200, answer_of(self.server.tagger, self.read_body())
        except RequestError as error:
            status, answer = error.status, {"error": str(error)}
        self.send(status, json.dumps(answer), "application/json")
        metrics = getattr(self.server, "metrics", None)
        if metrics is not None:
            metrics.add(status, time.perf_counter() - start)

    def do_GET(self):
        """Whether the service answers, and what it has done."""
        if self.path == "/healthz":
            self.send(200, "ok\n", "text/plain")
        elif self.path == "/metrics" and hasattr(self.server, "metrics"):
            self.send(200, str(self.server.metrics), "text/plain; version=0.0.4")
        else:
            self.send(404, "POST to /, GET /healthz or /metrics\n", "text/plain")

    def read_body(self):
        """The body, of at most MOST_BYTES, within SECONDS_TO_ASK."""
        try:
            length = self.body_length()
            body = self.rfile.read(length)
        except TimeoutError as error:
            self.close_connection = True
            raise RequestError(408, f"no whole body in {SECONDS_TO_ASK} s") from error
        except RequestError:
            self.close_connection = True  # what follows is not read
            raise
        if len(body) < length:
            raise RequestError(400, f"{len(body)} of {length} bytes")
        return body

    def body_length(self):
        """The body's length as the client says; RequestError if it cannot be read."""
        said = self.headers["Content-Length"]
        if said is None or self.headers["Transfer-Encoding"]:
            raise RequestError(411, "Content-Length is wanted")
        if not (said.isascii() and said.isdigit()):
            raise RequestError(
                400, f"Content-Length must be a number, got {said[:20]!r}"
            )
        if len(said) > 9 or int(said) > MOST_BYTES:
            raise RequestError(413, f"at most {MOST_BYTES} bytes are read")
        return int(said)

    def send(self, status, text, kind):
        """Send an answer."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code, message=None, explain=None):
        """What http.server says of requests that it cannot read."""
        self.request_version, self.close_connection = "HTTP/1.1", True
        reason = message or self.responses[code][0]
        self.send(code, json.dumps({"error": reason}), "application/json")

    def finish(self):
        """Let an answer arrive before what was not read resets the connection."""
        super().finish()
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.2)
            until = time.monotonic() + 0.2
            while time.monotonic() < until and self.connection.recv(1 << 16):
                pass
        except OSError:
            pass  # the client has gone

    def log_message(self, *args):
        """Print nothing for each request."""


class Server(ThreadingHTTPServer):
    """A thread for each connection, up to MOST_CONNECTIONS."""

    daemon_threads = True
    request_queue_size = 128
    busy = (
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
        b"Connection: close\r\n\r\n"
    )

    def __init__(self, address, tagger):
        super().__init__(address, Handler)
        self.tagger, self.metrics = tagger, Metrics()
        self.places = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def process_request(self, request, client_address):
        """Answer in a thread, or say that there is no place."""
        if self.places.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        self.metrics.add(503, 0.0)
        try:
            request.sendall(self.busy)
        except OSError:
            pass  # the client has gone
        self.shutdown_request(request)

    def process_request_thread(self, request, client_address):
        """Answer, then free the place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request, client_address):
        """Clients that go away are no news."""


def make_server(path, port, host="127.0.0.1"):
    """Make a server that is ready to run; it sets the stack of threads to come."""
    threading.stack_size(STACK_BYTES)
    return Server((host, port), Tagger(path))


def serve(path, port, host):
    """Answer until it is stopped."""
    server = make_server(path, port, host)
    print(f"ready: http://{host}:{server.server_port}/", flush=True)
    server.serve_forever()


def fit(path):
    """Train on Tate's artworks and write the model."""
    train = load_tate_subjects(subset="train")
    names = np.array(train.target_names, dtype=object)
    y = [names[row.indices] for row in train.target]
    model = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, min_df=2), XRLinearClassifier(random_state=0)
    )
    save_model(LabelNamesClassifier(model).fit(train.data, y), path)


def measure(path, n=3000):
    """Print the time of each part of an answer: median and 99th percentile."""
    texts = load_tate_subjects(subset="test").data[:n]
    tagger = Tagger(path)
    server = make_server(path, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)

    def ask(text):
        connection.request("POST", "/", json.dumps({"text": text}))
        return connection.getresponse().read()

    parts = {"text to labels": tagger.best, "request over HTTP": ask}
    for name, call in parts.items():
        times = []
        for one in texts:
            start = time.perf_counter()
            call(one)
            times.append(time.perf_counter() - start)
        median, late = np.percentile(np.array(times[100:]) * 1e6, [50, 99])
        print(f"{name:20} {median:8.0f} us  99th percentile {late:8.0f} us")
    server.shutdown()
    server.server_close()


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["fit", "serve", "measure"])
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: all interfaces")
    args = parser.parse_args()
    if args.command == "serve":
        serve(args.model, args.port, args.host)
    else:
        {"fit": fit, "measure": measure}[args.command](args.model)


if __name__ == "__main__":
    main()
