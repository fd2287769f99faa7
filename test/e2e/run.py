#!/usr/bin/env python3
"""Runs the end-to-end suites against the built program:

    test/e2e/run.py [SUITE…] [--store embedded|postgres] [--binary build/release/earshot] [--seed N]

Without a suite, all that belong to an ordinary test run; each test on the store that was named, if
its promise is about it. One line a test, a last line with the count, and a non-zero exit when a
promise did not hold. Each test can be had again with the seed that was printed."""

import argparse
import importlib
import os
import random
import sys

from database import Databases
from harness import ROOT, STORES, run_test

SUITES = [
    "harness",
    "wire",
    "access",
    "grants",
    "clocks",
    "histories",
    "linear",
    "changes",
    "streams",
    "revisions",
    "servers",
    "outages",
    "postgres",
    "records",
    "directory",
    "refusals",
    "backup",
    "real_input",
    "store_compat",
    "docs",
    "cli",
    "cli_audit",
    "shells",
    "clients",
    "failover",
    "rolling",
]
LONG_SUITES = ["crash", "cluster", "failover_long"]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES + LONG_SUITES)}"
    )
    parser.add_argument("--store", choices=STORES, default=STORES[0])
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/earshot"))
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("EARSHOT_SEED") or random.getrandbits(32))
    )
    parser.add_argument(
        "--kills", type=int, help="how often the program is killed (histories 20, crash 500)"
    )
    parser.add_argument(
        "--seconds", type=float, default=8, help="how long each test of `linear` writes and reads"
    )
    parser.add_argument(
        "--rounds", type=int, default=1, help="how often the long forms of a cluster's faults go round"
    )
    parser.add_argument(
        "--lines", type=int, default=300_000, help="size of the big load of `records`"
    )
    parser.add_argument("--only", default="", help="only tests whose promise contains this text")
    arguments = parser.parse_args()
    # `crash 100` says the same as `crash --kills 100`.
    for count in [word for word in arguments.suites if word.isdigit()]:
        arguments.suites.remove(count)
        arguments.kills = int(count)
    unknown = set(arguments.suites) - set(SUITES + LONG_SUITES)
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}")
    arguments.binary = os.path.abspath(arguments.binary)
    if set(arguments.suites) != {"harness"} and not os.access(arguments.binary, os.X_OK):
        parser.error(
            f"no program at {arguments.binary}; build it with ./dev build, or name it with --binary"
        )
    return arguments


def run_suite(name, arguments, databases):
    """Runs its tests that are meant; how many held and how many did not."""
    held = broken = 0
    for test in importlib.import_module(f"suites.{name}").tests:
        if arguments.store not in test.stores or arguments.only not in test.promise:
            continue
        if run_test(name, test, arguments.binary, arguments.seed, arguments, databases):
            held += 1
        else:
            broken += 1
    return held, broken


def main():
    arguments = parse_arguments()
    print(f"seed {arguments.seed}", flush=True)
    databases = Databases(arguments.binary) if arguments.store == "postgres" else None
    passed = failed = 0
    try:
        for name in arguments.suites or SUITES:
            held, broken = run_suite(name, arguments, databases)
            passed, failed = passed + held, failed + broken
    finally:
        if databases:
            databases.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
