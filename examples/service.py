"""A small tagging service, and its latency.

    python examples/service.py fit model.joblib
    python examples/service.py serve model.joblib --port 8000
    curl -d '{"text": "a storm at sea", "k": 5}' http://127.0.0.1:8000/
    python examples/service.py measure model.joblib

The server is Python's own, with one thread for each connection: put it behind a
production server. ``topk_predictor`` may be called from any number of threads, and the
model is memory-mapped: several processes share one copy.
"""

import argparse
import http.client
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import joblib
import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_xmr import XRLinearClassifier, topk_predictor
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

MOST = 20  # labels in an answer


class Tagger:
    """Texts to label names; safe to call from many threads."""

    def __init__(self, path):
        # Uncompressed files load by memory map: in milliseconds, shared by processes.
        model, self.names = joblib.load(path, mmap_mode="r")
        self.best = topk_predictor(model, k=MOST)

    def __call__(self, text, k=5):
        labels, scores = self.best(text)
        return [
            {"label": self.names[label], "score": round(float(score), 4)}
            for label, score in zip(labels[:k], scores[:k], strict=True)
        ]


class Handler(BaseHTTPRequestHandler):
    """POST {"text": ..., "k": ...}; the answer is a list of labels and scores."""

    protocol_version = "HTTP/1.1"  # connections stay open
    disable_nagle_algorithm = True  # or answers wait 40 ms for an acknowledgement
    wbufsize = -1  # headers and body in one packet

    def do_POST(self):
        try:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text, k = asked["text"], asked.get("k", 5)
            if not isinstance(text, str) or not 1 <= k <= MOST:
                raise ValueError(f"text must be a string, k 1 to {MOST}")
            status, answer = 200, self.server.tagger(text, k)
        except (KeyError, TypeError, ValueError) as error:
            status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Print nothing for each request."""


def make_server(path, port):
    """Make a server that is ready to run."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.tagger = Tagger(path)
    return server


def fit(path):
    """Train on Tate's artworks and write the model."""
    train = load_tate_subjects(subset="train")
    model = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, min_df=2), XRLinearClassifier(random_state=0)
    )
    joblib.dump((model.fit(train.data, train.target), train.target_names), path)


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
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    if args.command == "serve":
        make_server(args.model, args.port).serve_forever()
    else:
        {"fit": fit, "measure": measure}[args.command](args.model)


if __name__ == "__main__":
    main()
