"""Promises of the suites' own tools: the model says what the rules say, and the checker of
histories rejects histories that must be rejected. Needs no program."""

import copy
import json
from datetime import timedelta

from harness import Failure, check, check_equal, suite
from http11 import Answer, build
from linearizability import Operation, check_histories, first_contradiction
from model import BadRecord, Model, facts_of_dump, ndjson, records_of, utc_now
from suites.outages import follow, grants_of
from world import CALLS, apply_request, initial_records, new_model, random_request

tests, test = suite()


def operations(*rows):
    return [Operation(start, end, kind, value) for start, end, kind, value in rows]


ACCEPTED = {
    "nothing": [],
    "a read of nothing": operations((0, 1, "read", False)),
    "set, then read": operations((0, 1, "set", None), (2, 3, "read", True)),
    "a read during a set sees either": operations(
        (0, 10, "set", None), (1, 2, "read", False), (3, 4, "read", True)
    ),
    "two writes at once, in the order that the read shows": operations(
        (0, 10, "set", None), (0, 10, "clear", None), (11, 12, "read", True), (13, 14, "read", True)
    ),
    "an unanswered set that took effect": [
        Operation(0, 10, "set", None, True),
        Operation(11, 12, "read", True),
    ],
    "an unanswered set that did not": [
        Operation(0, 10, "set", None, True),
        Operation(11, 12, "read", False),
    ],
    "two unanswered sets, of which the one that ends first is needed first": [
        Operation(0, 30, "set", None, True),
        Operation(0, 10, "set", None, True),
        *operations((1, 2, "read", True), (3, 4, "clear", None), (20, 21, "read", True)),
    ],
    "forty reads at once, on both sides of a set": operations(
        *[(0, 100 + n, "read", n % 2 == 0) for n in range(40)], (50, 60, "set", None)
    ),
    "forty unanswered ones at once": [
        *[Operation(n, 500, ("set", "clear")[n % 2], None, True) for n in range(40)],
        *operations(*[(200 + n, 201 + n, "read", n % 4 < 2) for n in range(0, 40, 2)]),
    ],
}

REJECTED = {
    "a read of what nobody set": operations((0, 1, "read", True)),
    "an acknowledged set lost": operations((0, 1, "set", None), (2, 3, "read", False)),
    "a stale read after a clear": operations(
        (0, 1, "set", None), (2, 3, "clear", None), (4, 5, "read", True)
    ),
    "going back in time during a set": operations(
        (0, 10, "set", None), (1, 2, "read", True), (3, 4, "read", False)
    ),
    "a value that flips after both writes ended": operations(
        (0, 10, "set", None),
        (0, 10, "clear", None),
        (11, 12, "read", True),
        (13, 14, "read", False),
    ),
    "an unanswered set that comes late": [
        Operation(0, 10, "set", None, True),
        Operation(11, 12, "read", False),
        Operation(13, 14, "read", True),
    ],
    "one unanswered set that is needed twice": [
        Operation(0, 30, "set", None, True),
        *operations((1, 2, "read", True), (3, 4, "clear", None), (20, 21, "read", True)),
    ],
    "two unanswered sets that are needed when only one is left": [
        Operation(0, 30, "set", None, True),
        Operation(0, 10, "set", None, True),
        *operations((11, 12, "read", True), (13, 14, "clear", None), (15, 16, "read", True)),
        *operations((17, 18, "clear", None), (19, 20, "read", True)),
    ],
}


@test("the checker accepts histories that one register explains")
def accepts(_env):
    for name, history in ACCEPTED.items():
        check(first_contradiction(history) is None, name)


@test("the checker rejects doctored histories")
def rejects(_env):
    for name, history in REJECTED.items():
        check(first_contradiction(history) is not None, name)


def real_history(rng, workers, steps):
    """What concurrent workers record on a register that is right: each operation takes effect at
    one moment inside."""
    value = False
    now = 0
    busy = {}  # worker -> [start, kind, effect done, value]
    history = []
    for _ in range(steps):
        now += 1
        worker = rng.randrange(workers)
        if worker not in busy:
            busy[worker] = [now, rng.choice(["set", "clear", "read", "read"]), False, None]
        elif not busy[worker][2]:
            operation = busy[worker]
            operation[2] = True
            if operation[1] == "read":
                operation[3] = value
            else:
                value = operation[1] == "set"
        else:
            start, kind, _, read = busy.pop(worker)
            history.append(Operation(start, now, kind, read))
    for start, kind, done, read in busy.values():
        if done:
            history.append(Operation(start, now + 1, kind, read))
    return history


@test("the checker accepts random right histories and rejects them after one late read is turned")
def random_histories(env):
    turned = 0
    for _ in range(200):
        history = real_history(env.random, workers=6, steps=400)
        check(first_contradiction(history) is None, "a right history was rejected", history)
        end = max(operation.end for operation in history)
        # After everything ended two reads cannot differ.
        value = env.random.random() < 0.5
        late = [
            Operation(end + 1, end + 2, "read", value),
            Operation(end + 3, end + 4, "read", not value),
        ]
        check(first_contradiction(history + late) is not None, "a turned read was accepted")
        quiet = [
            one
            for one in history
            if one.kind == "read"
            and all(
                other is one
                or other.kind == "read"
                or other.end < one.start
                or other.start > one.end
                for other in history
            )
        ]
        for one in quiet[:3]:
            doctored = [
                one._replace(value=not one.value) if other is one else other for other in history
            ]
            turned += first_contradiction(doctored) is not None
    check(turned > 100, "turned reads in quiet moments were accepted too often:", turned)


@test("many pairs are judged one by one, and the bad one is named")
def names_the_pair(_env):
    good = operations((0, 1, "set", None), (2, 3, "read", True))
    bad = operations((0, 1, "set", None), (2, 3, "read", False))
    try:
        check_histories({(1, 1): good, (1, 2): bad})
    except Exception as error:
        check("(1, 2)" in str(error), error)
    else:
        check(False, "accepted")


COMPANY = """
{"kind":"company","companyId":"1","name":"Acme"}
{"kind":"workspace","workspaceId":"10"}
{"kind":"profile","profileId":"20","workspaceId":"10","callsAccess":{"permissionLevel":"report-to-them"}}
{"kind":"profile","profileId":"21","workspaceId":"10","callsAccess":{"permissionLevel":"managers-team"}}
{"kind":"profile","profileId":"22","workspaceId":"10","callsAccess":{"permissionLevel":"managers-team","teamLeadIds":["5"]}}
{"kind":"profile","profileId":"23","workspaceId":"10","callsAccess":{"permissionLevel":"all","teamLeadIds":["5"]}}
{"kind":"profile","profileId":"24","workspaceId":"11","callsAccess":{"permissionLevel":"all"}}
{"kind":"user","userId":"1","profileIds":["20"]}
{"kind":"user","userId":"2","managerId":"1","profileIds":["21"],"active":false}
{"kind":"user","userId":"3","managerId":"2","profileIds":["24","21","23"]}
{"kind":"user","userId":"4","managerId":"99","profileIds":["21"]}
{"kind":"user","userId":"5","managerId":"6","profileIds":["20"]}
{"kind":"user","userId":"6","managerId":"5","profileIds":["20"]}
{"kind":"user","userId":"7","profileIds":["22"]}
{"kind":"user","userId":"8","profileIds":["23"]}
{"kind":"user","userId":"9"}
{"kind":"call","callId":"100","workspaceId":"10","primaryUserId":"3"}
{"kind":"call","callId":"101","workspaceId":"10","primaryUserId":"6","partyUserIds":["9"]}
{"kind":"call","callId":"102","workspaceId":"10","primaryUserId":"3","isPrivate":true}
{"kind":"call","callId":"103","workspaceId":"11","primaryUserId":"3"}
{"kind":"call","callId":"104","workspaceId":"10","primaryUserId":"77"}
{"kind":"share","callId":"102","userId":"9"}
"""

# For each call, the users who hear it in another way than a grant, worked out by hand from the
# rules.
OTHER_WAYS = {
    100: {1, 2, 3, 8},  # 1 leads 3 through 2; 2's manager 1 leads 3; 4's manager is unknown
    101: {5, 6, 7, 8, 9},  # 5 and 6 are a cycle; 7 has 5 as a lead
    102: {3, 9},  # private: host and share
    103: {3},  # a workspace without a record
    104: {8},  # an unknown host stands under nobody
}


@test("the model gives access exactly where the rules do")
def model_rules(_env):
    model = Model()
    model.load(records_of(COMPANY))
    company = model.companies[1]
    for call, expected in OTHER_WAYS.items():
        hearing = {user for user in company.users if company.ways(call, user, utc_now())}
        check_equal(hearing, expected, "call", call)
    check_equal(company.give([(call, list(company.users)) for call in OTHER_WAYS]), None)
    for call, expected in OTHER_WAYS.items():
        check_equal(
            set(company.read([call])[call]), set(company.users) - expected, "grants of", call
        )


@test("the model's operations refuse, keep, expire and remove as promised")
def model_operations(_env):
    model = Model()
    model.load(records_of(COMPANY))
    company = model.companies[1]
    check_equal(company.give([(100, [9]), (999, [9])]), ("Some calls not found", [999]))
    check_equal(company.give([(100, [9, 998])]), ("Some users not found", [998]))
    check_equal(company.read([100]), {100: []})
    past = (utc_now() - timedelta(days=1)).isoformat()
    future = (utc_now() + timedelta(days=1)).isoformat()
    model.load(
        [
            {"kind": "grant", "companyId": "1", "callId": "100", "userId": "9", "expiresAt": past},
            {
                "kind": "grant",
                "companyId": "1",
                "callId": "100",
                "userId": "4",
                "expiresAt": future,
                "note": "n",
            },
        ]
    )
    check_equal(company.read([100]), {100: [4]})
    company.give([(100, [9, 4])])
    check_equal(company.read([100]), {100: [4, 9]})
    check_equal(company.grants[100][4].note, "n")
    check_equal(company.grants[100][9].expires_at, None)
    company.remove([(100, [4, 998])])
    check_equal(company.read([100]), {100: [9]})
    model.load(
        [
            {"kind": "user", "companyId": "1", "userId": "9", "remove": True},
            {"kind": "user", "companyId": "1", "userId": "9"},
        ]
    )
    check_equal(company.read([100]), {100: []})
    check_equal(company.shares[102], set())
    try:
        model.load([{"kind": "share", "companyId": "1", "callId": "100", "userId": "998"}])
    except BadRecord:
        pass
    else:
        check(False, "a share of an unknown user was accepted")


def answers_to(company, batch):
    """What a right server answers to the batch."""
    answers = []
    for method, named in batch:
        status, expected = apply_request(company, method, named)
        entries = expected.items() if method == "POST" and status == 200 else ()
        listed = [
            {"callId": str(call), "users": [{"userId": str(user)} for user in users]}
            for call, users in entries
        ]
        body = json.dumps({"callAccessList": listed}).encode()
        answers.append(Answer("", status, "", [], body))
    return answers


@test("what was answered 503 is taken as done or not done, as the reads after it say")
def explains_refusals(env):
    rng = env.random
    model = new_model(initial_records(rng))
    refusal = Answer("", 503, "", [], b"")
    for _ in range(200):
        batch = [random_request(rng, CALLS) for _ in range(rng.choice([1, 2, 4]))]
        truth = copy.deepcopy(model.companies[1])
        answers = []
        for one in batch:
            fate = rng.choice(["answered", "answered", "done", "not done"])
            answer = refusal if fate == "not done" else answers_to(truth, [one])[0]
            answers.append(answer if fate == "answered" else refusal)
        batch.append(("POST", CALLS))
        answers += answers_to(truth, batch[-1:])
        company = model.companies[1]
        possible = follow(company, CALLS, [grants_of(company, CALLS)], batch, answers)
        check(grants_of(truth, CALLS) in possible, "what happened is not possible:", batch)
        company.grants.update(grants_of(truth, CALLS))


@test("an acknowledged request that a read does not show is noticed")
def notices_losses(env):
    rng = env.random
    model = new_model(initial_records(rng))
    noticed = 0
    for _ in range(200):
        company = copy.deepcopy(model.companies[1])
        before = answers_to(company, [("POST", CALLS)])
        batch = [random_request(rng, CALLS), random_request(rng, CALLS), ("POST", CALLS)]
        answers = answers_to(company, batch)
        if answers[-1].body == before[0].body or answers[0].status == answers[1].status == 400:
            continue
        try:
            company = copy.deepcopy(model.companies[1])
            follow(company, CALLS, [grants_of(company, CALLS)], batch, [*answers[:2], *before])
        except Failure:
            noticed += 1
        else:
            check(False, "not noticed:", batch)
    check(noticed > 50, "hardly a case:", noticed)


@test("facts tell two dumps apart in every member")
def facts_differ(_env):
    facts = facts_of_dump(COMPANY)
    check_equal(facts_of_dump(ndjson(records_of(COMPANY))), facts)
    for old, new in [
        ("Acme", "Acme2"),
        ('"managerId":"1"', '"managerId":"3"'),
        ('"active":false', '"active":true'),
        ('"isPrivate":true', '"isPrivate":false'),
        ('"callId":"102","userId":"9"', '"callId":"102","userId":"8"'),
        ('["24","21","23"]', '["23","21","24"]'),
    ]:
        check(facts_of_dump(COMPANY.replace(old, new)) != facts, "not seen:", old)


@test("requests are built with their length, host and type")
def builds(_env):
    sent = build("PUT", "/x", {"a": 1}, "Basic eA==")
    check_equal(
        sent,
        b"PUT /x HTTP/1.1\r\nHost: test\r\nAuthorization: Basic eA==\r\n"
        b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}',
    )
