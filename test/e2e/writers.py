"""Clients that go on writing while what they write to fails, and remember what they were told: each has
calls of its own, of which it knows what they may hold, and calls that it shares with the others, whose
pairs are judged by the checker of histories."""

import random
import threading
import time
from collections import defaultdict, namedtuple

from harness import Failure, check, check_equal
from http11 import PATH, Client, access_list, basic, decode_access_list
from linearizability import Operation

ACCESS_KEY, SECRET = "KEY", "secret-of-the-company-for-tests"
SCOPES = [
    *("api:call-user-access:read", "api:call-user-access:write"),
    *("earshot:audit:read", "earshot:keys:write"),
]
USERS = [1, 2, 3, 4]
SHARED_CALLS = [11, 12, 13]
OWN_CALLS_EACH = 3
WRITERS = 4
# So many different requests of a writer may be in doubt at once; then it repeats one of them.
IN_DOUBT_MAX = 3
READER_PAUSE_SECONDS = 0.02
PAUSE_SECONDS = 0.004  # between requests: the machine is shared with three databases

# What was asked and what came: start and end in ns, the answer's status, its revision and the id of
# the request; pairs is {(call, user): value read, or None}.
Asked = namedtuple("Asked", "start end status kind pairs revision request_id")


def own_calls(number):
    return [100 * (number + 1) + offset for offset in range(OWN_CALLS_EACH)]


CALLS = [*SHARED_CALLS, *(call for number in range(WRITERS) for call in own_calls(number))]


def records():
    yield {"kind": "company", "companyId": "1"}
    yield {"kind": "key", "accessKey": ACCESS_KEY, "secret": SECRET, "scopes": SCOPES}
    for user in USERS:
        yield {"kind": "user", "userId": str(user)}
    for call in CALLS:
        yield {"kind": "call", "callId": str(call)}


def read_all(addresses, calls):
    """{(call, user)} as every server shows it."""
    seen = []
    for address in addresses:
        client = Client(address, basic(ACCESS_KEY, SECRET))
        found = client.read(calls)
        client.close()
        seen.append({(call, user) for call, users in found.items() for user in users})
    check(all(held == seen[0] for held in seen), "servers differ:", seen)
    return seen[0]


def applied(held, change):
    kind, pairs = change
    return held | pairs if kind == "set" else held - pairs


def closed_over(states, changes):
    """Every state that some of the changes lead to, in any order."""
    states = set(states)
    waiting = list(states)
    while waiting:
        held = waiting.pop()
        for change in changes:
            after = applied(held, change)
            if after not in states:
                states.add(after)
                waiting.append(after)
    return states


class OwnCalls:
    """What calls that only one client writes may hold. A change that was not acknowledged may take
    effect until a later one is: that one waited for it, or came after it was given up."""

    def __init__(self, stale_ns):
        self.stale_ns = stale_ns
        self.states = {frozenset()}
        self.in_doubt = []
        self.before = []  # (until when, states), of those that have passed
        self.settled = 0  # changes in doubt that turned out to be there

    def acknowledge(self, change):
        """Whether it certainly changed something."""
        self._pass_on()
        is_certain = not self.in_doubt and all(applied(h, change) != h for h in self.states)
        self.states = {
            applied(held, change) for held in closed_over(self.states, self.in_doubt)
        }
        self.in_doubt = []
        return is_certain

    def doubt(self, change):
        if change not in self.in_doubt:
            self.in_doubt.append(change)

    def saw(self, held, start, is_newest):
        """A read that began at start; is_newest: it named the revision of the last change."""
        possible = closed_over(self.states, self.in_doubt)
        if held in possible:
            self.settled += held not in self.states
            self._pass_on()
            self.states = {held}
            return
        old = [state for until, state in self.before if until >= start - self.stale_ns]
        check(
            not is_newest and any(held in states for states in old),
            "own calls hold",
            sorted(held),
            "but of",
            [sorted(state) for state in list(possible)[:8]],
            "one was due",
        )

    def _pass_on(self):
        if self.stale_ns:
            now = time.monotonic_ns()
            self.before = [one for one in self.before if one[0] >= now - 4 * self.stale_ns]
            # Old states are kept closed: what was in doubt then may have shown for a while.
            self.before.append((now, closed_over(self.states, self.in_doubt)))


class Writer:
    """One client with one connection at a time. `answer_seconds`: within which every request has to be
    answered, also by 503. `stale_ns`: how much older than its start a read may be. `new_share`: how
    often a request gets a connection of its own."""

    def __init__(self, number, address, seed, answer_seconds, stale_ns=0, new_share=0.0):
        self.address = address
        self.new_share = new_share
        self.random = random.Random(seed)
        self.answer_seconds = answer_seconds
        self.calls = own_calls(number)
        self.own = OwnCalls(stale_ns)
        self.log = []  # of Asked, in order
        self.certain = []  # of those that surely changed something
        self.revision = None  # of the last change that was acknowledged
        self.slowest_seconds = 0
        self.client = None

    def run(self, stop):
        try:
            while not stop.is_set():
                self.step(stop)
        finally:
            if self.client:
                self.client.close()

    def step(self, stop):
        calls, own = (self.calls, self.own) if self.random.random() < 0.5 else (SHARED_CALLS, None)
        if self.random.random() < 0.3:
            at_least = self.revision if self.random.random() < 0.5 else None
            asked = self.read(calls, at_least)
            if own and asked.status == 200:
                held = frozenset(pair for pair, is_held in asked.pairs.items() if is_held)
                own.saw(held, asked.start, at_least is not None)
        else:
            asked = self.change(*self.choose(calls, own))
            if own:
                change = (asked.kind, frozenset(asked.pairs))
                if asked.status == 200:
                    if own.acknowledge(change):
                        self.certain.append(asked)
                else:
                    own.doubt(change)
        stop.wait(1.0 if asked.status == 503 else PAUSE_SECONDS)

    def choose(self, calls, own):
        """(kind, pairs): often again what is in doubt, as a client does."""
        if own and own.in_doubt:
            if len(own.in_doubt) >= IN_DOUBT_MAX or self.random.random() < 0.5:
                return self.random.choice(own.in_doubt)
        pairs = {
            (call, user)
            for call in self.random.sample(calls, self.random.randint(1, 2))
            for user in self.random.sample(USERS, self.random.randint(1, 3))
        }
        return self.random.choice(["set", "clear"]), frozenset(pairs)

    def change(self, kind, pairs):
        named = defaultdict(list)
        for call, user in sorted(pairs):
            named[call].append(user)
        method = "PUT" if kind == "set" else "DELETE"
        start, end, answer = self.ask(method, access_list(named))
        return self.note(start, end, answer, kind, dict.fromkeys(pairs))

    def read(self, calls, at_least=None):
        """at_least: the revision that the answer must have."""
        body = {"filter": {"callIds": [str(one) for one in calls]}}
        fields = [] if at_least is None else [f"x-earshot-revision: {at_least}"]
        start, end, answer = self.ask("POST", body, fields)
        found = decode_access_list(answer) if answer.status == 200 else {}
        pairs = {(call, user): user in found.get(call, ()) for call in calls for user in USERS}
        strangers = {user for users in found.values() for user in users} - set(USERS)
        check(not strangers and set(found) <= set(calls), "a read shows what was not asked", found)
        return self.note(start, end, answer, "read", pairs)

    def ask(self, method, body, fields=()):
        """The server is there all the time: a request without an answer is an error."""
        if self.client and self.random.random() < self.new_share:
            self.client.close()
            self.client = None
        if not self.client:
            self.client = Client(
                self.address, basic(ACCESS_KEY, SECRET), timeout=self.answer_seconds
            )
        start = time.monotonic_ns()
        try:
            answer = self.client.connection.request(
                method, PATH, body, self.client.authorization, fields
            )
        except TimeoutError:
            raise Failure(f"{method} is not answered within {self.answer_seconds} s") from None
        end = time.monotonic_ns()
        self.slowest_seconds = max(self.slowest_seconds, (end - start) / 1e9)
        check(answer.status in (200, 503), "neither done nor 503:", method, body, answer)
        if answer.status == 503:
            check(int(answer.field("retry-after") or 0) >= 1, "503 without Retry-After:", answer)
        if (answer.field("connection") or "").lower() == "close":
            self.client.close()
            self.client = None
        return start, end, answer

    def note(self, start, end, answer, kind, pairs):
        revision = answer.field("x-earshot-revision")
        if kind != "read" and answer.status == 200:
            check(revision and revision.isdigit(), "an acknowledged change has no revision", answer)
            self.revision = int(revision)
        asked = Asked(
            *(start, end, answer.status, kind, pairs),
            int(revision) if revision and revision.isdigit() else None,
            answer.json.get("requestId"),
        )
        self.log.append(asked)
        return asked


class Reader(Writer):
    """Only reads, so that it has no reason to leave a database that still answers reads."""

    def step(self, stop):
        asked = self.read(SHARED_CALLS)
        stop.wait(1.0 if asked.status == 503 else READER_PAUSE_SECONDS)


class Load:
    """Writers, and a reader for each server, in threads of their own, from start() to stop()."""

    def __init__(self, addresses, rng, answer_seconds, stale_ms=0, new_share=0.0):
        self.stale_ns = stale_ms * 1_000_000
        self.writers = [
            Writer(
                number,
                addresses[number % len(addresses)],
                rng.getrandbits(32),
                answer_seconds,
                self.stale_ns,
                new_share,
            )
            for number in range(WRITERS)
        ]
        self.readers = [
            Reader(number, address, rng.getrandbits(32), answer_seconds, 0, new_share)
            for number, address in enumerate(addresses)
        ]
        self.clients = [*self.writers, *self.readers]
        self.stop_seconds = answer_seconds + 5
        self.over = threading.Event()
        self.errors = []
        self.threads = [
            threading.Thread(target=self._run, args=(client,), daemon=True)
            for client in self.clients
        ]

    def _run(self, client):
        try:
            client.run(self.over)
        except Exception as error:
            self.errors.append(error)
            self.over.set()

    def start(self):
        for thread in self.threads:
            thread.start()

    def check_running(self):
        if self.errors:
            raise self.errors[0]

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(self.stop_seconds)
        self.check_running()
        check(not any(thread.is_alive() for thread in self.threads), "a client does not end")

    def asked(self):
        return [asked for client in self.clients for asked in client.log]

    def longest_outage(self, since, until):
        """The longest time without an acknowledged write, in seconds; the bounds in ns."""
        moments = sorted(
            asked.end
            for asked in self.asked()
            if asked.kind != "read" and asked.status == 200 and since < asked.end < until
        )
        moments = [since, *moments, until]
        return max(later - earlier for earlier, later in zip(moments, moments[1:])) / 1e9

    def histories(self):
        """{pair: [Operation]} of the shared calls. What was not acknowledged could take effect until
        a change that began after it was: both need the company's row."""
        asked = self.asked()
        done = sorted(
            (one.start, one.end) for one in asked if one.kind != "read" and one.status == 200
        )
        last = max(one.end for one in asked)
        histories = defaultdict(list)
        for one in asked:
            if one.kind == "read" and one.status != 200:
                continue
            end = one.end
            if one.status != 200:
                end = min((end for start, end in done if start > one.end), default=last)
            start = one.start - (self.stale_ns if one.kind == "read" else 0)
            for pair, value in one.pairs.items():
                if pair[0] in SHARED_CALLS:
                    histories[pair].append(
                        Operation(start, end, one.kind, value, one.status != 200)
                    )
        return histories

    def check_revisions(self):
        """A change that began after another was acknowledged has no older revision."""
        changes = [one for one in self.asked() if one.kind != "read" and one.status == 200]
        ended = sorted(changes, key=lambda one: one.end)
        newest = position = 0
        for one in sorted(changes, key=lambda one: one.start):
            while ended[position].end < one.start:
                newest = max(newest, ended[position].revision)
                position += 1
            check(
                one.revision >= newest, "revision", one.revision, "after", newest, "was answered"
            )
        return newest

    def check_own(self, held):
        """held: {(call, user)} of all calls, read when all is over."""
        for writer in self.writers:
            seen = frozenset(pair for pair in held if pair[0] in writer.calls)
            possible = closed_over(writer.own.states, writer.own.in_doubt)
            check(
                seen in possible,
                "calls",
                writer.calls,
                "hold",
                sorted(seen),
                "but of",
                [sorted(state) for state in list(possible)[:8]],
                "one was due",
            )
        known = {*SHARED_CALLS, *(call for writer in self.writers for call in writer.calls)}
        check_equal(sorted(pair for pair in held if pair[0] not in known), [], "pairs of no writer")
