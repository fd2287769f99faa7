"""Stands between clients and a server, hands on what is asked and answered, and at the wish of a
test loses it, delays it or answers itself."""

import json
import socket
import threading
from contextlib import suppress

from http11 import Closed, Connection

# What becomes of a request: nothing of it arrives; it is done, and the answer is lost.
DROPPED, LOST = "dropped", "lost"


def refusal(status, error, *fields):
    """What a server of ours would say."""
    return raw_answer(
        status,
        json.dumps({"requestId": "r1", "errors": [error]}),
        ["Content-Type: application/json;charset=UTF-8", *fields],
    )


def raw_answer(status, body, fields=()):
    body = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status} Said", *fields, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Request:
    def __init__(self, method, target, fields, body):
        self.method = method
        self.target = target
        self.fields = fields  # by name in lowercase
        self.body = body


class Flaky:
    """`faults` is what becomes of the requests to come, in order: None (handed on), DROPPED, LOST,
    bytes (the answer), or a function that is called before it is handed on. `requests` is what
    came."""

    def __init__(self, address):
        self.upstream = address
        self.faults = []
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # What is blocked in accept() does not see that the socket is closed.
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def take(self):
        """The requests that came since it was asked last."""
        taken, self.requests = self.requests, []
        return taken

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, suppress(OSError, Closed), client.makefile("rb") as stream:
            while self._serve_one(client, stream):
                pass

    def _serve_one(self, client, stream):
        """One request; whether the connection goes on."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return False
            head += line
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        fields = {name.lower(): value.strip() for name, value in (x.split(":", 1) for x in lines)}
        body = stream.read(int(fields.get("content-length", 0)))
        method, target, _ = first.split(" ")
        self.requests.append(Request(method, target, fields, body))
        fault = self.faults.pop(0) if self.faults else None
        if callable(fault):
            fault()
        if fault == DROPPED:
            return False
        if isinstance(fault, bytes):
            client.sendall(fault)
            return True
        with Connection(self.upstream, timeout=60) as connection:
            connection.send(head + body)
            answer = connection.receive(method)
        if fault == LOST:
            return False
        kept = [
            f"{name}: {value}"
            for name, value in answer.fields
            if name not in ("content-length", "transfer-encoding")
        ]
        client.sendall(raw_answer(answer.status, answer.body, kept))
        return True
