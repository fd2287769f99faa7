"""Sections 1, 3, 4 and 5: what each operation answers, in tables of {name, request, status, first
error}."""

import json
import re

from harness import check, check_equal, suite
from http11 import PATH, basic, build
from suites.wire_fixture import (
    ALL,
    DENIED,
    EXPIRED,
    GOOD,
    OPERATIONS,
    OTHER,
    PARSE_ERROR,
    READER,
    WRITER,
    check_answer,
    encoded,
    grants,
    serve,
)

tests, test = suite()

START = {"100": ["5"], "101": [], "9223372036854775806": []}


def pairs(*entries):
    return {"callAccessList": [{"callId": call, "userIds": users} for call, users in entries]}


def check_rows(server, rows):
    """Sends each row's request over one connection, anew where the server ended it, and checks the
    answer."""
    connection = server.connect()
    for name, request, status, first_error in rows:
        connection.send(request)
        answer = connection.receive()
        check_answer(answer, status, first_error, name)
        if answer.field("connection") == "close":
            check(connection.is_closed(), name, "said close and stayed open")
            connection.close()
            connection = server.connect()
    connection.close()


# --- section 4: bodies

NOT_JSON = {
    "empty": b"",
    "white space": b"  \r\n",
    "null": b"null",
    "a number": b"1",
    "a string": b'"callAccessList"',
    "an array": b"[]",
    "an object without the member": b"{}",
    "cut off": b'{"callAccessList":[',
    "trailing bytes": b"%s x",
    "trailing comma": b'{"a":1,}',
    "two values": b"%s%s",
    "single quotes": b"{'a':1}",
    "a comment": b'{/**/"a":1}',
    "a byte-order mark": b"\xef\xbb\xbf%s",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "NaN": b'{"a":NaN}',
    "a leading zero in a member that is ignored": b'{"a":01,%m}',
    "a number cut off": b'{"a":1e,%m}',
    "an unknown literal": b'{"a":True,%m}',
    "a member without quotes": b"{a:1,%m}",
    "invalid UTF-8 in a member that is ignored": b'{"a":"\xff",%m}',
    "overlong UTF-8": b'{"a":"\xc0\xaf",%m}',
    "a surrogate in UTF-8": b'{"a":"\xed\xa0\x80",%m}',
    "an escape of a lone high surrogate": b'{"a":"\\ud800",%m}',
    "an escape of a lone low surrogate": b'{"a":"\\udc00",%m}',
    "surrogates the wrong way round": b'{"a":"\\udc00\\ud800",%m}',
    "a lone surrogate in a name": b'{"\\ud800":1,%m}',
    "an unknown escape": b'{"a":"\\x",%m}',
    "a control character in a string": b'{"a":"\n",%m}',
    "a NUL": b'{"a":"\0",%m}',
    "nesting beyond the limit": b'{"a":' + b"[" * 64 + b"]" * 64 + b",%m}",
    "nesting far beyond the limit": b'{"a":' + b"[" * 100_000,
}

BAD_IDS = [
    b"1",
    b"1.0",
    b"null",
    b"true",
    b"{}",
    b'["1"]',
    b'""',
    b'"0"',
    b'"-1"',
    b'"+1"',
    b'" 1"',
    b'"1 "',
    b'"01"',
    b'"1.0"',
    b'"1e3"',
    b'"0x1"',
    b'"abc"',
    b'"1\\n"',
    b'"9223372036854775808"',
    b'"18446744073709551617"',
    b'"100000000000000000000"',
    b'"\xef\xbc\x91"',
    b'"\xd9\xa1"',
    b'"1\\u0000"',
    b'"' + b"1" * 300 + b'"',
]

LIST_BODIES = [
    b'{"callAccessList":null}',
    b'{"callAccessList":{}}',
    b'{"callAccessList":"100"}',
    b'{"callAccessList":true}',
    b'{"callAccessList":[null]}',
    b'{"callAccessList":[[]]}',
    b'{"callAccessList":["100"]}',
    b'{"callAccessList":[{}]}',
    b'{"callAccessList":[{"callId":"100"}]}',
    b'{"callAccessList":[{"userIds":["2"]}]}',
    b'{"callAccessList":[{"callId":"100","userIds":null}]}',
    b'{"callAccessList":[{"callId":"100","userIds":"2"}]}',
    b'{"callAccessList":[{"callId":"100","userIds":{}}]}',
    b'{"callAccessList":[{"callId":null,"userIds":["2"]}]}',
    b'{"callAccessList":[{"callId":"100","callId":"100","userIds":["2"]}]}',
    b'{"callAccessList":[{"callId":"100","userIds":["2"],"userIds":["2"]}]}',
    b'{"callAccessList":[],"callAccessList":[]}',
    b'{"callAccessList":[],"call\\u0041ccessList":[]}',
    b'{"CallAccessList":[]}',
    b'{"filter":{"callIds":["100"]}}',
    b'{"callAccessList":[{"callId":"100","userIds":["2"]},{"callId":"101","userIds":[2]}]}',
]

FILTER_BODIES = [
    b'{"filter":null}',
    b'{"filter":[]}',
    b'{"filter":"100"}',
    b'{"filter":{}}',
    b'{"filter":{"callIds":null}}',
    b'{"filter":{"callIds":[]}}',
    b'{"filter":{"callIds":"100"}}',
    b'{"filter":{"callIds":{}}}',
    b'{"filter":{"callIds":["100"],"callIds":["100"]}}',
    b'{"filter":{"callIds":["100"]},"filter":{"callIds":["100"]}}',
    b'{"Filter":{"callIds":["100"]}}',
    b'{"callIds":["100"]}',
    b'{"callAccessList":[]}',
    b'{"filter":{"callids":["100"]}}',
]


def bad_bodies(method):
    good = json.dumps(GOOD[method]).encode()
    member = good[1:-1]
    for name, body in NOT_JSON.items():
        yield name, body.replace(b"%s", good).replace(b"%m", member)
    for body in FILTER_BODIES if method == "POST" else LIST_BODIES:
        yield body.decode("utf-8"), body
    for bad in BAD_IDS:
        name = f"the id {bad[:40]!r}"
        if method == "POST":
            yield name, b'{"filter":{"callIds":["100",%s]}}' % bad
        else:
            yield name + " as call", b'{"callAccessList":[{"callId":%s,"userIds":["2"]}]}' % bad
            yield name + " as user", b'{"callAccessList":[{"callId":"100","userIds":["2",%s]}]}' % bad


@test("a body that is not as described is refused with the parse error, and nothing changes")
def refuses_bad_bodies(env):
    server = serve(env)
    for method in OPERATIONS:
        check_rows(
            server,
            [
                (f"{method} {name}", build(method, PATH, body, ALL), 400, PARSE_ERROR)
                for name, body in bad_bodies(method)
            ],
        )
    check_equal(grants(server), START)


@test("a refusal says where the fault is")
def says_where(env):
    server = serve(env)
    rows = [
        ("PUT", pairs(("100", ["2"]), ("101", ["2", "x"])), "callAccessList[1].userIds[1]"),
        ("PUT", pairs((100, ["2"])), "callAccessList[0].callId"),
        ("DELETE", {"callAccessList": [{"callId": "100"}]}, "callAccessList[0].userIds"),
        ("POST", {"filter": {"callIds": ["100", "-1"]}}, "filter.callIds[1]"),
        ("POST", {"filter": {}}, "filter.callIds"),
        ("POST", {}, "filter"),
    ]
    with server.connect() as connection:
        for method, body, where in rows:
            errors = check_answer(connection.request(method, PATH, body, ALL), 400, PARSE_ERROR)[
                "errors"
            ]
            check(
                any(error.startswith(where + ":") for error in errors[1:]),
                where,
                "is not in",
                errors,
            )


@test("what a body may hold beside the members of the contract is ignored")
def accepts_bodies(env):
    server = serve(env)
    deep = '{"a":' + "[" * 63 + "]" * 63 + ","
    bodies = {
        "PUT": [
            '{"callAccessList":[]}',
            '{"callAccessList":[{"callId":"100","userIds":[]}]}',
            ' \r\n\t{ "callAccessList" : [ { "userIds" : [ "2" ] , "callId" : "100" } ] } \n',
            '{"x":null,"callAccessList":[{"callId":"\\u0031\\u0030\\u0030","userIds":["\\u0032"],'
            '"x":[1.5e-3,{}]}],"y":"\\ud83d\\ude00"}',
            '{"call\\u0041ccessList":[{"call\\u0049d":"100","userIds":["2","2"]},'
            '{"callId":"100","userIds":["2"]}]}',
            deep + '"callAccessList":[]}',
            '{"a":1,"a":2,"callAccessList":[]}',
            '{"":{"callAccessList":1},"callAccessList":[]}',
            '{"a":"é漢😀","callAccessList":[]}',
            '{"filter":{"callIds":1},"callAccessList":[]}',
        ],
        "POST": [
            '{"filter":{"callIds":["100"]}}',
            '{"cursor":null,"filter":{"x":[],"callIds":["100","100"]},"a":-0.0}',
            deep + '"filter":{"callIds":["100"]}}',
            '{"filter":{"\\u0063allIds":["\\u0031\\u0030\\u0030"]}}',
        ],
    }
    bodies["DELETE"] = bodies["PUT"]
    for method, texts in bodies.items():
        check_rows(
            server,
            [
                (f"{method} {text[:60]}", build(method, PATH, text, ALL), 200, None)
                for text in texts
            ],
        )
    check_equal(grants(server), START)


# --- sections 1 and 2: what the operations do


@test("PUT gives, POST lists and DELETE removes individual grants only")
def does_the_three(env):
    server = serve(env)
    with server.connect() as connection:

        def ask(method, body, status=200, first_error=None):
            return check_answer(
                connection.request(method, PATH, body, ALL), status, first_error, (method, body)
            )

        def listed(*calls):
            body = ask("POST", {"filter": {"callIds": list(calls)}})
            check_equal(list(body), ["requestId", "callAccessList"])
            return [
                (entry["callId"], [user["userId"] for user in entry["users"]])
                for entry in body["callAccessList"]
            ]

        everyone = ["9223372036854775807", "5", "4", "3", "2", "1"]
        check_equal(list(ask("PUT", pairs(("100", everyone), ("101", everyone)))), ["requestId"])
        # 1 hosts, 3 has a share, 4 a profile (the second call is private), 5 a grant already.
        expected = [
            ("101", ["3", "4", "5", "9223372036854775807"]),
            ("100", ["2", "5", "9223372036854775807"]),
        ]
        check_equal(listed("101", "100"), expected)
        ask("PUT", pairs(("100", everyone), ("101", everyone)))
        check_equal(listed("101", "100", "101"), expected)
        check_equal(list(ask("DELETE", pairs(("100", ["1", "3", "4", "2", "777"])))), ["requestId"])
        check_equal(listed("100"), [("100", ["5", "9223372036854775807"])])
        ask("DELETE", pairs(("101", everyone), ("100", everyone), ("101", everyone)))
        check_equal(
            listed("100", "101", "9223372036854775806"),
            [("100", []), ("101", []), ("9223372036854775806", [])],
        )
        ask("DELETE", pairs(("101", everyone)))


@test("unknown calls and users are refused whole, and named")
def names_unknown(env):
    server = serve(env)
    rows = [
        ("PUT", pairs(("100", ["2"]), ("999", ["2"])), "Some calls not found", ["999"]),
        ("PUT", pairs(("998", []), ("999", ["777"])), "Some calls not found", ["998", "999"]),
        ("DELETE", pairs(("100", ["5"]), ("999", [])), "Some calls not found", ["999"]),
        (
            "POST",
            {"filter": {"callIds": ["100", "999", "998"]}},
            "Some calls not found",
            ["999", "998"],
        ),
        (
            "PUT",
            pairs(("100", ["2", "777"]), ("101", ["778"])),
            "Some users not found",
            ["777", "778"],
        ),
    ]
    with server.connect() as connection:
        for method, body, first_error, ids in rows:
            errors = check_answer(connection.request(method, PATH, body, ALL), 400, first_error)[
                "errors"
            ]
            kind = "callIds" if "calls" in first_error else "userIds"
            if kind == "callIds":
                check(any(error.startswith("callIds not found: ") for error in errors[1:]), errors)
            check_equal(
                set(re.findall(r"\d+", " ".join(errors[1:]))), set(ids), "ids named in", errors
            )
    check_equal(grants(server), START)


@test("another company's calls and users are answered as those that do not exist")
def companies_are_apart(env):
    server = serve(env)
    with server.connect() as connection:

        def refusal(method, body, authorization):
            answer = connection.request(method, PATH, body, authorization)
            return re.sub(r"\d+", "#", json.dumps(check_answer(answer, 400)["errors"]))

        for method in OPERATIONS:
            bodies = [
                pairs((call, ["1"])) if method != "POST" else {"filter": {"callIds": [call]}}
                for call in ("500", "666")
            ]
            check_equal(refusal(method, bodies[0], ALL), refusal(method, bodies[1], ALL), method)
        check_equal(
            refusal("PUT", pairs(("100", ["50"])), ALL),
            refusal("PUT", pairs(("100", ["777"])), ALL),
        )
        check_answer(connection.request("PUT", PATH, pairs(("100", ["1"])), OTHER), 200)
        check_answer(connection.request("DELETE", PATH, pairs(("100", ["5"])), OTHER), 200)
    check_equal(grants(server), START)
    check_equal(grants(server, ["100"], OTHER), {"100": ["1"]})


# --- section 4: paths, methods, types


@test("a path is compared byte by byte")
def compares_paths(env):
    server = serve(env)
    wrong = [
        "/",
        PATH + "/",
        "/V2/calls/users-access",
        "//v2/calls/users-access",
        "/v2//calls/users-access",
        "/v2/calls/users-access%20",
        "/v2/calls%2Fusers-access",
        "/v2/calls/./users-access",
        "/v2/x/../calls/users-access",
        "/v2/calls/users%2daccess",
        "/v2/calls/users-access%00",
        "/v2/calls/users-access;a=b",
        "/v2/calls",
        "/v2/calls/users-access/1",
    ]
    for method in [*OPERATIONS, "GET"]:
        check_rows(
            server,
            [
                (
                    f"{method} {target}",
                    build(method, target, GOOD.get(method), ALL),
                    404,
                    "Not Found",
                )
                for target in wrong
            ],
        )
    right = [
        PATH + "?",
        PATH + "?a=b&c",
        f"http://elsewhere.test{PATH}",
        f"HTTP://elsewhere.test:81{PATH}?x",
    ]
    for method in OPERATIONS:
        check_rows(
            server,
            [
                (f"{method} {target}", build(method, target, GOOD[method], ALL), 200, None)
                for target in right
            ],
        )


@test("another method of a known path is 405 with Allow, before credentials are looked at")
def knows_methods(env):
    server = serve(env)
    check_rows(
        server,
        [
            (method, build(method, PATH, None, authorization), 405, "Method Not Allowed")
            for method in ["GET", "PATCH", "OPTIONS", "TRACE", "put", "Post", "PUTT", "X-Y_Z!"]
            for authorization in (ALL, None)
        ],
    )
    with server.connect() as connection:
        answer = connection.request("HEAD", PATH, None, ALL)
        check_equal(answer.status, 405)
        check_answer(connection.request("POST", PATH, GOOD["POST"], ALL), 200, name="after HEAD")


@test("only JSON in UTF-8 is taken")
def knows_media_types(env):
    server = serve(env)
    good = [
        "application/json",
        "Application/JSON",
        "application/json;charset=UTF-8",
        "application/json; charset=utf-8",
        'application/json ; charset="utf-8"',
    ]
    bad = [
        "",
        "*/*",
        "text/plain",
        "application/*",
        "application/xml",
        "application/jsonx",
        "application/json;charset=iso-8859-1",
        "application/json;charset=utf-16",
        "application/x-www-form-urlencoded",
        "json",
    ]
    for method in OPERATIONS:
        rows = [
            (
                f"{method} {value}",
                build(method, PATH, GOOD[method], ALL, [f"Content-Type: {value}"]),
                200,
                None,
            )
            for value in good
        ]
        rows += [
            (
                f"{method} {value}",
                build(method, PATH, GOOD[method], ALL, [f"Content-Type: {value}"]),
                415,
                "Unsupported Media Type",
            )
            for value in bad
        ]
        body = json.dumps(GOOD[method]).encode()
        absent = build(method, PATH, None, ALL, [f"Content-Length: {len(body)}"]) + body
        rows.append((f"{method} without a type", absent, 415, "Unsupported Media Type"))
        rows.append(
            (
                f"{method} with a coding",
                build(method, PATH, b"x", ALL, ["Content-Encoding: gzip"]),
                415,
                "Unsupported Media Type",
            )
        )
        for accept in ("text/html", "application/xml;q=1", "nonsense"):
            rows.append(
                (
                    f"{method} Accept: {accept}",
                    build(method, PATH, GOOD[method], ALL, [f"Accept: {accept}"]),
                    200,
                    None,
                )
            )
        check_rows(server, rows)


# --- section 5: credentials

BAD_CREDENTIALS = [
    None,
    "",
    "Basic",
    "Basic ",
    "Bearer abc",
    "Basic !!!!",
    "Basic " + encoded("FULL"),
    "Basic " + encoded(""),
    "Basic " + encoded("FULL:"),
    "Basic " + encoded(":full-secret-of-twenty-characters"),
    basic("FULL", "wrong"),
    basic("NOBODY", "full-secret-of-twenty-characters"),
    basic("full", "full-secret-of-twenty-characters"),
    basic("FULL", "full-secret-of-twenty-characters "),
    basic("FULL", "reader-secret-of-twenty-characters"),
    EXPIRED,
    ALL[:-1],
    ALL + "=",
    ALL.replace("Basic ", "Digest "),
    ALL.replace("Basic ", ""),
    "Bearer " + ALL.split()[1],
]


@test("bad credentials of every kind get one and the same answer")
def denies(env):
    server = serve(env)
    seen = set()
    with server.connect() as connection:
        for method in OPERATIONS:
            for credentials in BAD_CREDENTIALS:
                fields = ["Authorization:"] if credentials == "" else []
                answer = connection.request(method, PATH, GOOD[method], credentials, fields)
                body = check_answer(answer, 401, DENIED, (method, credentials))
                fields = [
                    field
                    for field in answer.fields
                    if field[0] not in ("x-traceid", "date", "content-length")
                ]
                seen.add(json.dumps([fields, body["errors"]]))
            twice = connection.request(method, PATH, GOOD[method], ALL, ["Authorization: " + ALL])
            check(twice.status in (400, 401), "two Authorization fields:", twice)
            if twice.field("connection") == "close":
                connection.close()
                connection = server.connect()
        check_equal(len(seen), 1, "different answers", seen)
        lowercase = connection.request("POST", PATH, GOOD["POST"], ALL.replace("Basic", "basic"))
        check_answer(lowercase, 200, name="scheme in lowercase")


@test("a key without the operation's scope is refused with the scope's name")
def needs_scopes(env):
    server = serve(env)
    rows = []
    for method in OPERATIONS:
        scope = "api:call-user-access:" + ("read" if method == "POST" else "write")
        refusal = f"You don't have permission to use '{scope}' in your app."
        for name, credentials, may in [
            ("reader", READER, method == "POST"),
            ("writer", WRITER, method != "POST"),
        ]:
            request = build(method, PATH, GOOD[method], credentials)
            rows.append(
                (f"{method} {name}", request, 200 if may else 401, None if may else refusal)
            )
    check_rows(server, rows)


@test("checks are made in the order of the contract")
def orders_checks(env):
    server = serve(env, "--body-bytes-max", 2000, "--ids-max", 10)
    too_long = ["Content-Length: 3000"]
    text = ["Content-Type: text/plain"]
    scope = "You don't have permission to use 'api:call-user-access:write' in your app."
    many = [str(user) for user in range(1, 20)]
    # Each request has two faults; the earlier in the contract's table answers.
    rows = [
        ("path before method and credentials", build("GET", "/nowhere"), 404, "Not Found"),
        ("method before credentials", build("GET", PATH), 405, "Method Not Allowed"),
        (
            "method before length",
            build("PATCH", PATH, None, ALL, too_long),
            405,
            "Method Not Allowed",
        ),
        ("credentials before length", build("PUT", PATH, None, None, too_long), 401, DENIED),
        ("credentials before type", build("PUT", PATH, "{}", None, text), 401, DENIED),
        ("credentials before body", build("PUT", PATH, "{", None), 401, DENIED),
        ("scope before length", build("PUT", PATH, None, READER, too_long), 401, scope),
        ("scope before type", build("PUT", PATH, "{}", READER, text), 401, scope),
        ("scope before body", build("PUT", PATH, "{", READER), 401, scope),
        (
            "length before type",
            build("PUT", PATH, None, ALL, too_long + text),
            413,
            "Payload Too Large",
        ),
        ("length before body", build("PUT", PATH, b"x" * 3000, ALL), 413, "Payload Too Large"),
        ("type before body", build("PUT", PATH, "{", ALL, text), 415, "Unsupported Media Type"),
        (
            "JSON before count",
            build("PUT", PATH, json.dumps(pairs(("100", many))) + "x", ALL),
            400,
            PARSE_ERROR,
        ),
        (
            "ids before count",
            build("PUT", PATH, pairs(("100", [*many, "x"])), ALL),
            400,
            PARSE_ERROR,
        ),
        ("count before calls", build("PUT", PATH, pairs(("999", many)), ALL), 400, "Too many ids"),
        (
            "calls before users",
            build("PUT", PATH, pairs(("100", ["777"]), ("999", ["2"])), ALL),
            400,
            "Some calls not found",
        ),
    ]
    check_rows(server, rows)
    check_equal(grants(server), START)


@test("requestIds are 96 random bits in base 36, and never come twice")
def random_request_ids(env):
    server = serve(env)
    seen = set()
    with server.connect() as connection:
        for _ in range(20):
            connection.send(build("POST", PATH, GOOD["POST"], READER) * 50)
            seen.update(check_answer(connection.receive(), 200)["requestId"] for _ in range(50))
    check_equal(len(seen), 1000, "distinct")
    lengths = [len(request_id) for request_id in seen]
    check(
        max(lengths) == 19 and sum(length == 19 for length in lengths) > 600,
        "lengths",
        sorted(lengths)[:10],
    )
    check(all(int(request_id, 36) < 1 << 96 for request_id in seen), "beyond 96 bits")
    check(
        any(int(request_id, 36) >= 1 << 95 for request_id in seen), "the highest bit is never set"
    )
