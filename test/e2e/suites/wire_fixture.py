"""The company that the wire suites ask about, and what every answer must look like."""

import base64
import json
import re

from harness import check, check_equal
from http11 import PATH, basic
from server import Server

READ = "api:call-user-access:read"
WRITE = "api:call-user-access:write"
PARSE_ERROR = "Json parse error, verify Json format matches the API description."
DENIED = "Access denied"
ALL = basic("FULL", "full-secret-of-twenty-characters")
READER = basic("READER", "reader-secret-of-twenty-characters")
WRITER = basic("WRITER", "writer-secret-of-twenty-characters")
EXPIRED = basic("EXPIRED", "expired-secret-of-twenty-characters")
OTHER = basic("OTHER", "other-secret-of-twenty-characters")

BOTH = json.dumps([READ, WRITE])

RECORDS = f"""
{{"kind":"company","companyId":"1","name":"Acme"}}
{{"kind":"key","accessKey":"FULL","secret":"full-secret-of-twenty-characters","scopes":{BOTH}}}
{{"kind":"key","accessKey":"READER","secret":"reader-secret-of-twenty-characters","scopes":["{READ}"]}}
{{"kind":"key","accessKey":"WRITER","secret":"writer-secret-of-twenty-characters","scopes":["{WRITE}"]}}
{{"kind":"key","accessKey":"EXPIRED","secret":"expired-secret-of-twenty-characters","scopes":{BOTH},"expiresAt":"2020-01-01T00:00:00Z"}}
{{"kind":"workspace","workspaceId":"10","name":"Sales"}}
{{"kind":"profile","profileId":"20","workspaceId":"10","callsAccess":{{"permissionLevel":"all"}}}}
{{"kind":"user","userId":"1"}}
{{"kind":"user","userId":"2"}}
{{"kind":"user","userId":"3"}}
{{"kind":"user","userId":"4","profileIds":["20"]}}
{{"kind":"user","userId":"5","active":false}}
{{"kind":"user","userId":"9223372036854775807"}}
{{"kind":"call","callId":"100","workspaceId":"10","primaryUserId":"1"}}
{{"kind":"call","callId":"101","workspaceId":"10","primaryUserId":"1","partyUserIds":["2"],"isPrivate":true}}
{{"kind":"call","callId":"9223372036854775806","primaryUserId":"1"}}
{{"kind":"share","callId":"100","userId":"3"}}
{{"kind":"grant","callId":"100","userId":"5"}}
{{"kind":"company","companyId":"2","name":"Other"}}
{{"kind":"key","accessKey":"OTHER","secret":"other-secret-of-twenty-characters","scopes":{BOTH}}}
{{"kind":"user","userId":"1"}}
{{"kind":"user","userId":"50"}}
{{"kind":"call","callId":"100","primaryUserId":"50"}}
{{"kind":"call","callId":"500","primaryUserId":"50"}}
"""

GOOD = {
    "PUT": {"callAccessList": [{"callId": "100", "userIds": ["2"]}]},
    "POST": {"filter": {"callIds": ["100"]}},
    "DELETE": {"callAccessList": [{"callId": "100", "userIds": ["2"]}]},
}
OPERATIONS = list(GOOD)


def serve(env, *options, **more):
    """A server with the company above, loaded at its start."""
    return Server(env, "--load", env.write("wire.ndjson", RECORDS), *options, **more)


def grants(server, calls=("100", "101", "9223372036854775806"), authorization=ALL):
    """{call: users} over a connection of its own."""
    with server.connect() as connection:
        answer = connection.request(
            "POST", PATH, {"filter": {"callIds": list(calls)}}, authorization
        )
    check_answer(answer, 200)
    return {
        entry["callId"]: [user["userId"] for user in entry["users"]]
        for entry in answer.json["callAccessList"]
    }


def check_answer(answer, status, first_error=None, name=""):
    """The envelope of section 3, and the status and first error where there is one; the body."""
    check_equal(answer.status, status, name, "status of", answer)
    check_equal(answer.version, "HTTP/1.1", name)
    check_equal(answer.field("content-type"), "application/json;charset=UTF-8", name)
    body = json.loads(answer.body)
    compact = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    check_equal(answer.body, compact, name, "compact JSON")
    check_equal(next(iter(body)), "requestId", name, "first member")
    check(re.fullmatch(r"[0-9a-z]{1,19}", body["requestId"]), name, "requestId", body["requestId"])
    check_equal(answer.field("x-traceid"), body["requestId"], name, "x-traceid")
    if status == 200:
        check("errors" not in body, name, "errors in a success", body)
        return body
    check_equal(list(body), ["requestId", "errors"], name, "members of a refusal")
    check(body["errors"] and all(isinstance(error, str) for error in body["errors"]), name, body)
    if first_error is not None:
        check_equal(body["errors"][0], first_error, name, "first error")
    if status == 401:
        check(
            "basic" in (answer.field("www-authenticate") or "").lower(),
            name,
            "no WWW-Authenticate",
            answer,
        )
    if status == 405:
        check_equal(methods(answer.field("allow")), {"PUT", "POST", "DELETE"}, name, "Allow")
    if status in (429, 503):
        check((answer.field("retry-after") or "").isdigit(), name, "no Retry-After", answer)
    if "some " not in body["errors"][0].lower():
        for error in body["errors"][1:]:
            check(
                "not found" not in error.lower() and "invalid" not in error.lower(),
                name,
                "words of",
                error,
            )
    return body


def methods(text):
    return {method.strip() for method in (text or "").split(",")}


def encoded(text):
    return base64.b64encode(text.encode()).decode()
