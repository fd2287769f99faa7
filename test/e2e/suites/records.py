"""Records and the commands that work on a store: offline, and carried out by the server that has
the store open."""

import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import threading
import time

from harness import check, check_equal, clean_environment, suite
from http11 import PATH, basic
from model import Model, facts_of_dump, ndjson, records_of
from server import Server
from suites.wire_fixture import ALL, GOOD, READ, RECORDS, WRITE, check_answer, grants, serve
from world import initial_records, new_model, random_changes

tests, test = suite()


def dump(env, store):
    return env.command("dump", "--store", store)


def load(env, store, text, name="records.ndjson"):
    return env.command("load", env.write(name, text), "--store", store)


def with_and_without_server(env, work):
    """Does the same on a store that nobody has open, and on one that a server has; work(store,
    server or None)."""
    work(env.store("offline"), None)
    server = Server(env, store=env.store("online"))
    work(server.store, server)
    server.stop()


# --- load and dump

ORDER = ["company", "key", "workspace", "profile", "user", "call", "share", "grant"]


def check_sorted(text):
    """Companies ascending; in each its keys, workspaces, profiles and users, then each call with
    shares and grants."""
    places = []
    company = None
    for record in records_of(text):
        kind = record["kind"]
        if kind == "company":
            company = int(record["companyId"])
        if kind == "key":
            place = (company, 1, record["accessKey"])
        elif kind in ("call", "share", "grant"):
            place = (
                company,
                9,
                int(record["callId"]),
                ORDER.index(kind),
                int(record.get("userId", 0)),
            )
        else:
            place = (company, ORDER.index(kind), int(record[kind + "Id"]))
        check_equal(int(record.get("companyId", company)), company, "company of", record)
        places.append(place)
    check_equal(places, sorted(places), "order of the dump")
    check_equal(len(set(places)), len(places), "things dumped twice")


@test(
    "a dump holds what was loaded, sorted, and loading it again gives the same bytes", seconds=120
)
def dump_is_identity(env):
    for number in range(6):
        rng = random.Random(env.random.getrandbits(32))
        records = initial_records(rng)
        model = new_model(records)
        for _ in range(5):
            records += random_changes(rng, model, 30)
        store, again = env.store(f"store{number}"), env.store(f"again{number}")
        load(env, store, ndjson(records))
        text = dump(env, store)
        check_equal(sorted(map(str, facts_of_dump(text) ^ model.facts())), [], "dump and model")
        check_sorted(text)
        load(env, again, text)
        check_equal(dump(env, again), text, "dump of a loaded dump")
        load(env, again, text)
        check_equal(dump(env, again), text, "the same load twice")
        load(env, store, text)
        check_equal(dump(env, store), text, "a dump loaded where it came from")


ODD_TEXTS = [
    "",
    " ",
    "\\ \" ' '' $1 %s :x --",
    '{"a",NULL}',
    "NULL",
    "\\N",
    "\x01\t\r\n\x1f\x7f",
    "\u2028 \ud7ff\ue000\uffff \U0001f600\U0010ffff",
    "e\u0301 \u00e9",  # the same to the eye
    "漢" * 1000,
]
ODD_TIMES = [
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "2199-05-06T07:08:09.000001Z",
    "2199-02-28T23:59:59.123456789+14:00",
    "9999-12-31T23:59:59.999999Z",
]
ODD_IDS = [1, 2**31, 2**53 + 1, 2**63 - 1]


def odd_records():
    """What is hard to keep: texts that look like something else, the ends of time, large ids."""
    yield {"kind": "company", "companyId": str(2**63 - 1), "name": ODD_TEXTS[2]}
    key = {"kind": "key", "accessKey": "ODD", "secret": "a-secret-of-twenty-characters"}
    yield {**key, "scopes": [READ, WRITE], "expiresAt": ODD_TIMES[2]}
    for one in ODD_IDS:
        yield {"kind": "workspace", "workspaceId": str(one), "name": ODD_TEXTS[5]}
        access = {"permissionLevel": "all", "teamLeadIds": [str(id) for id in ODD_IDS]}
        yield {"kind": "profile", "profileId": str(one), "callsAccess": access, "name": "{}"}
    for number, text in enumerate(ODD_TEXTS):
        user = {"kind": "user", "userId": str(number + 10), "emailAddress": text}
        yield {**user, "firstName": text, "lastName": text, "profileIds": []}
        yield {"kind": "call", "callId": str(number + 10), "title": text}
        grant = {"kind": "grant", "callId": str(number + 10), "userId": str(number + 10)}
        yield {**grant, "note": text[:200]}
    for one in ODD_IDS:
        more = [str(2**63 - 1), "1"]
        yield {"kind": "user", "userId": str(one), "managerId": str(one), "profileIds": more}
        call = {"kind": "call", "callId": str(one), "workspaceId": str(one)}
        yield {**call, "primaryUserId": str(one), "partyUserIds": more}
        yield {"kind": "share", "callId": str(one), "userId": str(one)}
    for number, text in enumerate(ODD_TIMES):
        call = {"kind": "call", "callId": str(number + 50)}
        yield {**call, "started": text}
        yield {"kind": "grant", "callId": call["callId"], "userId": "10", "expiresAt": text}


@test("odd texts, the ends of time and the largest ids come back as they were")
def keeps_odd_records(env):
    store = env.store()
    load(env, store, ndjson(odd_records()))
    text = dump(env, store)
    model = Model()
    model.load(odd_records())
    check_equal(sorted(map(str, facts_of_dump(text) ^ model.facts())), [], "dump and model")
    load(env, env.store("again"), text)
    check_equal(dump(env, env.store("again")), text, "dump of a loaded dump")
    done = env.run("verify", "--store", store)
    check_equal(done.returncode, 0, done.stdout, done.stderr)


@test(
    "a dump of one kind of store loads into the other, and comes out the same, byte for byte",
    seconds=120,
    stores=("postgres",),
)
def dumps_change_places(env):
    for number in range(3):
        records = [*initial_records(env.random), *odd_records()]
        model = new_model(records)
        for _ in range(3):
            records += random_changes(env.random, model, 30)
        places = [env.path(f"directory{number}"), env.store(f"database{number}")]
        for first, second in (places, places[::-1]):
            load(env, first, '{"kind":"company","companyId":"77"}\n')
            load(env, first, ndjson(records))
            load(env, first, '{"kind":"company","companyId":"77","remove":true}\n')
            text = dump(env, first)
            check_equal(sorted(map(str, facts_of_dump(text) ^ model.facts())), [], "of", first)
            fresh = second + "x" if second in places[:1] else env.store(f"fresh{number}")
            load(env, fresh, text)
            check_equal(dump(env, fresh), text, "from", first, "to", fresh)
            # And back over what is there.
            load(env, first, dump(env, fresh))
            check_equal(dump(env, first), text, "from", fresh, "back to", first)
            done = env.run("verify", "--store", fresh)
            check_equal(done.returncode, 0, fresh, done.stdout, done.stderr)


# Found by the test above: rows of one call, swept twice in one load.
SWEPT_TWICE = """
{"kind":"company","companyId":"1"}
{"kind":"user","userId":"1"}
{"kind":"user","userId":"4"}
{"kind":"user","userId":"7"}
{"kind":"user","userId":"9"}
{"kind":"call","callId":"109"}
{"kind":"grant","callId":"109","userId":"4"}
{"kind":"share","callId":"109","userId":"7"}
{"kind":"share","callId":"109","userId":"1"}
{"kind":"user","userId":"4","remove":true}
{"kind":"share","callId":"109","userId":"9"}
{"kind":"company","companyId":"1","remove":true}
"""


@test("a company removed with everything in it leaves nothing, whatever was removed before")
def removes_companies(env):
    load(env, env.store(), SWEPT_TWICE)
    check_equal(dump(env, env.store()), "")
    done = env.run("verify", "--store", env.store())
    check_equal(done.returncode, 0, done.stdout, done.stderr)


@test("commands do the same with and without a server")
def same_through_server(env):
    texts = []

    def work(store, server):
        load(env, store, RECORDS)
        texts.append(re.sub(r'"secretHash":"[^"]*"', '"secretHash":"x"', dump(env, store)))
        done = env.run("verify", "--store", store)
        check_equal(done.returncode, 0, done.stdout, done.stderr)
        if server:
            check_equal(grants(server), {"100": ["5"], "101": [], "9223372036854775806": []})

    with_and_without_server(env, work)
    check_equal(texts[0], texts[1])
    check_equal(facts_of_dump(texts[0]), facts_of_dump(RECORDS))


@test("what a server writes is in the next dump, and a load through it is seen at once")
def sees_changes(env):
    server = serve(env)
    with server.connect() as connection:
        check_answer(connection.request("PUT", PATH, GOOD["PUT"], ALL), 200)
        check(
            '"userId":"2"'
            in [line for line in dump(env, server.store).splitlines() if '"grant"' in line][0]
        )
        load(
            env,
            server.store,
            '{"kind":"share","companyId":"1","callId":"101","userId":"3"}\n'
            '{"kind":"user","companyId":"1","userId":"5","remove":true}\n',
        )
        check_answer(
            connection.request(
                "PUT", PATH, {"callAccessList": [{"callId": "101", "userIds": ["3"]}]}, ALL
            ),
            200,
        )
    check_equal(grants(server), {"100": ["2"], "101": [], "9223372036854775806": []})


@test("several files load in order; standard options and --load at start do the same")
def loads_files(env):
    lines = [line + "\n" for line in RECORDS.strip().splitlines()]
    first, second = env.write("a.ndjson", "".join(lines[:8])), env.write(
        "b.ndjson", "".join(lines[8:])
    )
    # The second file goes on in company 1 only because it says so itself.
    with open(second, "w") as file:
        file.write('{"kind":"company","companyId":"1","name":"Acme"}\n' + "".join(lines[8:]))
    env.command("load", first, second, "--store", env.store("loaded"))
    server = Server(env, "--load", first, "--load", second, store=env.store("served"))
    server.stop()
    for store in ("loaded", "served"):
        check_equal(facts_of_dump(dump(env, env.store(store))), facts_of_dump(RECORDS), store)


# --- bad lines

GOOD_LINES = [
    '{"kind":"company","companyId":"7"}',
    '{"kind":"user","userId":"1"}',
    '{"kind":"call","callId":"1"}',
]
BAD_LINES = {
    "no JSON": "nonsense",
    "cut off": '{"kind":"user"',
    "an array": "[]",
    "no kind": '{"userId":"1"}',
    "an unknown kind": '{"kind":"team","teamId":"1"}',
    "no id": '{"kind":"user"}',
    "an id as a number": '{"kind":"user","userId":1}',
    "a bad id": '{"kind":"user","userId":"01"}',
    "an id of 2^63": '{"kind":"call","callId":"9223372036854775808"}',
    "a wrong type": '{"kind":"user","userId":"2","active":"yes"}',
    "a bad level": '{"kind":"profile","profileId":"2","callsAccess":{"permissionLevel":"some"}}',
    "a share of an unknown call": '{"kind":"share","callId":"2","userId":"1"}',
    "a share with an unknown user": '{"kind":"share","callId":"1","userId":"2"}',
    "a grant of an unknown call": '{"kind":"grant","callId":"2","userId":"1"}',
    "a grant with a bad time": '{"kind":"grant","callId":"1","userId":"1","expiresAt":"tomorrow"}',
    "an unknown company": '{"kind":"user","companyId":"8","userId":"1"}',
    "a key without a secret": '{"kind":"key","accessKey":"K","scopes":["api:call-user-access:read"]}',
    "a key without scopes": '{"kind":"key","accessKey":"K","secret":"a-secret-of-twenty-characters"}',
    "a key with a bad scope": '{"kind":"key","accessKey":"K","secret":"a-secret-of-twenty-characters","scopes":[1]}',
    "a key with a bad hash": '{"kind":"key","accessKey":"K","secretHash":"x","scopes":["api:call-user-access:read"]}',
    "another company's key": '{"kind":"key","accessKey":"TAKEN","secret":"a-secret-of-twenty-characters",'
    '"scopes":["api:call-user-access:read"]}',
    "invalid UTF-8": b'{"kind":"company","companyId":"7","name":"\xff"}',
    "two values": '{"kind":"user","userId":"2"} {"kind":"user","userId":"3"}',
}
TAKEN = (
    '{"kind":"company","companyId":"9"}\n{"kind":"key","accessKey":"TAKEN","secret":"another-secret-of-characters",'
    '"scopes":["api:call-user-access:read"]}\n'
)


@test(
    "a bad line stops the load with file, line and reason, and nothing of the file stays",
    seconds=120,
)
def refuses_bad_lines(env):
    def work(store, server):
        load(env, store, TAKEN)
        before = dump(env, store)
        for name, line in BAD_LINES.items():
            line = line if isinstance(line, bytes) else line.encode()
            path = env.write(
                "bad.ndjson",
                "\n".join(GOOD_LINES).encode()
                + b"\n"
                + line
                + b"\n"
                + GOOD_LINES[1].encode()
                + b"\n",
            )
            done = env.run("load", path, "--store", store)
            check(done.returncode not in (0, -signal.SIGABRT), name, "was accepted")
            check_equal(
                done.stdout.count("\n") + done.stderr.count("\n"),
                1,
                name,
                "lines of",
                done.stdout,
                done.stderr,
            )
            check("bad.ndjson:4" in done.stderr, name, "without file and line:", done.stderr)
            check(
                len(done.stderr) > len("bad.ndjson:4") + 15, name, "without a reason:", done.stderr
            )
            check(
                "9" not in done.stderr.split("bad.ndjson:4")[1] or name != "another company's key",
                "names the company",
            )
            check_equal(dump(env, store), before, name, "changed the store")
        no_company = env.write("none.ndjson", '{"kind":"user","userId":"1"}\n')
        done = env.run("load", no_company, "--store", store)
        check(done.returncode != 0 and "none.ndjson:1" in done.stderr, done.stderr)
        done = env.run("load", env.path("missing.ndjson"), "--store", store)
        check(done.returncode != 0 and "missing.ndjson" in done.stderr, done.stderr)
        check_equal(dump(env, store), before)

    with_and_without_server(env, work)


@test("lines may be blank, end in CR LF or without an end, and hold members that nobody knows")
def takes_lines(env):
    text = (
        '\n{"kind":"company","companyId":"7","name":null,"color":{"a":[1]}}\r\n  \n{"kind":"user","userId":"1","managerId":null,'
        '"active":null,"profileIds":null}\n\n{"kind":"call","callId":"1","isPrivate":null,"partyUserIds":null}'
    )
    load(env, env.store(), text)
    check_equal(
        facts_of_dump(dump(env, env.store())),
        facts_of_dump(
            '{"kind":"company","companyId":"7"}\n{"kind":"user","userId":"1"}\n{"kind":"call","callId":"1"}'
        ),
    )


@test("a short secret is accepted with a warning, and no dump or log ever has a secret")
def warns_of_short_secrets(env):
    path = env.write(
        "short.ndjson",
        '{"kind":"company","companyId":"7"}\n'
        '{"kind":"key","accessKey":"K","secret":"shorty","scopes":["api:call-user-access:read"]}\n',
    )
    done = env.run("load", path, "--store", env.store())
    check_equal(done.returncode, 0, done.stderr)
    check(
        "short" in done.stderr.lower() and "shorty" not in done.stderr, "no warning:", done.stderr
    )
    text = dump(env, env.store())
    check("shorty" not in text and "secretHash" in text, text)
    for place, content in stored(env, env.store()):
        check(b"shorty" not in content, "the secret is in", place)
    check(any(b"api:call-user-access" in content for _, content in stored(env, env.store())))


def stored(env, store):
    """All that the store has written, as (place, bytes)."""
    if not env.is_embedded:
        yield "the database", env.databases.export(store).encode()
        return
    for folder, _, names in os.walk(store):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                yield name, file.read()


# --- keys


def ask(server, authorization):
    with server.connect() as connection:
        return connection.request("POST", PATH, GOOD["POST"], authorization).status


def create_key(env, store, *options):
    out = env.command(
        "key",
        "create",
        "--company",
        "1",
        "--scope",
        "api:call-user-access:read",
        *options,
        "--json",
        "--store",
        store,
    )
    made = json.loads(out)
    return made["accessKey"], made["secret"]


@test("a key made while the server runs works at once, and a revoked one stops at once")
def keys_work_at_once(env):
    server = serve(env)
    access_key, secret = create_key(env, server.store)
    check(len(secret) >= 20, "secret of", len(secret), "characters")
    with server.connect() as kept:
        for _ in range(3):
            check_equal(
                kept.request("POST", PATH, GOOD["POST"], basic(access_key, secret)).status, 200
            )
        check_equal(
            kept.request("PUT", PATH, GOOD["PUT"], basic(access_key, secret)).status,
            401,
            "beyond its scope",
        )
        listed = env.command("key", "list", "--store", server.store)
        check(access_key in listed and secret not in listed, listed)
        env.command("key", "revoke", access_key, "--store", server.store)
        check_equal(
            kept.request("POST", PATH, GOOD["POST"], basic(access_key, secret)).status,
            401,
            "after revocation",
        )
        check_answer(kept.request("POST", PATH, GOOD["POST"], ALL), 200)
    check(access_key not in env.command("key", "list", "--store", server.store), "still listed")
    done = env.run("key", "revoke", access_key, "--store", server.store)
    check(done.returncode != 0 and done.stderr.count("\n") == 1, "revoked twice:", done.stderr)
    server.kill()
    server = Server(env)
    check_equal(ask(server, basic(access_key, secret)), 401, "after a crash")


@test("a key expires when it says so, and keys can be made without a server")
def keys_expire(env):
    load(env, env.store(), RECORDS)
    end = int(time.time()) + 8  # time enough for two commands and a start, on a slow machine
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    expiring = basic(*create_key(env, env.store(), "--expires", soon))
    lasting = basic(*create_key(env, env.store()))
    server = Server(env)
    check_equal(ask(server, expiring), 200)
    time.sleep(max(0, end + 0.1 - time.time()))
    check_equal(ask(server, expiring), 401)
    check_equal(ask(server, lasting), 200)


@test("key create refuses what it cannot make")
def key_create_refuses(env):
    load(env, env.store(), RECORDS)
    for options in (
        ["--company", "1"],
        ["--company", "77", "--scope", "api:call-user-access:read"],
        ["--company", "1", "--scope", "x"],
        ["--company", "1", "--scope", "no scope"],
        ["--scope", "api:call-user-access:read"],
        ["--company", "x", "--scope", "api:call-user-access:read"],
        ["--company", "1", "--scope", "api:call-user-access:read", "--expires", "tomorrow"],
    ):
        done = env.run("key", "create", *options, "--store", env.store())
        check(done.returncode != 0, options, done.stdout)
        check(done.stderr.strip() and not done.stdout, options, done.stdout, done.stderr)


# --- the control socket


@test(
    "the control socket is for its owner alone, and gone or harmless when the server is",
    stores=("embedded",),
)
def control_socket(env):
    server = serve(env)
    sockets = [
        name
        for name in os.listdir(server.store)
        if stat.S_ISSOCK(os.stat(os.path.join(server.store, name)).st_mode)
    ]
    check_equal(len(sockets), 1, "sockets in", os.listdir(server.store))
    path = os.path.join(server.store, sockets[0])
    check_equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the socket")
    for junk in (b"", b"\0", b"x" * 100_000, b"dump\0\0", os.urandom(300)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as raw:
            raw.connect(path)
            raw.settimeout(10)
            try:
                raw.sendall(junk)
                raw.shutdown(socket.SHUT_WR)
                raw.recv(100)
            except OSError:
                pass
    check("company" in dump(env, server.store), "no dump after junk")
    server.kill()
    check("company" in dump(env, server.store), "no dump after a crash")
    server = Server(env)
    check("company" in dump(env, server.store), "no dump after the restart")


@test("commands say so when there is no data directory, and make none", stores=("embedded",))
def commands_need_a_store(env):
    for arguments in (
        ["dump"],
        ["verify"],
        ["key", "list"],
        ["key", "revoke", "K"],
        ["backup", env.path("copy")],
    ):
        done = env.run(*arguments, "--store", env.path("nothing"))
        check(done.returncode != 0, arguments, done.stdout)
        check_equal(done.stderr.count("\n"), 1, arguments, done.stderr)
        check(not os.path.exists(env.path("nothing")), arguments, "made a store")


# --- the demo


@test("--demo serves the documentation's examples")
def serves_demo(env):
    server = Server(env, "--demo")
    key = basic("ACME", "acme-secret")
    call, user = "7782342274025937895", "234599484848423"
    with server.connect() as connection:
        read = {"filter": {"callIds": [call]}}
        check_answer(connection.request("POST", PATH, read, key), 200)
        pairs = {"callAccessList": [{"callId": call, "userIds": [user]}]}
        check_answer(connection.request("DELETE", PATH, pairs, key), 200)
        check_answer(connection.request("PUT", PATH, pairs, key), 200)
        listed = check_answer(connection.request("POST", PATH, read, key), 200)["callAccessList"]
        check_equal(listed, [{"callId": call, "users": [{"userId": user}]}])
    server.stop()
    server = Server(env, "--demo")
    check(server.start_seconds < 20)


# --- big loads


def big_records(path, lines):
    """A company of about that many lines, written as fast as may be."""
    calls = lines * 6 // 10
    users = 2000
    grants_and_shares = lines - calls - users - 1
    with open(path, "w") as file:
        file.write('{"kind":"company","companyId":"1","name":"Big"}\n')
        file.writelines(
            '{"kind":"user","userId":"%d","managerId":"%d"}\n' % (n, n // 7 + 1)
            for n in range(1, users + 1)
        )
        file.writelines(
            '{"kind":"call","callId":"%d","workspaceId":"10","title":"Call %d","primaryUserId":"%d"}\n'
            % (n + 10_000, n, n % users + 1)
            for n in range(calls)
        )
        file.writelines(
            '{"kind":"%s","callId":"%d","userId":"%d"}\n'
            % ("grant" if n % 2 else "share", n % calls + 10_000, n * 7 % users + 1)
            for n in range(grants_and_shares)
        )
    return lines


def watch_peak(pid, stop):
    """The largest resident memory of a process until it ends or stop is set."""
    peak = 0
    while not stop.is_set():
        try:
            with open(f"/proc/{pid}/status") as file:
                for line in file:
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]) * 1024)
        except OSError:
            break
        stop.wait(0.05)
    return peak


def run_measured(env, *arguments, seconds):
    """Runs a command: (exit code, output, seconds, peak bytes)."""
    began = time.monotonic()
    process = env.spawn(
        env.binary,
        *arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    stop = threading.Event()
    peak = []
    watcher = threading.Thread(target=lambda: peak.append(watch_peak(process.pid, stop)))
    watcher.start()
    _, errors = process.communicate(timeout=seconds)
    stop.set()
    watcher.join()
    return process.returncode, errors, time.monotonic() - began, peak[0]


@test("a big load takes bounded memory, offline and through a server", seconds=400)
def loads_much(env):
    path = env.path("big.ndjson")
    lines = big_records(path, env.options.lines)
    code, errors, seconds, peak = run_measured(
        env, "load", path, "--store", env.store("offline"), seconds=300
    )
    check_equal(code, 0, errors)
    limit = 700 << 20
    check(peak < limit, "load took", peak >> 20, "MiB")
    env.note(f"{lines} lines offline in {seconds:.1f} s, {peak >> 20} MiB")
    server = Server(env, store=env.store("online"))
    before = server.status("VmRSS")
    code, errors, seconds, peak = run_measured(
        env, "load", path, "--store", server.store, seconds=300
    )
    check_equal(code, 0, errors)
    check(peak < 200 << 20, "the command itself took", peak >> 20, "MiB")
    check(
        server.status("VmHWM") < limit,
        "the server grew from",
        before >> 20,
        "to",
        server.status("VmHWM") >> 20,
        "MiB",
    )
    env.note(f"through a server in {seconds:.1f} s, {server.status('VmHWM') >> 20} MiB")
    with open(env.path("dump.ndjson"), "w") as file:
        subprocess.run(
            [env.binary, "dump", "--store", server.store], stdout=file, check=True, timeout=120
        )
    with open(env.path("dump.ndjson")) as file:
        check_equal(sum(1 for _ in file), lines, "lines of the dump")
    done = env.run("verify", "--store", server.store, seconds=120)
    check_equal(done.returncode, 0, done.stdout, done.stderr)


@test(
    "a load that is killed in the middle leaves nothing applied, or was done already", seconds=240
)
def killed_load(env):
    path = env.path("big.ndjson")
    lines = big_records(path, min(env.options.lines, 150_000))
    store = env.store()
    load(
        env,
        store,
        RECORDS.replace('"companyId":"1"', '"companyId":"5"').replace(
            '"companyId":"2"', '"companyId":"6"'
        ),
    )
    before = dump(env, store)
    absent = 0

    def check_after(code, what):
        """Whether nothing of the load is there; else all of it must be."""
        env.settle(store)
        after = dump(env, store)
        if after == before:
            check(code != 0, what, "was acknowledged and is lost")
            return True
        check_equal(after.count("\n"), before.count("\n") + lines, "lines after", what)
        load(env, store, '{"kind":"company","companyId":"1","remove":true}\n')
        check_equal(dump(env, store), before, "after removing the company of", what)
        return False

    def start_load():
        return env.spawn(
            env.binary,
            "load",
            path,
            "--store",
            store,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    for delay in (0.03, 0.1, 0.3, 0.6, 1.0):
        process = start_load()
        time.sleep(delay * env.random.uniform(0.8, 1.2))
        process.kill()
        absent += check_after(process.wait(), f"a load killed after {delay} s")
    # The same through a server: first its command is killed, then the server itself.
    server = Server(env, store=store)
    process = start_load()
    time.sleep(env.random.uniform(0.05, 0.4))
    process.kill()
    code = process.wait()
    time.sleep(0.5)
    absent += check_after(code, "a load whose command was killed")
    process = start_load()
    time.sleep(env.random.uniform(0.05, 0.4))
    server.kill()
    absent += check_after(process.wait(30), "a load whose server was killed")
    check(absent > 1, "the load was faster than most kills")
    done = env.run("verify", "--store", store, seconds=60)
    check_equal(done.returncode, 0, done.stdout, done.stderr)
