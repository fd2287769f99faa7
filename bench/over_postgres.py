"""Benches of Earshot over PostgreSQL, each with rounds of its own, as those of alone.py.

The database has the servers' core. Whoever asks it has the load's: Earshot with the load that asks
Earshot, or pgbench. Both sides work on one database, each on a company of its own; pgbench's is of
the same size. Benches that only read come first, as gives make answers longer.
"""

import time

import access
import database
import feed
import machine
import wire
from generators import Clocks, Closed, Measurement, Mix, run_closed, run_mix
from machine import Failure

ROUNDS = 5  # where the options name none
LOAD_SECONDS_MAX = 3600
CONNECTIONS = 2  # that Earshot has for reads: one thread's, as shipped
PGBENCH_CLIENTS = (CONNECTIONS, 8)
IN_FLIGHT = 64
PGBENCH_COMPANY = 2
PEOPLE = "people"  # the database of access.py's people
WARM_UP_SECONDS = 1
GIVES_LAST = 4  # times as long as reads: checkpoints and syncs come in bursts
SERVER_SHARE = 0.2  # of a core, for each of two servers


def rounds_of(ground):
    return range(ground.options.rounds or ROUNDS)


class Database:
    """PostgreSQL with the data of the benches, for all of them."""

    def __init__(self, ground):
        self.ground = ground
        self.name = "postgres"  # as a side of a bench
        self.server = database.Server(ground.server_core)
        self.pgbench = database.Population(ground.data.calls_count, PGBENCH_COMPANY)

    def fill(self):
        self.seconds_to_load = self.load_records(database.NAME)
        self.server.sql(self.pgbench.fill())
        self.server.settle()

    def load_records(self, name, records=None):
        ground = self.ground
        machine.run_command([ground.earshot, "migrate", "--store", self.server.url(name)], 60,
                            "earshot migrate")
        cost = machine.run_measured(
            [ground.earshot, "load", records or ground.records, "--store", self.server.url(name)],
            ground.load_core, "loading into PostgreSQL")
        return cost.seconds

    def cpu_seconds(self):
        return self.server.cpu_seconds()

    def close(self):
        self.server.close()


def database_of(ground):
    """The one of the run, made when first asked for."""
    if ground.database is None:
        ground.database = Database(ground)
        ground.database.fill()
        side = serve(ground)
        ground.prime(side)
        ground.stop(side.process)
    return ground.database


def serve(ground, *options, name=database.NAME):
    return ground.serve(ground.database.server.url(name), "--store-connections", CONNECTIONS, *options,
                        core=ground.load_core, beside=ground.database)


def clients_text(count):
    return f"pgbench, {count} client{'s' * (count > 1)}"


def run_pgbench(ground, script, clients, seconds, things=1):
    """As a side of a bench: pgbench is the client of the database that Earshot is, too."""
    ground.rest()
    clocks = Clocks(ground.server_core, ground.database)
    found = ground.database.server.load(script, seconds, ground.load_core, clients)
    _, _, foreign, _ = clocks.stop()
    return Measurement(per_second=found.per_second, cpu_us=found.client_us, things=things,
                       p50_us=0, foreign=foreign, beside_us=found.server_us)


def earshot(ground, loop, side, seconds, answer_bytes):
    if not ground.options.quick:
        run_closed(ground, loop, side, WARM_UP_SECONDS, answer_bytes)
    return run_closed(ground, loop, side, seconds, answer_bytes)


# --- Reads ---------------------------------------------------------------------------------------


def read_1(ground):
    loop = Closed("pg-read-1", gives=False, things=1, in_flight=IN_FLIGHT)
    script = database_of(ground).pgbench.read()
    side = serve(ground)
    answer = wire.read_calls(side, ground.data.calls[:1])[0]
    rounds = []
    for _ in rounds_of(ground):
        sides = {clients_text(clients): run_pgbench(ground, script, clients,
                                                    ground.options.seconds)
                 for clients in PGBENCH_CLIENTS}
        rate = max(side.per_second for side in sides.values())
        cpu_us = min(side.cpu_us for side in sides.values())
        beside_us = min(side.beside_us for side in sides.values())
        ours = sides["Earshot"] = earshot(ground, loop, side, ground.options.seconds, len(answer))
        rounds.append({"sides": sides, "figures": {
            "rate": ours.per_second / rate, "cpu": cpu_us / ours.cpu_us,
            "database": beside_us / ours.beside_us, "database_us": ours.beside_us}})
    ground.stop(side.process)
    return rounds


def read_many(ground, things, in_flight):
    """Reads of many calls, one request at a time and some in flight."""
    database_of(ground)
    side = serve(ground)
    answer = wire.read_calls(side, ground.data.calls[:things])[0]
    rounds = []
    for _ in rounds_of(ground):
        alone, many = (
            earshot(ground, Closed(f"pg-read-{things}", False, things, count), side,
                    ground.options.seconds, len(answer)) for count in (1, in_flight))
        rounds.append({"sides": {"Earshot, 1 in flight": alone,
                                 f"Earshot, {in_flight} in flight": many}, "figures": {
            "p50": alone.p50_us / 1000, "p99": alone.p99_us / 1000,
            "calls": many.per_second * things, "database_us": many.beside_us / things}})
    ground.stop(side.process)
    return rounds


def read_100(ground):
    return read_many(ground, 100, 8)


def read_10000(ground):
    return read_many(ground, 10_000, 2)


# --- Gives ---------------------------------------------------------------------------------------


def gives(ground, in_flight):
    """Of one company, one grant a request, beside pgbench's one a transaction."""
    seconds = ground.options.seconds * (1 if ground.options.quick else GIVES_LAST)
    loop = Closed(f"pg-give-{in_flight}", gives=True, things=1, in_flight=in_flight)
    script = database_of(ground).pgbench.give(1)
    side = serve(ground)
    answer = wire.give(side, ground.next_pairs(1))
    rounds = []
    for _ in rounds_of(ground):
        # One that waits for nobody gets more of them done than many that wait for one lock.
        sides = {clients_text(clients): run_pgbench(ground, script, clients, seconds)
                 for clients in sorted({1, in_flight})}
        bare, alone = sides[clients_text(in_flight)], sides[clients_text(1)]
        ours = sides["Earshot"] = earshot(ground, loop, side, seconds, len(answer))
        rounds.append({"sides": sides, "figures": {
            "ratio": ours.per_second / bare.per_second,
            "alone": ours.per_second / alone.per_second,
            "database": bare.beside_us / ours.beside_us,
            "by_database": 1e6 / ours.beside_us}})
    ground.stop(side.process)
    return rounds


def give_64(ground):
    return gives(ground, IN_FLIGHT)


def give_1(ground):
    return gives(ground, 1)


def one_at_a_time(ground):
    """A read of one call, as long as nothing else is asked."""
    loop = Closed("pg-read-alone", gives=False, things=1, in_flight=1)
    script = database_of(ground).pgbench.read()
    side = serve(ground)
    answer = wire.read_calls(side, ground.data.calls[:1])[0]
    rounds = []
    for _ in rounds_of(ground):
        bare = run_pgbench(ground, script, 1, ground.options.seconds)
        ours = earshot(ground, loop, side, ground.options.seconds, len(answer))
        rounds.append({"sides": {clients_text(1): bare, "Earshot": ours}, "figures": {
            "ratio": ours.per_second / bare.per_second}})
    ground.stop(side.process)
    return rounds


# --- Who may hear a call -------------------------------------------------------------------------


def check_1(ground):
    """Beside a read of one call by the same server."""
    database_of(ground)
    read = Closed("pg-read-1", gives=False, things=1, in_flight=IN_FLIGHT)
    check = Closed("pg-check-1", gives=False, things=1, in_flight=IN_FLIGHT, checks=True)
    side = serve(ground)
    lengths = (len(wire.read_calls(side, ground.data.calls[:1])[0]),
               access.check_bytes(side, ground.data, check.things))
    rounds = []
    for _ in rounds_of(ground):
        reads, checks = (earshot(ground, loop, side, ground.options.seconds, length)
                         for loop, length in zip((read, check), lengths))
        rounds.append({"sides": {"read of 1 call": reads, "check of 1 pair": checks}, "figures": {
            "ratio": checks.cpu_us / reads.cpu_us, "database": checks.beside_us / reads.beside_us,
            "database_us": checks.beside_us}})
    ground.stop(side.process)
    return rounds


def check_10000(ground):
    database_of(ground)
    loop = Closed("pg-check-10000", gives=False, things=10_000, in_flight=2, checks=True)
    side = serve(ground)
    answer_bytes = access.check_bytes(side, ground.data, loop.things)
    rounds = []
    for _ in rounds_of(ground):
        ours = earshot(ground, loop, side, ground.options.seconds, answer_bytes)
        rounds.append({"sides": {"Earshot": ours}, "figures": {
            "by_cpu": 1e6 / ours.cpu_us * loop.things,
            "database_us": ours.beside_us / loop.things}})
    ground.stop(side.process)
    return rounds


def explain_call(ground):
    server = database_of(ground).server
    server.create(PEOPLE)
    ground.database.load_records(PEOPLE, access.write_people(ground))
    server.settle(PEOPLE)
    return access.explain_call_of(ground, serve(ground, name=PEOPLE))


def call_history(ground):
    database_of(ground)
    return access.call_history_of(ground, serve(ground))


# --- The feed of changes -------------------------------------------------------------------------


def feed_pages(ground):
    database_of(ground)
    return feed.pages_of(ground, serve(ground))


def feed_arrival(ground):
    """Streams of one server tell of what another has written."""
    database_of(ground)
    writing, reading = serve(ground), serve(ground)
    rounds = [feed.arrivals(ground, writing, [reading]) for _ in rounds_of(ground)]
    ground.stop(writing.process, reading.process)
    return rounds


# --- Two servers ---------------------------------------------------------------------------------


def two_servers(ground):
    """Each held to a part of a core, so that the machine has enough of them."""
    database_of(ground)
    mix = Mix(gives=0, in_flight=IN_FLIGHT)
    seconds = ground.options.seconds
    rounds = []
    with machine.CpuShare(SERVER_SHARE) as first, machine.CpuShare(SERVER_SHARE) as second:
        sides = [serve(ground), serve(ground)]
        try:
            for side, share in zip(sides, (first, second)):
                share.hold(side.process)
            for _ in rounds_of(ground):
                run_mix(ground, sides[0], mix, WARM_UP_SECONDS / 2, also=sides[1:])
                one = run_mix(ground, sides[0], mix, seconds)
                both = run_mix(ground, sides[0], mix, seconds, also=sides[1:])
                rounds.append({"figures": {
                    "ratio": both.per_second / one.per_second, "one": one.per_second,
                    "both": both.per_second, "share": both.server_share}})
        finally:
            ground.stop(*(side.process for side in sides))
    return rounds


# --- Loads ---------------------------------------------------------------------------------------


def load(ground):
    """`earshot load` into an empty database and `earshot dump` of it."""
    server = database_of(ground).server
    dumped = ground.work / "dumped.ndjson"
    rounds = []
    for number in rounds_of(ground):
        name = f"loaded_{number}"
        server.create(name)
        seconds = ground.database.load_records(name)
        begin = time.monotonic()
        with open(dumped, "wb") as file:
            machine.run_into([ground.earshot, "dump", "--store", server.url(name)], file,
                             "dumping from PostgreSQL", ground.load_core)
        passed = time.monotonic() - begin
        with open(dumped, "rb") as file:
            lines = sum(1 for _ in file)
        if lines != ground.data.records:
            raise Failure(f"{ground.data.records} records were loaded, and {lines} dumped")
        server.sql(f"DROP DATABASE {name}")
        rounds.append({"figures": {"load": ground.data.records / seconds,
                                   "dump": ground.data.records / passed}})
    return rounds
