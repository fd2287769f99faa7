"""Benches that need the machine to themselves, each with rounds of its own. Each is a function of a
Ground that gives what it found in each round, as benches.Turn does."""

import itertools
import subprocess
import sys
import time

import dataset
import machine
import wire
from generators import HERE, Closed, Mix, run_closed, run_mix
from machine import Failure
from sides import PRIMED_CALLS, Side, say

ROUNDS = 5  # where the options name none
OPEN_ROUNDS = 10
CURVE_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of saturation
SATURATION_TRIES = 3
LATE_SHARE_MAX = 0.25  # of the p99 of reads, that the generator's own delay may be
IDLE_CONNECTIONS = 10_000
IDLE_SECONDS_MAX = 120
START_SECONDS_MAX = 60
MORE_CALLS_SHARE = 0.2  # of the calls, that a load into a full store brings
MIB = 1 << 20


def rounds_of(ground, usual=ROUNDS):
    return ground.options.rounds or usual


# --- Open loop -----------------------------------------------------------------------------------


class OpenLoop:
    """Earshot, and an echo whose core carries the bare store, asked the same at the same rate."""

    def __init__(self, ground):
        self.ground = ground
        self.earshot = ground.serve(ground.copy_of("store"))
        ground.prime(self.earshot)
        self.read_answer = wire.read_calls(self.earshot, ground.data.calls[:1])[0]
        self.give_answer = wire.give(self.earshot, ground.next_pairs(1))
        self.echo = ground.start_echo(self.read_answer, self.give_answer)
        self.bare = ground.start_bare()
        self.echo_bytes = len(self.read_answer), len(self.give_answer)

    def saturation(self, seconds):
        run_mix(self.ground, self.earshot, Mix(), 0.5)
        return max((run_mix(self.ground, self.earshot, Mix(), seconds)
                    for _ in range(min(SATURATION_TRIES, rounds_of(self.ground)))), key=lambda found: found.per_second)

    def at(self, rate, seconds, warm_up=0.5):
        self.ground.rest()
        mix = Mix(rate=rate)
        self.bare.tell(f"rate {rate * mix.gives} {seconds + warm_up}")
        echo = run_mix(self.ground, self.echo, mix, seconds, warm_up, beside=(self.bare,),
                       echo_bytes=self.echo_bytes)
        self.bare.hear()
        self.ground.rest()
        return echo, run_mix(self.ground, self.earshot, mix, seconds, warm_up)


def open_loop(ground):
    seconds = 0.4 if ground.options.quick else ground.options.seconds
    loop = OpenLoop(ground)
    most = loop.saturation(seconds)
    say(f"  saturation at {most.per_second:,.0f} requests/s, of its core {most.server_share:.0%}")
    rounds = []
    for _ in range(rounds_of(ground, OPEN_ROUNDS)):
        echo, ours = loop.at(most.per_second / 2, seconds)
        rounds.append({"open": {"echo": echo, "earshot": ours}, "figures": {
            "p99": ours.reads["p99_us"] / echo.reads["p99_us"],
            "p999": ours.reads["p999_us"] / echo.reads["p999_us"],
            "saturation": most.per_second,
            "lag": max(ours.lag["p99_us"], echo.lag["p99_us"]) / 1000,
            **latencies("earshot", ours), **latencies("echo", echo)}})
    shares = CURVE_SHARES[::8] if ground.options.quick else CURVE_SHARES
    rounds[0]["curve"] = [(share, *loop.at(share * most.per_second, seconds)) for share in shares]
    rounds[0]["notes"] = open_notes(rounds, most)
    ground.stop(*list(ground.processes))
    return rounds


def latencies(side, found):
    return {f"{side}_p50": found.reads["p50_us"] / 1000, f"{side}_p99": found.reads["p99_us"] / 1000,
            f"{side}_p999": found.reads["p999_us"] / 1000,
            f"{side}_give_p99": found.writes["p99_us"] / 1000}


def open_notes(rounds, most):
    notes = [f"Saturation was found with the same mix in a closed loop of 64: the server then used "
             f"{most.server_share:.0%} of its core."]
    late = [found for found in rounds
            if found["figures"]["lag"] > LATE_SHARE_MAX * found["figures"]["echo_p99"]]
    waited = sum(side.waited for found in rounds for side in found["open"].values())
    if late:
        notes.append(f"**The generator itself was late in {len(late)} of {len(rounds)} rounds**: "
                     f"its own delay was more than {LATE_SHARE_MAX:.0%} of the echo's p99.")
    notes.append(f"{waited:,} requests found no connection free; their wait counts as latency.")
    return notes


# --- Loads ---------------------------------------------------------------------------------------


def load(ground):
    """`earshot load` on the servers' core, into a new store and into one with the data."""
    more = dataset.Dataset(calls_count=int(ground.data.calls_count * MORE_CALLS_SHARE))
    records = ground.work / "more.ndjson"
    ground.write_records(records, more, ground.data.calls_count)
    more_count = 1 + more.calls_count * (1 + more.grants_per_call)
    rounds = []
    for number in range(rounds_of(ground)):
        costs = {}
        for kind, path, store in (("empty", ground.records, ground.work / f"loaded-{number}"),
                                  ("full", records, ground.copy_of("store"))):
            costs[kind] = machine.run_measured([ground.earshot, "load", path, "--store", store],
                                               ground.server_core,
                                               f"loading into a {kind} store")
        check_loaded(ground, ground.work / f"loaded-{number}")
        rounds.append({"figures": {
            "empty": ground.data.records / costs["empty"].seconds,
            "full": more_count / costs["full"].seconds,
            "empty_peak": costs["empty"].peak_bytes / MIB,
            "full_peak": costs["full"].peak_bytes / MIB}})
    rounds[0]["notes"] = [f"{ground.data.records:,} records into the empty store, {more_count:,} "
                          f"into the full one; from the start of `earshot load` to its end."]
    return rounds


def check_loaded(ground, store):
    side = ground.serve(store)
    _, users = wire.read_calls(side, ground.data.calls[-PRIMED_CALLS:])
    if any(len(of_call) != ground.data.grants_per_call for of_call in users.values()):
        raise Failure("a load did not bring all grants")
    ground.stop(side.process)


# --- Idle connections ----------------------------------------------------------------------------


def idle(ground):
    seconds = ground.options.seconds
    count = IDLE_CONNECTIONS // 10 if ground.options.quick else IDLE_CONNECTIONS
    loop = Closed("read-1", gives=False, things=1, in_flight=64)
    rounds = []
    for _ in range(rounds_of(ground)):
        figures = {}
        for kind in ("plain", "tls"):
            side = ground.serve(ground.copy_of("store"), tls=kind == "tls")
            ground.prime(side)
            answer = wire.read_calls(side, ground.data.calls[:1])[0]
            if kind == "plain":
                run_closed(ground, loop, side, 1, len(answer))
                without = run_closed(ground, loop, side, seconds, len(answer))
            before = side.process.anonymous_bytes()
            with held(ground, side, count):
                figures[kind] = (side.process.anonymous_bytes() - before) / count / 1024
                if kind == "plain":
                    beside = run_closed(ground, loop, side, seconds, len(answer))
                    figures["effect"] = beside.cpu_us / without.cpu_us
            ground.stop(side.process)
        rounds.append({"figures": figures})
    rounds[0]["notes"] = [f"{count:,} connections, each of which had one answer before it fell "
                          "silent. Memory is what is no page of a file."]
    return rounds


class held:
    """So many idle connections to a side, while it lasts."""

    def __init__(self, ground, side, count):
        self.command = [sys.executable, str(HERE / "hold.py"), str(side.port), str(count),
                        *(["tls"] if side.tls else [])]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = self.process.stdout.readline().strip()
        if said != "ready":
            rest = self.process.communicate()[0]
            raise Failure(f"idle connections: {said}\n{rest[-2000:]}")

    def __exit__(self, *_):
        self.process.communicate()


# --- Starts --------------------------------------------------------------------------------------


def start(ground):
    rounds = []
    for _ in range(rounds_of(ground)):
        store = ground.copy_of("store")
        clean, side = time_to_first_answer(ground, store)
        run_mix(ground, side, Mix(gives=1.0), ground.options.seconds)
        kill_under_gives(ground, side, ground.data)
        killed, side = time_to_first_answer(ground, store)
        ground.stop(side.process)
        rounds.append({"figures": {"clean": clean * 1000, "killed": killed * 1000}})
    return rounds


def kill_under_gives(ground, side, data):
    """Kills it while 64 gives are in flight."""
    command = [ground.program["bench_load"], "--port", side.port, "--seconds", 30, "--gives", 1,
               "--companies", data.companies, "--calls", data.calls_count,
               "--first-give", ground.given]
    load_process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
    time.sleep(ground.options.seconds)
    if load_process.poll() is not None:
        raise Failure("the gives ended before the server was killed under them")
    side.process.kill()
    load_process.wait()  # it ends with its first broken connection
    ground.given += 10_000_000  # none of these again
    ground.stop(side.process)


def time_to_first_answer(ground, store, *options):
    port = machine.free_port()
    begin = time.monotonic()
    process = ground.start(ground.earshot, "serve", "--listen", f"127.0.0.1:{port}",
                           "--store", store, *options)
    for _ in itertools.count():
        try:
            side = Side(process, port)
            wire.read_calls(side, ground.data.calls[:1])
            return time.monotonic() - begin, side
        except OSError:
            if process.process.poll() is not None or time.monotonic() > begin + START_SECONDS_MAX:
                raise Failure(f"no answer after a start:\n{process.said()[-2000:]}") from None
            time.sleep(0.001)
