"""Who may hear a call, and why: check, the lists of a call and of a user, their pages, and the
past."""

import time
from datetime import UTC, datetime, timedelta

from harness import check, check_equal, suite
from http11 import Connection, build
from suites.access_fixture import (
    CALLS,
    FULL,
    GONG,
    NAME,
    OTHER,
    USERS,
    Asker,
    grant_of,
    serve,
    ways_of,
)
from suites.wire_fixture import PARSE_ERROR, check_answer
from server import Server

tests, test = suite()

CHECK = "/earshot/v1/access/check"
BAD = "Bad request"
GONE = "History is not kept that far back"
NO_CURSOR = (
    "cursor: is not one that was answered to this query, asked with the same parameters but limit"
)


def profile(number, level, *chain, **more):
    return {
        "way": "profile",
        "profileId": str(number),
        "permissionLevel": level,
        "chain": [str(user) for user in chain],
        **more,
    }


INDIVIDUAL = {"way": "individual"}
SHARED = {"way": "shared"}
PARTICIPANT = {"way": "participant"}
AUDIT = {"way": "individual", "expiresAt": "2090-01-01T00:00:00Z", "note": 'for the "audit"'}

# What each pair comes to: the ways, or the reason and what goes with it.
TRUTH = {
    (100, 30): [AUDIT, profile(20, "report-to-them", 31, 30)],
    (100, 31): [PARTICIPANT, profile(20, "report-to-them", 31)],
    (100, 32): [PARTICIPANT, profile(21, "own", 32)],
    (100, 33): [SHARED],
    (100, 34): ("grant expired", {"expiredAt": "2020-01-01T00:00:00Z"}),
    (100, 35): ("not a participant", {"profile": {"profileId": "21", "permissionLevel": "own"}}),
    (100, 36): (
        "profile gives no calls",
        {"profile": {"profileId": "22", "permissionLevel": "none"}},
    ),
    (100, 37): (
        "user has no manager",
        {"profile": {"profileId": "23", "permissionLevel": "managers-team"}},
    ),
    (100, 38): (
        "no participant reports to the user's manager",
        {"profile": {"profileId": "23", "permissionLevel": "managers-team"}},
    ),
    (100, 39): [profile(23, "managers-team", 31, 30)],
    (100, 40): [profile(24, "all")],
    (100, 41): [profile(25, "report-to-them", 31, 30, leadId="30")],
    (100, 42): (
        "no participant reports to a team lead",
        {
            "profile": {
                "profileId": "26",
                "permissionLevel": "managers-team",
                "teamLeadIds": ["41", "49"],
            }
        },
    ),
    (100, 43): ("user inactive", {"waysIfActive": ["profile"]}),
    (100, 44): (
        "no participant reports to the user",
        {"profile": {"profileId": "20", "permissionLevel": "report-to-them"}},
    ),
    (100, 45): ("no profile in this workspace", {}),
    (101, 31): [PARTICIPANT],
    (101, 33): [SHARED],
    (101, 40): [INDIVIDUAL],
    (101, 30): ("call is private", {}),
    (101, 43): ("user inactive", {"waysIfActive": []}),
    (103, 40): ("unknown workspace", {}),
    (103, 31): [PARTICIPANT],
    (100, 50): ("unknown user", {}),
    (500, 31): ("unknown call", {}),
    (999, 999): ("unknown call", {}),
}


def result_of(pair, truth):
    ids = {"callId": str(pair[0]), "userId": str(pair[1])}
    if isinstance(truth, list):
        return {**ids, "allowed": True, "ways": truth}
    return {**ids, "allowed": False, "reason": truth[0], "ways": [], **truth[1]}


@test("a check tells every way that holds, or the nearest reason, in the order asked")
def checks(env):
    with Asker(serve(env)) as asker:
        pairs = [*TRUTH, *reversed(TRUTH)]
        expected = [result_of(pair, TRUTH[pair]) for pair in pairs]
        for got, wanted in zip(asker.check(pairs), expected, strict=True):
            check_equal(got, wanted)
        for pair, truth in TRUTH.items():
            check_equal(asker.check([pair]), [result_of(pair, truth)], "alone")


@test("checks, the lists of calls and the lists of users say the same, page by page or whole")
def lists_agree(env):
    with Asker(serve(env)) as asker:
        pairs = [(call, user) for call in CALLS for user in USERS]
        truth = {
            (int(result["callId"]), int(result["userId"])): result["ways"]
            for result in asker.check(pairs)
        }
        for limit in (1, 2, 3, 7, 1000):
            for call in CALLS:
                wanted = {user: truth[call, user] for user in USERS if truth[call, user]}
                check_equal(asker.everybody(call, limit=limit), wanted, call, "limit", limit)
            for user in USERS:
                wanted = {call: truth[call, user] for call in CALLS if truth[call, user]}
                check_equal(asker.everything(user, limit=limit), wanted, user, "limit", limit)
        check_equal(asker.page("users", 43)["reason"], "user inactive")
        for way in ("individual", "shared", "participant", "profile"):
            for user in USERS:
                wanted = {
                    call: truth[call, user]
                    for call in CALLS
                    if way in [one["way"] for one in truth[call, user]]
                }
                check_equal(asker.everything(user, limit=1, way=way), wanted, user, way)
        two = asker.everything(40, way=["individual", "shared"])
        check_equal(two, {101: [INDIVIDUAL]})
        check_equal(asker.everything(40, way="individual,shared"), two)


def refused(asker, rows):
    """Rows of method, target, body, status, errors."""
    for method, target, body, status, errors in rows:
        answer = asker.ask(method, target, body)
        if status == 405:
            check_equal((answer.status, answer.field("allow")), (405, errors), method, target)
            continue
        got = check_answer(answer, status, errors[0], f"{method} {target}")
        if status != 404:
            check_equal(got["errors"], errors, method, target)


@test("paths, methods, ids and parameters that are none are refused, and told what is wrong")
def refuses(env):
    server = serve(env)
    no_id = "must be a number from 1 to 9223372036854775807 without leading zeros"
    rows = []
    for path in (
        "/earshot/v1",
        "/earshot/v1/access/check/",
        "/Earshot/v1/access/check",
        "/earshot/v1//access/check",
        "/earshot/v1/calls",
        "/earshot/v1/calls/100/access/",
        "/earshot/v1/calls//access",
        "/earshot/v1/calls/100/100/access",
        "/earshot/v1/calls/1%300/access",
        "/earshot/v1/calls/100%2F/access",
        "/earshot/v1/calls/../access",
        "/earshot/v1/./calls/100/access",
        "/earshot/v1/users/31/calls",
    ):
        rows.append(("GET", path, None, 404, ["Not Found"]))
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        rows.append((method, CHECK, None, 405, "POST"))
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        rows.append((method, "/earshot/v1/calls/100/access", None, 405, "GET"))
        rows.append((method, "/earshot/v1/users/x/access", None, 405, "GET"))
    for method in ("GET", "POST", "PATCH"):
        rows.append((method, "/earshot/v1/grants", None, 405, "DELETE, PUT"))
    for text in ("0", "01", "-1", "+1", "x", "1,2", "9223372036854775808", "1" * 30):
        for kind, name in (("calls", "callId"), ("users", "userId")):
            rows.append(
                ("GET", f"/earshot/v1/{kind}/{text}/access", None, 400, [BAD, f"{name}: {no_id}"])
            )
    of_call, of_user = "/earshot/v1/calls/100/access?", "/earshot/v1/users/31/access?"
    known = "query: the parameters are limit, cursor, at, revision"
    limit = "limit: must be a number from 1 to 1000"
    at = "at: must be a time like 2026-03-01T10:00:00Z (RFC 3339)"
    revision = "revision: must be a number from 0 to 9223372036854775807"
    for query, detail in (
        ("limit=0", limit),
        ("limit=1001", limit),
        ("limit=", limit),
        ("limit=1&limit=1", "limit: is given more than once"),
        ("way=shared", known),
        ("Limit=1", known),
        ("limit%3D1", known),
        ("at=yesterday", at),
        ("at=2026-03-01", at),
        ("revision=-1", revision),
        ("revision=9223372036854775808", revision),
        ("at=2026-03-01T10:00:00Z&revision=1", "at, revision: only one of the two may be given"),
        ("limit=%zz", "query: a percent sign needs two hexadecimal digits behind it"),
        ("cursor=", NO_CURSOR),
        ("cursor=next", NO_CURSOR),
        ("cursor=" + "0" * 80, NO_CURSOR),
    ):
        rows.append(("GET", of_call + query, None, 400, [BAD, detail]))
    ways = "way: must be individual, shared, participant or profile"
    rows += [
        ("GET", of_user + "way=", None, 400, [BAD, ways]),
        ("GET", of_user + "way=individual,all", None, 400, [BAD, ways]),
        ("GET", of_user + "user=1", None, 400, [BAD, known + ", way"]),
        ("GET", "/earshot/v1/calls/999/access", None, 404, ["Call ID 999 was not found"]),
        ("GET", "/earshot/v1/calls/500/access", None, 404, ["Call ID 500 was not found"]),
        ("GET", "/earshot/v1/users/50/access", None, 404, ["User ID 50 was not found"]),
    ]
    good = {"checks": [{"callId": "100", "userId": "31"}]}
    rows += [
        ("POST", CHECK + "?limit=1", good, 400, [BAD, "query: the parameters are at, revision"]),
        ("POST", CHECK, "{", 400, [PARSE_ERROR, "body: the JSON text ends too early"]),
        ("POST", CHECK, {}, 400, [PARSE_ERROR, "checks: is required"]),
        ("POST", CHECK, {"checks": []}, 400, [PARSE_ERROR, "checks: must name at least one pair"]),
        (
            "POST",
            CHECK,
            {"checks": [*good["checks"], {"callId": "100", "userId": 31}]},
            400,
            [PARSE_ERROR, "checks[1].userId: must be a string of 1–19 digits"],
        ),
    ]
    with Asker(server) as asker:
        refused(asker, rows)
        check_equal(asker.allows(100, 33), ["shared"], "afterwards")
    with server.connect() as connection:
        for target in ("/earshot/v1/calls/100/access", "/earshot/v1/users/x/access?y=1"):
            check_answer(connection.request("GET", target), 401, "Access denied")
            check_answer(
                connection.request("GET", target, None, GONG),
                401,
                "You don't have permission to use 'earshot:access:read' in your app.",
            )
        answer = connection.request(
            "POST", CHECK, b"{}", FULL, ["Content-Type: text/plain"]
        )
        check_answer(answer, 415, "Unsupported Media Type")
        # A body where none is asked for does no harm, and neither does its type.
        answer = connection.request(
            "GET", "/earshot/v1/calls/100/access", b"nonsense", FULL, ["Content-Type: text/plain"]
        )
        check_answer(answer, 200)
    with server.connect() as connection:
        connection.send(build("HEAD", "/earshot/v1/calls/100/access", None, FULL))
        check_equal(connection.receive("HEAD").status, 405)


@test("a cursor is good for its own query and company alone, whatever its limit")
def cursors(env):
    server = serve(env)
    with Asker(server) as asker, Asker(server, OTHER) as other:
        mine = asker.page("calls", 100, limit=1)["records"]["cursor"]
        users = asker.page("users", 31, limit=1)["records"]["cursor"]
        ways = asker.page("users", 31, limit=1, way="participant")["records"]["cursor"]
        past = asker.page("calls", 100, limit=1, revision=1)["records"]["cursor"]
        theirs = other.page("calls", 100, limit=1)["records"]["cursor"]
        for good in (
            ("calls", 100, {"cursor": mine}),
            ("calls", 100, {"cursor": mine, "limit": 1000}),
            ("users", 31, {"cursor": users}),
            ("users", 31, {"cursor": ways, "way": "participant"}),
            ("calls", 100, {"cursor": past, "revision": 1}),
        ):
            asker.page(good[0], good[1], **good[2])
        rows = []
        for kind, number, query in (
            ("calls", 100, f"cursor={mine[:-1]}"),
            ("calls", 100, f"cursor={mine[:-2]}"),
            ("calls", 100, f"cursor={mine}00"),
            ("calls", 100, f"cursor={'1' if mine[0] == '0' else '0'}{mine[1:]}"),
            ("calls", 100, f"cursor={mine[:-1]}{'1' if mine[-1] == '0' else '0'}"),
            ("calls", 101, f"cursor={mine}"),
            ("users", 31, f"cursor={mine}"),
            ("calls", 100, f"cursor={users}"),
            ("users", 33, f"cursor={users}"),
            ("users", 31, f"cursor={users}&way=participant"),
            ("users", 31, f"cursor={ways}"),
            ("calls", 100, f"cursor={mine}&revision=1"),
            ("calls", 100, f"cursor={past}"),
            ("calls", 100, f"cursor={past}&revision=2"),
            ("calls", 100, f"cursor={theirs}"),
        ):
            target = f"/earshot/v1/{kind}/{number}/access?{query}"
            rows.append(("GET", target, None, 400, [BAD, NO_CURSOR]))
        refused(asker, rows)
        # It is good after a restart, too.
    server.kill()
    env.settle(server.store)
    with Asker(Server(env)) as asker:
        asker.page("calls", 100, cursor=mine)


@test("10,000 checks in one request are answered and 10,001 refused; so are page limits")
def limits(env):
    server = serve(env)
    with Asker(server) as asker:
        pairs = [(CALLS[i % len(CALLS)], USERS[i % len(USERS)]) for i in range(10_000)]
        results = asker.check(pairs)
        check_equal(len(results), 10_000)
        for (call, user), result in zip(pairs, results, strict=True):
            check_equal((result["callId"], result["userId"]), (str(call), str(user)))
            if (call, user) in TRUTH:
                check_equal(result, result_of((call, user), TRUTH[call, user]))
        body = {"checks": [grant_of(*pair) for pair in [*pairs, (100, 31)]]}
        got = check_answer(asker.ask("POST", CHECK, body), 400, "Too many ids")
        check_equal(got["errors"][1], "at most 10000 checks in one request")
        body["checks"][-1]["userId"] = "x"
        check_answer(asker.ask("POST", CHECK, body), 400, PARSE_ERROR)


@test("a call of thousands of users is listed whole in pages of every size", seconds=60)
def many_users(env):
    lines = ['{"kind":"company","companyId":"1"}']
    for user in range(1000, 6000):
        lines.append(f'{{"kind":"user","userId":"{user}"}}')
        if user % 3:
            lines.append(f'{{"kind":"grant","callId":"102","userId":"{user}"}}')
    server = serve(env, "--load", env.write("many.ndjson", "\n".join(lines) + "\n"))
    with Asker(server) as asker:
        wanted = {user: [INDIVIDUAL] for user in range(1000, 6000) if user % 3}
        # Who sees every call of the workspace, too.
        wanted = {40: [profile(24, "all")], **wanted}
        for limit in (1000, 999, 100):
            pages = asker.pages("calls", 102, limit=limit)
            check(all(len(page["users"]) <= limit for page in pages), "a page beyond its limit")
            check_equal(asker.everybody(102, limit=limit), wanted, "limit", limit)
        default = asker.page("calls", 102)
        check_equal(default["records"]["currentPageSize"], 100, "page by default")


@test("all pages are of the moment of the first, whatever changes meanwhile")
def pages_of_one_moment(env):
    with Asker(serve(env)) as asker:
        before = asker.everybody(100)
        first = asker.page("calls", 100, limit=2)
        asker.gong("PUT", {100: [45]})
        asker.gong("DELETE", {100: [30]})
        rest = asker.page("calls", 100, cursor=first["records"]["cursor"])
        check_equal((rest["revision"], rest["at"]), (first["revision"], first["at"]), "moment")
        got = [user["userId"] for user in [*first["users"], *rest["users"]]]
        check_equal(got, [str(user) for user in before])
        check("45" in [str(user) for user in asker.everybody(100)], "not there afterwards")


@test("a read after a change sees it, and says the revision; one that is ahead gets 503", seconds=60)
def revisions(env):
    server = serve(env, *([] if env.is_embedded else ["--store-request-time", "3s"]))
    with Asker(server) as asker:
        for number in range(20):
            gives = number % 2 == 0
            asker.gong("PUT" if gives else "DELETE", {100: [45]})
            check_equal(asker.allows(100, 45), ["individual"] if gives else [])
            check_equal(45 in asker.everybody(100), gives)
            check_equal(100 in asker.everything(45, way="individual"), gives)
        newest = asker.page("calls", 100)["revision"]
        asker.page("calls", 100, fields=[f"{NAME}: {newest}"])
        asker.check([(100, 31)], fields=[f"{NAME}: {newest}"])
        asker.page("users", 31, fields=[f"{NAME}: 0"])
        for method, target, body in (
            ("POST", CHECK, {"checks": [{"callId": "100", "userId": "31"}]}),
            ("GET", "/earshot/v1/calls/100/access", None),
            ("GET", "/earshot/v1/users/31/access", None),
        ):
            answer = asker.ask(method, target, body, [f"{NAME}: {newest + 1}"])
            check_answer(answer, 503, "Service Unavailable")
            answer = asker.ask(method, target, body, [f"{NAME}: newest"])
            got = check_answer(answer, 400, BAD)
            check(got["errors"][1].startswith(NAME), got)


def remember(asker, moments):
    """Notes the present: what every question is answered with."""
    pairs = [(call, user) for call in CALLS for user in USERS]
    page = asker.page("calls", 100)
    moments.append(
        (page["revision"], page["at"], asker.check(pairs), asker.everybody(100), asker.everything(31))
    )


@test("the past is answered as the present was, by revision and by time, after a restart too", seconds=60)
def history(env):
    server = serve(env)
    store = server.store
    pairs = [(call, user) for call in CALLS for user in USERS]
    moments = []

    def change(record):
        lines = '{"kind":"company","companyId":"1"}\n' + record + "\n"
        env.command("load", env.write("change.ndjson", lines), "--store", store)

    with Asker(server) as asker:
        remember(asker, moments)
        for step in (
            lambda: asker.gong("PUT", {100: [45], 101: [35]}),
            lambda: asker.gong("DELETE", {100: [45, 30]}),
            lambda: change('{"kind":"share","callId":"100","userId":"33","remove":true}'),
            lambda: change('{"kind":"user","userId":"40","profileIds":["22"]}'),
            lambda: change('{"kind":"user","userId":"31","managerId":"44","profileIds":["20"]}'),
            lambda: change('{"kind":"user","userId":"43","profileIds":["24"]}'),
            lambda: change(
                '{"kind":"call","callId":"100","workspaceId":"10","primaryUserId":"31","isPrivate":true}'
            ),
            lambda: change('{"kind":"call","callId":"101","remove":true}'),
            lambda: change(
                '{"kind":"call","callId":"101","workspaceId":"10","primaryUserId":"31"}'
            ),
            lambda: change('{"kind":"user","userId":"45","remove":true}'),
        ):
            step()
            remember(asker, moments)
            time.sleep(0.01)
        far = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        for query in (f"revision={moments[-1][0] + 1}", f"at={far}"):
            for target in ("/earshot/v1/calls/100/access?", "/earshot/v1/users/31/access?"):
                check_answer(asker.ask("GET", target + query), 400, BAD)
            answer = asker.ask("POST", f"{CHECK}?{query}", {"checks": [grant_of(100, 31)]})
            check_answer(answer, 400, BAD)
        check_equal(ways_of(asker.check([(100, 31)], revision=0)[0]), [], "before everything")

    def compare(asker):
        for revision, at, checked, everybody, everything in moments:
            # The calls that were removed and came back, or were gone then, are answered for then.
            for query in ({"revision": revision}, {"at": at}):
                check_equal(asker.check(pairs, **query), checked, query)
                check_equal(asker.everybody(100, **query), everybody, query)
                check_equal(asker.everything(31, limit=2, **query), everything, query)

    with Asker(server) as asker:
        compare(asker)
    server.kill()
    env.settle(store)
    with Asker(Server(env)) as asker:
        compare(asker)


@test("a grant gives no access from the instant at which it expires, on every operation", seconds=60)
def expiry(env):
    with Asker(serve(env)) as asker:
        ends = datetime.now(UTC) + timedelta(seconds=2)
        text = ends.isoformat(timespec="microseconds").replace("+00:00", "Z")
        asker.results("PUT", [(100, 45, {"expiresAt": text})])
        given = asker.page("calls", 100)["revision"]
        check_equal(asker.allows(100, 45), ["individual"])
        check_equal(asker.gong("POST", [100])[100], [30, 45])
        while datetime.now(UTC) < ends + timedelta(milliseconds=5):
            time.sleep(0.05)
        result = asker.check([(100, 45)])[0]
        check_equal((result["allowed"], result["reason"]), (False, "grant expired"))
        check_equal(asker.gong("POST", [100])[100], [30])
        check_equal(list(asker.everybody(100)).count(45), 0)
        check_equal(asker.everything(45), {})
        # Whoever asks for then is told of then.
        check_equal(asker.allows(100, 45, revision=given), ["individual"])
        just_before = (ends - timedelta(microseconds=1)).isoformat()
        check_equal(asker.allows(100, 45, at=just_before), ["individual"])
        check_equal(asker.allows(100, 45, at=ends.isoformat()), [])
        asker.gong("PUT", {100: [45]})
        check_equal(asker.check([(100, 45)])[0]["ways"], [INDIVIDUAL], "given anew")


@test("every server of a store answers at the revision of the others", seconds=60, stores=("postgres",))
def servers(env):
    first = serve(env)
    second = Server(env)
    with Asker(first) as writer, Asker(second) as reader:
        cursor = writer.page("calls", 100, limit=1)["records"]["cursor"]
        check_equal(
            reader.page("calls", 100, cursor=cursor)["users"],
            writer.page("calls", 100, cursor=cursor)["users"],
        )
        for number in range(20):
            gives = number % 2 == 0
            writer.gong("PUT" if gives else "DELETE", {100: [45]})
            check_equal(reader.allows(100, 45), ["individual"] if gives else [])
            check_equal(45 in reader.everybody(100), gives)
    with Connection(second.address) as connection:
        answer = connection.request("GET", "/earshot/v1/calls/100/access", None, FULL)
        check_answer(answer, 200)
