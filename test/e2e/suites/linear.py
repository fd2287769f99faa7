"""Many processes give, remove and read the same pairs at once, with a cache too small for them.
Each pair must be explained by one order of its operations, and a read of several calls must show
all of them at one moment."""

import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections import defaultdict

from asks import EARSHOT, CheckAsk, decode_check, decode_page, pair_of
from harness import Failure, check, check_equal, suite
from http11 import Closed, Client, basic, check_ok
from linearizability import Operation, check_histories
from model import ndjson
from server import Server
from world import SCOPES

tests, test = suite()

KEY = basic("KEY", "secret-of-the-company-for-tests")
HOT_CALLS = [101, 102, 103, 104]
HOT_USERS = [1, 2, 3]
CLONE_CALLS = list(range(200, 240))
COLD_CALLS = list(range(1000, 3000))
COUNTED_USERS = list(range(10_000, 16_000))
# Of --cache-bytes, for a store in a directory: one that holds a part of the calls, so that they come
# and go, and one that holds nothing.
SMALL_CACHES = [96 << 10, 4096]
BIG_CACHES = [64 << 20, 4096]
FORK = multiprocessing.get_context("fork")


def records():
    yield {"kind": "company", "companyId": "1"}
    yield {
        "kind": "key",
        "accessKey": "KEY",
        "secret": "secret-of-the-company-for-tests",
        "scopes": SCOPES,
    }
    for user in [*HOT_USERS, *COUNTED_USERS]:
        yield {"kind": "user", "userId": str(user)}
    for call in [*HOT_CALLS, *CLONE_CALLS, *COLD_CALLS]:
        yield {"kind": "call", "callId": str(call)}


def caches(env, several):
    """Over PostgreSQL calls are not cached: one run is enough."""
    return several if env.is_embedded else several[:1]


def serve(env, cache_bytes):
    """The servers of a store: one that has a directory, or three on one database."""
    store = env.store(f"store-{cache_bytes}")
    env.command("load", env.write("linear.ndjson", ndjson(records())), "--store", store)
    count = 1 if env.is_embedded else 3
    return [start(env, cache_bytes, store) for _ in range(count)]


def start(env, cache_bytes, store):
    cache = ["--cache-bytes", cache_bytes] if env.is_embedded else []
    return Server(env, *cache, "--drain-delay", "0", store=store)


class ManyWays(Client):
    """Gives, removes and reads by one operation or another that does so."""

    def __init__(self, address, rng):
        super().__init__(address, KEY, timeout=30)
        self.random = rng
        self.users = [*HOT_USERS, *COUNTED_USERS[:3]]  # that checks ask about

    def change(self, method, pairs):
        if self.random.random() < 0.5:
            return super().change(method, pairs)
        grants = [pair_of(call, user) for call, users in pairs.items() for user in users]
        return self.connection.request(
            method, f"{EARSHOT}/grants", {"grants": grants}, self.authorization
        )

    def read(self, calls):
        """Grants are the only way to hear these calls."""
        if self.random.random() < 0.5:
            return super().read(calls)
        if len(calls) == 1:
            return {calls[0]: self.explain(calls[0])}
        return self.check_pairs(calls)

    def explain(self, call):
        target = f"{EARSHOT}/calls/{call}/access?limit=1000"
        found, _, cursor = decode_page(
            self.connection.request("GET", target, None, self.authorization), "users"
        )
        check(cursor is None, "more than a page")
        return list(found)

    def check_pairs(self, calls):
        ask = CheckAsk([(call, user) for call in calls for user in self.users])
        told = decode_check(
            check_ok(
                self.connection.request(ask.method, ask.target, ask.body, self.authorization)
            )
        )
        return {
            call: [user for (one, user), how in told if one == call and how["allowed"]]
            for call in calls
        }


def addresses_of(servers):
    return [server.address for server in servers]


class Clients:
    """One for each server; `any` is a random one that is left."""

    def __init__(self, addresses, rng, make=ManyWays):
        self.random = rng
        self.clients = []
        for address in addresses:
            with contextlib.suppress(ConnectionError):
                self.clients.append(make(address, rng))

    def any(self):
        return self.random.choice(self.clients)

    def drop(self, client):
        client.close()
        self.clients.remove(client)

    def close(self):
        for client in self.clients:
            client.close()


def run_processes(work, arguments, seconds):
    """Runs work(*arguments[i], deadline) in a process each; their results. An error in one is an
    error of all."""
    deadline = time.monotonic() + seconds

    def run(pipe, given):
        try:
            pipe.send(("done", work(*given, deadline)))
        except BaseException as error:
            pipe.send(("failed", f"{type(error).__name__}: {error}"))

    started = []
    for given in arguments:
        here, there = FORK.Pipe(False)
        process = FORK.Process(target=run, args=(there, given), daemon=True)
        process.start()
        there.close()
        started.append((process, here))
    results = []
    for process, pipe in started:
        check(pipe.poll(seconds + 30), "a process does not end")
        outcome, value = pipe.recv()
        process.join(10)
        if outcome == "failed":
            raise Failure(value)
        results.append(value)
    return results


# --- one pair, one register


def touch_pairs(addresses, seed, calls, users, deadline):
    """Gives, removes and reads pairs at random, each time at a random server:
    [(start, end or None, kind, {pair: value})]. Goes on while there is a server."""
    rng = random.Random(seed)
    log = []
    clients = Clients(addresses, rng)
    while time.monotonic() < deadline and clients.clients:
        client = clients.any()
        roll = rng.random()
        chosen = rng.sample(calls, rng.randint(1, len(calls)))
        kind = "read" if roll < 0.4 else "set" if roll < 0.7 else "clear"
        pairs = {call: rng.sample(users, rng.randint(1, len(users))) for call in chosen[:2]}
        values = {(call, user): None for call in pairs for user in pairs[call]}
        start = time.monotonic_ns()
        try:
            if kind == "read":
                found = client.read(chosen)
            else:
                (client.give if kind == "set" else client.remove)(pairs)
            end = time.monotonic_ns()
            if kind == "read":
                values = {(call, user): user in found[call] for call in chosen for user in users}
            log.append((start, end, kind, values))
            if rng.random() < 0.05:
                client.read(rng.sample(COLD_CALLS, 50))  # pushes the hot calls out of the cache
        except (Closed, ConnectionError):
            if kind != "read" and (not log or log[-1][0] != start):
                log.append((start, None, kind, values))
            clients.drop(client)
    clients.close()
    return log


def by_pair(logs):
    """{pair: [Operation]}; logs of [(start, end, kind, {pair: value}, unanswered)]."""
    histories = defaultdict(list)
    for log in logs:
        for start, end, kind, values, unanswered in log:
            for pair, value in values.items():
                histories[pair].append(Operation(start, end, kind, value, unanswered))
    return histories


def with_ends(log, gone):
    """An operation without an answer could take effect until the server was gone."""
    return [(start, end or gone, kind, values, end is None) for start, end, kind, values in log]


@test("each pair's operations have one order that explains every answer", seconds=120)
def pairs_are_registers(env):
    several = caches(env, SMALL_CACHES)
    for cache_bytes in several:
        servers = serve(env, cache_bytes)
        work = [
            (addresses_of(servers), env.random.getrandbits(32), HOT_CALLS, HOT_USERS)
            for _ in range(6)
        ]
        logs = run_processes(touch_pairs, work, env.options.seconds / len(several))
        check(all(end for log in logs for _, end, _, _ in log), "requests without an answer")
        histories = by_pair(with_ends(log, 0) for log in logs)
        check_histories(histories)
        requests = sum(map(len, logs))
        check(requests > 100, "only", requests, "requests")
        env.note(f"{requests} requests, {sum(map(len, histories.values()))} operations on pairs")
        stop(servers)
    doctored = {pair: turn_one_late_read(history) for pair, history in histories.items()}
    for pair, history in doctored.items():
        try:
            check_histories({pair: history})
        except Failure:
            continue
        check(False, "a turned read of pair", pair, "was not noticed")


def stop(servers):
    for server in servers:
        server.stop()


def turn_one_late_read(history):
    end = max(operation.end for operation in history)
    return [
        *history,
        Operation(end + 1, end + 2, "read", True),
        Operation(end + 3, end + 4, "read", False),
    ]


@test(
    "the same across kills: an answered operation stays, an unanswered one is whole or absent",
    seconds=120,
)
def pairs_survive_kills(env):
    servers = serve(env, SMALL_CACHES[0])
    logs = []
    for number in range(4):
        server = servers[number % len(servers)]
        work = [
            (addresses_of(servers), env.random.getrandbits(32), HOT_CALLS, HOT_USERS)
            for _ in range(4)
        ]
        killer = FORK.Process(target=kill_later, args=(server.pid, env.random.uniform(0.3, 1.0)))
        killer.start()
        part = run_processes(touch_pairs, work, 1.5)
        killer.join(10)
        server.wait_exit(10)
        env.settle(server.store)
        gone = time.monotonic_ns()
        logs += [with_ends(log, gone) for log in part]
        servers[number % len(servers)] = start(env, SMALL_CACHES[0], server.store)
    last = touch_pairs(
        addresses_of(servers),
        env.random.getrandbits(32),
        HOT_CALLS,
        HOT_USERS,
        time.monotonic() + 0.5,
    )
    logs.append(with_ends(last, 0))
    check_histories(by_pair(logs))
    unanswered = sum(row[4] for log in logs for row in log)
    env.note(f"{sum(map(len, logs))} requests, {unanswered} without an answer")


def kill_later(pid, seconds):
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)


# --- several calls, one moment


def write_clones(addresses, seed, users, deadline):
    """Gives and takes users on all clones, always in one request."""
    rng = random.Random(seed)
    clients = Clients(addresses, rng)
    count = 0
    while time.monotonic() < deadline:
        chosen = rng.sample(users, rng.randint(1, len(users)))
        order = rng.sample(CLONE_CALLS, len(CLONE_CALLS))
        client = clients.any()
        (client.give if rng.random() < 0.5 else client.remove)({call: chosen for call in order})
        count += 1
    clients.close()
    return count


def read_clones(addresses, seed, deadline):
    rng = random.Random(seed)
    clients = Clients(addresses, rng)
    seen = set()
    count = 0
    while time.monotonic() < deadline:
        clones = rng.sample(CLONE_CALLS, rng.choice([2, 10, len(CLONE_CALLS)]))
        between = rng.sample(COLD_CALLS, rng.choice([0, 0, 1, 50]))
        found = clients.any().read([clones[0], *between, *clones[1:]])
        kinds = {tuple(found[call]) for call in clones}
        check_equal(len(kinds), 1, "states of clones in one read", kinds)
        seen |= kinds
        count += 1
    clients.close()
    return count, len(seen)


@test("a read of several calls is never torn by a write of several calls", seconds=120)
def reads_are_not_torn(env):
    def work(addresses, role, seed, deadline):
        if role == "write":
            return write_clones(addresses, seed, HOT_USERS + COUNTED_USERS[:3], deadline)
        return read_clones(addresses, seed, deadline)

    roles = ["write", "write", "read", "read", "read"]
    several = caches(env, BIG_CACHES[:1] + SMALL_CACHES)
    for cache_bytes in several:
        servers = serve(env, cache_bytes)
        given = [(addresses_of(servers), role, env.random.getrandbits(32)) for role in roles]
        results = run_processes(work, given, env.options.seconds / len(several))
        reads = sum(result[0] for result in results[2:])
        check(min(results[:2]) > 2 and reads > 50, "hardly any work", results)
        check(all(result[1] > 1 for result in results[2:]), "readers saw no change", results)
        env.note(f"{sum(results[:2])} writes, {reads} reads")
        stop(servers)


# --- a counter spread over calls


def count_up(addresses, acknowledged, deadline):
    """Gives user after user, each to the next call in turn; `acknowledged` follows."""
    clients = Clients(addresses, random)
    for number, user in enumerate(COUNTED_USERS):
        if time.monotonic() > deadline:
            break
        clients.any().give({HOT_CALLS[number % 4]: [user]})
        acknowledged.value = number + 1
    clients.close()
    return acknowledged.value


def watch_counter(addresses, seed, acknowledged, deadline):
    """Each read must be a front of what was given, hold all that was acknowledged before, and never
    shrink."""
    rng = random.Random(seed)
    clients = Clients(addresses, rng, lambda address, _: Client(address, KEY, timeout=30))
    newest = reads = 0
    while time.monotonic() < deadline:
        before = acknowledged.value
        found = clients.any().read(rng.sample(HOT_CALLS, 4))
        numbers = sorted(user - COUNTED_USERS[0] for users in found.values() for user in users)
        check_equal(numbers, list(range(len(numbers))), "not a front of what was given:")
        check(
            len(numbers) >= max(before, newest),
            "went back from",
            newest,
            "acknowledged",
            before,
            "to",
            len(numbers),
        )
        newest = len(numbers)
        reads += 1
    clients.close()
    return reads


@test("a sequence of gives over several calls is seen as fronts that only grow", seconds=120)
def counts_monotonically(env):
    def work(addresses, acknowledged, seed, deadline):
        if seed is None:
            return count_up(addresses, acknowledged, deadline)
        return watch_counter(addresses, seed, acknowledged, deadline)

    several = caches(env, BIG_CACHES)
    for cache_bytes in several:
        servers = serve(env, cache_bytes)
        acknowledged = FORK.Value("q", 0)
        seeds = [None, *(env.random.getrandbits(32) for _ in range(3))]
        results = run_processes(
            work,
            [(addresses_of(servers), acknowledged, seed) for seed in seeds],
            env.options.seconds / len(several),
        )
        check(results[0] > 5 and min(results[1:]) > 10, "hardly any work", results)
        env.note(f"{results[0]} gives, {sum(results[1:])} reads")
        stop(servers)
