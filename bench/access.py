"""Benches of what tells who may hear a call, and why: their data, and those that need the machine to
themselves, each with rounds of its own, as those of alone.py. They are asked of a store in a
directory here, and of one in PostgreSQL by over_postgres.py."""

import contextlib
import json
import statistics

import dataset
import machine
import wire
from alone import MIB, rounds_of
from generators import Closed, Mix, run_closed, run_mix
from machine import Failure
from sides import UNCACHED, write_lines

SAMPLES = 300  # pairs, as many of each kind, whose checks are looked at
PEOPLE = 100_000  # who may hear one call
PEOPLE_QUICK = 3000
PEOPLE_CALL = dataset.call_id(1, 0)
PAGE_USERS = 1000
PAGE_CALLS = 100
CHECKED_AT_ONCE = 10_000
FEW_CHANGES, MANY_CHANGES, MANY_CHANGES_QUICK = 10, 10_000, 500
CHANGES_AT_ONCE = 50  # requests sent before the first is answered
AGEING = Mix(gives=1.0, in_flight=64)
AGEING_SECONDS = 4  # of gives to other calls


def check_bytes(side, data, things):
    """How long an answer to a check is in the mean, of answers that were looked at. Each kind of
    pair has answers of its own length, so that none is as long as the mean."""
    checked = data.checks[: max(things, SAMPLES)]
    pairs = [(call, user) for call, user, _ in checked]
    answers = [wire.check(side, pairs[first : first + things])
               for first in range(0, len(pairs) - things + 1, things)]
    told = [is_allowed for _, allowed in answers for is_allowed in allowed]
    if told != [is_allowed for _, _, is_allowed in checked[: len(told)]]:
        raise Failure("checks are not answered as the data says")
    return statistics.mean(len(answer) for answer, _ in answers)


# --- Who may hear a call -------------------------------------------------------------------------


def people_count(ground):
    return PEOPLE_QUICK if ground.options.quick else PEOPLE


def people_records(count):
    """A company in which everybody may hear a call: a half was given it, a quarter has it shared
    with them, and a quarter hears it by a profile. The host stands at the bottom of the tree."""
    users = [dataset.scattered_id(1 << 40 | 1 << 36 | number) for number in range(count)]
    yield {"kind": "company", "companyId": "1", "name": "People"}
    yield {"kind": "key", "accessKey": dataset.access_key(1), "secret": dataset.SECRET,
           "scopes": ["api:call-user-access:read", "earshot:access:read"]}
    yield {"kind": "workspace", "workspaceId": "10"}
    for profile, level in (("20", "all"), ("21", "report-to-them")):
        yield {"kind": "profile", "profileId": profile, "workspaceId": "10",
               "callsAccess": {"permissionLevel": level}}
    for number, user in enumerate(users):
        record = {"kind": "user", "userId": user, "profileIds": ["20" if number % 4 == 3 else "21"]}
        if number > 0:
            record["managerId"] = users[(number - 1) // dataset.REPORTS]
        yield record
    yield {"kind": "call", "callId": PEOPLE_CALL, "workspaceId": "10", "primaryUserId": users[-1]}
    for number, user in enumerate(users):
        if number % 4 != 3:
            kind = "share" if number % 4 == 2 else "grant"
            yield {"kind": kind, "callId": PEOPLE_CALL, "userId": user}


def write_people(ground):
    path = ground.work / "people.ndjson"
    write_lines(path, [json.dumps(one) for one in people_records(people_count(ground))])
    return path


def explain_call(ground):
    store = ground.work / "people"
    machine.run_command([ground.earshot, "load", write_people(ground), "--store", store], 600,
                        "loading people")
    return explain_call_of(ground, ground.serve(store))


def explain_call_of(ground, side):
    """All pages, beside checks of the same pairs."""
    wire.check(side, [(PEOPLE_CALL, PEOPLE_CALL)])  # and the directory is in memory
    peak = side.process.begin_peak()
    users = explain_all(side, people_count(ground))
    grown = side.process.peak_bytes() - peak
    check_all(side, users)
    rounds = []
    for _ in range(rounds_of(ground)):
        ground.rest()
        with Spent(side) as explained:
            explain_all(side, len(users))
        with Spent(side) as checked:
            check_all(side, users)
        figures = {"users": len(users) / explained.cpu, "ratio": explained.cpu / checked.cpu}
        if side.beside:
            figures["database"] = explained.beside * 1e6 / len(users)
        rounds.append({"figures": figures})
    rounds[0]["figures"]["memory"] = grown / MIB
    ground.stop(side.process)
    return rounds


def explain_all(side, count):
    """Those who may hear the call, of all pages, which have to be of one revision."""
    users, revisions, query = [], set(), f"?limit={PAGE_USERS}"
    with contextlib.closing(wire.connect(side.port)) as connection:
        while query:
            path = f"/earshot/v1/calls/{PEOPLE_CALL}/access{query}"
            _, page = wire.exchange_on(connection, wire.request_of("GET", None, path=path))
            users += [one["userId"] for one in page["users"]]
            revisions.add(page["revision"])
            cursor = page["records"].get("cursor")
            query = f"?limit={PAGE_USERS}&cursor={cursor}" if cursor else None
    if len(set(users)) != count or len(revisions) != 1:
        raise Failure(f"{len(users)} users of {count} at revisions {revisions}")
    return users


def check_all(side, users):
    with contextlib.closing(wire.connect(side.port)) as connection:
        for first in range(0, len(users), CHECKED_AT_ONCE):
            pairs = [(PEOPLE_CALL, user) for user in users[first : first + CHECKED_AT_ONCE]]
            request = wire.request_of("POST", wire.check_body(pairs), path=wire.CHECK)
            _, answer = wire.exchange_on(connection, request)
            if not all(one["allowed"] for one in answer["results"]):
                raise Failure("somebody of the call may not hear it")


class Spent:
    """The processor time of a side, and of the database beside it, while it lasts."""

    def __init__(self, side):
        self.side = side

    def read(self):
        beside = self.side.beside.cpu_seconds() if self.side.beside else 0
        return self.side.process.cpu_seconds(), beside

    def __enter__(self):
        self.begin = self.read()
        return self

    def __exit__(self, *_):
        self.cpu, self.beside = (b - a for a, b in zip(self.begin, self.read()))


# --- What a user may hear ------------------------------------------------------------------------


def explain_user(ground):
    """The calls that a listener was given, beside a read of the same calls. Both read rows."""
    side = ground.serve(ground.copy_of("store"), *UNCACHED)
    ground.prime(side)
    path = f"/earshot/v1/users/{ground.data.listeners[0]}/access?way=individual&limit={PAGE_CALLS}"
    request = wire.request_of("GET", None, path=path)
    with contextlib.closing(wire.connect(side.port)) as connection:
        _, page = wire.exchange_on(connection, request)
    calls = [one["callId"] for one in page["calls"]]
    if not calls:
        raise Failure("the listener was given nothing")
    rounds = []
    for _ in range(rounds_of(ground)):
        read = same(ground, side, wire.request_of("POST", {"filter": {"callIds": calls}}))
        page = same(ground, side, request)
        rounds.append({"sides": {"read of the calls": read, "page of the user": page},
                       "figures": {"ratio": page.cpu_us / read.cpu_us}})
    ground.stop(side.process)
    return rounds


def same(ground, side, request, in_flight=8):
    """The same request again and again."""
    with contextlib.closing(wire.connect(side.port)) as connection:
        answer, _ = wire.exchange_on(connection, request)
    what = request.split(b" HTTP", 1)[0].decode()
    loop = Closed(what, gives=False, things=1, in_flight=in_flight, request=request)
    return run_closed(ground, loop, side, ground.options.seconds, len(answer))


# --- A call as it was ----------------------------------------------------------------------------


def call_history(ground):
    return call_history_of(ground, ground.serve(ground.copy_of("store")))


def call_history_of(ground, side):
    """Checks as of before the changes of a call with few and of one with many, in a young store and
    when others have changed a lot since."""
    many = MANY_CHANGES_QUICK if ground.options.quick else MANY_CHANGES
    few_call, many_call = ground.data.calls[:2]
    begin = current_revision(side, many_call)
    change(ground, side, few_call, FEW_CHANGES)
    change(ground, side, many_call, many)
    young = [history_round(ground, side, few_call, many_call, begin)
             for _ in range(rounds_of(ground))]
    seconds = ground.options.seconds if ground.options.quick else AGEING_SECONDS
    before = current_revision(side, many_call)
    run_mix(ground, side, AGEING, seconds)
    aged = current_revision(side, many_call) - before
    old = [history_round(ground, side, few_call, many_call, begin)
           for _ in range(rounds_of(ground))]
    ground.stop(side.process)
    rounds = []
    for one, other in zip(young, old):
        figures = {
            "few": one["few"].cpu_us / one["now"].cpu_us,
            "change": (one["many"].cpu_us - one["few"].cpu_us) / (many - FEW_CHANGES),
            "few_aged": other["few"].cpu_us / one["few"].cpu_us,
            "many_aged": other["many"].cpu_us / one["many"].cpu_us,
        }
        if side.beside:
            figures["database"] = (one["many"].beside_us - one["few"].beside_us) / (
                many - FEW_CHANGES)
        rounds.append({"figures": figures})
    rounds[0]["notes"] = [f"{FEW_CHANGES} changes of one call and {many:,} of the other, each a "
                          f"revision; then {aged:,} revisions of other calls."]
    return rounds


def history_round(ground, side, few_call, many_call, revision):
    user = ground.data.listeners[0]

    def checks(call, query):
        body = wire.check_body([(call, user)])
        return same(ground, side, wire.request_of("POST", body, path=wire.CHECK + query))

    return {"now": checks(few_call, ""), "few": checks(few_call, f"?revision={revision}"),
            "many": checks(many_call, f"?revision={revision}")}


def current_revision(side, call):
    body = wire.check_body([(call, call)])
    return wire.exchange(side, "POST", body, path=wire.CHECK)[1]["revision"]


def change(ground, side, call, count):
    """Gives and takes in turns, so that each request is a change."""
    call_number = ground.data.calls.index(call)
    user = ground.data.listeners[(call_number + 1) % 2]  # to whom the data gives no such call
    body = {"callAccessList": [{"callId": call, "userIds": [user]}]}
    turns = [wire.request_of(method, body) for method in ("PUT", "DELETE")]
    with contextlib.closing(wire.connect(side.port)) as connection:
        for first in range(0, count, CHANGES_AT_ONCE):
            numbers = range(first, min(count, first + CHANGES_AT_ONCE))
            connection.sendall(b"".join(turns[number % 2] for number in numbers))
            wire.receive_answers(connection, len(numbers))
