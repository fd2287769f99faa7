"""What stands around the operations: rates, the admin address, probes and figures, the log, the way
out on SIGTERM, and configurations that are refused."""

import json
import os
import re
import shutil
import signal
import socket
import time
from datetime import datetime, timedelta, timezone

from harness import check, check_equal, in_threads, suite, wait_until
from http11 import PATH, Closed, Connection, build
from server import Server, free_port
from suites.wire_fixture import (
    ALL,
    GOOD,
    OPERATIONS,
    OTHER,
    READER,
    RECORDS,
    check_answer,
    grants,
    serve,
)

tests, test = suite()

OVER_RATE = "API request limit exceeded"
PROBES = ["/healthz", "/readyz", "/metrics", "/openapi.json"]


# --- rates


def statuses(connection, count, authorization, method="POST"):
    connection.send(build(method, PATH, GOOD[method], authorization) * count)
    answers = [connection.receive() for _ in range(count)]
    for answer in answers:
        check_answer(answer, answer.status, None if answer.status == 200 else OVER_RATE)
    return [answer.status for answer in answers]


@test("a company over its rate by second gets 429, others do not")
def limits_by_second(env):
    server = serve(env, "--rate-per-second", 3)
    with server.connect() as connection, server.connect() as other:
        check_equal(statuses(connection, 3, ALL), [200] * 3)
        check_equal(statuses(connection, 2, READER), [429] * 2, "another key of the same company")
        check_equal(statuses(other, 3, OTHER), [200] * 3, "another company")
        answer = connection.request("PUT", PATH, GOOD["PUT"], ALL)
        check_answer(answer, 429, OVER_RATE)
        check_equal(answer.field("retry-after"), "1")
        check_answer(
            connection.request("PUT", PATH, GOOD["PUT"], None),
            401,
            "Access denied",
            "no credentials",
        )
        time.sleep(1.1)
        check_equal(statuses(connection, 5, ALL), [200] * 3 + [429] * 2, "a second later")
        check_equal(connection.request("POST", "/v2/nowhere", GOOD["POST"], ALL).status, 404)


@test("over the rate comes before faults of the body, and refusals of the body count")
def rate_before_body(env):
    server = serve(env, "--rate-per-second", 1)
    with server.connect() as connection:
        check_answer(connection.request("POST", PATH, "{", ALL), 400)
        check_answer(connection.request("POST", PATH, "{", ALL), 429, OVER_RATE)
        check_answer(
            connection.request("POST", PATH, "{", ALL, ["Content-Type: text/plain"]), 429, OVER_RATE
        )


def seconds_to_midnight():
    now = datetime.now(timezone.utc)
    return (
        datetime.combine(now.date() + timedelta(1), datetime.min.time(), timezone.utc) - now
    ).total_seconds()


@test(
    "a company over its rate by day gets 429 until midnight, after a restart and a crash too",
    seconds=60,
)
def limits_by_day(env):
    if seconds_to_midnight() < 60:
        time.sleep(seconds_to_midnight() + 1)
    server = serve(env, "--rate-per-day", 20)
    with server.connect() as connection:
        check_equal(statuses(connection, 10, ALL), [200] * 10)
    server.stop()
    server = serve(env, "--rate-per-day", 20)
    with server.connect() as connection:
        check_equal(statuses(connection, 5, ALL), [200] * 5)
    time.sleep(11)  # counts are at most ten seconds old on disk
    server.kill()
    server = serve(env, "--rate-per-day", 20)
    with server.connect() as connection:
        check_equal(statuses(connection, 7, ALL), [200] * 5 + [429] * 2)
        answer = connection.request("POST", PATH, GOOD["POST"], ALL)
        wait = int(answer.field("retry-after"))
        check(
            abs(wait - seconds_to_midnight()) < 60,
            "Retry-After",
            wait,
            "with",
            seconds_to_midnight(),
            "to midnight",
        )
        check_equal(statuses(connection, 1, OTHER), [200], "another company")


# --- the admin address


@test("probes and figures are answered without credentials")
def answers_probes(env):
    server = serve(env)
    with server.connect() as connection:
        for path in PROBES:
            answer = connection.request("GET", path)
            check_equal(answer.status, 200, path, answer)
            check_equal(connection.request("DELETE", path).status, 405, path)
        for path in ("/healthz/", "/metrics2", "/earshot/v1/access/checks"):
            check_answer(connection.request("GET", path), 404, "Not Found", path)


@test(
    "an admin address takes probes and figures away from the public one, and answers nothing else"
)
def admin_address(env):
    admin = f"127.0.0.1:{free_port()}"
    server = serve(env, "--admin-listen", admin)
    with server.connect() as public, Connection(admin) as private:
        for path in PROBES:
            check_answer(public.request("GET", path), 404, "Not Found", path)
            check_equal(private.request("GET", path).status, 200, path)
        for method in OPERATIONS:
            check_answer(private.request(method, PATH, GOOD[method], ALL), 404, "Not Found", method)
            check_answer(public.request(method, PATH, GOOD[method], ALL), 200, name=method)


def figures(server):
    with server.connect() as connection:
        answer = connection.request("GET", "/metrics")
    check("text/plain" in answer.field("content-type"), answer.field("content-type"))
    found = {}
    for line in answer.body.decode().splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


@test("figures count requests by operation and status, in the text format of Prometheus")
def counts_requests(env):
    server = serve(env)
    with server.connect() as connection:
        for _ in range(7):
            check_answer(connection.request("POST", PATH, GOOD["POST"], ALL), 200)
        for _ in range(5):
            check_answer(connection.request("POST", PATH, "{", ALL), 400)
    found = figures(server)
    check(all(re.fullmatch(r"[a-z_:][a-z0-9_:]*(\{.*\})?", name) for name in found), "names")
    for status, count in (("200", 7), ("400", 5)):
        total = [value for name, value in found.items() if status in name and value == count]
        check(
            total,
            f"no figure says {count} answers of {status}:",
            [name for name in found if "request" in name][:20],
        )
    check(
        not any("acme" in name.lower() or "FULL" in name for name in found),
        "figures name companies or keys",
    )


@test("the OpenAPI document describes the three operations")
def serves_openapi(env):
    server = serve(env)
    with server.connect() as connection:
        answer = connection.request("GET", "/openapi.json")
    check(answer.field("content-type").startswith("application/json"), answer.field("content-type"))
    document = answer.json
    check(document["openapi"].startswith("3."), document["openapi"])
    names = {
        "put": "addUsersAccessToCalls",
        "post": "getUsersAccessToCalls",
        "delete": "deleteUsersAccessToCalls",
    }
    operations = document["paths"][PATH]
    for method, name in names.items():
        operation = operations[method]
        check_equal(operation["operationId"], name)
        check(
            {"200", "400", "401", "500"} <= set(operation["responses"]),
            method,
            list(operation["responses"]),
        )
        check(operation["requestBody"]["required"] is True, method, "body required")
    check_equal(
        set(operations) & {"get", "put", "post", "delete", "patch", "head", "options"}, set(names)
    )


@test("without enough free space writes are 503 and reads go on", stores=("embedded",))
def needs_free_space(env):
    env.command("load", env.write("wire.ndjson", RECORDS), "--store", env.store())
    server = Server(env, "--store-free-bytes-min", "900TB")
    with server.connect() as connection:
        for method, user in (("PUT", "2"), ("DELETE", "5")):
            body = {"callAccessList": [{"callId": "100", "userIds": [user]}]}
            check_answer(
                connection.request(method, PATH, body, ALL), 503, "Service Unavailable", method
            )
        listed = check_answer(connection.request("POST", PATH, GOOD["POST"], ALL), 200)[
            "callAccessList"
        ]
        check_equal(listed, [{"callId": "100", "users": [{"userId": "5"}]}])
        # What needs no room: refusals that come first in the order, and requests that change nothing.
        for method in ("PUT", "DELETE"):
            nothing = {"callAccessList": [{"callId": "100", "userIds": []}]}
            check_answer(connection.request(method, PATH, nothing, ALL), 200)
            unknown = {"callAccessList": [{"callId": "999", "userIds": []}]}
            check_answer(
                connection.request(method, PATH, unknown, ALL), 400, "Some calls not found"
            )
        env.command("key", "revoke", "FULL", "--store", env.store())
        check_answer(connection.request("POST", PATH, GOOD["POST"], ALL), 401, "Access denied")
    server.stop()


# --- the log


def log_records(server):
    records = []
    for line in server.log_text().splitlines():
        if line.startswith("{"):
            records.append(json.loads(line))
        else:
            check(
                line.startswith("listening on") or not line,
                "a line of the log that is no JSON:",
                line,
            )
    return records


@test("every answer's requestId is in the log, once, and no secret ever is")
def logs_requests(env):
    server = serve(env, "--log-requests", "all")
    ids = []
    with server.connect() as connection:
        for method in OPERATIONS:
            for body, authorization in [
                (GOOD[method], ALL),
                ("{", ALL),
                (GOOD[method], None),
                (GOOD[method], READER),
            ]:
                answer = connection.request(method, PATH, body, authorization)
                ids.append(answer.json["requestId"])
        ids.append(connection.request("GET", "/nowhere").json["requestId"])
    with server.connect() as connection:
        connection.send(b"nonsense\r\n\r\n")
        ids.append(connection.receive().json["requestId"])
    server.stop()
    text = server.log_text()
    log_records(server)
    for request_id in ids:
        check_equal(text.count(request_id), 1, "times that", request_id, "is in the log")
    for secret in ("full-secret", "reader-secret", ALL.split()[1], READER.split()[1]):
        check(secret not in text, "a secret is in the log")


@test("nothing that a client sends breaks a line of the log")
def logs_safely(env):
    server = serve(env)
    with server.connect() as connection:
        for target in ['/"},{"a":"', "/\x80\xff", "/%0a%0d", "/\\u0000", "/" + "a" * 5000]:
            answer = connection.request("GET", target)
            check(answer.status in (400, 404), target, answer)
            if answer.field("connection") == "close":
                connection.close()
                connection = server.connect()
    server.stop()
    log_records(server)


# --- the way out


@test("on SIGTERM readyz turns first, all is answered through the delay, and then it exits 0")
def drains(env):
    server = serve(env, "--drain-delay", "2")
    idle = server.connect()
    busy = server.connect()
    check_answer(busy.request("POST", PATH, GOOD["POST"], ALL), 200)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)

    def turned():
        with server.connect() as probe:
            return probe.request("GET", "/readyz").status == 503

    wait_until(turned, 1, "readyz to turn")
    with server.connect() as probe:
        check_equal(probe.request("GET", "/healthz").status, 200, "healthz while draining")
    # Through the delay a load balancer still sends requests, over old and new connections.
    while time.monotonic() - began < 1.5:
        check_answer(busy.request("PUT", PATH, GOOD["PUT"], ALL), 200)
        with server.connect() as fresh:
            check_answer(fresh.request("POST", PATH, GOOD["POST"], ALL), 200)
    check_equal(server.wait_exit(20), 0)
    check(1.9 < time.monotonic() - began < 8, "took", time.monotonic() - began, "s")
    check(idle.is_closed() and busy.is_closed(), "connections left open")


@test("a request that was begun before the end is answered, with connection: close")
def answers_in_flight(env):
    server = serve(env, "--drain-delay", "0")
    request = build("PUT", PATH, GOOD["PUT"], ALL)
    connections = [server.connect() for _ in range(10)]
    for connection in connections:
        connection.send(request[:-5])
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    for connection in connections:
        connection.send(request[-5:])
    for connection in connections:
        answer = connection.receive()
        check_answer(answer, 200)
        check_equal(answer.field("connection"), "close")
        check(connection.is_closed(), "stayed open")
    check_equal(server.wait_exit(20), 0)


@test("under load SIGTERM loses nothing: what is answered was done, what is cut off was not")
def drains_under_load(env):
    people = [str(user) for user in range(1000, 4000)]
    calls = ["900", "901", "902", "903"]
    lines = ['{"kind":"company","companyId":"1","name":"Acme"}']
    lines += [f'{{"kind":"user","userId":"{user}"}}' for user in people]
    lines += [f'{{"kind":"call","callId":"{call}"}}' for call in calls]
    path = env.write("people.ndjson", "\n".join(lines))
    server = serve(env, "--load", path, "--drain-delay", "1")
    given = {call: [] for call in calls}
    cut = []

    def give(call):
        connection = server.connect(timeout=10)
        for user in people:
            body = {"callAccessList": [{"callId": call, "userIds": [user]}]}
            try:
                answer = connection.request("PUT", PATH, body, ALL)
            except (Closed, ConnectionError):
                cut.append(call)
                return
            check_answer(answer, 200)
            given[call].append(user)
            if answer.field("connection") == "close":
                return
            time.sleep(0.001)
        check(False, "the server never ended the connection")

    threads = [lambda call=call: give(call) for call in calls]
    began = time.monotonic()

    def end():
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        check_equal(server.wait_exit(20), 0)

    in_threads([*threads, end])
    check(1.4 < time.monotonic() - began < 10, "took", time.monotonic() - began, "s")
    check(all(given.values()), "a client got nothing")
    server = Server(env)
    check_equal(grants(server, calls), given, "given")
    env.note(
        f"{sum(map(len, given.values()))} answered, {len(cut)} connections ended between answers"
    )


@test("SIGINT ends it as SIGTERM does")
def interrupts(env):
    server = serve(env, "--drain-delay", "0")
    server.process.send_signal(signal.SIGINT)
    check_equal(server.wait_exit(20), 0)


# --- configurations


def refused_to_start(env, name, *arguments, mention=(), environment=None):
    done = env.run("serve", *arguments, seconds=30, environment=environment)
    check_equal(done.returncode, 2, name, "exit code;", done.stderr)
    lines = done.stderr.strip().splitlines()
    check_equal(len(lines), 1, name, "lines of", done.stderr)
    check_equal(done.stdout, "", name, "standard output")
    for word in [mention] if isinstance(mention, str) else mention:
        check(word.lower() in lines[0].lower(), name, "does not say", word, "but", lines[0])


@test(
    "a configuration that cannot be honoured is refused with one line and exit code 2", seconds=120
)
def refuses_configurations(env):
    here = ["--listen", "127.0.0.1:0", "--store", env.store("fresh")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        refused_to_start(
            env,
            "address in use",
            "--listen",
            busy,
            "--store",
            env.store("fresh"),
            mention=busy.split(":")[1],
        )
    rows = [
        ("an unknown option", [*here, "--no-such-option"], "no-such-option"),
        ("an unknown word", [*here, "nonsense"], "nonsense"),
        ("no port", ["--listen", "127.0.0.1", "--store", env.store("fresh")], "127.0.0.1"),
        ("a bad port", ["--listen", "127.0.0.1:99999", "--store", env.store("fresh")], "99999"),
        (
            "a bad host",
            ["--listen", "no.such.host.invalid:1", "--store", env.store("fresh")],
            "no.such.host.invalid",
        ),
        (
            "an open address without TLS",
            ["--listen", "0.0.0.0:0", "--store", env.store("fresh")],
            "--insecure-plaintext",
        ),
        (
            "an open address of IPv6 without TLS",
            ["--listen", "[::]:0", "--store", env.store("fresh")],
            "--insecure-plaintext",
        ),
        ("a certificate without a key", [*here, "--tls-cert", env.write("c.pem", "x")], "tls-key"),
        ("a key without a certificate", [*here, "--tls-key", env.write("k.pem", "x")], "tls-cert"),
        (
            "a certificate that is none",
            [*here, "--tls-cert", env.path("c.pem"), "--tls-key", env.path("k.pem")],
            "c.pem",
        ),
        (
            "a certificate that is not there",
            [*here, "--tls-cert", "/no/cert", "--tls-key", "/no/key"],
            "/no/",
        ),
        ("records that are not there", [*here, "--load", env.path("none.ndjson")], "none.ndjson"),
        ("bad records", [*here, "--load", env.write("bad.ndjson", "{}\n")], "bad.ndjson"),
        ("a number that is none", [*here, "--rate-per-second", "many"], "rate-per-second"),
        ("a negative number", [*here, "--rate-per-day", "-1"], "rate-per-day"),
        (
            "a configuration that is not there",
            [*here, "--config", env.path("none.toml")],
            "none.toml",
        ),
        ("an admin address that is none", [*here, "--admin-listen", "x"], "x"),
    ]
    for name, arguments, mention in rows:
        refused_to_start(env, name, *arguments, mention=mention)
    refused_to_start(
        env,
        "a bad variable",
        *here,
        environment={"EARSHOT_RATE_PER_SECOND": "many"},
        mention="many",
    )


@test("a place that can be no data directory is refused", stores=("embedded",))
def refuses_places(env):
    rows = [
        ("a file", env.write("file", "x"), "file"),
        ("below a file", env.path("file") + "/x", "file"),
        ("a directory with other things", env.directory, env.directory),
    ]
    for name, place, mention in rows:
        refused_to_start(env, name, "--listen", "127.0.0.1:0", "--store", place, mention=mention)


@test(
    "a data directory in use is refused, and the server that has it goes on", stores=("embedded",)
)
def refuses_second_server(env):
    server = serve(env)
    refused_to_start(
        env, "in use", "--listen", "127.0.0.1:0", "--store", server.store, mention=server.store
    )
    with server.connect() as connection:
        check_answer(connection.request("PUT", PATH, GOOD["PUT"], ALL), 200)


@test("a second server cannot share the first one's port")
def refuses_same_port(env):
    server = serve(env)
    refused_to_start(
        env,
        "port",
        "--listen",
        server.address,
        "--store",
        env.store("other"),
        mention=server.address.split(":")[1],
    )


@test("a data directory of a newer version is refused and left as it is", stores=("embedded",))
def refuses_newer_store(env):
    server = serve(env)
    server.stop()
    marks = [
        name
        for name in os.listdir(server.store)
        if "format" in name.lower() or "version" in name.lower()
    ]
    check(marks, "no file that tells the format in", os.listdir(server.store))
    path = os.path.join(server.store, marks[0])
    with open(path) as file:
        text = file.read()
    shutil.copytree(server.store, env.path("newer"), ignore=shutil.ignore_patterns("*.sock"))
    newer = re.sub(r"\d+", lambda digits: str(int(digits.group()) + 1), text, count=1)
    check(newer != text, "no number in", text)
    with open(os.path.join(env.path("newer"), marks[0]), "w") as file:
        file.write(newer)
    refused_to_start(
        env, "newer", "--listen", "127.0.0.1:0", "--store", env.path("newer"), mention="newer"
    )
    with open(os.path.join(env.path("newer"), marks[0]), "w") as file:
        file.write(text)
    Server(env, store=env.path("newer")).stop()


@test("options come from the command line, the environment or a file, in this order")
def reads_options(env):
    config = env.write("earshot.toml", "rate-per-second=1\ndrain-delay=0\n")
    cases = [
        ("a file", ["--config", config], {}, 1),
        (
            "the environment before a file",
            ["--config", config],
            {"EARSHOT_RATE_PER_SECOND": "2"},
            2,
        ),
        (
            "the command line before all",
            ["--config", config, "--rate-per-second", "3"],
            {"EARSHOT_RATE_PER_SECOND": "2"},
            3,
        ),
    ]
    for name, options, environment, allowed in cases:
        server = serve(env, *options, environment=environment)
        with server.connect() as connection:
            got = statuses(connection, 4, ALL)
        check_equal(got, [200] * allowed + [429] * (4 - allowed), name)
        server.stop()


@test("the open address is served with --insecure-plaintext")
def serves_open_address(env):
    server = serve(env, "--insecure-plaintext", listen=f"0.0.0.0:{free_port()}")
    with Connection("127.0.0.1:" + server.address.rsplit(":", 1)[1]) as connection:
        check_answer(connection.request("POST", PATH, GOOD["POST"], ALL), 200)


@test("--help and version are answered, an unknown command is exit code 2")
def answers_commands(env):
    check(re.search(r"\d+\.\d+\.\d+", env.command("version")), "version")
    for arguments in (["--help"], ["serve", "--help"], ["load", "--help"], ["key", "--help"]):
        check("--" in env.command(*arguments), arguments)
    check("--drain-delay" in env.command("serve", "--help"), "serve --help")
    for arguments in (["nonsense"], ["key", "nonsense"], ["dump", "--nonsense"], []):
        done = env.run(*arguments)
        check_equal(done.returncode, 2, arguments, done.stderr)
