#!/usr/bin/env python3
"""A receiver behind TLS on loopback, for the tests of our sender: what comes over an encrypted connection, and how.

    tls_receiver.py --secret SECRET --journal FILE --certificate FILE [--client-authority FILE] [--tls VERSION] [--http2]

HTTP/1.1 by the standard library; with `--http2`, hypercorn, which lets the client choose between HTTP/2 and 1.1 (ALPN).
Prints `{"port": N}` when it is ready, takes every request that it understands, and journals it as a line before the
answer leaves. Ends on SIGTERM, or when the pipe that is its stdin closes.
"""

import argparse
import asyncio
import http.server
import json
import pathlib
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from learn import signatures
from learn.recorder import Journal
from learn_receiver import end_with_stdin

TAKEN = json.dumps({"status": "success", "message": "Webhook received"}).encode()
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Recorder:
    """Journals requests."""

    def __init__(self, journal: Journal, secret: str) -> None:
        """Judges signatures by this secret."""
        self._journal = journal
        self._secret = secret

    def record(self, headers: dict[str, str], body: bytes, **facts: Any) -> None:
        """Appends a request."""
        self._journal.write(
            {
                "sequence": self._journal.arrival(),
                "status": 200,
                "webhook_id": headers.get("webhook-id"),
                "body": body.decode(),
                "signature_valid": signatures.valid(self._secret, body, headers),
                **facts,
            }
        )


class Handler(http.server.BaseHTTPRequestHandler):
    """Takes a POST; one connection may bring many."""

    protocol_version = "HTTP/1.1"
    recorder: Recorder

    def do_POST(self) -> None:
        """Journals, then answers."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        subject = dict(pair for part in (self.connection.getpeercert() or {}).get("subject", ()) for pair in part)
        version = self.request_version.removeprefix("HTTP/")
        facts = {"path": self.path, "client": subject.get("commonName"), "tls": self.connection.version()}
        self.recorder.record(headers, body, http_version=version, **facts)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(TAKEN)))
        self.end_headers()
        self.wfile.write(TAKEN)

    def log_message(self, *arguments: object) -> None:
        """The journal is the log."""


class Server(http.server.ThreadingHTTPServer):
    """Shakes hands in the thread of the connection, so that one that fails stops nobody."""

    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Encrypts, then serves; a client that does not go through with it is none."""
        try:
            with self.context.wrap_socket(request, server_side=True) as connection:
                super().finish_request(connection, client_address)
        except OSError as error:
            print(error, file=sys.stderr, flush=True)


def serve(arguments: argparse.Namespace, recorder: Recorder, listener: socket.socket) -> None:
    """HTTP/1.1 by the standard library."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.certificate)
    if arguments.tls:
        context.minimum_version = context.maximum_version = VERSIONS[arguments.tls]
    if arguments.client_authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(arguments.client_authority)
    Handler.recorder = recorder
    server = Server(listener.getsockname(), Handler, bind_and_activate=False)
    server.context = context
    server.socket.close()
    server.socket = listener
    server.serve_forever()


def serve_http2(arguments: argparse.Namespace, recorder: Recorder, listener: socket.socket) -> None:
    """HTTP/2 and 1.1 by hypercorn."""
    import hypercorn.asyncio
    import hypercorn.config

    async def application(
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        recorder.record(
            headers, body, path=scope["path"], http_version=scope["http_version"], client_port=scope["client"][1]
        )
        told = [(b"content-type", b"application/json"), (b"content-length", str(len(TAKEN)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": told})
        await send({"type": "http.response.body", "body": TAKEN})

    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile = config.keyfile = str(arguments.certificate)
    asyncio.run(hypercorn.asyncio.serve(application, config))


def main() -> int:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secret", required=True)
    parser.add_argument("--journal", type=pathlib.Path, required=True)
    parser.add_argument("--certificate", type=pathlib.Path, required=True, help="certificate and key, PEM")
    parser.add_argument("--client-authority", type=pathlib.Path, help="demand certificates of this authority")
    parser.add_argument("--tls", choices=VERSIONS, help="speak this version only")
    parser.add_argument("--http2", action="store_true")
    arguments = parser.parse_args()
    recorder = Recorder(Journal(arguments.journal), arguments.secret)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    end_with_stdin()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    (serve_http2 if arguments.http2 else serve)(arguments, recorder, listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
