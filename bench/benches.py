"""The benches: what each measures, and beside which bar. One that takes turns with others in rounds
is a method of Turn; one that needs the machine to itself is in alone.py or over_postgres.py."""

import dataclasses
import time

import access
import alone
import feed
import over_postgres
import wire
from generators import Closed, run_bare, run_closed
from machine import Missing
from sides import UNCACHED, say

WARM_UP_SECONDS = 1
# RocksDB rewrites files in bursts that take a core for a second: of gives a measurement has to last
# so many times longer, for each side to bear as much of it as it causes.
GIVES_LAST = 4
READ_1 = Closed("read-1", gives=False, things=1, in_flight=64)
GIVE_1 = Closed("give-1", gives=True, things=1, in_flight=1)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number that a bench finds in every round. With a bar: what it must and what it should be."""

    key: str
    what: str
    digits: int = 2
    unit: str = ""
    must: float | None = None
    aim: float | None = None
    less: bool = False  # is better


@dataclasses.dataclass(frozen=True)
class Bench:
    name: str
    what: str
    figures: tuple
    measure: object  # a method of Turn, or a function of a Ground that makes its own rounds
    alone: bool = False


class Turn:
    """One round: every bench once, on all sides, from the same state."""

    def __init__(self, ground):
        self.ground = ground
        self.seconds = ground.options.seconds
        self.give_seconds = self.seconds * (1 if ground.options.quick else GIVES_LAST)
        self.servers = {}
        self.bare_rows = None
        self.found = {}

    def close(self):
        self.ground.stop(*list(self.ground.processes))

    def measured(self, bench):
        """What it found in this round: {"sides": {side: Measurement}, "figures": {key: number}}."""
        if bench.name not in self.found:
            self.found[bench.name] = bench.measure(self)
        return self.found[bench.name]

    # --- Sides

    def server(self, *options, tls=False):
        """Started, with every call read once, when it is first asked for."""
        if (options, tls) not in self.servers:
            side = self.ground.serve(self.ground.copy_of("store"), *options, tls=tls)
            self.ground.prime(side)
            self.servers[options, tls] = side
        return self.servers[options, tls]

    def earshot(self, loop, answer_bytes, *options, tls=False):
        side = self.server(*options, tls=tls)
        if not self.ground.options.quick:
            run_closed(self.ground, loop, side, WARM_UP_SECONDS, answer_bytes)
        seconds = self.give_seconds if loop.gives else self.seconds
        return run_closed(self.ground, loop, side, seconds, answer_bytes)

    def echo(self, loop, answer, commits=False):
        side = self.ground.start_echo(answer, answer, commits)
        try:
            seconds = self.give_seconds if commits else self.seconds
            return run_closed(self.ground, loop, side, seconds, len(answer))
        finally:
            self.ground.stop(side.process)

    def bare(self, requests, grants=1):
        if not self.bare_rows:
            self.bare_rows = self.ground.start_bare()
        return run_bare(self.ground, self.bare_rows, requests, grants, self.give_seconds)

    def answer_of(self, loop, *options, tls=False):
        """A real answer to a request of the loop, for the echo to give."""
        side = self.server(*options, tls=tls)
        if loop.gives:
            return wire.give(side, self.ground.next_pairs(loop.things))
        return wire.read_calls(side, self.ground.data.calls[: loop.things])[0]

    # --- Reads

    def read_1(self):
        answer = self.answer_of(READ_1)
        echo, ours = self.echo(READ_1, answer), self.earshot(READ_1, len(answer))
        return found({"echo": echo, "Earshot": ours}, ratio=echo.cpu_us / ours.cpu_us,
                     rate=ours.per_second / echo.per_second)

    def read_1_uncached(self):
        echo = self.measured(BY_NAME["read-1"])["sides"]["echo"]
        ours = self.earshot(READ_1, len(self.answer_of(READ_1, *UNCACHED)), *UNCACHED)
        return found({"Earshot": ours}, ratio=echo.cpu_us / ours.cpu_us)

    def read_100(self):
        loop = Closed("read-100", gives=False, things=100, in_flight=64)
        answer = self.answer_of(loop)
        echo, ours = self.echo(loop, answer), self.earshot(loop, len(answer))
        return found({"echo": echo, "Earshot": ours}, echo=echo.cpu_us / ours.cpu_us,
                     ratio=ours.cpu_us / loop.things / self.cpu_of_read_1())

    def read_10000(self):
        loop = Closed("read-10000", gives=False, things=10_000, in_flight=8)
        answer = self.answer_of(loop)
        echo, ours = self.echo(loop, answer), self.earshot(loop, len(answer))
        return found({"echo": echo, "Earshot": ours}, calls=ours.per_second * loop.things,
                     by_cpu=1e6 / ours.cpu_us * loop.things)

    def pipelined(self):
        loop = Closed("pipelined", gives=False, things=1, in_flight=64, depth=16)
        answer = self.answer_of(loop)
        echo, ours = self.echo(loop, answer), self.earshot(loop, len(answer))
        return found({"echo": echo, "Earshot": ours}, ratio=ours.cpu_us / self.cpu_of_read_1(),
                     echo=echo.cpu_us / ours.cpu_us)

    def tls(self):
        ours = self.earshot(READ_1, len(self.answer_of(READ_1, tls=True)), tls=True)
        return found({"Earshot": ours}, ratio=ours.cpu_us / self.cpu_of_read_1())

    def cpu_of_read_1(self):
        return self.measured(BY_NAME["read-1"])["sides"]["Earshot"].cpu_us

    # --- Checks

    def check_1(self):
        loop = Closed("check-1", gives=False, things=1, in_flight=64, checks=True)
        side = self.server()
        ours = self.earshot(loop, access.check_bytes(side, self.ground.data, loop.things))
        return found({"Earshot": ours}, ratio=ours.cpu_us / self.cpu_of_read_1())

    def check_10000(self):
        loop = Closed("check-10000", gives=False, things=10_000, in_flight=8, checks=True)
        side = self.server()
        ours = self.earshot(loop, access.check_bytes(side, self.ground.data, loop.things))
        return found({"Earshot": ours}, by_cpu=1e6 / ours.cpu_us * loop.things)

    # --- Gives

    def give_1(self):
        answer = self.answer_of(GIVE_1)
        echo, ours = self.echo(GIVE_1, answer, commits=True), self.earshot(GIVE_1, len(answer))
        bare = self.bare(1)
        return found({"echo that commits": echo, "Earshot": ours, "bare store": bare},
                     ratio=ours.per_second / echo.per_second,
                     bare=ours.per_second / bare.per_second)

    def give_many(self, in_flight):
        loop = Closed(f"give-{in_flight}", gives=True, things=1, in_flight=in_flight)
        answer = self.answer_of(loop)
        echo, ours = self.echo(loop, answer), self.earshot(loop, len(answer))
        bare = self.bare(in_flight)
        return found({"echo": echo, "Earshot": ours, "bare store": bare},
                     ratio=ours.per_second / bare.per_second,
                     bounds=(echo.cpu_us + bare.cpu_us) / ours.cpu_us)

    def give_64(self):
        return self.give_many(64)

    def give_256(self):
        return self.give_many(256)

    def give_1000(self):
        # One on its way while the other is committed: more would share commits.
        loop = Closed("give-1000", gives=True, things=1000, in_flight=2)
        ours = self.earshot(loop, len(self.answer_of(loop)))
        bare = self.bare(1, loop.things)
        return found({"Earshot": ours, "bare store": bare},
                     ratio=ours.per_second / bare.per_second, cpu=bare.cpu_us / ours.cpu_us)


def found(sides, **figures):
    return {"sides": sides, "figures": figures}


OF_ECHO = Figure("echo", "CPU, echo / Earshot")
READ_MANY = (
    Figure("p50", "p50 of one request at a time", 2, "ms"),
    Figure("p99", "p99 of one request at a time", 2, "ms"),
    Figure("calls", "calls a second, some in flight", 0),
    Figure("database_us", "CPU of the database a call", 2, "µs"))
EXPLAIN_CALL = (
    Figure("users", "users in a second of CPU", 0, must=500_000, aim=800_000),
    Figure("ratio", "CPU a user / of a check of the pair in batches"),
    Figure("memory", "the most memory, beyond what it was", 1, "MiB", must=32, aim=8, less=True),
    Figure("database", "CPU of the database a user", 2, "µs"))
CALL_HISTORY = (
    Figure("few", "CPU of a check before 10 changes / now"),
    Figure("change", "CPU for each further change of the call", 3, "µs"),
    Figure("database", "CPU of the database for each", 3, "µs"),
    Figure("few_aged", "10 changes: CPU in an older store / before", must=1.2, aim=1.05, less=True),
    Figure("many_aged", "many changes: CPU in an older store / before", must=1.2, aim=1.05,
           less=True))
FEED_PAGES = (
    Figure("gives_100", "changes in a second of CPU, gives, 100 a page", 0),
    Figure("gives_1000", "changes in a second of CPU, gives, 1,000 a page", 0, must=200_000,
           aim=400_000),
    Figure("load_100", "changes in a second of CPU, a load, 100 a page", 0),
    Figure("load_1000", "changes in a second of CPU, a load, 1,000 a page", 0),
    Figure("ratio", "CPU a change / a read of one call"))
ARRIVAL = tuple(
    Figure(f"{who}_{key}", f"{whose}: {of}", 2, "ms")
    for who, whose in (("one", "one stream"), ("all", "the last of 1,000"))
    for key, of in (("p50", "p50"), ("p99", "p99"), ("most", "most")))

BENCHES = [
    Bench("read-1", "read 1 call, 64 in flight", (
        Figure("ratio", "CPU a request, echo / Earshot", must=0.75, aim=0.82),
        Figure("rate", "requests a second, Earshot / echo")), Turn.read_1),
    Bench("read-1-uncached", "read 1 call with the cache off", (
        Figure("ratio", "CPU a request, echo / Earshot", must=0.37, aim=0.45),),
          Turn.read_1_uncached),
    Bench("read-100", "read 100 calls in one request", (
        Figure("ratio", "CPU a call / read-1", 3, must=0.09, aim=0.06, less=True), OF_ECHO),
          Turn.read_100),
    Bench("read-10000", "read 10,000 calls in one request, 8 in flight", (
        Figure("calls", "calls a second", 0, must=1_500_000, aim=2_200_000),
        Figure("by_cpu", "calls in a second of CPU", 0)), Turn.read_10000),
    Bench("pipelined", "read 1 call, 16 sent at once on each of 64 connections", (
        Figure("ratio", "CPU a request / read-1", must=0.35, aim=0.25, less=True), OF_ECHO),
          Turn.pipelined),
    Bench("tls", "read 1 call over TLS 1.3", (
        Figure("ratio", "CPU a request / read-1", must=1.6, aim=1.45, less=True),), Turn.tls),
    Bench("check-1", "check 1 pair, 64 in flight", (
        Figure("ratio", "CPU a request / read-1", must=1.3, aim=1.15, less=True),), Turn.check_1),
    Bench("check-10000", "check 10,000 pairs in one request, 8 in flight", (
        Figure("by_cpu", "checks in a second of CPU", 0, must=500_000, aim=800_000),),
          Turn.check_10000),
    Bench("give-1", "give 1 grant, 1 in flight", (
        Figure("ratio", "rate, Earshot / an echo that makes the same commit", must=0.8, aim=0.9),
        Figure("bare", "rate, Earshot / bare store")), Turn.give_1),
    Bench("give-64", "give 1 grant, 64 in flight", (
        Figure("ratio", "rate, Earshot / bare store, 64 a batch", must=0.35, aim=0.55),
        Figure("bounds", "CPU, echo and bare store together / Earshot")), Turn.give_64),
    Bench("give-256", "give 1 grant, 256 in flight", (
        Figure("ratio", "rate, Earshot / bare store, 256 a batch", must=0.45, aim=0.6),
        Figure("bounds", "CPU, echo and bare store together / Earshot")), Turn.give_256),
    Bench("give-1000", "give 1,000 grants in one request, 2 in flight", (
        Figure("ratio", "rate, Earshot / bare store, 1,000 a batch", must=0.6, aim=0.8),
        Figure("cpu", "CPU, bare store / Earshot")), Turn.give_1000),
    Bench("open-loop", "reads with 5 % gives, at half of saturation", (
        Figure("p99", "p99 of reads, Earshot / echo beside the bare store", must=3, aim=2,
               less=True),
        Figure("p999", "p99.9 of reads, the same"),
        Figure("saturation", "saturation, requests a second", 0),
        *(Figure(f"{side}_{key}", f"{name}: {of}", 2, "ms")
          for side, name in (("earshot", "Earshot"), ("echo", "echo beside the bare store"))
          for key, of in (("p50", "p50 of reads"), ("p99", "p99 of reads"),
                          ("p999", "p99.9 of reads"), ("give_p99", "p99 of gives"))),
        Figure("lag", "p99 of what the generator was late itself, worst side", 3, "ms")),
          alone.open_loop, alone=True),
    Bench("load", "load of records: a call and its 5 grants after the other, no order of ids", (
        Figure("empty", "records a second into an empty store", 0, must=400_000, aim=1_000_000),
        Figure("full", "records a second into a full store", 0, must=80_000, aim=100_000),
        Figure("empty_peak", "most memory, empty store", 0, "MiB"),
        Figure("full_peak", "most memory, full store", 0, "MiB")), alone.load, alone=True),
    Bench("idle", "10,000 idle connections", (
        Figure("plain", "memory each, plain", 2, "KiB", must=8, aim=2, less=True),
        Figure("tls", "memory each, TLS", 2, "KiB", must=80, aim=40, less=True),
        Figure("effect", "CPU of read-1 with them / without", 3, must=1.05, aim=1, less=True)),
          alone.idle, alone=True),
    Bench("start", "from the start of the program to its first answer", (
        Figure("clean", "after a clean end", 0, "ms"),
        Figure("killed", "after kill -9 under gives", 0, "ms")), alone.start, alone=True),
    Bench("explain-call", "who may hear a call, of 100,000 users, page after page",
          EXPLAIN_CALL, access.explain_call, alone=True),
    Bench("explain-user", "calls given to a user, 100 a page", (
        Figure("ratio", "CPU a page / a read of the calls with the cache off", must=1.5, aim=1.2,
               less=True),),
          access.explain_user, alone=True),
    Bench("call-history", "check of a call as it was before its changes",
          CALL_HISTORY, access.call_history, alone=True),
    Bench("feed-append", "give 1 grant, 64 in flight, with a stream that is told of each", (
        Figure("ratio", "rate, with a stream / with none", must=0.8, aim=0.9),
        Figure("cpu", "CPU of a change that is told", 2, "µs")), feed.append, alone=True),
    Bench("feed-pages", "pages of the record of changes", FEED_PAGES, feed.pages, alone=True),
    Bench("feed-streams", "read 1 call, 64 in flight, beside 1,000 open streams", (
        *(Figure(f"left_{rate}", f"part of the core that {rate} changes/s leave to reads",
                 must=0.9 if rate <= 10 else None, aim=0.98 if rate <= 10 else None)
          for rate in (0, *feed.RATES)),
        *(Figure(f"rate_{rate}", f"rate of reads, with {rate} changes/s / without streams")
          for rate in (0, *feed.RATES)),
        Figure("memory", "memory of a stream", 2, "KiB", must=16, aim=8, less=True)),
          feed.streams, alone=True),
    Bench("feed-arrival", "from the answer to a give until a stream has it",
          ARRIVAL, feed.arrival, alone=True),
    Bench("pg-read-1", "over PostgreSQL: read 1 call, 64 in flight", (
        Figure("rate", "rate, Earshot / pgbench with 2 or 8 clients", must=0.6, aim=1),
        Figure("cpu", "CPU of the client, pgbench / Earshot", must=0.6, aim=1),
        Figure("database", "CPU of the database, pgbench / Earshot"),
        Figure("database_us", "CPU of the database a request", 1, "µs")),
          over_postgres.read_1, alone=True),
    Bench("pg-read-alone", "over PostgreSQL: read 1 call, 1 in flight", (
        Figure("ratio", "rate, Earshot / pgbench with 1 client"),),
          over_postgres.one_at_a_time, alone=True),
    Bench("pg-read-100", "over PostgreSQL: read 100 calls in one request", READ_MANY,
          over_postgres.read_100, alone=True),
    Bench("pg-read-10000", "over PostgreSQL: read 10,000 calls in one request", READ_MANY,
          over_postgres.read_10000, alone=True),
    Bench("pg-check-1", "over PostgreSQL: check 1 pair, 64 in flight", (
        Figure("ratio", "CPU a request / read of 1 call", must=1.3, aim=1.15, less=True),
        Figure("database", "CPU of the database / read of 1 call"),
        Figure("database_us", "CPU of the database a request", 1, "µs")),
          over_postgres.check_1, alone=True),
    Bench("pg-check-10000", "over PostgreSQL: check 10,000 pairs in one request", (
        Figure("by_cpu", "checks in a second of CPU", 0),
        Figure("database_us", "CPU of the database a check", 2, "µs")),
          over_postgres.check_10000, alone=True),
    Bench("pg-two-servers", "over PostgreSQL: reads of 1 call by servers of 0.2 core each", (
        Figure("ratio", "rate, two servers / one", must=1.7, aim=1.9),
        Figure("one", "requests a second, one server", 0),
        Figure("both", "requests a second, two servers", 0),
        Figure("share", "share of its core that the database used for two")),
          over_postgres.two_servers, alone=True),
    Bench("pg-give-64", "over PostgreSQL: give 1 grant, 64 in flight, one company", (
        Figure("ratio", "rate, Earshot / pgbench with 64 clients, a transaction a give", must=10,
               aim=20),
        Figure("alone", "rate, Earshot / pgbench with 1 client"),
        Figure("database", "CPU of the database, pgbench / Earshot"),
        Figure("by_database", "gives in a second of the database's CPU", 0)),
          over_postgres.give_64, alone=True),
    Bench("pg-give-1", "over PostgreSQL: give 1 grant, 1 in flight", (
        Figure("ratio", "rate, Earshot / pgbench with 1 client"),
        Figure("by_database", "gives in a second of the database's CPU", 0)),
          over_postgres.give_1, alone=True),
    Bench("pg-explain-call", "over PostgreSQL: who may hear a call, of 100,000 users",
          EXPLAIN_CALL, over_postgres.explain_call, alone=True),
    Bench("pg-call-history", "over PostgreSQL: check of a call as it was before its changes",
          CALL_HISTORY, over_postgres.call_history, alone=True),
    Bench("pg-feed-pages", "over PostgreSQL: pages of the record of changes", (
        *(Figure(figure.key, figure.what, figure.digits) for figure in FEED_PAGES),
        Figure("gives_1000_database", "CPU of the database a change of gives", 2, "µs"),
        Figure("load_1000_database", "CPU of the database a change of a load", 2, "µs")),
          over_postgres.feed_pages, alone=True),
    Bench("pg-feed-arrival", "over PostgreSQL: the same, of another server than the writer's",
          tuple(dataclasses.replace(figure, must=1000, aim=100, less=True)
                if figure.key.endswith("p99") else figure for figure in ARRIVAL),
          over_postgres.feed_arrival, alone=True),
    Bench("pg-load", "over PostgreSQL: load of records into empty tables, and their dump", (
        Figure("load", "records a second loaded", 0),
        Figure("dump", "records a second dumped", 0)), over_postgres.load, alone=True),
]
BY_NAME = {bench.name: bench for bench in BENCHES}


def run_all(ground, benches):
    """{name of a bench: what it found in each of its rounds}; without those for which this machine
    lacks something."""
    results = {}
    turning = [bench for bench in benches if not bench.alone]
    rounds = alone.rounds_of(ground) if turning else 0
    begin = time.monotonic()

    def tell(what):
        say(f"{time.monotonic() - begin:6.0f} s  {what}")

    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        turn = Turn(ground)
        for bench in turning:
            results.setdefault(bench.name, []).append(turn.measured(bench))
        turn.close()
    for bench in benches:
        if bench.alone:
            tell(bench.name)
            try:
                results[bench.name] = bench.measure(ground)
            except Missing as missing:
                say(f"FAIL {bench.name}: {missing}")
    tell("done")
    return results
