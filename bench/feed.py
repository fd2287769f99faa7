"""Benches of the feed of changes: what it costs those who write and read beside it, and how soon it
tells. Each has rounds of its own, as those of alone.py. They are asked of a store in a directory
here, and of one in PostgreSQL by over_postgres.py."""

import contextlib
import dataclasses
import random
import statistics
import threading
import time

import wire
from access import change, same
from alone import rounds_of
from generators import Closed, run_closed
from machine import Failure

CHANGES = "/earshot/v1/changes"
STREAMS, STREAMS_QUICK = 1000, 100
RATES = (10, 100)  # changes a second while streams are open
PAGES = (100, 1000)  # changes in a page
PAGED_CHANGES = 2000  # of a revision each
ARRIVALS, ARRIVALS_QUICK = 40, 5
# Longer than a server waits between two tellings of a company's changes to 1,000 readers, and
# differing by more than between two looks at the database: pauses alike fall into step with these,
# so that each give waits for the next look as long as the one before.
ARRIVAL_PAUSE_SECONDS = (0.3, 0.6)
GIVES_LAST = 4  # times as long as reads, as in benches.py
TOLD_SECONDS_MAX = 30
READ_1 = Closed("read-1", gives=False, things=1, in_flight=64)
GIVE_64 = Closed("give-64", gives=True, things=1, in_flight=64)


def stream_count(ground):
    return STREAMS_QUICK if ground.options.quick else STREAMS


def head_of(side):
    """The newest revision of the company."""
    return wire.exchange(side, "GET", None, path=f"{CHANGES}/head")[1]["revision"]


class Streams:
    """So many open streams from the newest revision on, on the load's core, while it lasts."""

    def __init__(self, ground, sides, count):
        self.count = count
        self.ground = ground
        path = ground.work / "stream"
        request = wire.request_of("GET", None, path=f"{CHANGES}?after={head_of(sides[0])}")
        path.write_bytes(request.replace(b"\r\n", b"\r\nAccept: text/event-stream\r\n", 1))
        ports = [part for side in sides for part in ("--port", side.port)]
        self.process = ground.start(
            ground.program["bench_streams"], *ports, "--streams", count, "--request", path,
            talks=True, core=ground.load_core)
        self.process.hear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ground.stop(self.process)

    def had(self):
        """Events so far, of all together."""
        return int(self.process.ask("until 0").split()[1])


class Gives:
    """So many gives of one pair a second, while it lasts."""

    def __init__(self, ground, side, rate):
        self.ground, self.side, self.rate = ground, side, rate
        self.given = 0
        self.over = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def run(self):
        try:
            with contextlib.closing(wire.connect(self.side.port)) as connection:
                begin = time.monotonic()
                while not self.over.is_set():
                    give_one(self.ground, connection)
                    self.given += 1
                    due = begin + self.given / self.rate
                    self.over.wait(max(0, due - time.monotonic()))
        except Exception as error:
            self.error = error

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.error:
            raise self.error


def give_one(ground, connection):
    """When it was answered, in ns."""
    (call, user), = ground.next_pairs(1)
    body = {"callAccessList": [{"callId": call, "userIds": [user]}]}
    connection.sendall(wire.request_of("PUT", body))
    wire.receive_answers(connection, 1)
    return time.monotonic_ns()


# --- What it costs to write ----------------------------------------------------------------------


def append(ground):
    """Gives with a reader who is told of each, beside gives with none, in turns."""
    seconds = ground.options.seconds * (1 if ground.options.quick else GIVES_LAST)
    rounds = []
    for number in range(rounds_of(ground)):
        side = ground.serve(ground.copy_of("store"))
        ground.prime(side)
        length = len(wire.give(side, ground.next_pairs(1)))
        run_closed(ground, GIVE_64, side, 1, length)
        sides = {}
        for count in (0, 1) if number % 2 else (1, 0):
            begin = head_of(side)
            with Streams(ground, [side], count) if count else contextlib.nullcontext() as opened:
                sides[count] = run_closed(ground, GIVE_64, side, seconds, length)
                if opened:
                    check_told(opened, 0, head_of(side) - begin)
        ground.stop(side.process)
        without, with_one = sides[0], sides[1]
        sides = {"no reader": without, "a reader": with_one}
        rounds.append({"sides": sides, "figures": {
            "ratio": with_one.per_second / without.per_second,
            "cpu": with_one.cpu_us - without.cpu_us}})
    return rounds


def check_told(streams, had, changes):
    """All of them were told of so many changes, each once, since they had had so many events."""
    expected = had + changes * streams.count
    deadline = time.monotonic() + TOLD_SECONDS_MAX
    while (now := streams.had()) < expected and time.monotonic() < deadline:
        time.sleep(0.02)
    if now != expected:
        raise Failure(f"{streams.count} streams were told {now - had} times of {changes} changes")


# --- Pages ---------------------------------------------------------------------------------------


def pages(ground):
    return pages_of(ground, ground.serve(ground.copy_of("store")))


def pages_of(ground, side):
    """Pages of changes that are a revision each, and of a load's, beside reads of one call."""
    begin = head_of(side)
    change(ground, side, ground.data.calls[0], PAGED_CHANGES)
    rounds = []
    for _ in range(rounds_of(ground)):
        read = same(ground, side, wire.request_of(
            "POST", {"filter": {"callIds": ground.data.calls[1:2]}}))
        sides, figures = {"read of 1 call": read}, {}
        for after, of in ((begin, "gives"), (0, "load")):
            for limit in PAGES:
                found = page(ground, side, after, limit)
                sides[f"{limit} of {of}"] = found
                figures[f"{of}_{limit}"] = limit / found.cpu_us * 1e6
                if side.beside:
                    figures[f"{of}_{limit}_database"] = found.beside_us / limit
        ratio = sides["1000 of gives"].cpu_us / 1000 / read.cpu_us
        rounds.append({"sides": sides, "figures": {**figures, "ratio": ratio}})
    ground.stop(side.process)
    return rounds


def page(ground, side, after, limit):
    request = wire.request_of("GET", None, path=f"{CHANGES}?after={after}&limit={limit}")
    with contextlib.closing(wire.connect(side.port)) as connection:
        _, told = wire.exchange_on(connection, request)
    count = sum(len(one["changes"]) for one in told["revisions"])
    if count != limit:
        raise Failure(f"a page has {count} changes, not {limit}")
    return dataclasses.replace(same(ground, side, request), things=limit)


# --- Streams -------------------------------------------------------------------------------------


def streams(ground):
    """Reads of one call beside open streams, idle and with changes that each is told of. The share
    of the core that streams take is what they add to a read's CPU, times the reads of a second."""
    seconds = ground.options.seconds
    count = stream_count(ground)
    rounds = []
    for _ in range(rounds_of(ground)):
        side = ground.serve(ground.copy_of("store"))
        ground.prime(side)
        length = len(wire.read_calls(side, ground.data.calls[:1])[0])
        run_closed(ground, READ_1, side, 1, length)
        without = run_closed(ground, READ_1, side, seconds, length)
        sides, figures = {"no stream": without}, {}
        before = side.process.anonymous_bytes()
        with Streams(ground, [side], count) as opened:
            figures["memory"] = (side.process.anonymous_bytes() - before) / count / 1024
            for rate in (0, *RATES):
                had = opened.had()
                given = Gives(ground, side, rate) if rate else None
                with given or contextlib.nullcontext():
                    found = run_closed(ground, READ_1, side, seconds, length)
                if given:
                    check_told(opened, had, given.given)
                sides[f"{count} streams, {rate} changes/s"] = found
                taken = (found.cpu_us - without.cpu_us) * found.per_second / 1e6
                figures[f"left_{rate}"] = 1 - taken
                figures[f"rate_{rate}"] = found.per_second / without.per_second
        ground.stop(side.process)
        rounds.append({"sides": sides, "figures": figures})
    return rounds


# --- How soon ------------------------------------------------------------------------------------


def arrival(ground):
    side = ground.serve(ground.copy_of("store"))
    ground.prime(side)
    rounds = [arrivals(ground, side, [side]) for _ in range(rounds_of(ground))]
    ground.stop(side.process)
    return rounds


def arrivals(ground, writing, reading):
    """One give at a time; from its answer until one stream, and until the last of many, has it. What
    was told before the answer counts as 0."""
    figures = {}
    for name, count in (("one", 1), ("all", stream_count(ground))):
        with Streams(ground, reading, count) as opened:
            late = arrival_times(ground, writing, opened)
        figures[f"{name}_p50"] = statistics.median(late)
        figures[f"{name}_p99"] = sorted(late)[int(0.99 * (len(late) - 1))]
        figures[f"{name}_most"] = max(late)
    return {"figures": figures}


def arrival_times(ground, side, opened):
    """In milliseconds."""
    late = []
    with contextlib.closing(wire.connect(side.port)) as connection:
        had = opened.had()
        for _ in range(ARRIVALS_QUICK if ground.options.quick else ARRIVALS):
            had += opened.count
            opened.process.tell(f"until {had}")
            answered = give_one(ground, connection)
            arrived = int(opened.process.hear().split()[0])
            late.append(max(0, arrived - answered) / 1e6)
            time.sleep(random.uniform(*ARRIVAL_PAUSE_SECONDS))
    return late
