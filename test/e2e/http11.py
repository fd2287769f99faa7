"""A small HTTP/1.1 client over a raw socket: it sends bytes as they are given and reads answers
strictly. Not a client for others; it exists because tests must send what a polite library will
not."""

import base64
import json
import socket

from harness import Failure, check

PATH = "/v2/calls/users-access"


class Closed(Exception):
    """The server ended the connection before a whole answer."""


class Answer:
    def __init__(self, version, status, reason, fields, body):
        self.version = version
        self.status = status
        self.reason = reason
        self.fields = fields  # (name in lowercase, value) in order
        self.body = body

    def field(self, name):
        """The value of the one field of this name; None where there is none."""
        values = [value for field, value in self.fields if field == name]
        check(len(values) <= 1, "field twice:", name, values)
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.reason} {self.fields} {self.body[:500]!r}"


def basic(access_key, secret):
    return "Basic " + base64.b64encode(f"{access_key}:{secret}".encode()).decode()


def build(
    method, target=PATH, body=None, authorization=None, fields=(), host="test", version="HTTP/1.1"
):
    """The bytes of a request. A body that is no string or bytes is written as JSON."""
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body, separators=(",", ":"))
    if isinstance(body, str):
        body = body.encode()
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    if authorization:
        lines.append(f"Authorization: {authorization}")
    names = {line.split(":")[0].lower() for line in fields}
    if body is not None:
        if "content-type" not in names:
            lines.append("Content-Type: application/json")
        if "content-length" not in names and "transfer-encoding" not in names:
            lines.append(f"Content-Length: {len(body)}")
    lines.extend(fields)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


class Connection:
    def __init__(self, address, timeout=20, tls=None, source=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout, source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _fill(self):
        try:
            piece = self.socket.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Closed(str(error)) from error
        if not piece:
            raise Closed("end of stream")
        self.buffer += piece

    def _until(self, mark):
        while (at := self.buffer.find(mark)) < 0:
            self._fill()
        head, self.buffer = self.buffer[:at], self.buffer[at + len(mark) :]
        return head

    def _exactly(self, length):
        if len(self.buffer) < length:
            pieces = [self.buffer]
            missing = length - len(self.buffer)
            while missing > 0:
                self.buffer = b""
                self._fill()
                pieces.append(self.buffer)
                missing -= len(self.buffer)
            self.buffer = b"".join(pieces)
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return body

    def receive_head(self):
        """The beginning of an answer, without its body."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (lines[0].split(" ", 2) + [""])[:3]
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise Failure(f"a header line without a colon: {line!r}")
            fields.append((name.lower(), value.strip()))
        return Answer(version, int(status), reason, fields, b"")

    def receive(self, method="POST"):
        """Reads one answer; 1xx answers are answers too."""
        answer = self.receive_head()
        if answer.status >= 200 and answer.status not in (204, 304) and method != "HEAD":
            answer.body = self.receive_body(answer)
        return answer

    def receive_body(self, head):
        if is_chunked(head):
            return b"".join(iter(self.next_chunk, b""))
        length = head.field("content-length")
        check(length is not None, "an answer without its length:", head)
        return self._exactly(int(length))

    def next_chunk(self):
        """Of a body in chunks; empty at its end."""
        size = int(self._until(b"\r\n").split(b";")[0], 16)
        if size == 0:
            while self._until(b"\r\n"):
                pass
            return b""
        piece = self._exactly(size)
        check(self._until(b"\r\n") == b"", "a chunk longer than it said")
        return piece

    def request(self, method, target=PATH, body=None, authorization=None, fields=(), **more):
        self.send(build(method, target, body, authorization, fields, **more))
        return self.receive(method)

    def is_closed(self, seconds=5):
        """Whether the server ends this connection within that time, having sent nothing more."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b"" and not self.buffer
        except TimeoutError:
            return False
        except ConnectionError:
            return True


def is_chunked(head):
    return (head.field("transfer-encoding") or "").lower() == "chunked"


class Client:
    """The three operations with one key over one connection, kept open; for suites about what is
    stored."""

    def __init__(self, address, authorization, timeout=60):
        self.connection = Connection(address, timeout)
        self.authorization = authorization

    def close(self):
        self.connection.close()

    def ask(self, method, body):
        return self.connection.request(method, PATH, body, self.authorization)

    def change(self, method, pairs):
        """pairs: {call: users}. The answer to PUT or DELETE."""
        return self.ask(method, access_list(pairs))

    def give(self, pairs):
        check_ok(self.change("PUT", pairs))

    def remove(self, pairs):
        check_ok(self.change("DELETE", pairs))

    def read(self, calls):
        """{call: users holding an individual grant}, all from one request."""
        answer = check_ok(self.ask("POST", {"filter": {"callIds": [str(call) for call in calls]}}))
        return decode_access_list(answer)


def access_list(pairs):
    return {
        "callAccessList": [
            {"callId": str(call), "userIds": [str(user) for user in users]}
            for call, users in pairs.items()
        ]
    }


def decode_access_list(answer):
    return {
        int(entry["callId"]): [int(user["userId"]) for user in entry["users"]]
        for entry in answer.json["callAccessList"]
    }


def check_ok(answer):
    check(answer.status == 200, "refused:", answer)
    return answer
