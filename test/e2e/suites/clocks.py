"""The machine's clock jumps, hours ahead and back: what has expired stays so once a change was made
after it, times never go back, and the past stays what it was."""

import mmap
import os
import struct
import subprocess
from datetime import timedelta

from asks import EARSHOT, REVISION, CheckAsk, decode_check, decode_page, decode_results, revision_of
from harness import ROOT, check, check_equal, suite
from http11 import decode_access_list
from model import Grant, ndjson, parse_time, utc_now
from past import get, text_of
from server import Server
from world import SCOPES

tests, test = suite()

CALL, USER, OTHER = 11, 1, 2
HOUR = timedelta(hours=1)
RECORDS = [
    {"kind": "company", "companyId": "1"},
    {"kind": "key", "accessKey": "KEY", "secret": "secret-of-the-clock-tests", "scopes": SCOPES},
    {"kind": "user", "userId": str(USER)},
    {"kind": "user", "userId": str(OTHER)},
    {"kind": "call", "callId": str(CALL)},
]


class ShiftedClock:
    """What servers that are started with `environment` take for the time."""

    def __init__(self, env):
        library, file = env.path("shifted_clock.so"), env.path("shift")
        source = os.path.join(ROOT, "test/e2e/shifted_clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        self.environment = {"LD_PRELOAD": library, "SHIFTED_CLOCK": file}
        env.write("shift", bytes(8))
        with open(file, "r+b") as opened:
            self.memory = mmap.mmap(opened.fileno(), 8)

    def shift(self, by):
        self.memory[:] = struct.pack("=q", int(by.total_seconds()))


class Asker:
    """One client of the company, that says what a server answers."""

    def __init__(self, server):
        self.client = server.client("KEY", "secret-of-the-clock-tests")

    def change(self, method, user, grant=Grant(), **more):
        body = {"grants": [{"callId": str(CALL), "userId": str(user)}], **more}
        if grant.expires_at:
            body["grants"][0]["expiresAt"] = grant.expires_at
        return self.client.connection.request(
            method, f"{EARSHOT}/grants", body, self.client.authorization
        )

    def result(self, *arguments, **more):
        answer = self.change(*arguments, **more)
        check_equal(answer.status, 200, answer)
        return decode_results(answer)[0][1]["result"], revision_of(answer)

    def check(self, query=""):
        """(whether the user may hear the call, the reason why not, the revision, the time)"""
        ask = CheckAsk([(CALL, USER)], query)
        answer = self.client.connection.request(
            ask.method, ask.target, ask.body, self.client.authorization
        )
        told = decode_check(answer)[0][1]
        check_equal(answer.json["revision"], revision_of(answer), REVISION)
        return (
            told["allowed"],
            told.get("reason"),
            answer.json["revision"],
            parse_time(answer.json["at"]),
        )

    def hears(self):
        """Whether the user may hear the call, as every operation says."""
        allowed, _, revision, _ = self.check()
        who, _, _ = decode_page(get(self.client, f"{EARSHOT}/calls/{CALL}/access"), "users")
        what, _, _ = decode_page(get(self.client, f"{EARSHOT}/users/{USER}/access"), "calls")
        listed = decode_access_list(
            self.client.ask("POST", {"filter": {"callIds": [str(CALL)]}})
        )
        told = {allowed, USER in who, CALL in what, USER in listed[CALL]}
        check_equal(len(told), 1, "operations differ:", allowed, who, what, listed)
        return allowed


def begin(env):
    env.command("load", env.write("records.ndjson", ndjson(RECORDS)), "--store", env.store())
    clock = ShiftedClock(env)
    server = Server(env, environment=clock.environment)
    return clock, server, Asker(server)


@test("a clock that jumps back revives nothing that a later change has seen expired")
def revives_nothing(env):
    clock, server, asker = begin(env)
    now = utc_now()
    ends = Grant(text_of(now + HOUR))
    check_equal(asker.result("PUT", USER, ends)[0], "given")
    check(asker.hears(), "not given")
    given_at = asker.check()[2]
    given_time = asker.check(f"?revision={given_at}")[3]

    clock.shift(2 * HOUR)
    check(not asker.hears(), "has not expired")
    check_equal(asker.result("PUT", USER, dryRun=True)[0], "given", "in place of the expired")
    result, later = asker.result("PUT", OTHER)
    check_equal(result, "given")

    for restarts in (False, True):
        clock.shift(timedelta())
        if restarts:
            server.kill()
            env.settle(server.store)
            server = Server(env, environment=clock.environment)
            asker = Asker(server)
        check(not asker.hears(), "revived")
        _, _, revision, time = asker.check()
        check(revision >= later and time >= now + 2 * HOUR, revision, "of", time)
        answer = asker.change("PUT", USER, ends)
        check_equal((answer.status, len(answer.json["errors"])), (400, 2), "given for the past")
        result, revision = asker.result("DELETE", OTHER if restarts else USER)
        check_equal(result, "removed" if restarts else "not found")
        time_then = asker.check(f"?revision={revision}")[3]
        check(time_then >= now + 2 * HOUR, "a revision's time went back:", time_then)
        # What was is still what was.
        check_equal(asker.check(f"?revision={given_at}"), (True, None, given_at, given_time))
        check_equal(asker.check(f"?at={text_of(given_time)}")[:3], (True, None, given_at))
        check(asker.check(f"?at={text_of(now + 2 * HOUR)}")[0] is False, "at its end it gave access")


@test("a clock that jumps ahead does not make the future askable, nor one that jumps back the past less")
def asks_no_future(env):
    clock, _, asker = begin(env)
    asker.result("PUT", USER)
    clock.shift(-3 * HOUR)
    _, _, revision, time = asker.check()
    check(time >= utc_now() - HOUR, "judged before the newest change:", time)
    check_equal(asker.check(f"?at={text_of(time)}")[:3], (True, None, revision))
    ask = CheckAsk([(CALL, USER)])
    for query in (f"?at={text_of(utc_now() + HOUR)}", f"?revision={revision + 1}"):
        answer = asker.client.connection.request(
            ask.method, ask.target + query, ask.body, asker.client.authorization
        )
        check_equal((answer.status, answer.json["errors"][0]), (400, "Bad request"), query)
    clock.shift(2 * HOUR)
    check_equal(asker.check(f"?at={text_of(utc_now() + HOUR)}")[:3], (True, None, revision))
