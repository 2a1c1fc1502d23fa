"""The tagging service of service.py for an ASGI server: the one to deploy.

    pip install uvicorn
    python examples/service.py fit model.xmr
    TAGGER_MODEL=model.xmr uvicorn --app-dir examples service_asgi:app \\
        --workers 2 --limit-concurrency 256 --timeout-keep-alive 30

Each worker is a process; all of them map one copy of the model. A text takes some 50
microseconds, so that it is answered where it arrives: a pool of threads would take
longer. uvicorn limits headers, connections and how long they may be idle, the
application the body and the time that it takes to arrive.
"""

import asyncio
import json
import os
import time

from service import (
    MOST_BYTES,
    SECONDS_TO_ASK,
    Metrics,
    RequestError,
    Tagger,
    answer_of,
)


class App:
    """An ASGI application around a tagger.

    Parameters
    ----------
    path : path-like
        The model file; it is loaded when the server starts.
    """

    def __init__(self, path):
        self.path, self.tagger, self.metrics = path, None, Metrics()

    async def __call__(self, scope, receive, send):
        """Serve a connection, as ASGI 3 describes it."""
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["type"] == "http":
            await self.serve(scope, receive, send)

    async def live(self, receive, send):
        """Load the model before the first request; an error ends the server."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await send({"type": "lifespan.shutdown.complete"})
                return
            try:
                self.tagger = Tagger(self.path)
            except (OSError, ValueError) as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})

    async def serve(self, scope, receive, send):
        """Answer a request."""
        start = time.perf_counter()
        asked = scope["method"], scope["path"]
        if asked == ("GET", "/healthz"):
            await respond(send, 200, "ok\n", b"text/plain")
        elif asked == ("GET", "/metrics"):
            await respond(send, 200, str(self.metrics), b"text/plain; version=0.0.4")
        elif asked != ("POST", "/"):
            await respond(send, 404, "POST to /, GET /healthz or /metrics\n")
        else:
            try:
                status, answer = 200, answer_of(self.tagger, await whole_body(receive))
            except RequestError as error:
                status, answer = error.status, {"error": str(error)}
            await respond(send, status, json.dumps(answer), b"application/json")
            self.metrics.add(status, time.perf_counter() - start)


async def whole_body(receive):
    """The body of a request, within its limits."""
    try:
        return await asyncio.wait_for(joined_body(receive), SECONDS_TO_ASK)
    except asyncio.TimeoutError as error:
        raise RequestError(408, f"no whole body in {SECONDS_TO_ASK} s") from error


async def joined_body(receive):
    """All parts of a body; RequestError as soon as they are too long."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "the client has gone")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST_BYTES:
            raise RequestError(413, f"at most {MOST_BYTES} bytes are read")
    return body


async def respond(send, status, text, kind=b"text/plain"):
    """Send an answer."""
    body = text.encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if status in (408, 413):
        headers.append((b"connection", b"close"))  # what follows is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = App(os.environ.get("TAGGER_MODEL", "model.xmr"))
