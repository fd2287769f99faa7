#!/usr/bin/env python3
"""What grows with the data, and what does not: `./dev bench-growth [--grants N]`.

Stores of 10^5 grants and every tenfold up to N (10^8) are loaded, kept in build/bench-data, and then
asked the same in turns. Says first how long it takes and how much disk, and does not begin without.
"""

import argparse
import contextlib
import dataclasses
import json
import pathlib
import shutil
import signal
import sys
import time

import alone
import benches
import dataset
import machine
import picture
import report
import wire
from benches import Figure
from generators import Mix, run_mix
from machine import Failure
from sides import LOAD_SECONDS_MAX, PRIMED_CALLS, ROOT, UNCACHED, Ground, say

HERE = pathlib.Path(__file__).resolve().parent
COMPANY_CALLS, CALL_GRANTS = 200_000, 5
LEAST, MOST = 10**5, 10**8
CACHE_BYTES = 2 * (256 << 20)  # both, as shipped
FILL_SECONDS = 20
MIB = 1 << 20

# For what it says beforehand; from runs on two cores.
LOADED_PER_SECOND = 300_000  # grants
SECONDS_BESIDE = 240
DISK_BYTES_PER_GRANT = 250  # while it loads: the rows twice, and the records where they are kept

FAMILIES = ("calls", "by_user", "changes")
FIGURES = (
    Figure("hot", "the same hot calls, CPU a read against 10⁶", must=1.2, aim=1.05, less=True),
    Figure("uniform", "uniform reads with the cache off, CPU a read against 10⁶", must=1.7, aim=1.4,
           less=True),
    Figure("calls", "bytes a grant on disk, `calls`", 1, "B", must=32, aim=26, less=True),
    Figure("by_user", "bytes a grant on disk, `by_user`", 1, "B", must=16, aim=13, less=True),
    Figure("changes", "bytes a grant on disk, changes of loads", 1, "B", must=16, aim=8, less=True),
    Figure("gives", "bytes a grant on disk, changes of single gives", 1, "B", must=75, aim=50,
           less=True),
    Figure("memory", "anonymous memory less 1.2 × both caches", 0, "MiB", must=400, aim=250,
           less=True),
    Figure("killed", "first answer after `kill -9` under gives", 3, "s", must=1, aim=0.3, less=True),
)


@dataclasses.dataclass
class Size:
    """A store of so many grants, and what was found of it."""

    grants: int
    data: dataset.Dataset
    kept: pathlib.Path
    cost: dict  # of its load
    bytes_on_disk: dict  # by family
    hot_us: list = dataclasses.field(default_factory=list)  # CPU a read, by round
    uniform_us: list = dataclasses.field(default_factory=list)
    anonymous_bytes: int = 0
    killed_seconds: float = 0
    foreign: list = dataclasses.field(default_factory=list)

    @property
    def loaded_per_second(self):
        return self.data.records / self.cost["seconds"]


def data_of(grants):
    calls = min(COMPANY_CALLS, grants // CALL_GRANTS)
    return dataset.Dataset(calls, CALL_GRANTS, grants // (calls * CALL_GRANTS))


# --- Stores --------------------------------------------------------------------------------------


def make_size(ground, grants):
    """The store as it was kept, or a new one."""
    data = data_of(grants)
    kept = ROOT / "build/bench-data" / f"growth-{data.name}"
    kept.mkdir(parents=True, exist_ok=True)
    ground.keep(kept / "store", [ground.program["bench_records"], ground.earshot],
                lambda: fill(ground, data, kept), f"{grants:,} grants")
    cost = json.loads((kept / "cost.json").read_text())
    return Size(grants, data, kept / "store", cost, sizes_of(ground, kept / "store"))


def fill(ground, data, kept):
    maker = [ground.program["bench_records"], data.companies, data.calls_count,
             data.grants_per_call]
    with machine.piped(maker, ground.load_core) as records:
        cost = machine.run_measured([ground.earshot, "load", "-", "--store", kept / "store"],
                                    ground.server_core, f"loading {data.grants:,} grants", records,
                                    {"TMPDIR": str(kept)})
    (kept / "cost.json").write_text(json.dumps(dataclasses.asdict(cost)))


def sizes_of(ground, store, *compact):
    said = machine.run_command([ground.program["bench_bare_store"], "sizes", store, *compact],
                               LOAD_SECONDS_MAX, "asking for the sizes of a store")
    return json.loads(said)


def copy_of(ground, size, name):
    """A backup: it shares its files with the store that is kept."""
    path = ground.work / f"{name}-{size.data.name}"
    machine.run_command([ground.earshot, "backup", path, "--store", size.kept], 600, "a backup")
    return path


# --- Measures ------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(ground, sizes, name, *options):
    """A server for each size, from a copy."""
    stores = {size.grants: copy_of(ground, size, name) for size in sizes}
    sides = {grants: ground.serve(store, *options) for grants, store in stores.items()}
    try:
        yield [(size, sides[size.grants], stores[size.grants]) for size in sizes]
    finally:
        ground.stop(*list(ground.processes))
        for store in stores.values():
            shutil.rmtree(store)


def read_hot(ground, sizes, rounds, seconds):
    """The same calls of the first company in every size, after each was read once; then memory, after
    all companies were read and given to, and starts after kill -9."""
    with served(ground, sizes, "hot") as all_served:
        for size, side, _ in all_served:
            prime(side, size.data)
        mix = Mix(gives=0)
        for _ in range(rounds):
            for size, side, _ in all_served:
                one = dataclasses.replace(size.data, companies=1)
                found = run_mix(ground, side, mix, seconds, data=one)
                size.hot_us.append(found.cpu_us)
                size.foreign.append(found.foreign)
        for size, side, store in all_served:
            run_mix(ground, side, Mix(gives=0.2), fill_seconds(ground, size), data=size.data)
            size.anonymous_bytes = side.process.anonymous_bytes()
            size.killed_seconds = start_after_kill(ground, side, store, size.data)


def read_uniform(ground, sizes, rounds, seconds):
    with served(ground, sizes, "uniform", *UNCACHED) as all_served:
        mix = Mix(gives=0)
        for size, side, _ in all_served:
            run_mix(ground, side, mix, fill_seconds(ground, size), data=size.data)
        for _ in range(rounds):
            for size, side, _ in all_served:
                found = run_mix(ground, side, mix, seconds, data=size.data)
                size.uniform_us.append(found.cpu_us)
                size.foreign.append(found.foreign)


def fill_seconds(ground, size):
    """How long it is asked before anything is measured, so that its caches are full."""
    return FILL_SECONDS if size.grants > 10**6 else ground.options.seconds


def prime(side, data):
    for first in range(0, data.calls_count, PRIMED_CALLS):
        _, users = wire.read_calls(side, data.calls[first : first + PRIMED_CALLS])
        if any(len(of_call) != data.grants_per_call for of_call in users.values()):
            raise Failure(f"a call of {data.name} has other grants than were loaded")


def start_after_kill(ground, side, store, data):
    alone.kill_under_gives(ground, side, data)
    seconds, side = alone.time_to_first_answer(ground, store)
    ground.stop(side.process)
    return seconds


def bytes_of_gives(ground, size, gives):
    """Of the record of changes, for each of so many single gives."""
    store = copy_of(ground, size, "gives")
    before = sizes_of(ground, store, "compact")["changes"]
    side = ground.serve(store)
    first = ground.given
    while ground.given - first < gives:
        run_mix(ground, side, Mix(gives=1.0, in_flight=256), 1, data=size.data)
    given = ground.given - first
    ground.stop(side.process)
    after = sizes_of(ground, store, "compact")["changes"]
    shutil.rmtree(store)
    return (after - before) / given, given


# --- The report ----------------------------------------------------------------------------------


def figures_of(small, large, gives_bytes):
    """One for each round where it was measured in rounds."""
    rounds = [{"figures": {
        "hot": b / a, "uniform": d / c}} for a, b, c, d in
        zip(small.hot_us, large.hot_us, small.uniform_us, large.uniform_us)]
    rounds[0]["figures"].update(
        {name: large.bytes_on_disk[name] / large.grants for name in FAMILIES},
        gives=gives_bytes, killed=large.killed_seconds,
        memory=(large.anonymous_bytes - 1.2 * CACHE_BYTES) / MIB)
    return rounds


def compared(sizes):
    """The size that the greatest is set against."""
    return next((size for size in sizes if size.grants == 10**6), sizes[0])


def render(sizes, gives_bytes, given):
    rounds = figures_of(compared(sizes), sizes[-1], gives_bytes)
    bench = benches.Bench(f"{sizes[-1].grants:,} grants", "", FIGURES, None)
    bars = report.table(["work", "found", "must", "aim", "reached"],
                        [report.bar_row(bench, figure, rounds) for figure in FIGURES])
    rows = []
    for size in sizes:
        disk = [f"{size.bytes_on_disk[name] / size.grants:.1f}" for name in FAMILIES]
        rows.append([
            f"{size.grants:,}", f"{size.loaded_per_second:,.0f}",
            f"{size.cost['seconds']:.1f}", f"{size.cost['peak_bytes'] / MIB:,.0f}", *disk,
            report.spread(size.hot_us, 2), report.spread(size.uniform_us, 2),
            f"{size.anonymous_bytes / MIB:,.0f}", f"{size.killed_seconds:.3f}"])
    growth = report.table(["grants", "records/s loaded", "s", "peak MiB", "calls B", "by_user B",
                           "changes B", "hot µs", "uniform µs", "anonymous MiB", "killed s"], rows)
    notes = (f"Hot: CPU of a read of one call, of the first company's calls, which the cache holds. "
             f"Uniform: of all calls, with the cache off. Changes of single gives: after "
             f"{given:,} of them. Bytes are for each grant, calls and their titles included.")
    return "\n\n".join([bars, growth, notes, noise(sizes)])


def noise(sizes):
    return report.noise_text([share for size in sizes for share in size.foreign])


def page(text, arguments):
    command = " ".join(["./dev bench-growth", *arguments])
    return f"""# Growth

Made by `{command}`, which writes this page.

- machine: {machine.describe(ROOT)}
- commit: {report.commit(ROOT)}
- data: companies of {COMPANY_CALLS:,} calls with {CALL_GRANTS} grants each and 5,000 users

{text}

![Growth](growth.svg)

- *Loaded*: `earshot load` from a pipe, on one core, the records made on the other; *peak* is its
  memory with pages of files.
- Sizes on disk are as the load leaves them, but that of changes of single gives, which is after files were
  rewritten to the last level, and of the store of 10⁶ grants: a change takes the same room in each.
- *Anonymous* memory is the server's after reads and gives over all companies; the bar takes 1.2 × the
  two caches of 256 MiB off.
- *Killed*: from the start of the program to its first answer, after `kill -9` under 64 gives.
"""


# --- The command ---------------------------------------------------------------------------------


def parse_options(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench-growth", description=__doc__.split("\n")[0])
    parser.add_argument("--grants", type=int, default=MOST, help="10^5 and tenfolds of it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--gives", type=int, default=200_000, help="single ones, for their size")
    parser.add_argument("--build", default=str(ROOT / "build/release"), help="the programs' folder")
    parser.add_argument("--output", help=f"file for the results; GROWTH.md after {MOST:,} grants")
    parser.add_argument("--quick", action="store_true", help="only whether all of it works")
    options = parser.parse_args(arguments)
    options.calls = COMPANY_CALLS
    if options.quick:
        options.grants, options.rounds, options.seconds = LEAST, 1, 0.4
        options.gives = 2000
    if options.grants not in [LEAST * 10**power for power in range(5)]:
        parser.error("--grants is 100000 or a tenfold of it, to 1000000000")
    return options


def announce(options):
    """How long and how much disk; a failure where the disk has less."""
    seconds = options.grants * 1.11 / LOADED_PER_SECOND + SECONDS_BESIDE
    needed = options.grants * DISK_BYTES_PER_GRANT
    place = ROOT / "build"
    free = shutil.disk_usage(place).free
    say(f"{options.grants:,} grants take about {seconds / 60:.0f} minutes, less where stores of an "
        f"earlier run can be used again, and {needed / 1e9:.1f} GB of disk while they load; "
        f"{free / 1e9:.1f} GB are free in {place}")
    if free < needed:
        raise Failure("there is too little room on the disk")


def measure(options):
    announce(options)
    ground = Ground(options)
    begin = time.monotonic()
    try:
        ground.make_work()
        sizes = []
        grants = LEAST
        while grants <= options.grants:
            sizes.append(make_size(ground, grants))
            grants *= 10
        say("hot reads, memory and starts")
        read_hot(ground, sizes, options.rounds, options.seconds)
        say("uniform reads")
        read_uniform(ground, sizes, options.rounds, options.seconds)
        say("changes of single gives")
        gives_bytes, given = bytes_of_gives(ground, compared(sizes), options.gives)
    finally:
        ground.close()
    say(f"took {(time.monotonic() - begin) / 60:.1f} minutes")
    return sizes, gives_bytes, given


def main(arguments):
    options = parse_options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and ends the servers
    try:
        sizes, gives_bytes, given = measure(options)
    except Failure as failure:
        say(f"FAIL bench-growth: {failure}")
        return 1
    text = render(sizes, gives_bytes, given)
    print(text)
    output = options.output
    if not output and (options.quick or options.grants == MOST):
        output = (ROOT / "build/bench-data" if options.quick else HERE) / "GROWTH.md"
    if output:
        output = pathlib.Path(output)
        output.write_text(page(text, arguments), encoding="utf-8")
        output.with_name("growth.svg").write_text(picture.growth(sizes, FAMILIES), encoding="utf-8")
    if options.quick:
        print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
