"""The directory and the keys over HTTP: what a company's own keys may put, how much of it, and that
a key which was revoked lets nobody in, on any server."""

import json
import threading
import time

from harness import check, check_equal, in_threads, suite, wait_until
from http11 import Closed, basic, build
from libpq import Session
from model import facts_of_dump, records_of
from server import Server
from suites.records import dump, load
from suites.wire_fixture import DENIED, check_answer

tests, test = suite()

DIRECTORY = "/earshot/v1/directory"
KEYS = "/earshot/v1/keys"
NDJSON = ("Content-Type: application/x-ndjson",)
DIRECTORY_WRITE = "earshot:directory:write"
GRANTS_WRITE = "earshot:grants:write"
KEYS_WRITE = "earshot:keys:write"
BOSS = basic("BOSS", "boss-secret-of-twenty-characters")
LOADER = basic("LOADER", "loader-secret-of-twenty-characters")
OTHER = basic("OTHER", "other-secret-of-twenty-characters")


def key(name, *scopes):
    secret = f"{name.lower()}-secret-of-twenty-characters"
    return {"kind": "key", "accessKey": name, "secret": secret, "scopes": scopes}


RECORDS = "".join(
    json.dumps(record) + "\n"
    for record in [
        {"kind": "company", "companyId": "1", "name": "Acme"},
        key("BOSS", DIRECTORY_WRITE, GRANTS_WRITE, KEYS_WRITE),
        key("LOADER", DIRECTORY_WRITE),
        {"kind": "user", "userId": "1"},
        {"kind": "company", "companyId": "2", "name": "Other"},
        key("OTHER", DIRECTORY_WRITE, KEYS_WRITE),
        {"kind": "user", "userId": "2"},
    ]
)


def serve(env, *options):
    load(env, env.store(), RECORDS)
    return Server(env, "--drain-delay", "0", *options)


def put(server, records, authorization=BOSS):
    body = records if isinstance(records, (str, bytes)) else lines(records)
    with server.connect(timeout=60) as connection:
        return connection.request("POST", DIRECTORY, body, authorization, NDJSON)


def lines(records):
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)


def ask(server, method, target, body=None, authorization=BOSS):
    with server.connect() as connection:
        return connection.request(method, target, body, authorization)


def users(first, count):
    return [{"kind": "user", "userId": str(first + n), "firstName": "Ada"} for n in range(count)]


@test("records are put as one unit, read one by one, and gone when they are removed")
def puts_records(env):
    server = serve(env)
    call = {"kind": "call", "callId": "100", "title": "Übergabe", "primaryUserId": "10"}
    body = check_answer(put(server, [*users(10, 3), call]), 200)
    check_equal((body["records"], body["changes"], body["warnings"]), (4, 4, []))
    revision = body["revision"]
    seen = ask(server, "GET", "/earshot/v1/calls/100")
    check_equal(check_answer(seen, 200)["record"], call)
    check_equal(seen.field("x-earshot-revision"), str(revision))
    again = check_answer(put(server, [call]), 200)
    check_equal((again["revision"], again["changes"]), (revision, 0), "the same again")
    check_answer(put(server, [{"kind": "call", "callId": "100", "remove": True}]), 200)
    check_answer(
        ask(server, "GET", "/earshot/v1/calls/100"), 404, "Call ID 100 was not found"
    )
    check_answer(ask(server, "GET", "/earshot/v1/users/10", authorization=OTHER), 404)
    before = facts_of_dump(dump(env, server.store))
    answer = put(server, [*users(500, 100), {"kind": "grant", "callId": "7", "userId": "1"}])
    errors = check_answer(answer, 400, "Bad records")["errors"]
    check_equal(errors[1], "line 101: call 7 is not there: put it first")
    check_equal(facts_of_dump(dump(env, server.store)), before)


@test("a key gives itself and others nothing that it has not")
def no_escalation(env):
    server = serve(env)
    wide = key("WIDE", DIRECTORY_WRITE, "earshot:audit:read")
    foreign = key("OTHER", DIRECTORY_WRITE)
    cases = [
        (LOADER, key("NEW", DIRECTORY_WRITE), 403, "a key line needs the scope " + KEYS_WRITE),
        (
            LOADER,
            {"kind": "grant", "callId": "1", "userId": "1"},
            403,
            "a grant line needs the scope " + GRANTS_WRITE,
        ),
        (BOSS, wide, 403, "scopes: the key that asks does not have earshot:audit:read"),
        (BOSS, foreign, 400, "the access key is taken"),
        (
            BOSS,
            {"kind": "user", "userId": "9", "companyId": "2"},
            400,
            "companyId: must be that of the access key, or absent",
        ),
        (
            BOSS,
            {"kind": "company", "companyId": "1", "remove": True},
            400,
            "kind: only an operator puts a company in place",
        ),
    ]
    before = facts_of_dump(dump(env, server.store))
    for authorization, record, status, says in cases:
        body = check_answer(put(server, [*users(10, 1), record], authorization), status)
        check_equal(body["errors"][1], "line 2: " + says)
    body = check_answer(
        ask(server, "POST", KEYS, {"scopes": ["earshot:audit:read", KEYS_WRITE]}), 403
    )
    check_equal(body["errors"][1], "scopes: the key that asks does not have earshot:audit:read")
    for method, member in (("POST", "replaces"), ("DELETE", "accessKey")):
        unknown = check_answer(ask(server, method, KEYS, {member: "NOBODY"}), 404)["errors"]
        check_equal(check_answer(ask(server, method, KEYS, {member: "OTHER"}), 404)["errors"], unknown)
    check_equal(facts_of_dump(dump(env, server.store)), before)
    check_answer(put(server, "", OTHER), 200)


@test("an upload of exactly the limit is taken, and one byte more is told how to split")
def limit(env):
    size = 100_000
    server = serve(env, "--directory-bytes-max", size, "--body-bytes-max", 1000)
    body = lines(users(1000, 1000)).encode()
    body += b" " * (size - len(body))
    check_equal(check_answer(put(server, body), 200)["changes"], 1000)
    errors = check_answer(put(server, body + b" "), 413, "Payload Too Large")["errors"]
    check(f"at most {size} bytes in one request; send the records in several" in errors[1], errors)
    chunked = build(
        "POST",
        DIRECTORY,
        b"",
        BOSS,
        (*NDJSON, "Transfer-Encoding: chunked"),
    )
    for extra, status in ((b"", 200), (b" ", 413)):
        with server.connect() as connection:
            whole = body + extra
            pieces = [whole[at : at + 5000] for at in range(0, len(whole), 5000)]
            connection.send(chunked)
            for piece in pieces:
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.send(b"0\r\n\r\n")
            check_answer(connection.receive(), status)
    # The others keep theirs.
    scopes = {"scopes": [DIRECTORY_WRITE], "padding": "x" * 1000}
    check_answer(ask(server, "POST", KEYS, scopes), 413)


@test("an upload that comes slowly holds up nobody")
def slow_upload(env):
    server = serve(env)
    body = lines(users(1000, 10)).encode()
    request = build("POST", DIRECTORY, body, BOSS, NDJSON)
    with server.connect() as slow:
        slow.send(request[:-5])
        time.sleep(0.2)
        for number in range(5):
            check_answer(put(server, users(2000 + number, 1)), 200)
        check_answer(ask(server, "GET", "/earshot/v1/users/1000"), 404)
        slow.send(request[-5:])
        check_answer(slow.receive(), 200)
    # Who leaves in the middle has put nothing.
    with server.connect() as gone:
        gone.send(build("POST", DIRECTORY, lines(users(3000, 10)), BOSS, NDJSON)[:-5])
    check_answer(put(server, users(4000, 1)), 200)
    check_answer(ask(server, "GET", "/earshot/v1/users/3000"), 404)


@test("a key is replaced with an overlap, in one revision, and its secret is in no record")
def rotates(env):
    server = serve(env)
    before = check_answer(put(server, []), 200)["revision"]
    body = check_answer(
        ask(server, "POST", KEYS, {"replaces": "LOADER", "overlapSeconds": 3}), 200
    )
    check_equal(body["revision"], before + 1)
    new = body["key"]
    check_equal(new["scopes"], [DIRECTORY_WRITE])
    check_equal(body["replaced"]["accessKey"], "LOADER")
    fresh = basic(new["accessKey"], new["secret"])
    check_answer(put(server, [], fresh), 200)
    check_answer(put(server, [], LOADER), 200)
    wait_until(lambda: put(server, [], LOADER).status == 401, 15, "the old key ends")
    check_answer(put(server, [], fresh), 200)
    check(new["secret"] not in dump(env, server.store), "the secret is in the dump")
    check(new["secret"] not in server.log_text(), "the secret is in the log")


@test("a key that is revoked through one server is refused by the other at once")
def revokes_everywhere(env):
    first = serve(env)
    second = first if env.is_embedded else Server(env, "--drain-delay", "0")
    for _ in range(5):
        made = check_answer(ask(first, "POST", KEYS, {"scopes": [DIRECTORY_WRITE, KEYS_WRITE]}), 200)
        new = made["key"]
        credentials = basic(new["accessKey"], new["secret"])
        for server in (first, second):
            check_answer(put(server, [], credentials), 200)
            check_answer(ask(server, "GET", KEYS, authorization=credentials), 200)
        # Half of an upload is there when the key goes.
        request = build("POST", DIRECTORY, lines(users(7000, 5)), credentials, NDJSON)
        with second.connect() as late:
            late.send(request[:-3])
            time.sleep(0.05)
            check_answer(ask(first, "DELETE", KEYS, {"accessKey": new["accessKey"]}), 200)
            late.send(request[-3:])
            check_answer(late.receive(), 401, DENIED)
        for server in (second, first):
            check_answer(put(server, users(7000, 1), credentials), 401, DENIED)
            check_answer(ask(server, "GET", KEYS, authorization=credentials), 401, DENIED)
            check_answer(
                ask(server, "GET", "/earshot/v1/users/1", authorization=credentials), 401, DENIED
            )
        check_answer(ask(second, "GET", "/earshot/v1/users/7000"), 404)


def last_used(server, access_key):
    listed = check_answer(ask(server, "GET", KEYS), 200)["keys"]
    check_equal([one["accessKey"] for one in listed], sorted(one["accessKey"] for one in listed))
    return {one["accessKey"]: one.get("lastUsed") for one in listed}[access_key]


@test("every server knows within a minute when a key was used last, and after a stop", seconds=120)
def knows_last_use(env):
    first = serve(env)
    check_equal(last_used(first, "LOADER"), None)
    check_answer(put(first, [], LOADER), 200)
    used = last_used(first, "LOADER")
    check(used, "the server that let it in knows at once")
    if not env.is_embedded:
        second = Server(env, "--drain-delay", "0")
        wait_until(lambda: last_used(second, "LOADER") == used, 60, "the other one knows")
        second.stop()
    time.sleep(1.1)
    check_answer(put(first, [], LOADER), 200)
    used = last_used(first, "LOADER")
    first.stop()
    again = Server(env, "--drain-delay", "0")
    check_equal(last_used(again, "LOADER"), used)
    check_answer(ask(again, "DELETE", KEYS, {"accessKey": "LOADER"}), 200)
    check_answer(put(again, [key("LOADER", DIRECTORY_WRITE)]), 200)
    check_equal(last_used(again, "LOADER"), None, "one that comes back is a new one")


def in_seconds(act):
    begun = time.monotonic()
    return act(), time.monotonic() - begun


@test(
    "beside an operator's load, what changes the directory or keys gets 503 in time, all at once,"
    " and keys are listed; the server stops, and another operator's load waits",
    seconds=90,
    stores=("postgres",),
)
def beside_a_load(env):
    server = serve(env, "--store-statement-time", "1s", "--store-request-time", "4s")
    under_way = Session(server.store)
    env.at_end.callback(under_way.close)
    under_way.execute("BEGIN; SELECT 1 FROM earshot.load_lock FOR UPDATE", 10)
    more = lines([{**user, "companyId": "1"} for user in users(3000, 1)])
    loading = threading.Thread(target=load, args=(env, server.store, more), daemon=True)
    loading.start()
    last = {"accessKey": "LOADER"}
    asks = [
        lambda: ask(server, "DELETE", KEYS, last),
        lambda: ask(server, "POST", KEYS, {"replaces": "OTHER"}, authorization=OTHER),
        lambda: put(server, users(1000, 1)),
        lambda: put(server, users(2000, 1), OTHER),
    ]
    waiting = threading.Thread(
        target=lambda: answers.extend(in_threads([lambda act=act: in_seconds(act) for act in asks]))
    )
    answers = []
    waiting.start()
    time.sleep(1)
    for authorization in (BOSS, OTHER):
        listed, seconds = in_seconds(lambda: ask(server, "GET", KEYS, authorization=authorization))
        check_answer(listed, 200)
        check(seconds < 2, "listed after", seconds, "s")
    waiting.join(60)
    for answer, seconds in answers:
        check_answer(answer, 503, "Service Unavailable")
        check_equal(answer.field("retry-after"), "1")
        check(seconds < 10, "503 after", seconds, "s")
    check("another load is under way" in server.log_text(), "the log does not say why")
    half = threading.Thread(target=lambda: put(server, users(1000, 1)), daemon=True)
    half.start()
    time.sleep(0.5)
    seconds = in_seconds(server.stop)[1]
    check(seconds < 10, "stopped after", seconds, "s")
    check(loading.is_alive(), "the operator's load did not wait")
    under_way.execute("COMMIT", 10)
    loading.join(20)
    ids = {one.get("userId") for one in records_of(dump(env, server.store)) if one["kind"] == "user"}
    check_equal(ids & {"1000", "2000", "3000"}, {"3000"})


@test("killed in the middle of a load, it has all of the records or none", seconds=180)
def killed_load(env):
    load(env, env.store(), RECORDS)
    count = 5_000
    outcomes = set()
    server = Server(env, "--drain-delay", "0")
    started = time.monotonic()
    check_answer(put(server, users(1_000_000, count)), 200)
    whole = time.monotonic() - started
    server.stop()
    for round_number in range(8):
        server = Server(env, "--drain-delay", "0")
        begin = 100_000 * (round_number + 1)
        request = build("POST", DIRECTORY, lines(users(begin, count)), BOSS, NDJSON)
        answers = []

        def upload():
            try:
                with server.connect(timeout=60) as connection:
                    connection.send(request)
                    answers.append(connection.receive().status)
            except (Closed, OSError):
                pass

        thread = threading.Thread(target=upload)
        thread.start()
        time.sleep(whole * env.random.uniform(0.2, 1.3))
        server.kill()
        thread.join()
        env.settle(server.store)
        there = [
            record
            for record in records_of(dump(env, server.store))
            if record["kind"] == "user" and begin <= int(record["userId"]) < begin + count
        ]
        check(len(there) in (0, count), "there are", len(there), "of", count)
        if answers == [200]:
            check_equal(len(there), count, "acknowledged and lost")
        outcomes.add(len(there))
    env.note(f"{whole:.2f} s undisturbed, {len(outcomes)} outcomes")
