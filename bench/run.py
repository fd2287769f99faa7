#!/usr/bin/env python3
"""Measures Earshot beside its bounds, in one run on one machine: `./dev bench [NAME...]`.

Each bench puts the server beside a raw epoll loop that answers the same requests with the same
bytes, and gives also beside RocksDB alone writing the same rows. Servers are pinned to one core and
the load to another; the sides take turns in rounds, and medians are printed. Over PostgreSQL it is
put beside pgbench with the same statements.

It judges no figure, but it fails when an answer is an error or not what was asked for.
"""

import argparse
import pathlib
import signal
import sys

import benches
import picture
import report
from machine import Failure
from sides import ROOT, Ground, say

HERE = pathlib.Path(__file__).resolve().parent


def chosen(names):
    """The benches of these names; the first part of a name stands for all that begin with it."""
    known = {name for bench in benches.BENCHES for name in (bench.name, bench.name.split("-")[0])}
    unknown = [name for name in names if name not in known]
    if unknown:
        there = ", ".join(benches.BY_NAME)
        raise Failure(f"no bench {', '.join(unknown)}; there are {there}")
    return [bench for bench in benches.BENCHES
            if not names or bench.name in names or bench.name.split("-")[0] in names]


def parse_options(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="of " + ", ".join(benches.BY_NAME) + "; all if none")
    parser.add_argument("--rounds", type=int, help="5 if not said, and 10 of the open loop")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--calls", type=int, default=200_000, help="of the data, 5 grants each")
    parser.add_argument("--build", default=str(ROOT / "build/release"), help="the programs' folder")
    parser.add_argument("--output", help="file for the results; bench/RESULTS.md after all benches")
    parser.add_argument("--quick", action="store_true",
                        help="only whether all of it works: 1 round of 1 s on 10,000 calls")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.calls = 1, 1, 10_000
    if min(options.rounds or 1, options.seconds) < 1 or options.calls < 10_000:
        parser.error("at least 1 round, 1 second and 10,000 calls")
    return options


def page_of(options):
    """Where the results of all benches go. Those of a quick run are nothing to keep."""
    return (ROOT / "build/bench-data" if options.quick else HERE) / "RESULTS.md"


def write_page(text, results, data, arguments, output):
    pictures = []
    curve = results.get("open-loop", [{}])[0].get("curve")
    if curve:
        pictures.append(("latency.svg", "Latency of reads over load"))
        output.with_name("latency.svg").write_text(picture.latency(curve), encoding="utf-8")
    page = report.page(text, data, ROOT, arguments, pictures)
    output.write_text(page, encoding="utf-8")


def main(arguments):
    options = parse_options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and ends the servers
    try:
        wanted = chosen(options.names)
        ground = Ground(options)
        try:
            ground.prepare()
            results = benches.run_all(ground, wanted)
        finally:
            ground.close()
    except Failure as failure:
        say(f"FAIL bench: {failure}")
        return 1
    measured = [bench for bench in wanted if bench.name in results]
    text = report.render(measured, results)
    print(text)
    output = options.output or (page_of(options) if measured == benches.BENCHES else None)
    if output:
        write_page(text, results, ground.data, arguments, pathlib.Path(output))
    if options.quick:
        print(f"{len(measured)} passed, {len(wanted) - len(measured)} failed")
    return 0 if measured == wanted else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
