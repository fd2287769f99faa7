"""`x-earshot-revision`: every write names the revision of its company, and a read that carries one is
answered at that revision or later, or told to come again."""

import threading
import time

from harness import check, check_equal, in_threads, suite, wait_until
from http11 import PATH, access_list, build
from server import Server
from suites.wire_fixture import ALL, GOOD, OTHER, PARSE_ERROR, check_answer, serve

tests, test = suite()

NAME = "x-earshot-revision"
# Far more than a read that carries a revision may wait before it is told to come again.
WAIT_SECONDS_MAX = 15


def revision_of(answer):
    text = answer.field(NAME)
    check(text is not None, "no revision in", answer)
    check(text.isascii() and text.isdigit() and str(int(text)) == text, NAME, text)
    return int(text)


def write(connection, method, pairs, authorization=ALL):
    """pairs: {call: users}; the revision that the answer names."""
    answer = connection.request(method, PATH, access_list(pairs), authorization)
    check_answer(answer, 200)
    return revision_of(answer)


def read(connection, calls, revision=None, authorization=ALL):
    fields = [] if revision is None else [f"{NAME}: {revision}"]
    body = {"filter": {"callIds": [str(call) for call in calls]}}
    return connection.request("POST", PATH, body, authorization, fields)


def users_of(answer, call):
    check_answer(answer, 200)
    listed = {entry["callId"]: entry["users"] for entry in answer.json["callAccessList"]}
    return [user["userId"] for user in listed[str(call)]]


@test("every write names its revision, which grows by one with each request that changes something")
def grows_by_one(env):
    server = serve(env)
    with server.connect() as connection:
        revision = write(connection, "PUT", {})
        steps = [
            ("what is new", "PUT", {100: [2]}, 1),
            ("what is there already", "PUT", {100: [2]}, 0),
            ("another way holds", "PUT", {100: [1, 3, 4]}, 0),
            ("nobody", "PUT", {100: []}, 0),
            ("nothing", "PUT", {}, 0),
            ("several pairs", "PUT", {101: [3, 5], 9223372036854775806: [2, 3]}, 1),
            ("what is there", "DELETE", {100: [2]}, 1),
            ("what is gone already", "DELETE", {100: [2]}, 0),
            ("an unknown user", "DELETE", {100: [99]}, 0),
            ("nothing", "DELETE", {}, 0),
            ("several pairs, one of them there", "DELETE", {101: [3, 2], 100: [2]}, 1),
        ]
        for name, method, pairs, growth in steps:
            named = write(connection, method, pairs)
            check_equal(named, revision + growth, method, "of", name)
            revision = named
        unknown = access_list({100: [2], 999: [2]})
        check_answer(connection.request("PUT", PATH, unknown, ALL), 400)
        check_equal(write(connection, "PUT", {}), revision, "after a refusal")


@test("companies count apart, records count too, and no restart takes a revision back")
def counts_by_company(env):
    server = serve(env)
    with server.connect() as connection:
        mine, theirs = write(connection, "PUT", {}), write(connection, "PUT", {}, OTHER)
        for number in range(5):
            mine += 1
            method = "DELETE" if number % 2 else "PUT"
            check_equal(write(connection, method, {100: [2]}), mine)
        check_equal(write(connection, "PUT", {}, OTHER), theirs, "the other company")
        share = '{"kind":"share","companyId":"1","callId":"101","userId":"3"}\n'
        env.command("load", env.write("share.ndjson", share), "--store", server.store)
        check_equal(write(connection, "PUT", {}), mine + 1, "after records")
    server.kill()
    env.settle(server.store)
    server = Server(env)
    with server.connect() as connection:
        check_equal(write(connection, "PUT", {}), mine + 1, "after a crash")
        check_equal(write(connection, "PUT", {101: [5]}), mine + 2)
        check_equal(write(connection, "PUT", {}, OTHER), theirs, "the other company")


@test("of many who write at once each gets a revision of its own, and none is left out", seconds=60)
def no_gaps(env):
    server = serve(env)
    with server.connect() as connection:
        first = write(connection, "PUT", {})
    rounds = 60

    def turn(call, user):
        with server.connect() as connection:
            return [
                write(connection, "DELETE" if number % 2 else "PUT", {call: [user]})
                for number in range(rounds)
            ]

    pairs = [(100, 2), (9223372036854775806, 2), (101, 3), (101, 5), (9223372036854775806, 3)]
    results = in_threads([lambda pair=pair: turn(*pair) for pair in pairs])
    for revisions in results:
        check_equal(revisions, sorted(revisions), "went back on one connection")
    got = sorted(revision for revisions in results for revision in revisions)
    check_equal(got, list(range(first + 1, first + 1 + len(pairs) * rounds)), "revisions")


@test("a read that carries a revision sees the write that named it, or a later state")
def reads_at_revision(env):
    server = serve(env)
    with server.connect() as writer, server.connect() as reader:
        start = write(writer, "PUT", {})
        for number in range(50):
            gives = number % 2 == 0
            revision = write(writer, "PUT" if gives else "DELETE", {100: [2]})
            expected = ["2", "5"] if gives else ["5"]
            for asked in (revision, 0, start, revision - 1):
                answer = read(reader, [100], asked)
                check_equal(users_of(answer, 100), expected, asked)
                check_equal(revision_of(answer), revision, "the answer's revision")
        # Only reads wait for a revision; what a write carries does not matter.
        for text in ("1", "9223372036854775807", "nonsense"):
            answer = writer.request("PUT", PATH, GOOD["PUT"], ALL, [f"{NAME}: {text}"])
            check_answer(answer, 200)


@test(
    "a read ahead of its company is 503 with Retry-After in bounded time, and harms nobody",
    seconds=120,
)
def reads_ahead(env):
    # A database is asked again until the request's time is over.
    server = serve(env, *([] if env.is_embedded else ["--store-request-time", "3s"]))
    with server.connect() as connection, server.connect() as other:
        revision = write(connection, "PUT", {})
        # One that carries what only the other company has come to.
        for _ in range(10):
            theirs = [write(connection, method, {500: [1]}, OTHER) for method in ("PUT", "DELETE")]
        ahead = [revision + 1, revision + 1_000_000, 2**63 - 1]
        ahead += [theirs[-1]] if theirs[-1] > revision else []
        for asked in ahead:
            began = time.monotonic()
            connection.send(build("POST", PATH, GOOD["POST"], ALL, [f"{NAME}: {asked}"]))
            check_equal(users_of(read(other, [100]), 100), ["5"], "beside it")
            check(time.monotonic() - began < 1, "waited with the read that is ahead")
            check_answer(connection.receive(), 503, "Service Unavailable", asked)
            check(time.monotonic() - began < WAIT_SECONDS_MAX, "took", time.monotonic() - began)
            check_equal(users_of(read(connection, [100], revision), 100), ["5"], "after it")


@test("a read that is one ahead is let through as soon as that write is there", seconds=60)
def reads_catch_up(env):
    server = serve(env)
    with server.connect() as writer, server.connect() as reader:
        revision = write(writer, "PUT", {})
        for number in range(6):
            revision += 1
            method = "DELETE" if number % 2 else "PUT"
            expected = ["5"] if number % 2 else ["2", "5"]
            timer = threading.Timer(0.1, lambda m=method: write(writer, m, {100: [2]}))
            timer.start()

            def seen(revision=revision):
                answer = read(reader, [100], revision)
                check(answer.status in (200, 503), answer)
                return answer if answer.status == 200 else None

            answer = wait_until(seen, WAIT_SECONDS_MAX, f"revision {revision}")
            timer.join()
            check_equal(users_of(answer, 100), expected, "at", revision)


MALFORMED = {
    "nothing": "",
    "a word": "abc",
    "a sign": "-1",
    "another sign": "+1",
    "a fraction": "1.0",
    "a list": "1, 2",
    "two numbers": "1 2",
    "hexadecimal": "0x1",
    "quotes": '"1"',
    "a leading zero": "01",
    "2^63": "9223372036854775808",
    "2^64": "18446744073709551616",
    "very long": "1" * 300,
    "digits of another script": "\u0661".encode().decode("latin-1"),
}


@test("a revision that is none is refused with 400 and told so, and changes nothing")
def refuses_malformed(env):
    server = serve(env)
    with server.connect() as connection:
        for name, text in MALFORMED.items():
            body = check_answer(read(connection, [100], text), 400, PARSE_ERROR, name)
            check(any(NAME in error for error in body["errors"][1:]), name, "not told:", body)
        twice = [f"{NAME}: 1", f"{NAME}: 1"]
        answer = connection.request("POST", PATH, GOOD["POST"], ALL, twice)
        check_answer(answer, 400, PARSE_ERROR, "twice")
        # Who may not read at all is told that first.
        answer = connection.request("POST", PATH, GOOD["POST"], None, [f"{NAME}: abc"])
        check_answer(answer, 401, "Access denied")
        check_equal(users_of(read(connection, [100]), 100), ["5"])
