"""`earshot why|check|who|list|give|remove` against a server: what people and scripts are told, what
happens when no answer comes, and that what `why` says would open a call does open it."""

import json
import os
import re
import subprocess
import time

from flaky import DROPPED, LOST, Flaky, raw_answer, refusal
from harness import Failure, check, check_equal, clean_environment, suite
from server import Server, free_port
from suites.access import TRUTH
from suites.access_fixture import CALLS, RECORDS, USERS, Asker, serve
from suites.wire_http import make_certificate

tests, test = suite()

SECRET = "full-secret-of-twenty-characters"
KEY = f"FULL:{SECRET}"
YES, NO, MISUSED, REFUSED, NO_ANSWER, BROKEN = range(6)
COMPANY = '{"kind":"company","companyId":"1"}\n'


class Done:
    """How a command ended."""

    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    @property
    def rows(self):
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def json(self):
        return [json.loads(line) for line in self.out.splitlines()]


class Cli:
    """The program, asking one server with one key."""

    def __init__(self, env, url, key=KEY, **variables):
        self.env = env
        self.variables = {"EARSHOT_SERVER": url, "no_proxy": "*", **variables}
        if key:
            self.variables["EARSHOT_KEY"] = key

    def __call__(self, *words, code=YES, input="", err=None, **variables):
        """Runs a command, which must end with the code, and in whose output the secret must not
        be. `err` is part of what it says on standard error; where None, that is nothing."""
        done = subprocess.run(
            [self.env.binary, *map(str, words)],
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.env.directory,
            env=clean_environment({**self.variables, **variables}),
        )
        check_equal(done.returncode, code, words, done.stdout[-500:], done.stderr)
        check("-secret" not in done.stdout + done.stderr, "the secret is in the output of", words)
        if err is None:
            check_equal(done.stderr, "", words, "standard error")
        else:
            check(err in done.stderr, words, "says", done.stderr, "and not", err)
            check_equal(done.stderr.count("\n"), done.stderr.count("earshot: "), done.stderr)
        return Done(done.returncode, done.stdout, done.stderr)

    def shown(self, *words, code=YES):
        """What a person sees."""
        got, text = self.env.run_on_terminal(
            self.env.binary, *words, environment=self.variables
        )
        check_equal(got, code, words, text)
        check("-secret" not in text, "the secret is shown by", words)
        return text


def load(env, server, records):
    """Applies records of the company while it is served."""
    lines = COMPANY + "".join(json.dumps(record) + "\n" for record in records)
    env.command("load", env.write("change.ndjson", lines), "--store", server.store)


# --- what is told


@test("people get tables, scripts get columns between tabs, and both the same", seconds=60)
def tables(env):
    cli = Cli(env, serve(env).url)
    check_equal(
        cli.shown("check", 34, 101, 100, code=NO),
        "USER  CALL  ACCESS  BY\n"
        "34    101   no      call is private\n"
        "34    100   no      grant expired on 2020-01-01T00:00:00Z\n",
    )
    check_equal(
        cli("check", 34, 101, 100, code=NO).rows,
        [
            ["34", "101", "no", "call is private"],
            ["34", "100", "no", "grant expired on 2020-01-01T00:00:00Z"],
        ],
    )
    check_equal(
        cli.shown("who", 101), "USER  BY\n31    participant\n33    shared\n40    individual\n"
    )
    check_equal(
        cli("who", 101).rows, [["31", "participant"], ["33", "shared"], ["40", "individual"]]
    )
    check_equal(
        cli.shown("list", 30),
        "CALL  BY\n100   individual until 2090-01-01T00:00:00Z, profile 20 (report-to-them)\n",
    )
    profile = "profile 20 (report-to-them)"
    check_equal(cli("list", 31, "--way", "profile").rows, [["100", f"participant, {profile}"]])
    check_equal(
        cli("list", 40, "--way", "individual", "--way=shared").rows, [["101", "individual"]]
    )
    check_equal(cli.shown("list", 45), "no calls\n")
    check_equal(cli("list", 45).out, "")
    # Of those who were given it, the inactive and the expired are told as Gong's API tells them.
    check_equal(cli("list", "--call", 100, "--call", 101).rows, [["30", "100"], ["40", "101"]])
    check_equal(cli.shown("list", "--call", 101), "USER  CALL\n40    101\n")
    check_equal(cli("list", 43, err="they hear nothing: user inactive").out, "")

    check_equal(
        cli.shown("give", 45, 100, "--expires", "2099-01-01", "--note", "for \x1b[31mOlga"),
        "USER  CALL  RESULT  EXPIRES               NOTE\n"
        "45    100   given   2099-01-01T00:00:00Z  for ?[31mOlga\n",
    )
    text = " ".join(cli.shown("why", 45, 100).split())
    check("Its note: for ?[31mOlga" in text, "a terminal was told to obey:", text)
    check_equal(
        cli("give", 45, 100).rows + cli("give", 33, 100).rows + cli("give", 45, 100).rows,
        [
            ["45", "100", "changed", "", ""],
            ["33", "100", "no effect: shared", "", ""],
            ["45", "100", "already", "", ""],
        ],
    )
    check_equal(cli("remove", "--all-of-user", 45, "--dry-run").rows[0][2], "removed")
    check_equal(cli("remove", 45, 100).rows, [["45", "100", "removed", "", ""]])
    check_equal(cli("remove", "--all-of-user", 45).out, "")
    check_equal(
        cli.shown("remove", "--all-of-call", 101),
        "USER  CALL  RESULT   EXPIRES  NOTE\n40    101   removed\n",
    )


@test("JSON is what the API says, one object a line, and is taken again as pairs", seconds=60)
def json_lines(env):
    server = serve(env)
    cli = Cli(env, server.url)
    with Asker(server) as asker:
        pairs = [(call, user) for call in CALLS for user in USERS]
        typed = "# user call\n\n" + "".join(f"{user},{call}\n" for call, user in pairs)
        lines = cli("check", "--from", "-", "--json", "--batch", 7, code=NO, input=typed)
        revision = asker.page("calls", 100)["revision"]
        for line, truth in zip(lines.json, asker.check(pairs), strict=True):
            check_equal(line.pop("revision"), revision, "revision")
            check(line.pop("at").endswith("Z"), line)
            check_equal(line, truth)
        again = cli("check", "--from", "-", code=NO, input=lines.out)
        check_equal([row[:2] for row in again.rows], [[str(u), str(c)] for c, u in pairs])
        for call in CALLS:
            told = {int(line["userId"]): line["ways"] for line in cli("who", call, "--json").json}
            check_equal(told, asker.everybody(call), call)
        for user in set(USERS) - {43}:
            told = {int(line["callId"]): line["ways"] for line in cli("list", user, "--json").json}
            check_equal(told, asker.everything(user), user)
        ways = cli("why", 30, 100, "--json").json[0]
        check_equal(ways["ways"], asker.check([(100, 30)])[0]["ways"])
        note = 'a "note"\n\x1b'
        given = cli("give", 45, 102, 101, "--note", note, "--expires", "2098-01-01", "--json").json
        for line, call in zip(given, ("102", "101"), strict=True):
            check(line.pop("requestId"), line)
            check_equal(
                line,
                {
                    "callId": call,
                    "userId": "45",
                    "result": "given",
                    "expiresAt": "2098-01-01T00:00:00Z",
                    "note": note,
                    "revision": revision + 1,
                },
            )
        kept = cli("list", 45, "--way", "individual", "--json")
        dry = cli("remove", "--from", "-", "--dry-run", "--json", input=kept.out).json
        check_equal([line["dryRun"] for line in dry], [True, True])
        removed = cli("remove", "--from", "-", input=kept.out)
        check_equal([row[2] for row in removed.rows], ["removed", "removed"])
        check_equal(asker.everything(45), {})


@test("the exit code tells scripts what came of it", seconds=60)
def exit_codes(env):
    server = serve(env)
    cli = Cli(env, server.url)
    env.write("bad", "34 100\n34 x\n")
    env.write("long", "34 100 " + "x" * 70_000)
    env.write("none", "# nobody\n")
    rows = [
        (YES, "check 31 100 101", None),
        (NO, "check 31 100 102", None),
        (NO, "check 31 999", None),
        (YES, "check --from none", None),
        (YES, "why 31 100", None),
        (NO, "why 34 101", None),
        (NO, "why 34 999", None),
        (YES, "who 102", None),
        (YES, "list 45", None),
        # What is as it was to be is no failure: it may be asked for twice, like rm -f.
        (YES, "give 45 100", None),
        (YES, "give 45 100", None),
        (YES, "give 33 100", None),
        (YES, "remove 45 100", None),
        (YES, "remove 45 100", None),
        (YES, "remove 34 100", None),
        (YES, "remove 33 100 101", None),
        # Unknown ids are: whoever wrote them meant something else. The others are done.
        (NO, "give 45 999 100", None),
        (YES, "check 45 100", None),
        (NO, "remove 45 999 100", None),
        (NO, "check 45 100", None),
        (NO, "remove 999 100", None),
        (MISUSED, "why 34", "usage: earshot why USER CALL"),
        (MISUSED, "why 34 x", "'x' is no id"),
        (MISUSED, "wy 34 100", "no such command: wy"),
        (MISUSED, "why 34 100 --verbose", "--verbose; see earshot why --help"),
        (MISUSED, "check --from bad", "bad:2: give a user's id and a call's"),
        (MISUSED, "check --from long", "long:1: the line is longer"),
        (MISUSED, "give --from absent", "cannot open absent"),
        (MISUSED, "give 34 100 --expires 30", "'30' is neither a time"),
        (MISUSED, "remove", "--all-of-user ID"),
        (MISUSED, "remove --all-of-user 34 --if-revision x", "--if-revision"),
        (REFUSED, "who 999", "Call ID 999 was not found"),
        (REFUSED, "list 999", "User ID 999 was not found"),
        (REFUSED, "list --call 999", "callIds not found: 999"),
        (REFUSED, "remove --all-of-call 999", "Call ID 999 was not found"),
        (REFUSED, "give 34 100 --expires 2020-01-01", "refused: grants[0].expiresAt: must be"),
        (REFUSED, "give 45 100 --if-revision 0", "callIds changed: 100"),
        (REFUSED, "check 34 100 --revision 999999", "is later than the newest"),
        (REFUSED, "check 34 100 --at 2999-01-01", "2999-01-01T00:00:00Z is later than now"),
    ]
    for code, words, err in rows:
        cli(*words.split(), code=code, err=err)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [env.binary, "who", "100"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(cli.variables),
        )
    check_equal(done.returncode, BROKEN, done.stderr)
    # A reader that has enough is no reason for a stack trace, and not for exit code 0.
    shell = f"{env.binary} who 100 | head -n 1; exit ${{PIPESTATUS[0]}}"
    code, text = env.run_on_terminal("bash", "-c", shell, environment=cli.variables)
    check(code in (YES, BROKEN) and text.startswith("30\t"), code, text)


@test("keys come from the environment or a file that is nobody else's, and are never shown")
def keys(env):
    server = serve(env)
    cli = Cli(env, server.url, key=None)
    file = env.write("key", KEY + "\nanother line\n")
    for mode, code, err in (
        (0o644, MISUSED, "key has mode 0644, so others may read the key: run chmod 600 key"),
        (0o640, MISUSED, "chmod 600 key"),
        (0o604, MISUSED, "chmod 600 key"),
        (0o600, YES, None),
        (0o400, YES, None),
    ):
        os.chmod(file, mode)
        cli("check", 31, 100, "--key-file", "key", code=code, err=err)
        cli("check", 31, 100, code=code, err=err, EARSHOT_KEY_FILE="key")
    cli("check", 31, 100, code=MISUSED, err="no key: set EARSHOT_KEY")
    cli("check", 31, 100, "--key-file", "key", code=MISUSED, err="give one", EARSHOT_KEY=KEY)
    cli("check", 31, 100, "--key", KEY, code=MISUSED, err="--key: a secret on the command line")
    for key in ("", "FULL", ":x", "FULL:", SECRET):
        err = "a key is written accessKey:secret"
        cli("check", 31, 100, code=MISUSED, err=err, EARSHOT_KEY=key)
    for key in ("FULL:wrong-secret", "NOBODY:wrong-secret"):
        refused = "refused: Access denied; check EARSHOT_KEY or --key-file (status 401"
        for words in (("check", 31, 100), ("who", 100), ("give", 45, 100), ("list", "--call", 100)):
            cli(*words, code=REFUSED, err=refused, EARSHOT_KEY=key)
    gong = "GONG:gong-secret-of-twenty-characters"
    cli("list", "--call", 100, EARSHOT_KEY=gong)
    cli("why", 31, 100, code=REFUSED, err="'earshot:access:read'", EARSHOT_KEY=gong)
    cli("give", 45, 100, code=REFUSED, err="'earshot:grants:write'", EARSHOT_KEY=gong)
    other = "OTHER:other-secret-of-twenty-characters"
    check_equal(cli("check", 30, 101, code=NO, EARSHOT_KEY=other).rows[0][3], "unknown call")

    # While it asks, others see its command line and the names of its files.
    with Flaky(server.address) as flaky:
        seen = []

        def look():
            for name in os.listdir("/proc"):
                if not name.isdigit():
                    continue
                try:
                    with open(f"/proc/{name}/cmdline", "rb") as line:
                        words = line.read()
                except OSError:
                    continue
                if flaky.url.encode() in words:
                    seen.append(words)

        flaky.faults = [look, look]
        cli("check", 31, 100, "--server", flaky.url, "--key-file", "key")
        cli("check", 31, 100, "--server", flaky.url, EARSHOT_KEY=KEY)
    check_equal(len(seen), 2, "processes seen")
    check(all(b"-secret" not in words for words in seen), seen)


@test("the past is told by revision and by time", seconds=60)
def past(env):
    server = serve(env)
    cli = Cli(env, server.url)
    before = cli("check", 45, 100, "--json", code=NO).json[0]["revision"]
    given = cli("give", 45, 100, "--json").json[0]["revision"]
    at = cli("check", 45, 100, "--revision", given, "--json").json[0]["at"]
    time.sleep(0.01)
    cli("remove", 45, 100)
    for query in (["--revision", given], ["--at", at]):
        check_equal(cli("check", 45, 100, *query).rows, [["45", "100", "yes", "individual"]])
        check(["45", "individual"] in cli("who", 100, *query).rows, query)
        check_equal(cli("list", 45, *query).rows, [["100", "individual"]])
        text = cli("why", 45, 100, *query).out
        check("could hear call 100" in text and "They had been given it" in text, text)
    for query in (["--revision", before], []):
        cli("check", 45, 100, *query, code=NO)
        check_equal(cli("list", 45, *query).out, "")
    check_equal(cli("who", 100, "--revision", given, "--json").json[0]["revision"], given)
    text = cli("why", 45, 100, "--revision", before, code=NO).out
    check("could not hear call 100" in text and "would have opened it" in text, text)
    check_equal(
        cli("check", 45, 100, "--at", "2001-01-01T01:00:00+01:00", code=NO).rows[0][3],
        "unknown call",
    )


# --- what would have to change


class Openings:
    """Does what `why` says would open a call, and takes it back. `records` is what was loaded."""

    def __init__(self, env, server, cli):
        self.env, self.server, self.cli = env, server, cli
        self.company = []
        for line in RECORDS.strip().splitlines():
            record = json.loads(line)
            if record["kind"] == "company" and record["companyId"] != "1":
                break
            self.company.append(record)

    def find(self, kind, number):
        name = f"{kind}Id"
        return next(r for r in self.company if r["kind"] == kind and r[name] == str(number))

    def try_change(self, user, call, kind, number, **members):
        """With these members of a record, the user must hear the call."""
        record = self.find(kind, number)
        self.try_records(user, call, [{**record, **members}], [record])

    def try_records(self, user, call, records, undo):
        load(self.env, self.server, records)
        try:
            self.cli("why", user, call)
        finally:
            load(self.env, self.server, undo)

    def try_opening(self, user, call, what, how):
        """`what` of the alternatives, and the line below it, which says how."""
        record = self.find("call", call)
        if how.startswith("earshot give "):
            check_equal(self.cli(*how.split()[1:]).rows[0][2], "given")
            self.cli("why", user, call)
            check_equal(self.cli("remove", user, call).rows[0][2], "removed")
        elif how.startswith("the record "):
            share = json.loads(how.removeprefix("the record "))
            self.try_records(user, call, [share], [{**share, "remove": True}])
        elif what.startswith("a part in the call"):
            parties = [*record.get("partyUserIds", []), str(user)]
            self.try_change(user, call, "call", call, partyUserIds=parties)
            self.try_change(user, call, "call", call, primaryUserId=str(user))
        elif what == "a permission profile of level all in the call's workspace":
            profiles = ["24", *self.find("user", user).get("profileIds", [])]
            self.try_change(user, call, "user", user, profileIds=profiles)
        elif found := re.fullmatch(r"level all of profile (\d+)", what):
            access = {"permissionLevel": "all"}
            self.try_change(user, call, "profile", found[1], callsAccess=access)
        elif found := re.fullmatch(r"a chain of managers from .* up to (.*)", what):
            for above in re.findall(r"\d+", found[1]) or [str(user)]:
                # Who has no record leads nobody, as it says.
                extra = [] if int(above) in USERS else [{"kind": "user", "userId": above}]
                check("without a record" in how or not extra, how)
                for number in (record["primaryUserId"], record["partyUserIds"][0]):
                    below = self.find("user", number)
                    self.try_records(
                        user,
                        call,
                        [*extra, {**below, "managerId": above}],
                        [below, *({**one, "remove": True} for one in extra)],
                    )
        elif what.startswith("a manager who is above somebody who takes part"):
            self.try_change(user, call, "user", user, managerId="31")
            self.try_change(user, call, "user", user, managerId="30")
        else:
            check(False, "nobody knows how to do:", what)


@test("every single thing that why says would open a call does open it", seconds=240)
def alternatives(env):
    server = serve(env)
    cli = Cli(env, server.url)
    openings = Openings(env, server, cli)
    tried = set()
    for (call, user), truth in TRUTH.items():
        if isinstance(truth, list):
            check(cli("why", user, call).out.startswith("Yes: "), user, call)
            continue
        reason = truth[0]
        text = cli.shown("why", user, call, code=NO)
        told = cli("why", user, call, "--json", code=NO).json[0]
        check_equal(told["reason"], reason)
        # Wrapped lines are joined again.
        items = re.findall(r"^  - (.*(?:\n    \S.*)*)\n      (.*)", text, re.MULTILINE)
        items = [(" ".join(what.split()), how) for what, how in items]
        if reason.startswith("unknown ") and reason != "unknown workspace":
            check_equal((told["alternatives"], items), ([], []), reason)
            check("before the record is loaded" in text, text)
            continue
        is_inactive = reason == "user inactive"
        prefix = "that they are active, and " if is_inactive else ""
        if not items:
            check_equal(told["alternatives"], ["that they are active"])
        else:
            check_equal(told["alternatives"], [prefix + what for what, _ in items])
        if is_inactive:
            # Each alone does nothing, and being active alone only where no other is named.
            for what, how in items:
                try:
                    openings.try_opening(user, call, what, how)
                except Failure:
                    cli("remove", user, call)
                else:
                    check(False, "an inactive user hears a call by", what)
            record = openings.find("user", user)
            load(env, server, [{**record, "active": True}])
            cli("check", user, call, code=NO if items else YES)
            openings.company[openings.company.index(record)] = {**record, "active": True}
        for what, how in items:
            openings.try_opening(user, call, what, how)
            tried.add(re.sub(r"\d+", "N", what))
        if is_inactive:
            openings.company[openings.company.index({**record, "active": True})] = record
            load(env, server, [record])
        load(env, server, openings.company)
        check_equal(cli("why", user, call, "--json", code=NO).json[0]["reason"], reason, "after")
    env.note(f"{len(tried)} kinds")
    check_equal(len(tried), 8, tried)


# --- lists that are long, and answers that do not come

MANY = 2500


def many(env):
    """Call 1001 is shared with 2500 users, and 2500 calls are shared with user 1; user 5000 and
    call 5000 have nothing."""
    records = [record for record in map(json.loads, RECORDS.strip().splitlines())][:2]
    ids = range(1001, 1001 + MANY)
    records += [{"kind": "user", "userId": str(n)} for n in (1, *ids, 5000)]
    records += [{"kind": "call", "callId": str(n)} for n in (*ids, 5000)]
    records += [{"kind": "share", "callId": "1001", "userId": str(n)} for n in ids]
    records += [{"kind": "share", "callId": str(n), "userId": "1"} for n in ids]
    text = "".join(json.dumps(record) + "\n" for record in records)
    return Server(env, "--load", env.write("many.ndjson", text))


@test("long lists go through all pages, of one revision, and are never cut in silence", seconds=60)
def pages(env):
    server = many(env)
    with Flaky(server.address) as flaky:
        cli = Cli(env, flaky.url)
        direct = Cli(env, server.url)
        ids = range(1001, 1001 + MANY)
        for words, given in ((("who", 1001), (5000, 1001)), (("list", 1), (1, 5000))):
            flaky.faults = [None, lambda given=given: direct("give", *given)]
            lines = cli(*words, "--json").json
            member = "userId" if words[0] == "who" else "callId"
            listed = [line[member] for line in lines]
            check_equal([int(one) for one in listed if one != "1"], list(ids), words)
            check_equal(len({line["revision"] for line in lines}), 1, "revisions")
            asked = flaky.take()
            check_equal(len(asked), 3, "pages")
            check(all("limit=1000" in request.target for request in asked), asked[0].target)
            # On the way it was changed, and it is told as it was.
            now = direct(*words, "--json").json
            check_equal([line[member] for line in now][-1], "5000", words)
            check_equal((len(now), now[0]["revision"]), (len(lines) + 1, lines[0]["revision"] + 1))

        for fault in (refusal(500, "Internal server error occurred"), DROPPED):
            # A connection that was used before is tried once more, whatever --retries says.
            flaky.faults = [None, None, fault, fault]
            err = "the list above is not complete"
            cut = cli("who", 1001, "--retries", 0, code=NO_ANSWER, err=err)
            check_equal([row[0] for row in cut.rows], [str(n) for n in (1, *ids)][:2000])
        flaky.faults = [None, DROPPED, refusal(503, "Service Unavailable"), LOST]
        check_equal(len(cli("list", 1).rows), MANY + 1)


@test("what is asked again for want of an answer is done once", seconds=120)
def once(env):
    server = serve(env)
    with Flaky(server.address) as flaky:
        cli = Cli(env, flaky.url)

        with Asker(server) as asker:
            for faults in (
                [LOST],
                [DROPPED],
                [LOST, LOST, LOST],
                [LOST, refusal(503, "Service Unavailable", "Retry-After: 0")],
                [DROPPED, raw_answer(502, "<html>a proxy"), raw_answer(504, "")],
                [refusal(409, "A request with this key is still running"), LOST],
            ):
                for verb, result in (("give", "given"), ("remove", "removed")):
                    before = asker.page("calls", 100)["revision"]
                    flaky.take()
                    flaky.faults = list(faults)
                    # Done twice, it would be told as "already" or "not found".
                    check_equal(cli(verb, 45, 102).rows[0][2], result, faults)
                    asked = flaky.take()
                    check_equal(len(asked), len(faults) + 1, "requests")
                    keys = {request.fields["idempotency-key"] for request in asked}
                    check_equal(len(keys), 1, "keys")
                    check(len(keys.pop()) >= 22, "a key that others may have, too")
                    check_equal(len({request.body for request in asked}), 1, "bodies")
                    after = asker.page("calls", 100)["revision"]
                    check_equal(after, before + 1, "changes by", verb, faults)
            for _ in range(2):
                cli("give", 45, 102)
                cli("remove", 45, 102)
            keys = [request.fields["idempotency-key"] for request in flaky.take()]
            check_equal(len(set(keys)), 4, "keys of commands of their own")
            for words in (("give", 45, 102, "--dry-run"), ("who", 100), ("check", 31, 100)):
                cli(*words)
            check(not any("idempotency-key" in request.fields for request in flaky.take()), "key")


@test("a command that got no answer names its key, and with it does what is left", seconds=60)
def resumes(env):
    server = many(env)
    with Flaky(server.address) as flaky:
        cli = Cli(env, flaky.url)
        ids = range(1001, 1001 + MANY)
        typed = "".join(f"{n} 1002\n" for n in ids)
        words = ["give", "--from", "-", "--batch", 1000, "--note", "all of them"]
        flaky.faults = [None, LOST, LOST]
        err = "Before that, 1000 of 2500 pairs were done. Whether this was done is not known"
        failed = cli(*words, "--retries", 0, code=NO_ANSWER, input=typed, err=err)
        check_equal(len(failed.rows), 1000)
        key = re.search(r"--idempotency-key (\S+) ", failed.err)[1]
        asked = [request.fields["idempotency-key"] for request in flaky.take()]
        check_equal(asked, [f"{key}.1", f"{key}.2", f"{key}.2"])
        whole = cli(*words, "--idempotency-key", key, input=typed, err="answered before")
        check_equal(whole.err.count("answered before"), 2, whole.err)
        check_equal([row[2] for row in whole.rows], ["given"] * MANY)
        check_equal([int(row[0]) for row in whole.rows], list(ids))
        words[-1] = "another"
        err = "This key was used for another request"
        cli(*words, "--idempotency-key", key, input=typed, code=REFUSED, err=err)
        # The same answer also says no twice.
        for _ in range(2):
            cli("give", 5000, 999, 1003, "--idempotency-key", "mine", code=NO, err="")
        flaky.faults = [LOST]
        single = cli("remove", 5000, 1003, "--retries", 0, code=NO_ANSWER, err="is not known")
        key = re.search(r"--idempotency-key (\S+) ", single.err)[1]
        again = cli("remove", 5000, 1003, "--idempotency-key", key, err="answered before")
        check_equal(again.rows[0][2], "removed")


@test("no answer: it is said whose fault that is, after as many tries as were allowed", seconds=60)
def no_answer(env):
    server = serve(env)
    nobody = f"http://127.0.0.1:{free_port()}"
    for words in (("check", 31, 100), ("who", 100), ("give", 45, 100), ("list", "--call", 100)):
        # What was never sent was not done.
        done = Cli(env, nobody)(*words, "--retries", 1, code=NO_ANSWER, err="Failed to connect")
        check(nobody in done.err and "idempotency" not in done.err, done.err)
    with Flaky(server.address) as flaky:
        cli = Cli(env, flaky.url)
        for fault, err, again in (
            (refusal(503, "Service Unavailable"), "failed: Service Unavailable (status 503", True),
            (refusal(429, "API request limit exceeded"), "API request limit exceeded", True),
            (raw_answer(502, "<html>"), "no Earshot server", True),
            (DROPPED, flaky.url, True),
            (refusal(500, "Internal server error occurred"), "status 500", False),
            (raw_answer(404, "<html>"), "no Earshot server", False),
            (raw_answer(302, "", ["Location: http://elsewhere.test/"]), "status 302", False),
            (raw_answer(200, "<html>"), "was not understood", False),
            (raw_answer(200, "{}"), "was not understood", False),
            (b"SSH-2.0-OpenSSH\r\n", flaky.url, False),
        ):
            for words in (("check", 31, 100), ("give", 45, 100)):
                flaky.take()
                flaky.faults = [fault] * 3
                cli(*words, "--retries", 2, code=NO_ANSWER, err=err)
                check_equal(len(flaky.take()), 3 if again else 1, err, words)
                flaky.faults = []
        # It comes back when it is told to, and does not sleep longer than it may.
        flaky.faults = [refusal(429, "API request limit exceeded", "Retry-After: 1")]
        began = time.monotonic()
        cli("check", 31, 100)
        check(1 <= time.monotonic() - began < 5, "waited", time.monotonic() - began)
        flaky.faults = [refusal(429, "API request limit exceeded", "Retry-After: 100")]
        began = time.monotonic()
        cli("check", 31, 100, code=NO_ANSWER, err="it asks to come back in 100 s")
        flaky.faults = [lambda: time.sleep(3)]
        cli("check", 31, 100, "--timeout", "500ms", code=NO_ANSWER, err="timed out")
        check(time.monotonic() - began < 3, "waited", time.monotonic() - began)
    server.kill()
    env.settle(server.store)
    Cli(env, server.url)("who", 100, "--retries", 0, code=NO_ANSWER, err="Failed to connect")


@test("a server that limits is waited for", seconds=60)
def limited(env):
    cli = Cli(env, serve(env, "--rate-per-second", 1).url)
    for _ in range(3):
        cli("check", 31, 100)


@test("secrets go over TLS that is believed, and in the clear only where nobody listens")
def tls(env):
    certificate, key = make_certificate(env, "earshot")
    server = serve(env, "--tls-cert", certificate, "--tls-key", key)
    check(server.url.startswith("https://"), server.url)
    cli = Cli(env, server.url)
    cli("check", 31, 100, "--ca-file", certificate)
    cli("check", 31, 100, EARSHOT_CA_FILE=certificate)
    cli("check", 31, 100, code=NO_ANSWER, err="--ca-file names the certificates to believe")
    cli("give", 45, 100, "--ca-file", key, code=MISUSED, err="tls.key")
    cli("check", 31, 100, "--ca-file", "absent", code=MISUSED, err="cannot read absent")
    # It is of 127.0.0.1, and of nobody else.
    named = server.url.replace("127.0.0.1", "localhost")
    words = ["check", 31, 100, "--server", named, "--ca-file", certificate]
    cli(*words, code=NO_ANSWER, err="localhost")
    plain = serve(env, store=env.store("plain"))
    words = ["check", 31, 100, "--retries", 0, "--server", plain.url.replace("http:", "https:")]
    cli(*words, code=NO_ANSWER, err="does it speak TLS at this address?")
    for host in ("192.0.2.1", "earshot.invalid", "[2001:db8::1]", "127.0.0.1.example.invalid"):
        err = "would go in the clear to"
        cli("check", 31, 100, "--server", f"http://{host}:8080", code=MISUSED, err=err)
        cli("give", 31, 100, code=MISUSED, err=err, EARSHOT_SERVER=f"http://{host}")
    cli("check", 31, 100, "--server", plain.url.replace("127.0.0.1", "localhost"))
    for text in ("127.0.0.1:8080", "ftp://127.0.0.1", f"http://{KEY}@127.0.0.1:8080", "http://"):
        cli("check", 31, 100, "--server", text, code=MISUSED, err="--server: the server's")
