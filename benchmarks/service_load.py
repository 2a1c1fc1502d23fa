"""Load of the example service: rate, latency and memory while its model changes.

    python benchmarks/service_load.py                    # an hour
    python benchmarks/service_load.py --minutes 10
    python benchmarks/service_load.py --minutes 0.5 --rate 2000

The service is ``examples/service_asgi.py`` as its docstring starts it. A client in a
process of its own asks for labels of Tate's artworks at a fixed rate, come answers or
not: latency counts from the moment when a request was due, so that a service which
stalls is charged for all who wait. Meanwhile the model file is replaced by another one,
back and forth, and the memory of the workers is read. Printed is what was found and
whether each promise holds; the exit status is 1 if one does not.

Run it on an idle machine: what else runs adds to the latency.
"""

import argparse
import array
import asyncio
import itertools
import json
import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

from sklearn_xmr import load_model, predict_topk, save_model
from sklearn_xmr.datasets import load_tate_subjects

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MOST_GROWTH = 0.05  # of the memory after the warm-up, over the whole run
WARM_UP = 120  # seconds, or a fifth of a short run, before memory must be flat
GRACE = 10  # seconds for the last answers
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
K = 5
KINDS = {"rss": "resident", "pss": "proportional", "uss": "private"}


# --- the service ----------------------------------------------------------------------


class Service:
    """uvicorn with the example, until the end of a ``with`` block."""

    def __init__(self, path, n_workers):
        self.path, self.n_workers = path, n_workers

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = ("--port", str(self.port), "--workers", str(self.n_workers))
        self.process = subprocess.Popen(
            [sys.executable, EXAMPLES / "service_asgi.py", self.path, *options]
        )
        self.wait_until_ready()
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(60)

    def wait_until_ready(self, seconds=120):
        """Until every worker has mapped the model, and one answers."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz").close()
                if self.n_ready() == self.n_workers:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit("the service does not answer")

    def n_ready(self):
        """How many workers have mapped the model."""
        maps = [one.memory_maps() for one in self.workers()]
        return sum(str(self.path) in {part.path for part in found} for found in maps)

    def workers(self):
        """The processes that serve; a single worker is the one that was started."""
        started = psutil.Process(self.process.pid)
        return [
            one for one in started.children() if "spawn_main" in " ".join(one.cmdline())
        ] or [started]

    def busy_seconds(self):
        """Processor time of all workers together."""
        return sum(sum(one.cpu_times()[:2]) for one in self.workers())

    def memory(self):
        """MB of all workers together: resident, proportional, private."""
        found = [one.memory_full_info() for one in self.workers()]
        return [sum(getattr(one, kind) for one in found) / 1e6 for kind in KINDS]


def exchange(new, path):
    """Replace a file by a copy of another one, at once."""
    beside = path.with_suffix(".new")
    shutil.copyfile(new, beside)
    os.replace(beside, path)


# --- the client -----------------------------------------------------------------------


class Load:
    """Requests at a fixed rate over connections that stay open.

    Parameters
    ----------
    port : int
        Of the service, on the loopback.
    bodies : list of bytes
        Bodies of requests, taken in turn.
    expected : list of list of list of str
        For each body, the labels that each model gives.
    rate : float
        Requests a second.
    seconds : float
        How long.
    n_connections : int
        How many requests can be under way; those beyond wait, and their wait counts.
    """

    def __init__(self, port, bodies, expected, rate, seconds, n_connections):
        self.port, self.bodies, self.expected = port, bodies, expected
        self.rate, self.seconds, self.n_tasks = rate, seconds, n_connections
        self.latency, self.outcomes = array.array("d"), Counter()

    async def run(self):
        """Ask; return what was found."""
        self.due, self.clock = asyncio.Queue(), asyncio.get_running_loop().time
        tasks = [asyncio.create_task(self.keep_asking()) for _ in range(self.n_tasks)]
        start, busy = self.clock(), time.process_time()
        n = await self.ask_in_time(start)
        try:
            await asyncio.wait_for(self.due.join(), GRACE)
        except asyncio.TimeoutError:
            self.outcomes["no answer"] = n - self.outcomes.total()
        elapsed, busy = self.clock() - start, time.process_time() - busy
        for task in tasks:
            task.cancel()
        return {
            "n": n,
            "elapsed": elapsed,
            "client_seconds": busy,
            "latency": self.latency.tobytes(),
            "outcomes": self.outcomes,
        }

    async def ask_in_time(self, start):
        """Put each request into the queue at its moment, however many wait there."""
        n = round(self.rate * self.seconds)
        for i in range(n):
            moment = start + i / self.rate
            if moment > self.clock():
                await asyncio.sleep(moment - self.clock())
            self.due.put_nowait((moment, i % len(self.bodies)))
        return n

    async def keep_asking(self):
        """One connection after another, if need be, with one request at a time."""
        while True:
            try:
                await self.ask_over_one_connection()
            except OSError as error:  # nobody listens
                self.outcomes[f"no connection: {type(error).__name__}"] += 0
                await asyncio.sleep(0.05)

    async def ask_over_one_connection(self):
        """Until it breaks off."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            while True:
                moment, i = await self.due.get()
                try:
                    outcome = await self.ask(reader, writer, i)
                except (OSError, EOFError) as error:
                    outcome = f"broke off: {type(error).__name__}"
                self.latency.append(self.clock() - moment)
                self.outcomes[outcome] += 1
                self.due.task_done()
                if not outcome.startswith("model"):
                    return
        finally:
            writer.close()

    async def ask(self, reader, writer, i):
        """Which model answered, or what was wrong."""
        writer.write(self.bodies[i])
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(LENGTH.search(head)[1]))
        if head[9:12] != b"200":
            return f"status {head[9:12].decode()}"
        labels = [one["label"] for one in json.loads(body)]
        if labels not in self.expected[i]:
            return "labels of no model"
        return f"model {self.expected[i].index(labels) + 1}"


def run_client(pipe, *args):
    """What the process of the client does."""
    pipe.send(asyncio.run(Load(*args).run()))


def request_of(text):
    """Bytes of a request."""
    body = json.dumps({"text": text, "k": K}).encode()
    return b"POST / HTTP/1.1\r\nHost: tagger\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


def labels_of(path, texts):
    """What a model says of texts."""
    labels, _ = predict_topk(load_model(path), texts, K)
    return [[str(name) for name in row] for row in labels]


# --- the run --------------------------------------------------------------------------


def two_models(folder):
    """A model of the shipped set, and a smaller one, with some other answers."""
    first, second = folder / "first.xmr", folder / "second.xmr"
    subprocess.run([sys.executable, EXAMPLES / "service.py", "fit", first], check=True)
    smaller = load_model(first)
    smaller.estimator_[-1].prune(energy=0.8)
    save_model(smaller, second)
    return [first, second]


def watch(service, client, models, args):
    """Replace the model and read the memory until the client is done: time, MB."""
    start = time.monotonic()
    to_sample, to_swap, samples = 0.0, args.swap, []
    others = itertools.cycle(models[1:] + models[:1])
    while client.is_alive():
        now = time.monotonic() - start
        if now >= to_sample:
            samples.append([now, *service.memory()])
            to_sample = now + args.sample
        if now >= to_swap:
            exchange(next(others), service.path)
            to_swap = now + args.swap
        time.sleep(0.1)
    return np.array(samples)


def measure(models, served, args):
    """Serve, ask and watch."""
    texts = load_tate_subjects(subset="test").data[: args.texts]
    bodies = [request_of(text) for text in texts]
    expected = list(zip(*(labels_of(model, texts) for model in models), strict=True))
    exchange(models[0], served)
    load = (args.rate, 60 * args.minutes, args.connections)
    context = multiprocessing.get_context("spawn")
    with Service(served, args.workers) as service:
        workers, busy = service.workers(), service.busy_seconds()
        ours, theirs = context.Pipe(duplex=False)
        client = context.Process(
            target=run_client, args=(theirs, service.port, bodies, expected, *load)
        )
        client.start()
        # In a thread of its own, for the pipe holds less than the client sends.
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(ours.recv)
            samples = watch(service, client, models, args)
        return {
            **found.result(),
            "samples": samples,
            "busy_seconds": service.busy_seconds() - busy,
            "same_workers": workers == service.workers(),
        }


def after_warm_up(samples):
    """The samples in which memory must be flat."""
    seconds = samples[:, 0]
    return samples[seconds >= min(WARM_UP, seconds[-1] / 5)]


def growth(samples, column):
    """Rise of a line through the samples after the warm-up, relative to its start."""
    late = after_warm_up(samples)
    slope, start = np.polyfit(late[:, 0] - late[0, 0], late[:, column], 1)
    return slope * (late[-1, 0] - late[0, 0]) / start


def report(found, args):
    """Print what was found; whether all promises hold."""
    n, elapsed, outcomes = (found[key] for key in ("n", "elapsed", "outcomes"))
    right = sum(count for what, count in outcomes.items() if what.startswith("model"))
    print(
        f"{n} requests in {elapsed:.1f} s: {dict(outcomes)}\n"
        f"processor ms a request: service {1000 * found['busy_seconds'] / n:.3f}, "
        f"client {1000 * found['client_seconds'] / n:.3f}"
    )
    p99 = report_latency(1000 * np.frombuffer(found["latency"]))
    rises = report_memory(found["samples"])
    rate = right / elapsed
    promises = {
        f"at least {args.least_rate:g} requests a second": rate >= args.least_rate,
        f"99 % of answers within {args.most_ms:g} ms": p99 < args.most_ms,
        "no request missed, every answer a model's": right == n,
        "no worker ended": found["same_workers"],
        f"memory flat: all lines rise by less than {MOST_GROWTH:.0%}": max(rises)
        < MOST_GROWTH,
    }
    for promise, holds in promises.items():
        print(f"{'held' if holds else 'BROKEN':6} {promise}")
    return all(promises.values())


def report_latency(milliseconds):
    """Print the quantiles; return the 99th percentile."""
    p50, p99, p999 = np.percentile(milliseconds, [50, 99, 99.9])
    print(
        f"latency from the due moment, ms: median {p50:.2f}, 99 % {p99:.2f}, "
        f"99.9 % {p999:.2f}, most {milliseconds.max():.1f}"
    )
    return p99


def report_memory(samples):
    """Print the memory before and after; return how much each kind has grown."""
    late = after_warm_up(samples)
    rises = [growth(samples, column) for column in range(1, 1 + len(KINDS))]
    for column, (kind, rise) in enumerate(zip(KINDS.values(), rises, strict=True), 1):
        print(
            f"{kind} MB of the workers: {late[0, column]:.1f} after the warm-up, "
            f"{late[-1, column]:.1f} at the end, a line rises by {rise:.1%}"
        )
    return rises


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", type=Path, help="taken in turn")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=550, help="requests a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--swap", type=float, default=10, help="seconds")
    parser.add_argument("--sample", type=float, default=2, help="seconds")
    parser.add_argument("--least-rate", type=float, default=500)
    parser.add_argument("--most-ms", type=float, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        models = args.models or two_models(folder)
        holds = report(measure(models, folder / "served.xmr", args), args)
    sys.exit(not holds)


if __name__ == "__main__":
    main()
