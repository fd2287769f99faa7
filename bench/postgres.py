#!/usr/bin/env python3
"""What grants cost in PostgreSQL: bytes, processor time and log for docs/capacity.md.

`./dev bench-postgres` starts a server of its own with the tables of src/store/migrations, and has
pgbench run the statements of src/store against it. It measures PostgreSQL alone; no Earshot takes
part. The server has one core, pgbench the other.
"""

import argparse
import pathlib
import signal
import statistics
import sys

import database
import machine
import report
from machine import Failure

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
CLIENTS = 8
BATCH = 64
TOGETHER = 16  # reads
CALL_INDEX = "changes_by_call"  # for the history of a call


def sizes(server, population):
    calls = population.calls * population.companies
    grants = calls * population.grants_per_call
    return [("bytes a grant: table", server.number("pg_relation_size('earshot.grants')") / grants),
            ("bytes a grant: index by call",
             server.number("pg_relation_size('earshot.grants_pkey')") / grants),
            ("bytes a grant: index by user",
             server.number("pg_relation_size('earshot.grants_by_user')") / grants),
            ("bytes a call: table and index",
             server.number("pg_total_relation_size('earshot.calls')") / calls)]


def measure(options):
    server_core, load_core = machine.pick_cores()
    population = database.Population(options.calls // options.companies,
                                     companies=options.companies)
    read = population.read()
    server = database.Server(server_core)

    def load(name, script, count, clients):
        print(name, file=sys.stderr, flush=True)
        log = server.log_bytes()
        changes = server.number("count(*) FROM earshot.changes")
        found = [server.load(script, options.seconds, load_core, clients)
                 for _ in range(options.rounds)]
        rows = [(f"{name}: {what}", statistics.median(values)) for what, values in (
            ("a second", [one.per_second * count for one in found]),
            ("µs of the server's CPU", [one.server_us / count for one in found]),
            ("µs of the client's CPU", [one.client_us / count for one in found]))]
        if name.startswith("give"):
            changes = server.number("count(*) FROM earshot.changes") - changes
            rows.append((f"{name}: bytes of log", (server.log_bytes() - log) / changes))
        return rows

    gives = (("give, one a transaction", population.give(1), 1, CLIENTS),
             (f"give, {BATCH} a transaction", population.give(BATCH), BATCH, 2))
    try:
        server.migrate()
        server.sql(population.fill())
        server.settle()
        rows = sizes(server, population)
        rows += load("read one call, one at a time", read, 1, CLIENTS)
        rows += load(f"read one call, {TOGETHER} in one statement", population.read(TOGETHER),
                     TOGETHER, 2)
        for give in gives:
            rows += load(*give)
        changes = server.number("count(*) FROM earshot.changes")
        index = server.number(f"pg_relation_size('earshot.{CALL_INDEX}')")
        rows += [("bytes a change: table and other indexes", (server.number(
                      "pg_total_relation_size('earshot.changes')") - index) / changes),
                 ("bytes a change: index by call", index / changes)]
        server.sql(f"DROP INDEX earshot.{CALL_INDEX}; CHECKPOINT;")
        for name, *how in gives:
            rows += load(f"{name}, without the index of changes by call", *how)
    finally:
        server.close()
    return rows


def main(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench-postgres",
                                     description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--calls", type=int, default=200_000, help="with 5 grants each")
    parser.add_argument("--companies", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--quick", action="store_true", help="only whether all of it works")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.calls = 1, 1, 10_000
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        version = machine.run_command([database.PROGRAMS / "postgres", "--version"], 10,
                                      "postgres").strip()
        rows = measure(options)
    except Failure as failure:
        print(f"FAIL bench-postgres: {failure}", file=sys.stderr)
        return 1
    table = report.table(["what", "measured"], [[name, f"{value:,.1f}"] for name, value in rows])
    print(table)
    if options.quick:
        print("1 passed, 0 failed")
        return 0
    (HERE / "POSTGRES.md").write_text(f"""# What grants cost in PostgreSQL

Made by `{" ".join(["./dev bench-postgres", *arguments])}`, which writes this page. Medians of \
{options.rounds} rounds. Tables and statements are those of [src/store](../src/store); no Earshot
takes part, [database.py](database.py) has pgbench run them.

- machine: {machine.describe(ROOT)}
- {version}
- data: {options.calls:,} calls with 5 grants each in {options.companies} companies

{table}

The log holds whole pages where a page changes for the first time after a checkpoint, which short
runs do nearly always: in longer ones it is less a give.
""", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
