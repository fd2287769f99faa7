"""Several servers of one PostgreSQL: what one of them, or a command beside them, has changed holds on
all of them from the next request on."""

import itertools
import threading
import time

from harness import check, check_equal, in_threads, suite
from http11 import PATH, access_list, basic, build
from model import facts_of_dump, ndjson
from server import Server
from suites.records import create_key, dump, load
from suites.revisions import read, users_of, write
from suites.wire_fixture import ALL, DENIED, GOOD, READ, RECORDS, WRITE, check_answer
from suites.wire_process import seconds_to_midnight, statuses

tests, test = suite()

ONLY = ("postgres",)
COUNT = 3
NO_USERS = "Some users not found"


def serve_several(env, *options):
    load(env, env.store(), RECORDS)
    return [Server(env, "--drain-delay", "0", *options) for _ in range(COUNT)]


def connect_all(servers):
    return [server.connect() for server in servers]


def load_here(env, *records):
    """Applies records to company 1, beside the servers."""
    here = [{**record, "companyId": "1"} for record in records]
    load(env, env.store(), ndjson(here), "here.ndjson")


def key_record(access_key, secret, scopes):
    return {"kind": "key", "accessKey": access_key, "secret": secret, "scopes": scopes}


@test("a key that was made works on every server at once, and a revoked one on none", stores=ONLY)
def keys_everywhere(env):
    servers = serve_several(env)
    kept = connect_all(servers)
    for _ in range(4):
        access_key, secret = create_key(env, env.store())
        key = basic(access_key, secret)
        for connection in kept * 3:
            check_answer(connection.request("POST", PATH, GOOD["POST"], key), 200)
        env.command("key", "revoke", access_key, "--store", env.store())
        for connection in (kept + connect_all(servers)) * 2:
            answer = connection.request("POST", PATH, GOOD["POST"], key)
            check_answer(answer, 401, DENIED, "after it was revoked")
            check_answer(connection.request("POST", PATH, GOOD["POST"], ALL), 200)


@test("scopes, secrets and ends of keys that were changed hold on every server", stores=ONLY)
def keys_change(env):
    servers = serve_several(env)
    kept = connect_all(servers)
    first, second = "the-first-secret-of-the-key", "the-second-secret-of-the-key"
    old, new = basic("TURNING", first), basic("TURNING", second)
    past = {"expiresAt": "2021-05-06T07:08:09Z"}
    steps = [
        (key_record("TURNING", first, [READ, WRITE]), {("PUT", old): 200, ("POST", new): 401}),
        (key_record("TURNING", first, [READ]), {("PUT", old): 401, ("POST", old): 200}),
        (key_record("TURNING", first, [READ, WRITE]), {("PUT", old): 200, ("POST", old): 200}),
        (key_record("TURNING", second, [READ, WRITE]), {("PUT", old): 401, ("PUT", new): 200}),
        (key_record("TURNING", second, [READ]) | past, {("POST", new): 401, ("POST", old): 401}),
        (key_record("TURNING", second, [READ]), {("POST", new): 200, ("DELETE", new): 401}),
    ]
    for record, expected in steps:
        load_here(env, record)
        for (method, key), status in expected.items():
            for connection in kept * 2:
                answer = connection.request(method, PATH, GOOD[method], key)
                check_answer(answer, status, name=f"{method} after {record}")


@test(
    "no request that starts after a key was revoked is let in, however busy the servers are",
    seconds=60,
    stores=ONLY,
)
def revokes_under_load(env):
    servers = serve_several(env)
    load_here(env, key_record("BUSY", "a-secret-for-every-server", [READ, WRITE]))
    key = basic("BUSY", "a-secret-for-every-server")
    ended = threading.Event()
    revoked_at = []

    def ask(server, method):
        """How many requests were let in before it was refused; then it is refused always."""
        let_in = refused = 0
        with server.connect() as connection:
            while not ended.is_set() or refused < 20:
                began = time.monotonic()
                answer = connection.request(method, PATH, GOOD[method], key)
                if answer.status == 401:
                    refused += 1
                    continue
                check_answer(answer, 200)
                check(refused == 0, method, "was let in again after it was refused")
                check(not revoked_at or began < revoked_at[0], method, "was let in afterwards")
                let_in += 1
        return let_in

    def revoke():
        try:
            time.sleep(0.7)
            env.command("key", "revoke", "BUSY", "--store", env.store())
            revoked_at.append(time.monotonic())
            time.sleep(0.5)
        finally:
            ended.set()

    workers = [
        lambda server=server, method=method: ask(server, method)
        for server in servers
        for method in ("POST", "PUT", "DELETE")
    ]
    counts = in_threads([*workers, revoke])[:-1]
    check(min(counts) > 5, "hardly a request was let in before:", counts)
    env.note(f"{sum(counts)} requests before")


@test("a user who was removed is unknown to every server, one who was added is known", stores=ONLY)
def users_everywhere(env):
    servers = serve_several(env)
    kept = connect_all(servers)
    for number in range(5):
        user = 700 + number
        for connection in kept:
            answer = connection.request("PUT", PATH, access_list({100: [user]}), ALL)
            check_answer(answer, 400, NO_USERS, "before it was added")
        load_here(env, {"kind": "user", "userId": str(user)})
        for connection in kept:
            write(connection, "PUT", {100: [user]})
            write(connection, "DELETE", {100: [user]})
        write(kept[number % COUNT], "PUT", {101: [user]})
        load_here(env, {"kind": "user", "userId": str(user), "remove": True})
        for connection in kept * 2:
            answer = connection.request("PUT", PATH, access_list({100: [2, user]}), ALL)
            check_answer(answer, 400, NO_USERS, "after it was removed")
            check_equal(users_of(read(connection, [100]), 100), ["5"])
            check_equal(users_of(read(connection, [101]), 101), [])


@test(
    "a user who is removed while all servers give is given nothing from then on",
    seconds=60,
    stores=ONLY,
)
def removes_users_under_load(env):
    servers = serve_several(env)
    calls = [100, 101, 9223372036854775806]
    users = [800, 801, 802, 803]
    load_here(env, *({"kind": "user", "userId": str(user)} for user in users))
    ended = threading.Event()
    removed_at = {}

    def give(server, call):
        """Requests that were answered with 200."""
        given = 0
        with server.connect() as connection:
            for user in itertools.cycle(users):
                if ended.is_set():
                    return given
                began = time.monotonic()
                answer = connection.request("PUT", PATH, access_list({call: [user]}), ALL)
                if answer.status == 200:
                    check(began < removed_at.get(user, began + 1), "given after it was removed")
                    given += 1
                else:
                    check_answer(answer, 400, NO_USERS)
                # Takes it back, so that there is always something to give.
                write(connection, "DELETE", {call: [user]} if given % 2 else {})

    def remove():
        try:
            for user in users:
                time.sleep(0.3)
                load_here(env, {"kind": "user", "userId": str(user), "remove": True})
                removed_at[user] = time.monotonic()
            time.sleep(0.2)
        finally:
            ended.set()

    workers = [lambda s=server, c=call: give(s, c) for server in servers for call in calls]
    counts = in_threads([*workers, remove])[:-1]
    check(min(counts) > 5, "hardly anything was given:", counts)
    left = [fact for fact in facts_of_dump(dump(env, env.store())) if fact[1] == "grant"]
    check_equal([fact[:4] for fact in left], [(1, "grant", 100, 5)], "grants that are left")
    done = env.run("verify", "--store", env.store())
    check_equal(done.returncode, 0, done.stdout, done.stderr)
    env.note(f"{sum(counts)} given")


@test("a change of profiles, managers and workspaces decides on every server at once", stores=ONLY)
def directory_everywhere(env):
    servers = serve_several(env)
    kept = connect_all(servers)
    # User 4 hears call 100 by a profile of workspace 10 that shows everything, and is given nothing
    # while that holds.
    by_profile = {"kind": "user", "userId": "4", "profileIds": ["20"]}
    all_calls = {"kind": "profile", "profileId": "20", "workspaceId": "10"}
    led = {"permissionLevel": "report-to-them"}
    steps = [
        ("as it was", [], False),
        ("without the profile", [{"kind": "user", "userId": "4"}], True),
        ("with it again", [by_profile], False),
        ("when it shows nothing", [all_calls | {"callsAccess": {"permissionLevel": "none"}}], True),
        ("when it shows a team", [all_calls | {"callsAccess": led}], True),
        ("as the host's manager", [{"kind": "user", "userId": "1", "managerId": "4"}], False),
        (
            "without the workspace",
            [{"kind": "workspace", "workspaceId": "10", "remove": True}],
            True,
        ),
        ("with it again", [{"kind": "workspace", "workspaceId": "10", "name": "Sales"}], False),
    ]
    for name, records, gives in steps:
        if records:
            load_here(env, *records)
        for connection in kept * 2:
            write(connection, "PUT", {100: [4]})
            expected = ["4", "5"] if gives else ["5"]
            check_equal(users_of(read(connection, [100]), 100), expected, name)
            write(connection, "DELETE", {100: [4]})


@test("what one server has answered, every other shows, also to reads that name it", stores=ONLY)
def reads_everywhere(env):
    servers = serve_several(env)
    kept = connect_all(servers)
    newest = 0
    for number in range(200):
        writer, reader = env.random.sample(kept, 2)
        gives = number % 2 == 0
        revision = write(writer, "PUT" if gives else "DELETE", {100: [2]})
        check(revision > newest, "went back from", newest, "to", revision)
        newest = revision
        carried = env.random.choice([None, 0, revision - 1, revision])
        expected = ["2", "5"] if gives else ["5"]
        check_equal(users_of(read(reader, [100], carried), 100), expected, "with", carried)


@test("writes that wait on several servers get one sequence of revisions", seconds=60, stores=ONLY)
def one_sequence(env):
    servers = serve_several(env)
    with servers[0].connect() as connection:
        first = write(connection, "PUT", {})
    rounds, depth = 10, 8

    def turn(server, call, user):
        """The revisions of requests that were sent so many at once."""
        found = []
        put, delete = (
            build(method, PATH, access_list({call: [user]}), ALL) for method in ("PUT", "DELETE")
        )
        with server.connect() as connection:
            for _ in range(rounds):
                connection.send((put + delete) * (depth // 2))
                found += [connection.receive() for _ in range(depth)]
        for answer in found:
            check_answer(answer, 200)
        return [int(answer.field("x-earshot-revision")) for answer in found]

    pairs = [(100, 2), (9223372036854775806, 2), (101, 3), (101, 5), (9223372036854775806, 3)]
    workers = [
        lambda s=servers[number % COUNT], p=pair: turn(s, *p) for number, pair in enumerate(pairs)
    ]
    results = in_threads(workers, seconds=50)
    check(all(revisions == sorted(revisions) for revisions in results), "went back on a connection")
    got = sorted(itertools.chain(*results))
    check_equal(got, list(range(first + 1, first + 1 + len(pairs) * rounds * depth)), "revisions")
    done = env.run("verify", "--store", env.store())
    check_equal(done.returncode, 0, done.stdout, done.stderr)


# --- rates


@test("a rate by second holds over all servers, but for a second's requests of each", stores=ONLY)
def rate_by_second(env):
    limit, seconds = 20, 5
    servers = serve_several(env, "--rate-per-second", limit)
    began = time.monotonic()

    def ask(connection):
        admitted = 0
        while time.monotonic() < began + seconds:
            admitted += statuses(connection, 5, ALL).count(200)
            time.sleep(0.01)
        return admitted

    admitted = in_threads([lambda c=connection: ask(c) for connection in connect_all(servers)])
    took = time.monotonic() - began
    check(sum(admitted) <= limit * (took + COUNT), "too many", admitted, "in", took)
    check(sum(admitted) >= limit * seconds // 2, "too few", admitted, "in", took)
    for server in servers:
        server.stop()


@test("a rate by day holds over all servers, a restart included", seconds=150, stores=ONLY)
def rate_by_day(env):
    if seconds_to_midnight() < 30:
        time.sleep(seconds_to_midnight() + 1)
    servers = serve_several(env, "--rate-per-day", 20)
    first, second = connect_all(servers[:2])
    heard = 0.5  # each tells the others ten times a second
    check_equal(statuses(first, 12, ALL), [200] * 12)
    time.sleep(heard)
    # Who has not asked before hears of the others with its first request.
    check_equal(statuses(second, 1, ALL), [200])
    time.sleep(heard)
    check_equal(statuses(second, 9, ALL), [200] * 7 + [429] * 2)
    time.sleep(heard)
    check_equal(statuses(first, 1, ALL), [200], "it has heard of none yet")
    time.sleep(heard)
    for connection in (first, second):
        check_equal(statuses(connection, 2, ALL), [429] * 2)
    servers[2].stop()
    with Server(env, "--rate-per-day", 20, "--drain-delay", "0").connect() as again:
        check_equal(statuses(again, 2, ALL), [429] * 2, "it began with what the others told")
