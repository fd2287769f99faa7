"""The load, on its own core: wrk for closed loops, bench_load for open ones. What comes back is
checked, and a load that had no time left is told from a server that had none."""

import dataclasses
import json
import pathlib
import random
import re
import time

import machine
import wire
from machine import Failure

HERE = pathlib.Path(__file__).resolve().parent
CHECKED_GIVES = 100  # of each measurement, read back
GRACE_SECONDS = 60
REVISION_DIGITS = 8  # that the revision in an answer to a give may grow by
STREAMED_SLACK = 0.01  # of a streamed answer's bytes: its pieces differ
CHECKS_SLACK = 0.02  # of the bytes of an answer to checks: kinds of pairs are drawn


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One side of a bench in one round. Times are of requests."""

    per_second: float
    cpu_us: float  # of the server, for each of them
    things: int = 1  # calls or grants in a request
    p50_us: float = 0
    p99_us: float = 0
    load_share: float = 0  # of its core that the load used
    foreign: float = 0  # share of the server's core that others used meanwhile
    beside_us: float = 0  # CPU of the database, for each of them


@dataclasses.dataclass(frozen=True)
class Closed:
    """A closed loop of wrk."""

    what: str
    gives: bool
    things: int  # calls or grants in a request
    in_flight: int  # connections
    depth: int = 1  # requests sent at once on each
    checks: bool = False  # pairs instead of reading calls
    request: bytes | None = None  # this one again and again


class Clocks:
    """The processor time of a server and of all others on its core, from one moment on."""

    def __init__(self, core, *processes):
        self.core, self.processes = core, processes
        self.begin = self.read()

    def read(self):
        cpu = sum(process.cpu_seconds() for process in self.processes)
        return (time.monotonic(), machine.core_busy_seconds(self.core), cpu,
                machine.children_cpu_seconds())

    def stop(self):
        """Seconds passed, the server's of its core, the share of others, the load's share."""
        passed, busy, cpu, load = (b - a for a, b in zip(self.begin, self.read()))
        return passed, cpu, max(0.0, busy - cpu) / passed, load / passed


def run_closed(ground, loop, side, seconds, answer_bytes):
    """One run of wrk against a side."""
    ground.rest()
    first = ground.given
    scheme = "https" if side.tls else "http"
    command = ["wrk", "-t1", f"-c{loop.in_flight}", f"-d{seconds}s", "--timeout", "10s",
               "-s", HERE / "load.lua", f"{scheme}://127.0.0.1:{side.port}",
               "--", *wrk_arguments(ground, loop)]
    clocks = Clocks(ground.server_core, side.beside or side.process)
    own = side.process.cpu_seconds()
    output = machine.run_command(command, seconds + GRACE_SECONDS, f"wrk for {loop.what}",
                                 ground.load_core, only_tls_1_3(ground) if side.tls else None)
    own = side.process.cpu_seconds() - own
    _, cpu, foreign, load_share = clocks.stop()
    result = result_in(output, f"wrk for {loop.what}")
    ground.loads += 1
    sent = result["sent"] * loop.depth
    check_answers(loop, side, result, answer_bytes)
    if loop.gives:
        ground.given += sent * loop.things
        if side.answers_truly:
            answered = (sent - loop.in_flight * loop.depth) * loop.things
            check_gives(side, ground.data, first, answered)
    return Measurement(
        per_second=result["answered"] / result["microseconds"] * 1e6,
        cpu_us=own / result["answered"] * 1e6,
        things=loop.things,
        p50_us=0 if loop.depth > 1 else result["p50_us"],  # wrk has them for bunches alone
        p99_us=0 if loop.depth > 1 else result["p99_us"],
        load_share=load_share,
        foreign=foreign,
        beside_us=cpu / result["answered"] * 1e6 if side.beside else 0,
    )


def wrk_arguments(ground, loop):
    if loop.request:
        (ground.work / "same").write_bytes(loop.request)
        return ("same", ground.work / "same")
    if loop.checks:
        return ("check", ground.work / "CHECK", ground.work / "checks", loop.things, ground.loads)
    if loop.gives:
        return ("give", ground.work / "PUT", ground.work / "calls", ground.work / "users",
                loop.things, ground.data.place(ground.given), ground.data.stride)
    return ("read", ground.work / "POST", ground.work / "calls", loop.things, loop.depth,
            ground.loads)


def only_tls_1_3(ground):
    """wrk has no option for it, so that OpenSSL is told."""
    path = ground.work / "openssl.cnf"
    path.write_text("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n"
                    "[c]\nMinProtocol = TLSv1.3\nMaxProtocol = TLSv1.3\n")
    return {"OPENSSL_CONF": str(path)}


def result_in(output, what):
    found = re.search(r"^result (.*)$", output, re.M)
    if not found:
        raise Failure(f"{what} gave no result:\n{output[-2000:]}")
    return json.loads(found[1])


def check_answers(loop, side, result, answer_bytes):
    where = f"{loop.what} of {side.process.name}"
    if any(result["errors"].values()) or result["answered"] == 0:
        raise Failure(f"{where}: {result}\n{side.process.said()[-2000:]}")
    # Names of requests differ by a character at times, and the end cuts the last answers off.
    mean = result["bytes"] / result["answered"]
    slack = 2 + 2 * answer_bytes * loop.in_flight * loop.depth / result["answered"]
    if loop.gives:
        slack += REVISION_DIGITS
    if loop.checks:
        slack += CHECKS_SLACK * answer_bytes
    if loop.things >= 10_000:
        slack += STREAMED_SLACK * answer_bytes
    if abs(mean - answer_bytes) > slack:
        raise Failure(f"{where}: answers of {mean:.1f} bytes, not of {answer_bytes}")


def check_gives(side, data, first, answered):
    """Reads some of the gives that were answered."""
    numbers = range(first, first + max(0, answered))
    source = random.Random(first)
    for number in source.sample(numbers, min(CHECKED_GIVES, len(numbers))):
        call, user = data.pair(number)
        if user not in wire.read_calls(side, [call])[1][call]:
            raise Failure(f"the give of {user} to {call} was answered, but is not there")


def run_bare(ground, bare, requests, grants, seconds):
    """The bare store, committing so many requests of so many grants again and again."""
    ground.rest()
    clocks = Clocks(ground.server_core, bare)
    result = json.loads(bare.ask(f"batches {requests} {grants} {seconds}"))
    _, cpu, foreign, _ = clocks.stop()
    done = result["grants"] / grants
    return Measurement(per_second=done / result["seconds"], cpu_us=cpu / done * 1e6, things=grants,
                       foreign=foreign)


@dataclasses.dataclass(frozen=True)
class Open:
    """What bench_load found: a mix of reads and gives of one pair each."""

    per_second: float  # requests; the rate where one was given
    cpu_us: float  # of the server, for each
    server_share: float  # of its core, with what else was to run there
    reads: dict  # count, p50_us, p99_us, p999_us ...
    writes: dict
    lag: dict  # how late requests left that had a connection: the generator's own delay
    waited: int  # requests that found no connection free
    foreign: float = 0


@dataclasses.dataclass(frozen=True)
class Mix:
    gives: float = 0.05  # share of the requests
    in_flight: int = 64
    rate: float = 0  # 0: closed loop
    companies: int = 1
    hot_calls: int = 0  # 0: all
    more: tuple = ()  # options


def run_mix(ground, side, mix, seconds, warm_up=0.5, beside=(), data=None, echo_bytes=None,
            also=()):
    """One run of bench_load. `beside`: other programs that run on the server's core for it.
    `echo_bytes`: of the fixed answers to reads and gives, where the side is an echo. `also`: sides
    over which the load is spread with the first."""
    data = data or ground.data
    first = ground.given
    ground.loads += 1
    command = [ground.program["bench_load"], "--port", side.port, "--rate", mix.rate,
               "--seconds", seconds, "--warm-up", warm_up, "--connections", mix.in_flight,
               "--gives", mix.gives, "--companies", data.companies, "--calls", data.calls_count,
               "--hot-calls", mix.hot_calls, "--first-give", first, "--seed", ground.loads,
               "--users-min", data.grants_per_call, *mix.more]
    for one in also:
        command += ["--port", one.port]
    if echo_bytes:
        command += ["--echo-read-bytes", echo_bytes[0], "--echo-give-bytes", echo_bytes[1]]
    clocks = Clocks(ground.server_core, side.beside or side.process, *beside)
    own = side.process.cpu_seconds()
    output = machine.run_command(command, seconds + warm_up + GRACE_SECONDS, "bench_load",
                                 ground.load_core)
    own = side.process.cpu_seconds() - own
    passed, cpu, foreign, _ = clocks.stop()
    result = result_in(output, "bench_load")
    ground.given += result["gives"]
    if side.answers_truly and data.companies == 1:
        check_gives(side, data, first, result["gives"])
    return Open(per_second=result["counted"] / result["seconds"],
                cpu_us=own / result["answered"] * 1e6, server_share=cpu / passed,
                reads=result["reads"], writes=result["writes"], lag=result["lag"],
                waited=result["waited"], foreign=foreign)
