#!/usr/bin/env python3
"""Stands in for a MongoDB server, to say what no server of the tests says: constructed documents, logins, refusals.

    stand_in.py --port P [--user U --password W [--old] [--lie]] [--certificate PEM --key PEM] [--zoo] [--refuse COMMAND=CODE]…
                [--hello JSON] [--drop-after N] [--batch N]

Answers OP_MSG on one port of this machine: hello, SCRAM, listCollections, count, find and getMore over the database
`zoo`. Everything is built and taken apart by PyMongo's `bson`.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import socketserver
import ssl
import struct
import threading

import bson
from bson import Binary, Int64

import zoo

ITERATIONS = 4096
OP_MSG = 2013


class Documents:
    """What the server holds: collections of raw documents, and open cursors."""

    def __init__(self, with_zoo: bool):
        small = [bson.encode({"_id": number, "note": f"note {number}"}) for number in range(250)]
        self.collections = {"small": small}
        if with_zoo:
            self.collections["zoo"] = [entry.raw for entry in zoo.entries()]
        self.cursors = {}
        self.lock = threading.Lock()

    def find(self, name: str, direction: int, limit: int) -> list:
        """The documents, from one end or the other."""
        documents = self.collections.get(name, [])[::direction]
        return documents[:limit] if limit else documents

    def keep(self, rest: list) -> int:
        """The number of a cursor over what is left."""
        with self.lock:
            number = len(self.cursors) + 1
            self.cursors[number] = rest
            return number


def array(name: str, documents: list) -> bytes:
    """An element that is an array of raw documents."""
    body = b"".join(b"\x03" + str(index).encode() + b"\0" + raw for index, raw in enumerate(documents))
    return b"\x04" + name.encode() + b"\0" + struct.pack("<i", len(body) + 5) + body + b"\0"


def with_elements(document: dict, *elements: bytes) -> bytes:
    """A document with further raw elements."""
    body = bson.encode(document)[4:-1] + b"".join(elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


class Handler(socketserver.BaseRequestHandler):
    """One connection."""

    def setup(self):
        self.request.settimeout(60)
        if self.server.context:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.is_known = self.server.options.user is None
        self.proof = None
        self.is_proven = False
        self.answers = 0

    def handle(self):
        try:
            while True:
                length, number, _, kind = struct.unpack("<iiii", self.take(16))
                body = self.take(length - 16)
                assert kind == OP_MSG and body[4] == 0
                answer = self.answer(bson.decode(body[5:]))
                message = struct.pack("<Ib", 0, 0) + answer
                self.answers += 1
                head = struct.pack("<iiii", 16 + len(message), 1, number, OP_MSG)
                limit = self.server.options.drop_after
                if limit and self.answers > limit:
                    self.request.sendall((head + message)[: len(message) // 2 + 16])
                    return
                self.request.sendall(head + message)
        except (ConnectionError, TimeoutError, ssl.SSLError, EOFError):
            return

    def take(self, count: int) -> bytes:
        """So many bytes."""
        taken = b""
        while len(taken) < count:
            part = self.request.recv(count - len(taken))
            if not part:
                raise EOFError
            taken += part
        return taken

    def answer(self, command: dict) -> bytes:
        """The answer to a command."""
        name = next(iter(command))
        refused = self.server.refusals.get(name)
        if refused:
            return bson.encode({"ok": 0.0, "code": refused, "errmsg": "a value that is secret: open-sesame", "codeName": f"Code{refused}"})
        if name in ("hello", "isMaster"):
            hello = {"isWritablePrimary": True, "maxWireVersion": 21, "minWireVersion": 0, "maxBsonObjectSize": 16777216}
            if self.server.options.user and not self.server.options.old:
                hello["saslSupportedMechs"] = ["SCRAM-SHA-1", "SCRAM-SHA-256"]
            return bson.encode({**hello, **json.loads(self.server.options.hello), "ok": 1.0})
        if name in ("saslStart", "saslContinue"):
            return bson.encode(self.login(command))
        if not self.is_known:
            return bson.encode({"ok": 0.0, "code": 13, "errmsg": f"command {name} requires authentication"})
        documents = self.server.documents
        if name == "ping":
            return bson.encode({"ok": 1.0})
        if name == "listCollections":
            names = [bson.encode({"name": it, "type": "collection"}) for it in documents.collections]
            names.append(bson.encode({"name": "seen", "type": "view"}))
            names.append(bson.encode({"name": "measured", "type": "timeseries"}))
            return self.batch("firstBatch", "$cmd.listCollections", names)
        if name == "count":
            return bson.encode({"n": len(documents.collections.get(command["count"], [])), "ok": 1.0})
        if name == "find":
            direction = command.get("sort", {}).get("_id", 1)
            found = documents.find(command["find"], direction, command.get("limit", 0))
            if "projection" in command:
                hidden = [it for it, shown in command["projection"].items() if not shown]
                found = [bson.encode({k: v for k, v in bson.decode(raw).items() if k not in hidden}) for raw in found]
            return self.batch("firstBatch", command["find"], found)
        if name == "getMore":
            return self.batch("nextBatch", command["collection"], documents.cursors.pop(command["getMore"]))
        return bson.encode({"ok": 0.0, "code": 59, "errmsg": f"no such command: '{name}'"})

    def batch(self, name: str, collection: str, found: list) -> bytes:
        """A batch of a cursor."""
        size = self.server.options.batch
        number = self.server.documents.keep(found[size:]) if len(found) > size else 0
        inner = with_elements({"id": Int64(number), "ns": f"zoo.{collection}"}, array(name, found[:size]))
        return with_elements({"ok": 1.0}, b"\x03cursor\0" + inner)

    def login(self, command: dict) -> dict:
        """A step of SCRAM (RFC 5802), by SHA-1 where the server is old."""
        options, payload = self.server.options, bytes(command["payload"]).decode()
        parts = dict(part.split("=", 1) for part in payload.split(",") if "=" in part)
        digest, secret = hashlib.sha256, options.password
        if options.old:
            digest, secret = hashlib.sha1, hashlib.md5(f"{options.user}:mongo:{secret}".encode()).hexdigest()
        if "saslStart" in command:
            if command["mechanism"] != ("SCRAM-SHA-1" if options.old else "SCRAM-SHA-256"):
                return {"ok": 0.0, "code": 18, "errmsg": "Authentication failed."}
            salt, nonce = os.urandom(16), parts["r"] + base64.b64encode(os.urandom(18)).decode()
            bare = payload.removeprefix("n,,")
            first = f"r={nonce},s={base64.b64encode(salt).decode()},i={ITERATIONS}"
            self.proof = (parts["n"].replace("=2C", ",").replace("=3D", "="), salt, bare, first)
            return {"conversationId": 1, "done": False, "payload": Binary(first.encode()), "ok": 1.0}
        if self.is_proven:
            return {"conversationId": 1, "done": True, "payload": Binary(b""), "ok": 1.0}
        user, salt, bare, first = self.proof
        name = digest().name
        salted = hashlib.pbkdf2_hmac(name, secret.encode(), salt, ITERATIONS)
        message = f"{bare},{first},{payload.rsplit(',p=', 1)[0]}".encode()
        client = hmac.digest(salted, b"Client Key", name)
        signature = hmac.digest(digest(client).digest(), message, name)
        expected = bytes(a ^ b for a, b in zip(client, signature, strict=True))
        if user != options.user or base64.b64decode(parts["p"]) != expected:
            return {"ok": 0.0, "code": 18, "errmsg": "Authentication failed."}
        self.is_known = True
        ours = hmac.digest(hmac.digest(salted, b"Server Key", name), message, name)
        verifier = base64.b64encode(ours if not options.lie else bytes(32)).decode()
        # An old server ends with an empty step.
        self.is_proven = options.old
        return {"conversationId": 1, "done": not options.old, "payload": Binary(f"v={verifier}".encode()), "ok": 1.0}


class Server(socketserver.ThreadingTCPServer):
    """The port."""

    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that go are no news."""


def main():
    """Serves until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--lie", action="store_true", help="prove nothing")
    parser.add_argument("--old", action="store_true", help="know SCRAM-SHA-1 alone, as before 4.0")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--zoo", action="store_true")
    parser.add_argument("--refuse", action="append", default=[])
    parser.add_argument("--hello", default="{}")
    parser.add_argument("--drop-after", type=int)
    parser.add_argument("--batch", type=int, default=101)
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), Handler)
    server.options = options
    server.documents = Documents(options.zoo)
    server.refusals = {name: int(code) for name, code in (it.split("=") for it in options.refuse)}
    server.context = None
    if options.certificate:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(options.certificate, options.key)
    server.serve_forever()


if __name__ == "__main__":
    main()
