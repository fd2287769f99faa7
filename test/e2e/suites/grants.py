"""Giving and removing grants with a result for each pair: terms, dry runs, conditions, requests
that come again, everything at once, and grants that end."""

import json
import time
from datetime import UTC, datetime, timedelta

from harness import check, check_equal, in_threads, suite, wait_until
from http11 import Closed, build
from server import Server
from suites.access_fixture import FULL, GONG, NAME, OTHER, Asker, grant_of, serve
from suites.wire_fixture import PARSE_ERROR, check_answer

tests, test = suite()

GRANTS = "/earshot/v1/grants"
REPLAYED = "idempotent-replayed"
RUNNING = "A request with this key is still running"
USED = "This key was used for another request"
FAR = "2090-06-01T00:00:00Z"


def records(env, server):
    return env.command("dump", "--store", server.store).splitlines()


@test("each pair is told what came of it, and unknown ones stop nobody else")
def results(env):
    with Asker(serve(env)) as asker:
        terms = {"expiresAt": FAR, "note": 'for "Ü"'}
        body = asker.grants(
            "PUT",
            [
                (100, 45, terms),
                (100, 34),
                (100, 33),
                (100, 31),
                (100, 40),
                (100, 43),
                (100, 30, {"note": "another"}),
                (999, 45),
                (100, 999),
                (500, 50),
                (101, 40),
                (100, 45, terms),
            ],
        )
        expected = [
            {"callId": "100", "userId": "45", "result": "given", **terms},
            {"callId": "100", "userId": "34", "result": "given"},
            {"callId": "100", "userId": "33", "result": "no effect: shared", "ways": ["shared"]},
            {
                "callId": "100",
                "userId": "31",
                "result": "no effect: participant",
                "ways": ["participant", "profile"],
            },
            {"callId": "100", "userId": "40", "result": "no effect: profile", "ways": ["profile"]},
            # Judged as if active.
            {"callId": "100", "userId": "43", "result": "no effect: profile", "ways": ["profile"]},
            {"callId": "100", "userId": "30", "result": "changed", "note": "another"},
            {"callId": "999", "userId": "45", "result": "unknown call"},
            {"callId": "100", "userId": "999", "result": "unknown user"},
            {"callId": "500", "userId": "50", "result": "unknown call"},
            {"callId": "101", "userId": "40", "result": "already"},
            {"callId": "100", "userId": "45", "result": "given", **terms},
        ]
        check_equal(body["results"], expected)
        check_equal(asker.gong("POST", [100])[100], [30, 34, 45])
        check_equal(asker.check([(100, 45)])[0]["ways"], [{"way": "individual", **terms}])
        revision = body["revision"]
        again = asker.grants("PUT", [(100, 45, terms), (100, 34)])
        check_equal([one["result"] for one in again["results"]], ["already", "already"])
        check_equal(again["revision"], revision, "nothing changed")
        check_equal(asker.grants("PUT", [])["results"], [])
        gone = asker.grants(
            "DELETE", [(100, 45), (100, 33), (999, 1), (100, 999), (100, 45)]
        )
        check_equal(
            [one["result"] for one in gone["results"]],
            ["removed", "not found", "unknown call", "unknown user", "removed"],
        )
        check_equal(gone["revision"], revision + 1)
        check_equal(asker.gong("POST", [100])[100], [30, 34])
        check_equal(asker.allows(100, 33), ["shared"])


@test("PUT of /v2 leaves terms alone; PUT of grants sets exactly those that it says")
def terms(env):
    with Asker(serve(env)) as asker:
        asker.gong("PUT", {100: [30]})
        ways = asker.check([(100, 30)])[0]["ways"]
        check_equal(ways[0]["expiresAt"], "2090-01-01T00:00:00Z")
        for members, result in (
            ({"expiresAt": FAR}, "changed"),
            ({"expiresAt": "2090-06-01T02:00:00+02:00"}, "already"),
            ({"expiresAt": FAR, "note": "n"}, "changed"),
            ({"note": "n"}, "changed"),
            ({"note": ""}, "changed"),
            ({}, "already"),
        ):
            check_equal(asker.results("PUT", [(100, 30, members)]), [result], members)
        check_equal(asker.check([(100, 30)])[0]["ways"][0], {"way": "individual"})


@test("a dry run says what the run then does, and changes nothing")
def dry_run(env):
    server = serve(env)
    with Asker(server) as asker:
        before = records(env, server)
        pairs = [(100, 45, {"expiresAt": FAR}), (100, 33), (101, 40), (9, 9), (100, 30)]
        for method, body in (
            ("PUT", {"grants": [grant_of(*pair) for pair in pairs]}),
            ("DELETE", {"grants": [grant_of(*pair) for pair in pairs]}),
            ("DELETE", {"allOf": {"callId": "101"}}),
            ("DELETE", {"allOf": {"userId": "30"}}),
        ):
            dry = asker.ask(method, GRANTS, {**body, "dryRun": True}, ["Idempotency-Key: dry"])
            dry = check_answer(dry, 200)
            check_equal(dry["dryRun"], True)
            check_equal(records(env, server), before, method, "changed something")
            run = check_answer(asker.ask(method, GRANTS, body), 200)
            check("dryRun" not in run, run)
            check_equal(dry["results"], run["results"], method)
            check(run["revision"] >= dry["revision"], "revisions", dry, run)
            before = records(env, server)


@test("ifRevision refuses a request whose calls have changed since, and no other")
def if_revision(env):
    server = serve(env)
    with Asker(server) as asker:
        revision = asker.grants("PUT", [])["revision"]
        asker.gong("PUT", {100: [45]})
        # 101 is as it was.
        check_equal(asker.results("PUT", [(101, 45)], ifRevision=revision), ["given"])
        body = asker.grants(
            "PUT", [(100, 35), (103, 35)], status=409, ifRevision=revision,
            first_error="Some calls have changed",
        )
        check_equal(body["errors"][1:], ["callIds changed: 100"])
        check_equal(asker.allows(103, 35), [])
        asker.grants("DELETE", [(100, 45)], status=409, ifRevision=revision)
        refused = asker.ask("DELETE", GRANTS, {"allOf": {"callId": "100"}, "ifRevision": revision})
        check_answer(refused, 409, "Some calls have changed")
        check_equal(asker.results("PUT", [(100, 35)], ifRevision=revision + 1), ["given"])
        early = {"grants": [grant_of(100, 45)], "ifRevision": 1_000_000}
        refused = asker.ask("PUT", GRANTS, early)
        check_equal((refused.status, refused.json["errors"][0]), (400, "Bad request"), refused)
        check("ifRevision: revision 1000000 is later than" in refused.json["errors"][1], refused)
        # A share and the call's own record are changes of it, too.
        for record in (
            '{"kind":"share","callId":"102","userId":"45"}',
            '{"kind":"call","callId":"102","workspaceId":"10","isPrivate":true}',
        ):
            revision = asker.grants("PUT", [])["revision"]
            lines = '{"kind":"company","companyId":"1"}\n' + record + "\n"
            env.command("load", env.write("change.ndjson", lines), "--store", server.store)
            asker.grants("PUT", [(102, 35)], status=409, ifRevision=revision)
        newest = asker.grants("PUT", [])["revision"]
        check_equal(asker.results("PUT", [(102, 35)], ifRevision=newest), ["given"])


def repeat(asker, method, body, key, status=200, first_error=None):
    answer = asker.ask(method, GRANTS, body, [f"Idempotency-Key: {key}"])
    check_answer(answer, status, first_error)
    return answer


def same_answer(first, again):
    """The same bytes and fields, save that the second says that it is one."""
    check_equal(again.body, first.body, "body")
    check_equal(first.field(REPLAYED), None)
    check_equal(again.field(REPLAYED), "true")
    for name in (NAME, "x-traceid", "content-type"):
        check_equal(again.field(name), first.field(name), name)


@test("a request with a key is done once, and answered with the same bytes ever after", seconds=60)
def idempotency(env):
    server = serve(env)
    give = json.dumps({"grants": [grant_of(100, 45, {"note": "n"}), grant_of(9, 9)]})
    kept = {}
    with Asker(server) as asker:
        kept["PUT", give, "give"] = repeat(asker, "PUT", give, "give")
        remove = json.dumps({"grants": [grant_of(100, 45)]})
        kept["DELETE", remove, "remove"] = repeat(asker, "DELETE", remove, "remove")
        nothing = json.dumps({"grants": [grant_of(100, 33)]})
        kept["PUT", nothing, "nothing"] = repeat(asker, "PUT", nothing, "nothing")
        all_of = json.dumps({"allOf": {"callId": "101"}})
        kept["DELETE", all_of, "~!all-of"] = repeat(asker, "DELETE", all_of, "~!all-of")
        revision = asker.grants("PUT", [])["revision"]

        def compare(asker):
            for (method, body, key), first in kept.items():
                same_answer(first, repeat(asker, method, body, key))
            check_equal(asker.grants("PUT", [])["revision"], revision, "changed something")

        compare(asker)
        # Any other body, byte for byte, or operation.
        repeat(asker, "PUT", give + " ", "give", 422, USED)
        repeat(asker, "PUT", remove, "give", 422, USED)
        repeat(asker, "DELETE", give, "give", 422, USED)
        check_equal(asker.allows(100, 45), [])
        # Refusals are not kept, and neither are dry runs.
        repeat(asker, "PUT", "{", "free", 400, PARSE_ERROR)
        repeat(asker, "PUT", json.dumps({"grants": [], "dryRun": True}), "free")
        late = {"grants": [grant_of(100, 45)], "ifRevision": 1}
        repeat(asker, "PUT", json.dumps(late), "free", 409, "Some calls have changed")
        check_equal(repeat(asker, "PUT", '{"grants":[]}', "free").field(REPLAYED), None)
        # Keys are the company's.
        with Asker(server, OTHER) as other:
            theirs = repeat(other, "PUT", give, "give")
            check_equal(theirs.field(REPLAYED), None)
            check_equal([one["result"] for one in theirs.json["results"]], ["unknown user", "unknown call"])
    server.kill()
    env.settle(server.store)
    server = Server(env)
    with Asker(server) as asker:
        compare(asker)
    server.stop()
    server = Server(env)
    # Over a database another server beside it knows them as well.
    for one in [server] if env.is_embedded else [server, Server(env)]:
        with Asker(one) as asker:
            compare(asker)


@test("of many at once with one key one is done; the others are told so or come to the same", seconds=60)
def idempotency_at_once(env):
    server = serve(env)
    servers = [server] if env.is_embedded else [server, Server(env)]
    for turn in range(10):
        # Many pairs, so that it takes a while.
        body = json.dumps({"grants": [grant_of(102, user) for user in range(30, 46)] * 500})
        method = "DELETE" if turn % 2 else "PUT"

        def ask(index, method=method, body=body, turn=turn):
            with Asker(servers[index % len(servers)]) as asker:
                return asker.ask(method, GRANTS, body, [f"Idempotency-Key: turn-{turn}"])

        answers = in_threads([lambda index=index: ask(index) for index in range(6)])
        done = [answer for answer in answers if answer.status == 200]
        for answer in answers:
            if answer.status != 200:
                check_answer(answer, 409, RUNNING)
        check_equal([answer.field(REPLAYED) for answer in done].count(None), 1, "done anew")
        check_equal(len({answer.body for answer in done}), 1, "different answers")
        check_equal(ask(0).body, done[0].body)


@test("a key whose answer was never heard is answered after a crash as it was, or done", seconds=60)
def idempotency_across_crashes(env):
    server = serve(env)
    for turn in range(6):
        body = json.dumps({"grants": [grant_of(102, user, {"note": str(turn)}) for user in (33, 34, 35)]})
        field = [f"Idempotency-Key: crash-{turn}"]
        heard = None
        asker = Asker(server)
        try:
            asker.connection.send(build("PUT", GRANTS, body, FULL, field))
            time.sleep(0.002 * turn)
            server.kill()
            heard = asker.connection.receive()
        except Closed:
            pass
        env.settle(server.store)
        server = Server(env)
        with Asker(server) as asker:
            again = asker.ask("PUT", GRANTS, body, field)
            check_answer(again, 200)
            if heard is not None and heard.status == 200:
                check_equal(again.body, heard.body)
            ways = asker.check([(102, 34)])[0]["ways"]
            check_equal(ways, [{"way": "individual", "note": str(turn)}])
            same = asker.ask("PUT", GRANTS, body, field)
            check_equal(same.body, again.body)
            check_equal(same.field(REPLAYED), "true")


@test("all grants of a user or of a call are removed in one request, and nothing else")
def all_of(env):
    server = serve(env)
    with Asker(server) as asker:
        asker.grants("PUT", [(call, user) for call in (100, 101, 102) for user in (34, 35, 45)])

        def remove(body, status=200, first_error=None):
            return check_answer(asker.ask("DELETE", GRANTS, body), status, first_error)

        got = remove({"allOf": {"userId": "45"}})
        check_equal(
            got["results"],
            [
                {"callId": str(call), "userId": "45", "result": "removed"}
                for call in (100, 101, 102)
            ],
        )
        got = remove({"allOf": {"callId": "100"}})
        check_equal([one["userId"] for one in got["results"]], ["30", "34", "35"])
        check_equal(asker.gong("POST", [100, 101, 102]), {100: [], 101: [34, 35, 40], 102: [34, 35]})
        check_equal(asker.allows(100, 33), ["shared"])
        check_equal(remove({"allOf": {"callId": "100"}})["results"], [])
        remove({"allOf": {"callId": "999"}}, 404, "Call ID 999 was not found")
        remove({"allOf": {"callId": "500"}}, 404, "Call ID 500 was not found")
        remove({"allOf": {"userId": "50"}}, 404, "User ID 50 was not found")
        for body, detail in (
            ({}, "body: must have either grants or allOf"),
            ({"grants": [], "allOf": {"callId": "1"}}, "body: must have either grants or allOf"),
            ({"allOf": {}}, "allOf: must have either a callId or a userId"),
            ({"allOf": {"callId": "1", "userId": "1"}}, "allOf: must have either a callId or a userId"),
            ({"allOf": {"callId": 1}}, "allOf.callId: must be a string of 1–19 digits"),
        ):
            check_equal(remove(body, 400, PARSE_ERROR)["errors"][1], detail)
        # PUT has no such thing.
        check_answer(asker.ask("PUT", GRANTS, {"allOf": {"callId": "101"}}), 400, PARSE_ERROR)


@test("bodies, headers and parameters that are none are refused, and nothing is done")
def refuses(env):
    server = serve(env)
    before = records(env, server)
    pair = grant_of(100, 45)
    at = 'must be a time like "2026-03-01T10:00:00Z" (RFC 3339)'
    revision = "ifRevision: must be a number from 0 to 9223372036854775807"
    rows = [
        ("PUT", {}, [PARSE_ERROR, "grants: is required"]),
        ("PUT", {"grants": [pair, {"callId": "1"}]}, [PARSE_ERROR, "grants[1].userId: is required"]),
        (
            "PUT",
            {"grants": [{"callId": "100", "userId": 45}]},
            [PARSE_ERROR, "grants[0].userId: must be a string of 1–19 digits"],
        ),
        (
            "PUT",
            {"grants": [pair, {**pair, "expiresAt": "2020-01-01T00:00:00Z"}]},
            [PARSE_ERROR, "grants[1]: says something else than grants[0] of the same call and user"],
        ),
        (
            "PUT",
            {"grants": [{**pair, "expiresAt": "2020-01-01T00:00:00Z"}]},
            [PARSE_ERROR, "grants[0].expiresAt: must be later than now"],
        ),
        (
            "PUT",
            {"grants": [{**pair, "expiresAt": "tomorrow"}]},
            [PARSE_ERROR, f"grants[0].expiresAt: {at}"],
        ),
        ("PUT", {"grants": [{**pair, "expiresAt": None}]}, [PARSE_ERROR, f"grants[0].expiresAt: {at}"]),
        (
            "PUT",
            {"grants": [{**pair, "note": "n" * 1025}]},
            [PARSE_ERROR, "grants[0].note: must be at most 1024 bytes long"],
        ),
        ("PUT", {"grants": [pair], "dryRun": None}, [PARSE_ERROR, "dryRun: must be true or false"]),
        ("DELETE", {"grants": [pair], "ifRevision": "1"}, [PARSE_ERROR, revision]),
        ("PUT", {"grants": [pair], "ifRevision": 1.0}, [PARSE_ERROR, revision]),
        # 50,000 pairs have as many ids as a request may.
        ("PUT", {"grants": [pair] * 50_001}, ["Too many ids", "at most 100000 ids in one request"]),
        ("DELETE", {"grants": [pair] * 50_001}, ["Too many ids", "at most 100000 ids in one request"]),
    ]
    with Asker(server) as asker:
        for method, body, errors in rows:
            got = check_answer(asker.ask(method, GRANTS, body), 400, errors[0])
            check_equal(got["errors"], errors)
        no_key = "idempotency-key: must be 1 to 255 visible characters of ASCII, without spaces"
        for key in ("", "a b", "k" * 256, "\u00fc"):
            answer = asker.ask("PUT", GRANTS, {"grants": [pair]}, [f"Idempotency-Key: {key}"])
            check_equal(check_answer(answer, 400, "Bad request")["errors"][1], no_key)
        twice = ["Idempotency-Key: a", "idempotency-key: a"]
        answer = asker.ask("PUT", GRANTS, {"grants": [pair]}, twice)
        check_answer(answer, 400, "Bad request")
        answer = asker.ask("PUT", GRANTS + "?dryRun=true", {"grants": [pair]})
        check_equal(
            check_answer(answer, 400, "Bad request")["errors"][1],
            "query: this operation takes no parameters",
        )
        check_equal(len(asker.grants("DELETE", [(102, 45)] * 50_000)["results"]), 50_000)
    with server.connect() as connection:
        check_answer(connection.request("PUT", GRANTS, {"grants": [pair]}), 401, "Access denied")
        check_answer(
            connection.request("PUT", GRANTS, {"grants": [pair]}, GONG),
            401,
            "You don't have permission to use 'earshot:grants:write' in your app.",
        )
    check_equal(records(env, server), before, "something was done")


@test("an expired grant is gone for a give, and swept away as a change", seconds=120)
def expiry(env):
    server = serve(env)
    with Asker(server) as asker:

        def soon(seconds):
            ends = datetime.now(UTC) + timedelta(seconds=seconds)
            return {"expiresAt": ends.isoformat(timespec="milliseconds").replace("+00:00", "Z")}

        asker.grants("PUT", [(102, 45, soon(1.5)), (102, 35, soon(1.5)), (102, 44, soon(3600))])
        check_equal(asker.results("PUT", [(102, 45)], dryRun=True), ["changed"])
        wait_until(lambda: not asker.allows(102, 45), 5, "the expiry")
        check_equal(asker.results("DELETE", [(102, 45)]), ["not found"])
        check_equal(asker.results("PUT", [(102, 45)]), ["given"])
        revision = asker.grants("PUT", [])["revision"]
        line = '{"kind":"grant","callId":"102","userId":"35"'
        wait_until(
            lambda: not any(record.startswith(line) for record in records(env, server)),
            90,
            "the sweep of an expired grant",
        )
        check(asker.grants("PUT", [])["revision"] > revision, "the sweep was no change")
        check_equal(asker.gong("POST", [102])[102], [44, 45])
        verified = env.run("verify", "--store", server.store)
        check_equal(verified.returncode, 0, verified.stdout, verified.stderr)
