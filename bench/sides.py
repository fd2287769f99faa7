"""What is measured: Earshot, the echo and the bare store, on their core, each from a fresh copy of
its data. Everything that Ground starts ends with its close()."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import sys
import time

import dataset
import machine
import wire
from machine import Failure

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ("bench_echo", "bench_bare_store", "bench_load", "bench_records", "bench_streams")
REST_SHARE = 0.02  # of a core: below it the servers have nothing left to do after their answers
REST_SECONDS_MAX = 5
PRIMED_CALLS = 1000  # in one request
LOAD_SECONDS_MAX = 3600
UNCACHED = ("--cache-bytes", "0")


@dataclasses.dataclass(frozen=True)
class Side:
    """A server that takes the load."""

    process: machine.Process
    port: int
    tls: bool = False
    beside: object = None  # a database that has the servers' core to itself, for it to work on

    @property
    def answers_truly(self):
        return self.process.name == "earshot"


class Ground:
    """The programs, the cores, the data that is kept and the place to work in."""

    def __init__(self, options):
        self.options = options
        build = pathlib.Path(options.build).resolve()
        self.earshot = build / "earshot"
        self.program = {name: build / "bench" / name for name in PROGRAMS}
        self.data = dataset.Dataset(calls_count=options.calls)
        self.kept = ROOT / "build/bench-data" / self.data.name
        self.work = ROOT / f"build/bench-run-{os.getpid()}"
        self.server_core, self.load_core = machine.pick_cores()
        self.processes = []
        self.loads = 0  # so far: the seed of the next one
        self.given = 0  # gives so far: the number of the next one
        self.database = None  # over_postgres.Database

    def close(self):
        self.stop(*self.processes)
        if self.database:
            self.database.close()
        shutil.rmtree(self.work, ignore_errors=True)

    # --- Data

    def make_work(self):
        for program in (self.earshot, *self.program.values()):
            if not program.exists():
                raise Failure(f"{program} is missing; ./dev bench builds it")
        if not shutil.which("wrk"):
            raise Failure("wrk is missing; it is Debian's package of that name")
        self.work.mkdir(parents=True)

    def prepare(self):
        self.make_work()
        self.kept.mkdir(parents=True, exist_ok=True)
        write_lines(self.work / "calls", self.data.calls)
        write_lines(self.work / "users", self.data.listeners)
        write_lines(self.work / "checks", [f"{call} {user}" for call, user, _ in self.data.checks])
        for name, method, path in (("POST", "POST", wire.LISTS), ("PUT", "PUT", wire.LISTS),
                                   ("CHECK", "POST", wire.CHECK)):
            (self.work / name).write_text(wire.request_head(method, path=path), newline="")
        maker = self.program["bench_records"]
        self.keep(self.records, [maker], lambda: self.write_records(self.records, self.data))
        self.keep(self.kept / "store", [maker, self.earshot], lambda: machine.run_command(
            [self.earshot, "load", self.records, "--store", self.kept / "store"],
            LOAD_SECONDS_MAX, "making the store"))
        self.keep(self.kept / "bare", [self.program["bench_bare_store"]],
                  lambda: machine.run_command(
                      [self.program["bench_bare_store"], "fill", self.kept / "bare",
                       *self.bare_size(), self.data.grants],
                      LOAD_SECONDS_MAX, "making the bare store"))

    @property
    def records(self):
        return self.kept / "records.ndjson"

    def write_records(self, path, data, *first):
        """With the number of a first call: only calls from there on, for a store with the rest."""
        command = [self.program["bench_records"], data.companies, data.calls_count,
                   data.grants_per_call, *first]
        with open(path, "wb") as file:
            machine.run_into(command, file, "making records")

    def keep(self, path, makers, make, size=None):
        """Makes what is not there yet, or was made by other programs than are there now."""
        mark = path.with_name(path.name + ".made-by")
        digest = hashlib.sha256(b"".join(maker.read_bytes() for maker in makers)).hexdigest()
        if path.exists() and mark.exists() and mark.read_text() == digest:
            return
        say(f"making {path.relative_to(ROOT)}, {size or f'{self.data.grants:,} grants'}")
        mark.unlink(missing_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        make()
        mark.write_text(digest)

    def copy_of(self, name):
        """A fresh copy, on disk before anything is measured: late writes would delay every sync."""
        path = self.work / f"{name}-{len(os.listdir(self.work))}-{time.monotonic_ns()}"
        shutil.copytree(self.kept / name, path)
        os.sync()
        return path

    def bare_size(self):
        return self.data.calls_count, dataset.LISTENERS

    # --- Programs

    def start(self, *command, talks=False, core=None):
        """On the servers' core where none is named."""
        log = self.work / (pathlib.Path(command[0]).name + ".log")
        process = machine.Process(command, self.server_core if core is None else core, log, talks)
        self.processes.append(process)
        return process

    def start_side(self, *command, tls=False, core=None, beside=None):
        process = self.start(*command, core=core)
        return Side(process, process.wait_for_port(), tls, beside)

    def serve(self, store, *options, port=0, tls=False, core=None, beside=None):
        if tls:
            options += ("--tls-cert", self.certificate[0], "--tls-key", self.certificate[1])
        return self.start_side(self.earshot, "serve", "--listen", f"127.0.0.1:{port}",
                               "--store", store, *options, tls=tls, core=core, beside=beside)

    def start_echo(self, read_answer, give_answer, commits=False):
        files = []
        for name, answer in (("read", read_answer), ("give", give_answer)):
            files.append(self.work / f"answer-{name}")
            files[-1].write_bytes(answer)
        store = (self.copy_of("bare"), *self.bare_size()) if commits else ()
        return self.start_side(self.program["bench_echo"], *files, *store)

    def start_bare(self):
        bare = self.start(self.program["bench_bare_store"], "run", self.copy_of("bare"),
                          *self.bare_size(), talks=True)
        bare.hear()
        return bare

    def stop(self, *processes):
        """Ends them; a server that does not end well is a failure."""
        for process in reversed(processes):
            code = process.stop()
            self.processes.remove(process)
            if process.name == "earshot" and code not in (0, -9):
                raise Failure(f"earshot ended with {code}:\n{process.said()[-2000:]}")

    @property
    def certificate(self):
        """A self-signed one and its key, made when first asked for."""
        pair = self.work / "cert.pem", self.work / "key.pem"
        if not pair[0].exists():
            machine.run_command(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                 "-out", pair[0], "-keyout", pair[1]], 60, "making a certificate")
        return pair

    def rest(self):
        """Waits until the servers are idle, so that none pays for what another left to do."""
        busy = [*self.processes, *([self.database] if self.database else [])]
        deadline = time.monotonic() + REST_SECONDS_MAX
        while time.monotonic() < deadline:
            before = sum(process.cpu_seconds() for process in busy)
            time.sleep(0.1)
            if sum(process.cpu_seconds() for process in busy) - before < 0.1 * REST_SHARE:
                return

    def prime(self, side):
        """Reads every call once, so that rounds begin alike. Each has the grants of the data."""
        expected = self.data.grants_per_call
        for first in range(0, len(self.data.calls), PRIMED_CALLS):
            _, users = wire.read_calls(side, self.data.calls[first : first + PRIMED_CALLS])
            for call, of_call in users.items():
                if len(of_call) != expected:
                    raise Failure(f"call {call} has {len(of_call)} grants, not {expected}")

    def next_pairs(self, count):
        first = self.given
        self.given += count
        return [self.data.pair(number) for number in range(first, first + count)]


def write_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines))


def say(text):
    print(text, file=sys.stderr, flush=True)
