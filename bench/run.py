#!/usr/bin/env python3
"""Measures Earshot beside its bounds, in one run on one machine: `./dev bench [NAME...]`.

Each bench puts the server beside a raw epoll loop that answers the same requests with the same
bytes, and gives also beside RocksDB alone writing the same rows. Servers are pinned to one core and
the load to another; the sides take turns in rounds, and medians are printed.

It judges no figure, but it fails when an answer is an error or not what was asked for.
"""

import argparse
import base64
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sys
import time

import dataset
import machine
import report
from machine import Failure

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
ANSWER_SECONDS = 60
WARM_UP_SECONDS = 1
REST_SHARE = 0.02  # of a core: below it the servers have nothing left to do after their answers
REST_SECONDS_MAX = 5
PRIMED_CALLS = 1000  # in one request
CHECKED_GIVES = 100  # of each measurement, read back


@dataclasses.dataclass(frozen=True)
class Bench:
    name: str
    what: str
    method: str
    calls: int  # that a request names
    in_flight: int

    @property
    def gives(self):
        return self.method == "PUT"


BENCHES = [
    Bench("read-1", "read 1 call", "POST", 1, 64),
    Bench("read-100", "read 100 calls", "POST", 100, 64),
    Bench("give-1", "give 1 grant, durable", "PUT", 1, 1),
    Bench("give-64", "give 1 grant, durable", "PUT", 1, 64),
    Bench("give-256", "give 1 grant, durable", "PUT", 1, 256),
]


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One side of a bench in one round."""

    per_second: float  # requests; of the bare store grants
    cpu_us: float  # of the server, for each of them
    p50_us: float = 0
    p99_us: float = 0
    foreign: float = 0  # share of the server's core that others used meanwhile


@dataclasses.dataclass(frozen=True)
class Side:
    """A server that takes the load."""

    process: machine.Process
    port: int


# --- Requests ------------------------------------------------------------------------------------


def request_head(method):
    """Of every request, but for its length: the same bytes to both sides."""
    credentials = base64.b64encode(f"{dataset.ACCESS_KEY}:{dataset.SECRET}".encode()).decode()
    return (
        f"{method} /v2/calls/users-access HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Basic {credentials}\r\nContent-Type: application/json\r\n"
    )


def exchange(port, method, body):
    """Sends one request, as the load does, and gives the bytes of its answer and the JSON in it."""
    text = json.dumps(body, separators=(",", ":"))
    request = f"{request_head(method)}Content-Length: {len(text)}\r\n\r\n{text}"
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(request.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += receive(connection)
        head, _, content = answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not length or not head.startswith(b"HTTP/1.1 200 "):
            raise Failure(f"{method}: {answer[:1000].decode('utf-8', 'replace')}")
        while len(content) < int(length[1]):
            content += receive(connection)
    return head + b"\r\n\r\n" + content, json.loads(content)


def receive(connection):
    piece = connection.recv(1 << 20)
    if not piece:
        raise Failure("the connection closed before the answer was whole")
    return piece


def read_calls(port, calls):
    """The bytes of the answer, and the users of each call."""
    answer, content = exchange(port, "POST", {"filter": {"callIds": calls}})
    users = {e["callId"]: [u["userId"] for u in e["users"]] for e in content["callAccessList"]}
    if users.keys() != set(calls):
        raise Failure(f"a read of {len(calls)} calls was answered with others")
    return answer, users


# --- A run ---------------------------------------------------------------------------------------


class Run:
    """The data, the servers and the rounds of one run. Everything it starts ends with close()."""

    def __init__(self, options, benches):
        self.options, self.benches = options, benches
        build = pathlib.Path(options.build).resolve()
        self.earshot = build / "earshot"
        self.echo = build / "bench/bench_echo"
        self.bare_store = build / "bench/bench_bare_store"
        self.parameters = dataset.Parameters(calls=options.calls)
        self.data, _ = dataset.make(self.parameters)
        self.kept = ROOT / "build/bench-data" / self.parameters.name
        self.work = ROOT / f"build/bench-run-{os.getpid()}"
        self.server_core, self.load_core = machine.pick_cores()
        self.processes = []
        self.loads = 0  # so far: the seed of the next one
        self.given = 0  # gives so far: the number of the next one

    def close(self):
        self.stop_all()
        shutil.rmtree(self.work, ignore_errors=True)

    # --- Data

    def prepare(self):
        for program in (self.earshot, self.bare_store, self.echo):
            if not program.exists():
                raise Failure(f"{program} is missing; ./dev bench builds it")
        if not shutil.which("wrk"):
            raise Failure("wrk is missing; it is Debian's package of that name")
        self.kept.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(parents=True)
        write_lines(self.work / "calls", self.data.calls)
        write_lines(self.work / "users", self.data.listeners)
        for method in ("POST", "PUT"):
            (self.work / method).write_text(request_head(method), newline="")
        records, generator = self.kept / "records.ndjson", pathlib.Path(dataset.__file__)
        self.keep(records, [generator], lambda: dataset.write_records(self.parameters, records))
        self.keep_made(self.kept / "store", [generator, self.earshot],
                       [self.earshot, "load", records, "--store", self.kept / "store"])
        if self.with_gives():
            self.keep_made(self.kept / "bare", [self.bare_store],
                           [self.bare_store, "fill", self.kept / "bare", *self.bare_size(),
                            self.parameters.grants])

    def keep_made(self, path, makers, command):
        self.keep(path, makers, lambda: machine.run_command(command, 600, f"making {path.name}"))

    def keep(self, path, makers, make):
        """Makes what is not there yet, or was made by other programs than are there now."""
        mark = path.with_name(path.name + ".made-by")
        digest = hashlib.sha256(b"".join(maker.read_bytes() for maker in makers)).hexdigest()
        if path.exists() and mark.exists() and mark.read_text() == digest:
            return
        say(f"making {path.relative_to(ROOT)}, {self.parameters.grants:,} grants")
        mark.unlink(missing_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        make()
        mark.write_text(digest)

    def copy_of(self, name):
        """A fresh copy, on disk before anything is measured: late writes would delay every sync."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.kept / name, path)
        os.sync()
        return path

    def bare_size(self):
        return len(self.data.calls), len(self.data.listeners)

    def with_gives(self):
        return any(bench.gives for bench in self.benches)

    # --- Servers

    def start(self, *command, talks=False):
        log = self.work / (pathlib.Path(command[0]).name + ".log")
        process = machine.Process(command, self.server_core, log, talks)
        self.processes.append(process)
        return process

    def start_side(self, *command):
        process = self.start(*command)
        return Side(process, process.wait_for_port())

    def stop_all(self):
        """The exit code of each program."""
        codes = {process.name: process.stop() for process in reversed(self.processes)}
        self.processes = []
        return codes

    def rest(self):
        """Waits until the servers are idle, so that none pays for what another left to do."""
        deadline = time.monotonic() + REST_SECONDS_MAX
        while time.monotonic() < deadline:
            before = sum(process.cpu_seconds() for process in self.processes)
            time.sleep(0.1)
            if sum(p.cpu_seconds() for p in self.processes) - before < 0.1 * REST_SHARE:
                return

    # --- Rounds

    def round(self):
        """Every bench once, on all sides, from the same state: {bench: {side: Measurement}}."""
        earshot = self.start_side(self.earshot, "serve", "--listen", "127.0.0.1:0",
                                  "--store", self.copy_of("store"))
        self.prime(earshot)
        bare = None
        if self.with_gives():
            bare = self.start(self.bare_store, "run", self.copy_of("bare"), *self.bare_size(),
                              talks=True)
            bare.hear()
        found = {bench.name: self.measure(bench, earshot, bare) for bench in self.benches}
        code = self.stop_all()["earshot"]
        if code != 0:
            raise Failure(f"earshot ended with {code}:\n{earshot.process.said()[-2000:]}")
        return found

    def prime(self, earshot):
        """Reads every call once, so that rounds begin alike. Each has the grants of the data."""
        expected = self.parameters.grants_per_call
        for first in range(0, len(self.data.calls), PRIMED_CALLS):
            _, users = read_calls(earshot.port, self.data.calls[first : first + PRIMED_CALLS])
            for call, of_call in users.items():
                if len(of_call) != expected:
                    raise Failure(f"call {call} has {len(of_call)} grants, not {expected}")

    def measure(self, bench, earshot, bare):
        answer = self.answer_of(bench, earshot)
        file = self.work / f"answer-{bench.name}"
        file.write_bytes(answer)
        found = {"bytes": len(answer)}
        echo = self.start_side(self.echo, file)
        found["echo"] = self.load(bench, echo, self.options.seconds, len(answer))
        self.load(bench, earshot, WARM_UP_SECONDS, len(answer))
        found["earshot"] = self.load(bench, earshot, self.options.seconds, len(answer))
        if bench.gives:
            found["bare"] = self.measure_bare(bare, bench.in_flight)
        return found

    def answer_of(self, bench, earshot):
        """A real answer to a request of the bench, for the echo to give."""
        if not bench.gives:
            return read_calls(earshot.port, self.data.calls[: bench.calls])[0]
        call, user = self.data.pair(self.given)
        self.given += 1
        return exchange(earshot.port, "PUT",
                        {"callAccessList": [{"callId": call, "userIds": [user]}]})[0]

    def measure_bare(self, bare, batch):
        self.rest()
        busy, cpu = machine.core_busy_seconds(self.server_core), bare.cpu_seconds()
        commits, passed = bare.ask(f"{batch} {self.options.seconds}").split()
        busy = machine.core_busy_seconds(self.server_core) - busy
        cpu = bare.cpu_seconds() - cpu
        grants, passed = int(commits) * batch, float(passed)
        return Measurement(
            per_second=grants / passed,
            cpu_us=cpu / grants * 1e6,
            foreign=max(0.0, busy - cpu) / passed,
        )

    def load(self, bench, side, seconds, answer_bytes):
        """One run of wrk against a side. What came of it is checked."""
        first = self.given
        command = ["wrk", "-t1", f"-c{bench.in_flight}", f"-d{seconds}s", "--timeout", "10s",
                   "-s", HERE / "load.lua", f"http://127.0.0.1:{side.port}",
                   "--", *self.load_arguments(bench)]
        self.rest()
        begin = time.monotonic()
        busy, cpu = machine.core_busy_seconds(self.server_core), side.process.cpu_seconds()
        output = machine.run_command(command, seconds + ANSWER_SECONDS, f"wrk for {bench.name}",
                                     self.load_core)
        busy = machine.core_busy_seconds(self.server_core) - busy
        cpu = side.process.cpu_seconds() - cpu
        passed = time.monotonic() - begin
        found = re.search(r"^result (.*)$", output, re.M)
        if not found:
            raise Failure(f"wrk for {bench.name} gave no result:\n{output[-2000:]}")
        result = json.loads(found[1])
        self.loads += 1
        self.check_answers(bench, side, result, answer_bytes)
        if bench.gives:
            self.given += result["sent"]
            if side.process.name == "earshot":
                self.check_gives(side, first, result["sent"] - bench.in_flight)
        return Measurement(
            per_second=result["answered"] / result["microseconds"] * 1e6,
            cpu_us=cpu / result["answered"] * 1e6,
            p50_us=result["p50_us"],
            p99_us=result["p99_us"],
            foreign=max(0.0, busy - cpu) / passed,
        )

    def load_arguments(self, bench):
        if bench.gives:
            return ("give", self.work / "PUT", self.work / "calls", self.work / "users",
                    self.data.place(self.given), self.data.stride)
        return "read", self.work / "POST", self.work / "calls", bench.calls, self.loads

    def check_answers(self, bench, side, result, answer_bytes):
        where = f"{bench.name} of {side.process.name}"
        if any(result["errors"].values()) or result["answered"] == 0:
            raise Failure(f"{where}: {result}\n{side.process.said()[-2000:]}")
        # Names of requests differ by a character at times, and the end cuts the last answers off.
        mean = result["bytes"] / result["answered"]
        slack = 2 + 2 * answer_bytes * bench.in_flight / result["answered"]
        if abs(mean - answer_bytes) > slack:
            raise Failure(f"{where}: answers of {mean:.1f} bytes, not of {answer_bytes}")

    def check_gives(self, earshot, first, answered):
        """Reads some of the gives that were answered."""
        numbers = range(first, first + max(0, answered))
        source = random.Random(self.loads)
        for number in source.sample(numbers, min(CHECKED_GIVES, len(numbers))):
            call, user = self.data.pair(number)
            if user not in read_calls(earshot.port, [call])[1][call]:
                raise Failure(f"the give of {user} to {call} was answered, but is not there")


def write_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines))


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- The command ---------------------------------------------------------------------------------


def chosen(names):
    """The benches of these names; the first part of a name stands for all that begin with it."""
    known = {name for bench in BENCHES for name in (bench.name, bench.name.split("-")[0])}
    unknown = [name for name in names if name not in known]
    if unknown:
        there = ", ".join(bench.name for bench in BENCHES)
        raise Failure(f"no bench {', '.join(unknown)}; there are {there}")
    return [b for b in BENCHES
            if not names or b.name in names or b.name.split("-")[0] in names]


def parse_options(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="of " + ", ".join(bench.name for bench in BENCHES) + "; all if none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--calls", type=int, default=200_000, help="of the data, 5 grants each")
    parser.add_argument("--build", default=str(ROOT / "build/release"), help="the programs' folder")
    parser.add_argument("--output", help="file for the results; bench/RESULTS.md after all benches")
    parser.add_argument("--quick", action="store_true",
                        help="only whether all of it works: 1 round of 1 s on 10,000 calls")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.calls = 1, 1, 10_000
    if min(options.rounds, options.seconds) < 1 or options.calls < 1000:
        parser.error("at least 1 round, 1 second and 1000 calls")
    return options


def main(arguments):
    options = parse_options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and ends the servers
    rounds = []
    try:
        benches = chosen(options.names)
        run = Run(options, benches)
        try:
            run.prepare()
            for number in range(options.rounds):
                say(f"round {number + 1} of {options.rounds}")
                rounds.append(run.round())
        finally:
            run.close()
    except Failure as failure:
        say(f"FAIL bench: {failure}")
        return 1
    text = report.render(benches, rounds)
    print(text)
    output = options.output
    if not output and not options.quick and benches == BENCHES:
        output = HERE / "RESULTS.md"
    if output:
        page = report.page(text, run.parameters, ROOT, arguments)
        pathlib.Path(output).write_text(page, encoding="utf-8")
    if options.quick:
        print(f"{len(benches)} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
