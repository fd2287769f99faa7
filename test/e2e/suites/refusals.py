"""Requests that were refused: kept for the company that they concern, listed to it and to operators,
and never so many that they fill the disk or push out others."""

import json

from harness import check, check_equal, suite
from http11 import basic
from server import Server
from suites.wire_fixture import check_answer

tests, test = suite()

AUDIT = basic("AUDIT1", "a-secret-of-twenty-characters")
AUDIT_OF_ANOTHER = basic("AUDIT2", "a-secret-of-twenty-characters")
LIST = "/earshot/v1/refusals"
RECORDS = "".join(
    f"""{{"kind":"company","companyId":"{company}","name":"C"}}
{{"kind":"key","accessKey":"AUDIT{company}","secret":"a-secret-of-twenty-characters","scopes":["earshot:audit:read","earshot:access:read"]}}
{{"kind":"call","callId":"{company}00","workspaceId":"1","title":"","started":"2026-03-01T10:00:00Z"}}
"""
    for company in (1, 2)
)


def serve(env, *options, store=None):
    return Server(env, "--load", env.write("records.ndjson", RECORDS), *options, store=store)


def listed(server, authorization=AUDIT, path=LIST):
    """All pages."""
    refusals, cursor = [], ""
    with server.connect() as connection:
        while True:
            answer = connection.request("GET", path + cursor, None, authorization)
            check_answer(answer, 200)
            refusals += answer.json["refusals"]
            if "cursor" not in answer.json:
                return refusals
            cursor = "?cursor=" + answer.json["cursor"]


def of_operators(env, server, *options):
    ran = env.command("refusal", "list", "--json", "--store", server.store, *options)
    return [json.loads(line) for line in ran.splitlines()]


@test("a company sees what was refused to it, and operators see what was refused to strangers")
def listed_to_whom_they_concern(env):
    server = serve(env)
    with server.connect() as connection:
        for path, authorization, status in [
            ("/earshot/v1/calls/200/access", AUDIT, 404),
            ("/earshot/v1/calls/200/access", AUDIT, 404),
            ("/earshot/v1/calls/100/access", basic("AUDIT1", "wrong"), 401),
            ("/earshot/v1/keys", AUDIT, 401),
            ("/earshot/v1/calls/100/access", AUDIT_OF_ANOTHER, 404),
            ("/earshot/v1/calls/100/access", basic("hunter2", "hunter2"), 401),
        ]:
            check_equal(connection.request("GET", path, None, authorization).status, status, path)
    refusals = listed(server)
    check_equal(
        [(one["reason"], one["requests"], one["accessKey"]) for one in refusals],
        [("scope", 1, "AUDIT1"), ("credentials", 1, "AUDIT1"), ("unknown_calls", 2, "AUDIT1")],
    )
    check_equal(refusals[2]["detail"], "Call ID 200 was not found")
    check_equal(len(listed(server, AUDIT_OF_ANOTHER)), 1)
    strangers = of_operators(env, server, "--company", "0")
    check_equal([(one["companyId"], one["reason"]) for one in strangers], [("0", "credentials")])
    check("hunter2" not in json.dumps(strangers), strangers)
    of_all = [one["companyId"] for one in of_operators(env, server)]
    check_equal(of_all, ["0", "1", "1", "1", "2"])
    server.stop()
    again = Server(env, store=server.store)
    check_equal(listed(again), refusals, "after a restart")


@test("a flood of strangers leaves within its bound, and everybody else's stay", seconds=120)
def bounded(env):
    server = serve(env, "--refusals-max", 20)
    with server.connect() as connection:
        connection.request("GET", "/earshot/v1/calls/200/access", None, AUDIT)
        # All of one interval stand as one, and listing ends an interval.
        for i in range(30):
            for path in ("calls/100/access", "users/1/access", "refusals", "changes", "keys"):
                for _ in range(8):
                    answer = connection.request(
                        "GET", f"/earshot/v1/{path}", None, basic(f"X{i}", "y")
                    )
                    check_equal(answer.status, 401)
            listed(server)
    refusals = listed(server)
    check_equal(len(refusals), 1, refusals)
    strangers = of_operators(env, server, "--company", "0")
    check_equal(len(strangers), 20)
    check(sum(one["requests"] for one in strangers) > 20, "alike ones stand as one")


@test("the last ones before the end are there after it")
def kept_at_the_end(env):
    server = serve(env)
    with server.connect() as connection:
        connection.request("GET", "/earshot/v1/calls/200/access", None, AUDIT)
    server.stop()
    check_equal(len(of_operators(env, server, "--company", "1")), 1)

