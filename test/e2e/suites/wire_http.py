"""Section 4a: HTTP/1.1 on the socket: framing, malformed heads, limits crossed on purpose, TLS."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time

from harness import check, check_equal, suite, wait_until
from http11 import PATH, Closed, Connection, build
from suites.wire_fixture import ALL, GOOD, OPERATIONS, PARSE_ERROR, READER, check_answer, serve

tests, test = suite()

READ_BODY = json.dumps(GOOD["POST"]).encode()


def head(*lines):
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def refused_and_closed(server, name, request, status, reason):
    with server.connect() as connection:
        connection.send(request)
        answer = connection.receive()
        check_answer(answer, status, reason, name)
        check_equal(answer.field("connection"), "close", name, "connection")
        check(connection.is_closed(), name, "stayed open")


# --- framing


@test("answers keep the connection open until either side says close")
def keeps_alive(env):
    server = serve(env)
    with server.connect() as connection:
        for _ in range(3):
            for method in OPERATIONS:
                answer = connection.request(method, PATH, GOOD[method], ALL)
                check_answer(answer, 200, name=method)
                check(answer.field("connection") in (None, "keep-alive"), answer)
        answer = connection.request("POST", PATH, GOOD["POST"], ALL, ["Connection: close"])
        check_answer(answer, 200)
        check_equal(answer.field("connection"), "close")
        check(connection.is_closed(), "open after close")


@test("pipelined requests are answered in order, and a read sees the write before it")
def pipelines(env):
    server = serve(env)
    with server.connect() as connection:
        requests, expected = [], []
        for round_number in range(100):
            give = round_number % 2 == 0
            requests.append(build("PUT" if give else "DELETE", PATH, GOOD["PUT"], ALL))
            requests.append(build("POST", PATH, GOOD["POST"], ALL))
            requests.append(build("GET", "/nowhere"))
            expected.append(["2", "5"] if give else ["5"])
        connection.send(b"".join(requests))
        for users in expected:
            check_answer(connection.receive(), 200)
            listed = check_answer(connection.receive(), 200)["callAccessList"][0]["users"]
            check_equal([user["userId"] for user in listed], users, "read behind a write")
            check_answer(connection.receive(), 404)


@test("a request may come byte by byte, and several in one piece")
def takes_pieces(env):
    server = serve(env)
    request = build("POST", PATH, GOOD["POST"], ALL)
    with server.connect() as connection:
        for at in range(len(request)):
            connection.send(request[at : at + 1])
        check_answer(connection.receive(), 200)
        for cut in range(1, len(request), 17):
            connection.send(request + request[:cut])
            check_answer(connection.receive(), 200)
            connection.send(request[cut:] + b"\r\n")  # an empty line before a request is let pass
            check_answer(connection.receive(), 200)


def chunked(body, size, trailer=b""):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return (
        b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        + b"0\r\n"
        + trailer
        + b"\r\n"
    )


@test("chunked bodies are taken, extensions and trailers ignored")
def takes_chunks(env):
    server = serve(env)
    begin = build("POST", PATH, b"", ALL, ["Transfer-Encoding: chunked"])
    bodies = {
        "one chunk": chunked(READ_BODY, 1000),
        "a chunk a byte": chunked(READ_BODY, 1),
        "upper case size": chunked(READ_BODY + b" " * 200, 171)
        .upper()
        .replace(READ_BODY.upper(), READ_BODY),
        "trailers": chunked(READ_BODY, 10, b"X-Sum: 1\r\nAuthorization: Basic eA==\r\n"),
        "extension": b"%x;name=value\r\n%s\r\n0\r\n\r\n" % (len(READ_BODY), READ_BODY),
        "leading zeros": b"000%x\r\n%s\r\n000\r\n\r\n" % (len(READ_BODY), READ_BODY),
    }
    with server.connect() as connection:
        for name, body in bodies.items():
            connection.send(begin + body)
            check_answer(connection.receive(), 200, name=name)
        connection.send(begin + b"0\r\n\r\n")
        check_answer(connection.receive(), 400, PARSE_ERROR, "no chunk is an empty body")
        connection.send(
            build("POST", PATH, b"", ALL, ["Transfer-Encoding: CHUNKED"]) + bodies["one chunk"]
        )
        check_answer(connection.receive(), 200, name="coding in upper case")


@test("no length and no coding is an empty body")
def empty_without_length(env):
    server = serve(env)
    with server.connect() as connection:
        for method in OPERATIONS:
            answer = connection.request(method, PATH, None, ALL, ["Content-Type: application/json"])
            check_answer(answer, 400, PARSE_ERROR, method)
            check_answer(connection.request("POST", PATH, GOOD["POST"], ALL), 200)


@test("Expect: 100-continue is answered before the body, unless a refusal needs no body")
def continues(env):
    server = serve(env)
    fields = [f"Content-Length: {len(READ_BODY)}", "Expect: 100-continue"]
    with server.connect() as connection:
        connection.send(build("POST", PATH, b"", ALL, fields))
        check_equal(connection.receive().status, 100)
        connection.send(READ_BODY)
        check_answer(connection.receive(), 200)
    with server.connect() as connection:
        connection.send(build("POST", PATH, b"", None, fields))
        check_answer(connection.receive(), 401, "Access denied")
    with server.connect() as connection:
        connection.send(
            build("POST", PATH, b"", ALL, ["Content-Length: 99999999999", "Expect: 100-continue"])
        )
        check_answer(connection.receive(), 413, "Payload Too Large")
        check(connection.is_closed(), "open after 413")
    # A client that does not wait for the word gets its answer all the same.
    with server.connect() as connection:
        connection.send(build("POST", PATH, READ_BODY, ALL, ["Expect: 100-continue"]))
        answer = connection.receive()
        check_answer(connection.receive() if answer.status == 100 else answer, 200)


@test("HTTP/1.0 is answered, and kept alive only when asked")
def answers_http10(env):
    server = serve(env)
    with server.connect() as connection:
        answer = connection.request("POST", PATH, GOOD["POST"], ALL, version="HTTP/1.0", host=None)
        check_answer(answer, 200)
        check(connection.is_closed(), "open after HTTP/1.0")
    with server.connect() as connection:
        for _ in range(2):
            answer = connection.request(
                "POST", PATH, GOOD["POST"], ALL, ["Connection: keep-alive"], version="HTTP/1.0"
            )
            check_answer(answer, 200)
            check_equal((answer.field("connection") or "").lower(), "keep-alive")


@test("a HEAD is answered without a body and with the length that it would have")
def answers_head(env):
    server = serve(env)
    with server.connect() as connection:
        connection.send(build("HEAD", PATH, None, ALL) + build("POST", PATH, GOOD["POST"], ALL))
        answer = connection.receive("HEAD")
        check_equal(answer.status, 405)
        check_answer(connection.receive(), 200)


# --- malformed and refused heads

HOST = "Host: test"
AUTH = f"Authorization: {ALL}"
LINE = f"POST {PATH} HTTP/1.1"
TYPE = "Content-Type: application/json"
LENGTH = f"Content-Length: {len(READ_BODY)}"

MALFORMED = {
    "no host": head(LINE, AUTH, LENGTH) + READ_BODY,
    "two hosts": head(LINE, HOST, HOST, LENGTH) + READ_BODY,
    "two different hosts": head(LINE, HOST, "Host: other", LENGTH) + READ_BODY,
    "length and coding": head(LINE, HOST, LENGTH, "Transfer-Encoding: chunked")
    + chunked(READ_BODY, 9),
    "coding and length": head(LINE, HOST, "Transfer-Encoding: chunked", LENGTH)
    + chunked(READ_BODY, 9),
    "two lengths": head(LINE, HOST, LENGTH, LENGTH) + READ_BODY,
    "two different lengths": head(LINE, HOST, "Content-Length: 1", LENGTH) + READ_BODY,
    "a list of lengths": head(LINE, HOST, f"{LENGTH}, {len(READ_BODY)}") + READ_BODY,
    "a signed length": head(LINE, HOST, f"Content-Length: +{len(READ_BODY)}") + READ_BODY,
    "a negative length": head(LINE, HOST, "Content-Length: -1"),
    "a hexadecimal length": head(LINE, HOST, "Content-Length: 0x10"),
    "an empty length": head(LINE, HOST, "Content-Length: "),
    "a length with words": head(LINE, HOST, "Content-Length: 1 2"),
    "a length beyond 64 bits": head(LINE, HOST, "Content-Length: 18446744073709551620"),
    "coding in HTTP/1.0": head(f"POST {PATH} HTTP/1.0", HOST, "Transfer-Encoding: chunked")
    + chunked(READ_BODY, 9),
    "space before a colon": head(LINE, HOST, "X : 1", LENGTH) + READ_BODY,
    "folding": head(LINE, HOST, "X: 1", " 2", LENGTH) + READ_BODY,
    "folding with a tab": head(LINE, HOST, "X: 1", "\t2", LENGTH) + READ_BODY,
    "space before the first field": head(LINE, " X: 1", HOST),
    "a field without a colon": head(LINE, HOST, "X"),
    "a field without a name": head(LINE, HOST, ": 1"),
    "a bad character in a name": head(LINE, HOST, "X(Y): 1"),
    "bare LF after a field": f"{LINE}\r\n{HOST}\n{LENGTH}\r\n\r\n".encode() + READ_BODY,
    "bare LF after the line": f"{LINE}\n{HOST}\r\n{LENGTH}\r\n\r\n".encode() + READ_BODY,
    "bare LF everywhere": f"{LINE}\n{HOST}\n{LENGTH}\n\n".encode() + READ_BODY,
    "bare CR in a value": head(LINE, HOST, "X: a\rb"),
    "NUL in a value": head(LINE, HOST, "X: a\0b"),
    "NUL in a name": head(LINE, HOST, "X\0: b"),
    "another control character in a value": head(LINE, HOST, "X: a\x01b"),
    "DEL in a value": head(LINE, HOST, "X: a\x7fb"),
    "a control character in the target": head(f"POST {PATH}\x01 HTTP/1.1", HOST),
    "NUL in the target": head(f"POST {PATH}\0 HTTP/1.1", HOST),
    "a space in the target": head(f"POST {PATH} x HTTP/1.1", HOST),
    "two spaces in the line": head(f"POST  {PATH} HTTP/1.1", HOST),
    "no version": head(f"POST {PATH}", HOST),
    "a word for a version": head(f"POST {PATH} HTTPS/1.1", HOST),
    "no target": head("POST HTTP/1.1", HOST),
    "a relative target": head("POST v2/calls HTTP/1.1", HOST),
    "a bad method": head(f"PO(ST {PATH} HTTP/1.1", HOST),
    "binary": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a bad host": head(LINE, "Host: a b", LENGTH) + READ_BODY,
    "chunk of no size": head(LINE, HOST, AUTH, TYPE, "Transfer-Encoding: chunked")
    + b"\r\nx\r\n0\r\n\r\n",
    "chunk of a bad size": head(LINE, HOST, AUTH, TYPE, "Transfer-Encoding: chunked")
    + b"g\r\nx\r\n0\r\n\r\n",
    "chunk of a signed size": head(LINE, HOST, AUTH, TYPE, "Transfer-Encoding: chunked")
    + b"+1\r\nx\r\n0\r\n\r\n",
    "chunk longer than said": head(LINE, HOST, AUTH, TYPE, "Transfer-Encoding: chunked")
    + b"1\r\nxy\r\n0\r\n\r\n",
    "chunk beyond 64 bits": head(LINE, HOST, AUTH, TYPE, "Transfer-Encoding: chunked")
    + b"10000000000000001\r\nx\r\n0\r\n\r\n",
    "chunk ended by a bare LF": head(LINE, HOST, AUTH, TYPE, "Transfer-Encoding: chunked")
    + b"1\n{\r\n0\r\n\r\n",
}

REFUSED = {
    "an unknown expectation": (
        head(LINE, HOST, "Expect: magic", LENGTH),
        417,
        "Expectation Failed",
    ),
    "an unknown coding": (
        head(LINE, HOST, "Transfer-Encoding: gzip, chunked"),
        501,
        "Not Implemented",
    ),
    "a coding that is not chunked": (
        head(LINE, HOST, "Transfer-Encoding: identity"),
        501,
        "Not Implemented",
    ),
    "HTTP/2.0": (head(f"POST {PATH} HTTP/2.0", HOST), 505, "HTTP Version Not Supported"),
    "HTTP/1.2": (head(f"POST {PATH} HTTP/1.2", HOST), 505, "HTTP Version Not Supported"),
    "HTTP/0.9": (head(f"POST {PATH} HTTP/0.9", HOST), 505, "HTTP Version Not Supported"),
}


@test("a malformed head or chunk is 400, and the connection is closed", seconds=60)
def refuses_malformed(env):
    server = serve(env)
    for name, request in MALFORMED.items():
        refused_and_closed(server, name, request, 400, "Bad Request")


@test("unknown expectations, codings and versions have their own statuses")
def refuses_unknown(env):
    server = serve(env)
    for name, (request, status, reason) in REFUSED.items():
        refused_and_closed(server, name, request, status, reason)


@test("nothing behind a malformed request is taken for a request")
def smuggles_nothing(env):
    server = serve(env)
    hidden = build("PUT", PATH, GOOD["PUT"], ALL)
    with server.connect() as connection:
        connection.send(MALFORMED["length and coding"] + hidden)
        check_answer(connection.receive(), 400, "Bad Request")
        check(connection.is_closed(), "answered more")
    with server.connect() as connection:
        listed = connection.request("POST", PATH, GOOD["POST"], ALL).json["callAccessList"][0][
            "users"
        ]
        check_equal(listed, [{"userId": "5"}])


@test("any single well-formed Host is taken")
def takes_hosts(env):
    server = serve(env)
    with server.connect() as connection:
        for host in ["test", "test:80", "127.0.0.1:1", "[::1]:80", "a-b.c_d.example"]:
            answer = connection.request("POST", PATH, GOOD["POST"], ALL, host=host)
            check_answer(answer, 200, name=("host", host))


# --- limits


@test("a head beyond the limit is 431")
def limits_heads(env):
    server = serve(env, "--head-bytes-max", 4096)
    with server.connect() as connection:
        answer = connection.request("POST", PATH, GOOD["POST"], ALL, ["X: " + "a" * 3000])
        check_answer(answer, 200)
    for name, lines in {
        "one field": ["X: " + "a" * 5000],
        "many fields": [f"X{n}: a" for n in range(600)],
    }.items():
        request = build("POST", PATH, GOOD["POST"], ALL, lines)
        refused_and_closed(server, name, request, 431, "Request Header Fields Too Large")
    refused_and_closed(
        server,
        "target",
        build("POST", PATH + "?" + "a" * 5000),
        431,
        "Request Header Fields Too Large",
    )


@test("a body beyond the limit is 413 as soon as its length or its bytes say so")
def limits_bodies(env):
    server = serve(env, "--body-bytes-max", 1000)
    padding = b" " * (1000 - len(READ_BODY))
    begin = build("POST", PATH, b"", ALL, ["Transfer-Encoding: chunked"])
    with server.connect() as connection:
        check_answer(connection.request("POST", PATH, READ_BODY + padding, ALL), 200)
        connection.send(begin + chunked(READ_BODY + padding, 100))
        check_answer(connection.receive(), 200)
    refused_and_closed(
        server,
        "length",
        build("POST", PATH, b"", ALL, ["Content-Length: 1001"]),
        413,
        "Payload Too Large",
    )
    endless = begin + chunked(READ_BODY + padding + b" ", 100)[:-5]
    refused_and_closed(server, "chunks", endless, 413, "Payload Too Large")
    for size in (b"3e9", b"7fffffff"):
        announced = begin + size + b"\r\n{"
        refused_and_closed(server, "a chunk that says it", announced, 413, "Payload Too Large")


@test("the default limits are those of the contract: 8 MiB, 64 deep, 100,000 ids")
def default_limits(env):
    server = serve(env)
    with server.connect() as connection:
        blank = b" " * ((8 << 20) - len(READ_BODY))
        check_answer(connection.request("POST", PATH, READ_BODY + blank, ALL), 200)
        for extra, status, first_error in [(0, 200, None), (1, 400, "Too many ids")]:
            body = {"filter": {"callIds": ["100"] * (100_000 + extra)}}
            answer = check_answer(connection.request("POST", PATH, body, ALL), status, first_error)
            check(
                not extra
                or any("100000" in error or "100,000" in error for error in answer["errors"][1:]),
                answer,
            )
    refused_and_closed(
        server,
        "length",
        build("POST", PATH, b"", ALL, [f"Content-Length: {(8 << 20) + 1}"]),
        413,
        "Payload Too Large",
    )


@test("limits of ids and nesting have options")
def limits_ids(env):
    server = serve(env, "--ids-max", 5, "--nesting-max", 6)
    deep = '{"a":%s,"filter":{"callIds":["100"]}}'
    with server.connect() as connection:
        for body, status, first_error in [
            ({"filter": {"callIds": ["100"] * 5}}, 200, None),
            ({"filter": {"callIds": ["100"] * 6}}, 400, "Too many ids"),
            (deep % ("[" * 5 + "]" * 5), 200, None),
            (deep % ("[" * 6 + "]" * 6), 400, PARSE_ERROR),
        ]:
            check_answer(connection.request("POST", PATH, body, ALL), status, first_error, body)
        many = {
            "callAccessList": [
                {"callId": "100", "userIds": ["2", "3", "4"]},
                {"callId": "101", "userIds": ["2"]},
            ]
        }
        check_answer(connection.request("DELETE", PATH, many, ALL), 400, "Too many ids")


@test("an idle connection is closed, and one that is too slow gets 408")
def limits_time(env):
    server = serve(env, "--idle-time", "1", "--request-time", "1")
    with (
        server.connect() as idle,
        server.connect() as used,
        server.connect() as slow_head,
        server.connect() as slow_body,
    ):
        slow_head.send(build("POST", PATH, GOOD["POST"], ALL)[:40])
        slow_body.send(build("POST", PATH, GOOD["POST"], ALL)[:-3])
        check_answer(used.request("POST", PATH, GOOD["POST"], ALL), 200)
        began = time.monotonic()
        for name, connection in [("head", slow_head), ("body", slow_body)]:
            check_answer(connection.receive(), 408, "Request Timeout", name)
            check(connection.is_closed(), name, "stayed open")
        check(idle.is_closed(6) and used.is_closed(6), "idle connections stayed open")
        check(time.monotonic() - began < 8, "took too long")


@test("a slow request that keeps sending is ended all the same")
def limits_trickle(env):
    server = serve(env, "--request-time", "1")
    request = build("POST", PATH, GOOD["POST"], ALL)
    with server.connect() as connection:
        status = None
        try:
            for at in range(60):
                connection.send(request[at : at + 1])
                time.sleep(0.1)
                connection.socket.setblocking(False)
                try:
                    if connection.socket.recv(1, socket.MSG_PEEK):
                        break
                except BlockingIOError:
                    pass
                finally:
                    connection.socket.settimeout(5)
            status = connection.receive().status
        except (ConnectionError, Closed):
            pass
        check_equal(status, 408)
        check(at < 50, "trickled for", at / 10, "s")


@test("connections over the limit, in all and from one address, get 503 and are closed")
def limits_connections(env):
    for option in ("--connections-max", "--connections-per-address-max"):
        server = serve(env, option, 3, store=env.store(option.strip("-")))
        kept = [server.connect() for _ in range(3)]
        for connection in kept:
            check_answer(connection.request("POST", PATH, GOOD["POST"], ALL), 200)
        with server.connect() as one_more:
            answer = one_more.receive()
            check_answer(answer, 503, "Service Unavailable", option)
            check(one_more.is_closed(), option, "stayed open")
        check_answer(kept[0].request("POST", PATH, GOOD["POST"], ALL), 200)
        if option == "--connections-per-address-max":
            with Connection(server.address, source=("127.0.0.2", 0)) as elsewhere:
                check_answer(elsewhere.request("POST", PATH, GOOD["POST"], ALL), 200)
        for connection in kept:
            connection.close()

        def has_room():
            try:
                with server.connect() as again:
                    return again.request("POST", PATH, GOOD["POST"], ALL).status == 200
            except (Closed, ConnectionError):
                return False

        wait_until(has_room, 5, "room after connections were closed")
        server.stop()


@test("many answers that nobody reads hold neither the server nor other clients", seconds=90)
def survives_deaf_clients(env):
    server = serve(env)
    deaf = [server.connect(timeout=1) for _ in range(3)]
    for connection in deaf:
        try:
            while True:
                connection.send(build("POST", PATH, GOOD["POST"], ALL) * 200)
        except (TimeoutError, ConnectionError):
            pass
    memory = server.status("VmRSS")
    check(memory < 1 << 30, "memory", memory)
    with server.connect() as connection:
        began = time.monotonic()
        check_answer(connection.request("PUT", PATH, GOOD["PUT"], ALL), 200)
        check(time.monotonic() - began < 3, "others wait")
    for connection in deaf:
        connection.close()


# --- TLS


def make_certificate(env, name):
    key, certificate = env.path("tls.key"), env.path("tls.crt")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            key + ".new",
            "-out",
            certificate + ".new",
        ],
        check=True,
        capture_output=True,
    )
    os.rename(key + ".new", key)
    os.rename(certificate + ".new", certificate)
    return certificate, key


def peer_name(server, certificate):
    context = ssl.create_default_context(cafile=certificate)
    with server.connect(tls=context) as connection:
        check_answer(connection.request("POST", PATH, GOOD["POST"], READER), 200)
        subject = dict(field[0] for field in connection.socket.getpeercert()["subject"])
        return subject["commonName"]


@test("TLS is served, and SIGHUP takes a new certificate without touching open connections")
def serves_tls(env):
    certificate, key = make_certificate(env, "first")
    server = serve(env, "--tls-cert", certificate, "--tls-key", key)
    check(server.url.startswith("https://"), server.url)
    check_equal(peer_name(server, certificate), "first")
    with server.connect(tls=ssl.create_default_context(cafile=certificate)) as kept:
        check_answer(kept.request("POST", PATH, GOOD["POST"], READER), 200)
        make_certificate(env, "second")
        server.process.send_signal(signal.SIGHUP)

        def renewed():
            try:
                return peer_name(server, certificate) == "second"
            except ssl.SSLError:
                return False

        wait_until(renewed, 5, "the new certificate")
        env.write("tls.crt", "no certificate")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with server.connect(tls=context) as connection:
            check_answer(
                connection.request("POST", PATH, GOOD["POST"], READER),
                200,
                name="after a bad certificate",
            )
        check_answer(
            kept.request("POST", PATH, GOOD["POST"], READER), 200, name="a connection from before"
        )
    with server.connect() as plain:
        try:
            plain.send(build("POST", PATH, GOOD["POST"], READER))
            check(b"HTTP/1.1 200" not in plain.socket.recv(100), "answered plaintext")
        except ConnectionError:
            pass
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
        with server.connect(tls=context) as connection:
            check_answer(connection.request("POST", PATH, GOOD["POST"], READER), 200, name=version)
    server.stop()
