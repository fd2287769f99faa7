"""Requests of the benches, one at a time, with all of their answer looked at. Plain and TLS 1.3."""

import base64
import json
import re
import socket
import ssl

import dataset
from machine import Failure

ANSWER_SECONDS = 60
LISTS = "/v2/calls/users-access"
CHECK = "/earshot/v1/access/check"


def request_head(method, company=1, path=LISTS):
    """Of every request, but for its length: the same bytes to both sides."""
    credentials = f"{dataset.access_key(company)}:{dataset.SECRET}".encode()
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Basic {base64.b64encode(credentials).decode()}\r\n"
        f"Content-Type: application/json\r\n"
    )


def request_of(method, body, company=1, path=LISTS):
    text = "" if body is None else json.dumps(body, separators=(",", ":"))
    head = request_head(method, company, path)
    return f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def connect(port, tls=False):
    connection = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
    if not tls:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context.wrap_socket(connection)


def exchange(side, method, body, company=1, path=LISTS):
    """Sends one request, as the load does, and gives the bytes of its answer and the JSON in it."""
    with connect(side.port, side.tls) as connection:
        return exchange_on(connection, request_of(method, body, company, path))


def exchange_on(connection, request):
    connection.sendall(request)
    head, raw, content = receive_answer(connection)
    if not head.startswith(b"HTTP/1.1 200 "):
        what = request[:60].decode("utf-8", "replace").split("\r")[0]
        raise Failure(f"{what}: {(head + raw)[:1000].decode('utf-8', 'replace')}")
    return head + raw, json.loads(content)


def receive_answer(connection):
    """Head with its empty line, body as it came, and body without the frames of chunks."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += receive(connection)
    head, _, raw = answer.partition(b"\r\n\r\n")
    pieces = [raw]
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        tail = raw
        while not tail.endswith(b"0\r\n\r\n"):
            pieces.append(receive(connection))
            tail = (tail + pieces[-1])[-16:]
        raw = b"".join(pieces)
        return head + b"\r\n\r\n", raw, unchunk(raw)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if not length:
        raise Failure(f"an answer without a length: {head.decode('utf-8', 'replace')}")
    missing = int(length[1]) - len(raw)
    while missing > 0:
        pieces.append(receive(connection))
        missing -= len(pieces[-1])
    raw = b"".join(pieces)
    return head + b"\r\n\r\n", raw, raw


def receive_answers(connection, count):
    """So many answers to changes, which have to be good ones of a known length."""
    pending = b""
    while count > 0:
        head, found, rest = pending.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)[1]) if found else 0
        if not found or len(rest) < length:
            pending += receive(connection)
            continue
        if not head.startswith(b"HTTP/1.1 200 "):
            raise Failure(pending[:1000].decode("utf-8", "replace"))
        pending = rest[length:]
        count -= 1


def unchunk(raw):
    content, at = [], 0
    while True:
        end = raw.index(b"\r\n", at)
        size = int(raw[at:end].split(b";")[0], 16)
        if size == 0:
            return b"".join(content)
        content.append(raw[end + 2 : end + 2 + size])
        at = end + 4 + size


def receive(connection):
    piece = connection.recv(1 << 20)
    if not piece:
        raise Failure("the connection closed before the answer was whole")
    return piece


def read_calls(side, calls, company=1):
    """The bytes of the answer, and the users of each call."""
    answer, content = exchange(side, "POST", {"filter": {"callIds": calls}}, company)
    users = {e["callId"]: [u["userId"] for u in e["users"]] for e in content["callAccessList"]}
    if users.keys() != set(calls):
        raise Failure(f"a read of {len(calls)} calls was answered with others")
    return answer, users


def give(side, pairs):
    """Gives all of them in one request, as the load does; the bytes of the answer."""
    body = {"callAccessList": [{"callId": call, "userIds": [user]} for call, user in pairs]}
    return exchange(side, "PUT", body)[0]


def check_body(pairs):
    return {"checks": [{"callId": call, "userId": user} for call, user in pairs]}


def check(side, pairs, query=""):
    """The bytes of the answer to a check of the pairs, and whether each is allowed."""
    answer, content = exchange(side, "POST", check_body(pairs), path=CHECK + query)
    asked = [(one["callId"], one["userId"]) for one in content["results"]]
    if asked != list(pairs):
        raise Failure(f"a check of {len(pairs)} pairs was answered with others")
    return answer, [one["allowed"] for one in content["results"]]
