"""`earshot changes|refusals|keys` against a server: the record as people and scripts read it, one who
follows while servers come and go, and keys that are made and ended."""

import json
import os
import queue
import signal
import subprocess
import threading
import time

from flaky import LOST, Flaky, refusal
from harness import Failure, check, check_equal, clean_environment, suite, wait_until
from server import Server, free_port
from suites.access_fixture import RECORDS
from suites.cli import BROKEN, NO_ANSWER, REFUSED, YES, Cli

tests, test = suite()

SCOPES = ["earshot:access:read", "earshot:audit:read", "earshot:grants:write", "earshot:keys:write"]
KEY = "AUDIT:audit-secret-of-twenty-characters"
AUDIT = json.dumps(
    {"kind": "key", "accessKey": "AUDIT", "secret": KEY.split(":")[1], "scopes": SCOPES}
)


def serve(env, *options, **more):
    """The company of access_fixture, with a key for all that is asked here."""
    company, *rest = RECORDS.strip().splitlines()
    records = "\n".join([company, AUDIT, *rest])
    return Server(env, "--load", env.write("audit.ndjson", records), *options, **more)


def audit(env, url, **variables):
    return Cli(env, url, key=KEY, **variables)


class Follower:
    """`earshot changes --follow`, running."""

    def __init__(self, env, url, *options, key=KEY):
        self.lines = queue.Queue()
        self.process = env.spawn(
            env.binary,
            "changes",
            "--follow",
            *map(str, options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=env.directory,
            env=clean_environment({"EARSHOT_SERVER": url, "EARSHOT_KEY": key, "no_proxy": "*"}),
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def take(self, count, seconds=30):
        """The next lines, without their times."""
        taken = []
        deadline = time.monotonic() + seconds
        while len(taken) < count:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                check(False, "after", seconds, "s there were only", taken)
            if line is None:
                raise Failure(f"it ended behind {taken}: {self.process.stderr.read()}")
            taken.append(line.split("\t")[1:])
        return taken

    def end(self, signal_number=None, seconds=30):
        """Its exit code and what it said on standard error; nothing may be left unread."""
        if signal_number:
            self.process.send_signal(signal_number)
        code = self.process.wait(seconds)
        check_equal(self.lines.get(timeout=10), None, "more was printed")
        return code, self.process.stderr.read()


@test("the record is told in words and as JSON, and loaded elsewhere gives the same", seconds=60)
def record(env):
    server = serve(env)
    cli = audit(env, server.url)
    first = cli("changes", "--json").json[-1]["revision"]
    cli("give", 45, 100, "--expires", "2099-01-01", "--note", "for \x1b[31mOlga")
    cli("give", 45, 100)
    cli("remove", 45, 100)
    rows = [
        [str(first + 1), "AUDIT", "gave 45 the call 100, until 2099-01-01T00:00:00Z, noting \"for ?[31mOlga\""],
        [str(first + 2), "AUDIT", "gave 45 the call 100 anew"],
        [str(first + 3), "AUDIT", "took the call 100 from 45"],
    ]
    check_equal([row[1:] for row in cli("changes", "--after", first).rows], rows)
    check_equal([row[1:] for row in cli("changes", "-n", 2).rows], rows[1:])
    check_equal([row[1:] for row in cli("changes", "--call", 100, "--user", 45).rows], rows)
    check_equal(cli("changes", "--after", first, "--call", 101).out, "")
    everything = cli("changes").rows
    check_equal([row[1:] for row in everything[-3:]], rows)
    check_equal(everything[0][2:], ["operator", 'put company 1 "Acme"'])
    shown = cli.shown("changes", "--last", 1).splitlines()
    check_equal(shown[0].split(), ["TIME", "REVISION", "BY", "CHANGE"])
    check("took the call 100 from 45" in shown[1], shown)

    told = cli("changes", "--json").json
    check_equal([line["revision"] for line in told if line["complete"]], [*range(1, first + 4)])
    records = [change["record"] for line in told for change in line["changes"]]
    lines = "".join(json.dumps(one) + "\n" for one in records)
    replayed = env.write("replayed.ndjson", lines)
    other = env.store("replayed")
    env.command("load", replayed, "--store", other)
    dumped = [json.loads(line) for line in env.command("dump", "--store", server.store).splitlines()]
    again = [json.loads(line) for line in env.command("dump", "--store", other).splitlines()]
    begins = [at for at, one in enumerate(dumped) if one["kind"] == "company"]
    check_equal(dumped[begins[0]]["companyId"], "1")
    check_equal(again, dumped[: begins[1]])
    cli("changes", "--after", 999999, code=REFUSED, err="after")
    gong = "GONG:gong-secret-of-twenty-characters"
    cli("changes", code=REFUSED, err="'earshot:audit:read'", EARSHOT_KEY=gong)


@test("one who follows is told at once, over kills and restarts, each change once", seconds=120)
def follows(env):
    port = free_port()
    listen = f"127.0.0.1:{port}"
    server = serve(env, listen=listen)
    store = server.store
    cli = audit(env, server.url)
    newest = cli("changes", "--json", "-n", 1).json[-1]["revision"]
    cli("give", 45, 100)
    follower = Follower(env, server.url, "--after", newest)
    wanted = [[str(newest + 1), "AUDIT", "gave 45 the call 100"]]
    check_equal(follower.take(1), wanted)
    began = time.monotonic()
    cli("remove", 45, 100)
    check_equal(follower.take(1), [[str(newest + 2), "AUDIT", "took the call 100 from 45"]])
    check(time.monotonic() - began < 3, "told after", time.monotonic() - began)
    revision = newest + 2
    for kind in ("kill", "stop", "kill"):
        # Some before it goes, without waiting for them to be told; the rest when it is back.
        for verb in ("give", "remove"):
            cli(verb, 45, 100)
        server.kill() if kind == "kill" else server.stop()
        env.settle(store)
        server = Server(env, store=store, listen=listen)
        for verb in ("give", "remove"):
            cli(verb, 45, 100)
        wanted = []
        for text in ("gave 45 the call 100", "took the call 100 from 45") * 2:
            revision += 1
            wanted.append([str(revision), "AUDIT", text])
        check_equal(follower.take(4), wanted, kind)
    code, err = follower.end(signal.SIGINT)
    check_equal(code, -signal.SIGINT)
    check(err.count("goes on behind") <= 3, err)
    check_equal(err.count("\n"), err.count("earshot: "), err)
    # Without more it begins with the last ten.
    follower = Follower(env, server.url)
    check_equal([row[0] for row in follower.take(10)], [str(revision - i) for i in range(9, -1, -1)])
    follower.end(signal.SIGTERM)


@test("one who follows ends when the key is revoked, and when nobody reads on", seconds=60)
def follows_no_more(env):
    server = serve(env)
    cli = audit(env, server.url)
    key = cli("keys", "create", "--scope", "earshot:audit:read").out.strip()
    name = key.split(":")[0]
    # What it begins with shows that it follows: a give before that would not be told.
    follower = Follower(env, server.url, "-n", 1, key=key)
    check_equal(follower.take(1)[0][2], f"put key {name} for earshot:audit:read")
    cli("give", 45, 100)
    check_equal(follower.take(1)[0][2], "gave 45 the call 100")
    cli("keys", "revoke", name)
    # The revocation itself may be told before it holds for what is under way.
    code = follower.process.wait(40)
    check_equal(code, REFUSED)
    check("Access denied" in follower.process.stderr.read(), "no reason is given")

    began = time.monotonic()
    shell = f"{env.binary} changes --follow | head -n 2; exit ${{PIPESTATUS[0]}}"
    code, text = env.run_on_terminal("bash", "-c", shell, environment=cli.variables)
    check_equal(code, YES, text)
    check_equal(len(text.splitlines()), 2, text)
    check(time.monotonic() - began < 20, "ended after", time.monotonic() - began)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [env.binary, "changes", "--follow"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            env=clean_environment(cli.variables),
        )
    check_equal(done.returncode, BROKEN, done.stderr)


@test("keys are made, used, rotated and revoked, and their secrets shown once", seconds=60)
def keys(env):
    server = serve(env)
    cli = audit(env, server.url)
    made = cli("keys", "create", "--scope", "earshot:access:read", "--expires", "30d").out
    path = env.write("made.key", made)
    os.chmod(path, 0o600)
    reader = Cli(env, server.url, key=None)
    reader("check", 31, 100, "--key-file", path)
    name, secret = made.strip().split(":")
    listed = {row[0]: row for row in cli("keys").rows}
    check_equal(set(listed), {"AUDIT", "FULL", "GONG", name})
    check_equal(listed[name][1], "earshot:access:read")
    check(listed[name][2].endswith("Z"), listed[name])
    check_equal(listed["AUDIT"][2], "never")
    check_equal(listed["GONG"][3], "never")
    check(secret not in cli("keys", "list", "--json").out, "a secret is listed")
    err = "directory:write"
    cli("keys", "create", "--scope", "earshot:directory:write", code=REFUSED, err=err)
    rotated = cli("keys", "rotate", name, "--overlap", "12h", err=f"the key {name} ends ").out
    check(rotated.split(":")[0] not in listed, rotated)
    for key in (made, rotated):
        Cli(env, server.url, key=key.strip())("check", 31, 100)
    check_equal(cli("keys", "revoke", name).out, f"revoked {name}\n")
    err = "Access denied"
    reader("check", 31, 100, "--key-file", path, code=REFUSED, err=err)
    Cli(env, server.url, key=rotated.strip())("check", 31, 100)
    cli("keys", "revoke", name, code=REFUSED, err="status 404")
    cli("keys", "revoke", "OTHER", code=REFUSED, err="status 404")
    told = cli("changes", "-n", 3).rows
    check_equal(told[-1][3], f"removed key {name}")


@test("a key whose answer was lost is not made twice, and that is said", seconds=60)
def lost_keys(env):
    server = serve(env)
    with Flaky(server.address) as flaky:
        cli = audit(env, flaky.url)
        before = len(cli("keys").rows)
        for words in (
            ("keys", "create", "--scope", "earshot:access:read"),
            ("keys", "rotate", "AUDIT"),
        ):
            flaky.take()
            flaky.faults = [LOST]
            cli(*words, code=NO_ANSWER, err="Whether a key was made is not known")
            check_equal(len(flaky.take()), 1, "requests")
            flaky.faults = [refusal(503, "Service Unavailable")]
            cli(*words, code=NO_ANSWER, err="Whether a key was made is not known")
            check_equal(len(flaky.take()), 1, "requests")
        check_equal(len(cli("keys").rows), before + 2)
        flaky.faults = [LOST]
        cli("keys", "revoke", "GONG", code=NO_ANSWER, err="Whether GONG was revoked is not known")
        cli("keys", "revoke", "GONG", code=REFUSED, err="status 404")


@test("refusals are listed for the company whose key it was", seconds=60)
def refusals(env):
    server = serve(env)
    cli = audit(env, server.url)
    other = "OTHER:other-secret-of-twenty-characters"
    cli("who", 100, code=REFUSED, err="Access denied", EARSHOT_KEY="AUDIT:not-its-secret")
    cli("keys", code=REFUSED, err="Access denied", EARSHOT_KEY="NOBODY:no-secret-of-anybodys")
    cli("keys", code=REFUSED, err="'earshot:keys:write'", EARSHOT_KEY=other)

    def told():
        return cli("refusals").rows

    wait_until(lambda: len(told()) > 0, 30, "refusals that are told")
    rows = told()
    check_equal([row[1:4:2] for row in rows], [["credentials", "AUDIT"]], rows)
    check_equal(cli("refusals", "--limit", 1, "--json").json[0]["reason"], "credentials")
    cli("refusals", code=REFUSED, err="'earshot:audit:read'", EARSHOT_KEY=other)


@test("what retention cut off is said, and never passed over in silence", seconds=120)
def cut_off(env):
    server = serve(env, "--store-retention-revisions", 3)
    cli = audit(env, server.url)
    for _ in range(4):
        cli("give", 45, 100)
        cli("remove", 45, 100)

    def is_cut():
        # Without a position it begins with what there is, and says where.
        done = subprocess.run(
            [env.binary, "changes", "--json"],
            capture_output=True,
            text=True,
            env=clean_environment(cli.variables),
        )
        check_equal(done.returncode, 0, done.stderr)
        return "are not kept any more" in done.stderr and done.stdout

    wait_until(is_cut, 90, "a record that is cut")
    first = json.loads(is_cut().splitlines()[0])["revision"]
    cli("changes", "--after", 0, code=REFUSED, err=str(first - 1))
    cli("changes", "--after", 0, "--follow", code=REFUSED, err="status 410")
