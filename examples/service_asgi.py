"""The tagging service of service.py for uvicorn, an ASGI server: the one to deploy.

    pip install "uvicorn[standard]"
    python examples/service.py fit model.xmr
    python examples/service_asgi.py model.xmr --port 8000 --workers 2

Each worker is a process; all of them map one copy of the model. A text takes some 50
microseconds, so that it is answered where it arrives: a pool of threads would take
longer. Limits: uvicorn's on the number of connections and on how long they are idle
between requests, those of ``Protocol`` until a request has begun, and the application's
on its body. Without the extra, uvicorn reads HTTP in Python, at half the rate.
"""

import argparse
import asyncio
import json
import os
import socket
import time
from pathlib import Path

import uvicorn
from service import (
    MOST_BYTES,
    SECONDS_IDLE,
    SECONDS_TO_ASK,
    Metrics,
    RequestError,
    Tagger,
    answer_of,
)
from uvicorn.protocols.http.auto import AutoHTTPProtocol

MOST_CONNECTIONS = 256  # of a worker
MOST_HEAD_BYTES = 1 << 16  # of a request's first line and headers


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


class Protocol(AutoHTTPProtocol):
    """A connection on which a request begins within limits.

    uvicorn itself would wait for ever for the first request and for the end of a head,
    and httptools takes heads of any length.
    """

    def connection_made(self, transport):
        """Wait for a request."""
        super().connection_made(transport)
        # asyncio leaves those of several workers without it: answers would wait 40 ms
        # for an acknowledgement.
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        self.head_bytes = 0
        self.deadline = self.loop.call_later(SECONDS_IDLE, transport.close)

    def data_received(self, data):
        """Limit the head; as soon as it is whole, the application has the request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self.deadline.cancel()
            self.head_bytes = 0
            return
        if self.head_bytes == 0:
            self.deadline.cancel()
            self.deadline = self.loop.call_later(
                SECONDS_TO_ASK, self.refuse, b"408 Request Timeout"
            )
        self.head_bytes += len(data)
        if self.head_bytes > MOST_HEAD_BYTES:
            self.refuse(b"431 Request Header Fields Too Large")

    def refuse(self, status):
        """Answer without the application, and close."""
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                % status
            )
            self.transport.close()

    def connection_lost(self, error):
        """Nothing is waited for."""
        self.deadline.cancel()
        super().connection_lost(error)


app = App(os.environ.get("TAGGER_MODEL", "model.xmr"))


def main():
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: all interfaces")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    os.environ["TAGGER_MODEL"] = args.model  # for the workers, which import this file
    from service_asgi import Protocol  # by a name that they find as well

    uvicorn.run(
        "service_asgi:app",
        app_dir=str(Path(__file__).parent),
        http=Protocol,
        host=args.host,
        port=args.port,
        workers=args.workers,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=SECONDS_IDLE,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
