#!/usr/bin/env python3
"""What grants cost in PostgreSQL: bytes, processor time and log for docs/capacity.md.

`./dev bench-postgres` starts a server of its own, with tables as a store over PostgreSQL would keep
them (grants by call and by user, a head and a record of changes for each company), and runs pgbench
against it. It measures PostgreSQL alone; no Earshot takes part. The server has one core, pgbench
the other.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import machine
import report
from machine import Failure

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PROGRAMS = pathlib.Path("/usr/lib/postgresql/15/bin")
START_SECONDS = 30
TICK = 1 / os.sysconf("SC_CLK_TCK")
CLIENTS = 8
BATCH = 64

SCHEMA = """
CREATE TABLE heads (company_id bigint PRIMARY KEY, revision bigint NOT NULL,
  directory_revision bigint NOT NULL, at timestamptz NOT NULL, hash bytea NOT NULL);
CREATE TABLE calls (company_id bigint, call_id bigint, workspace_id bigint NOT NULL,
  host_id bigint, party_ids bigint[] NOT NULL, private boolean NOT NULL, title text NOT NULL,
  started text NOT NULL, revision bigint NOT NULL, n integer NOT NULL,
  PRIMARY KEY (company_id, call_id));
CREATE TABLE grants (company_id bigint, call_id bigint, user_id bigint, revision bigint NOT NULL,
  n integer NOT NULL, expires_at timestamptz, note text,
  PRIMARY KEY (company_id, call_id, user_id));
CREATE INDEX grants_by_user ON grants (company_id, user_id, call_id);
CREATE TABLE changes (company_id bigint, revision bigint, at timestamptz NOT NULL,
  directory_revision bigint NOT NULL, operation smallint NOT NULL, request_id bytea NOT NULL,
  access_key text NOT NULL, items bytea NOT NULL, previous_hash bytea NOT NULL,
  PRIMARY KEY (company_id, revision));
"""

# Ids look random, as those of real systems do: a small number goes in, 63 bits come out.
SCATTER = """
CREATE FUNCTION scatter(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
  $$ SELECT hashint8extended(n, 7) & 9223372036854775807 $$;
"""

FILL = """
INSERT INTO heads SELECT c, 1, 1, now(), sha256(c::text::bytea)
  FROM generate_series(1, {companies}) c;
INSERT INTO calls SELECT 1 + n % {companies}, scatter(n), 10, scatter(-1 - n % 1000),
  ARRAY[scatter(-1 - (n + 7) % 1000)], false, 'Call ' || n, '2026-03-01T10:00:00Z', 1, 0
  FROM generate_series(1, {calls}) n;
INSERT INTO grants SELECT 1 + n % {companies}, scatter(n), scatter(-2000 - (n * 5 + g) % 5000),
  1, 0, NULL, NULL FROM generate_series(1, {calls}) n, generate_series(0, 4) g;
VACUUM (FREEZE, ANALYZE); CHECKPOINT;
"""

READ = """
\\set n random(1, {calls})
SELECT h.revision, h.directory_revision, c.call_id, g.user_id
  FROM heads h LEFT JOIN calls c ON c.company_id = h.company_id AND c.call_id = scatter(:n)
  LEFT JOIN grants g ON g.company_id = c.company_id AND g.call_id = c.call_id
  WHERE h.company_id = 1 + :n % {companies};
"""


def give(calls, companies, batch):
    """One transaction of a company, as two round trips: lock and load, then apply and commit."""
    lines = [f"\\set company random(1, {companies})"]
    for i in range(batch):
        lines.append(f"\\set n{i} (random(1, {calls} / {companies}) - 1) * {companies}"
                     f" + :company - 1")
        lines.append(f"\\set u{i} random(1, 1000000000)")
    called = ", ".join(f"scatter(:n{i})" for i in range(batch))
    given = ", ".join(f"scatter(:u{i})" for i in range(batch))
    lines.append(f"""
\\startpipeline
BEGIN;
SELECT revision, directory_revision, at, hash FROM heads
  WHERE company_id = :company FOR UPDATE;
SELECT call_id, workspace_id, host_id, party_ids, private FROM calls
  WHERE company_id = :company AND call_id = ANY (ARRAY[{called}]::bigint[]);
SELECT call_id, user_id, revision, n, expires_at FROM grants
  WHERE company_id = :company AND call_id = ANY (ARRAY[{called}]::bigint[]);
\\endpipeline
\\startpipeline
INSERT INTO grants (company_id, call_id, user_id, revision, n)
  SELECT :company, x.c, x.u, h.revision + x.o, 0
  FROM heads h, unnest(ARRAY[{called}]::bigint[], ARRAY[{given}]::bigint[])
    WITH ORDINALITY AS x(c, u, o)
  WHERE h.company_id = :company ON CONFLICT DO NOTHING;
INSERT INTO changes (company_id, revision, at, directory_revision, operation, request_id,
    access_key, items, previous_hash)
  SELECT :company, h.revision + x.o, now(), 1, 1, substr(sha256(int8send(x.c)), 1, 12), 'BENCH',
    int8send(x.c) || int8send(x.u) || '\\x0102030405'::bytea, h.hash
  FROM heads h, unnest(ARRAY[{called}]::bigint[], ARRAY[{given}]::bigint[])
    WITH ORDINALITY AS x(c, u, o)
  WHERE h.company_id = :company;
UPDATE heads SET revision = revision + {batch}, at = now() WHERE company_id = :company;
COMMIT;
\\endpipeline
""")
    return "\n".join(lines)


class Server:
    """A PostgreSQL of its own on a socket in its own directory. Ends with close()."""

    def __init__(self, core):
        # On a disk, in a place that the server's user can reach too; the checkout may be neither.
        directory = self.directory = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp"))
        self.user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        if self.user:
            shutil.chown(directory, self.user)
        self.run(PROGRAMS / "initdb", "-D", directory / "data", "-A", "trust", "-U", "bench",
                 "-E", "UTF8", "--locale=C", "--data-checksums")
        settings = {"listen_addresses": "", "unix_socket_directories": str(directory),
                    "shared_buffers": "2GB", "max_wal_size": "4GB", "wal_compression": "lz4",
                    "autovacuum": "off", "jit": "off", "plan_cache_mode": "force_generic_plan"}
        with open(directory / "data/postgresql.conf", "a", encoding="ascii") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.log = open(directory / "log", "ab")
        self.process = subprocess.Popen(
            [str(PROGRAMS / "postgres"), "-D", str(directory / "data")], stdout=self.log,
            stderr=self.log, user=self.user, cwd=directory,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run([PROGRAMS / "pg_isready", "-q", "-h", directory, "-d", "postgres"],
                             check=False).returncode != 0:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise Failure(f"PostgreSQL does not start:\n{(directory / 'log').read_text()}")
            time.sleep(0.1)

    def run(self, *command, core=None, stdin=None):
        pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              user=self.user, preexec_fn=pin, input=stdin, cwd=self.directory,
                              check=False)
        if done.returncode != 0:
            raise Failure(f"{command[0]}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        return done.stdout

    def sql(self, text):
        return self.run("psql", "-h", self.directory, "-U", "bench", "-d", "postgres", "-qAtX",
                        "-v", "ON_ERROR_STOP=1", stdin=text)

    def number(self, text):
        return float(self.sql(f"SELECT {text}"))

    def cpu_seconds(self):
        """Of the server and of all its processes, those that have ended included."""
        total = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, rest = stat.parent.name, stat.read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            if int(pid) == self.process.pid:
                total += sum(map(int, rest[11:15]))  # its own, and of children that have ended
            elif int(rest[1]) == self.process.pid:
                total += sum(map(int, rest[11:13]))
        return total * TICK

    def load(self, script, seconds, core, clients):
        """Transactions a second, the server's and pgbench's seconds of CPU for each."""
        path = self.directory / "script.sql"
        path.write_text(script)
        before = self.cpu_seconds()
        ours = os.times()
        output = self.run(PROGRAMS / "pgbench", "-n", "-h", self.directory, "-U", "bench", "-f",
                          path, "-T", seconds, "-c", clients, "-j", 1, "-M", "prepared",
                          "postgres", core=core)
        after = os.times()
        done = int(re.search(r"actually processed: (\d+)", output)[1])
        failed = int(re.search(r"failed transactions: (\d+)", output)[1])
        rate = float(re.search(r"tps = ([\d.]+)", output)[1])
        if failed or not done:
            raise Failure(output)
        client = after.children_user + after.children_system
        client -= ours.children_user + ours.children_system
        return rate, (self.cpu_seconds() - before) / done, client / done

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def pipelined(script, depth):
    """The script so often in one round trip."""
    sets = [line for line in script.splitlines() if line.startswith("\\set")]
    rest = "\n".join(line for line in script.splitlines() if not line.startswith("\\set"))
    names = [line.split()[1] for line in sets]
    parts, statements = [], []
    for i in range(depth):
        for line, name in zip(sets, names):
            parts.append(line.replace(f"\\set {name} ", f"\\set {name}{i} "))
        statements.append(re.sub(rf":({'|'.join(names)})\b", rf":\g<1>{i}", rest))
    return "\n".join([*parts, "\\startpipeline", *statements, "\\endpipeline"])


def measure(options):
    server_core, load_core = machine.pick_cores()
    sizes = {"calls": options.calls, "companies": options.companies}
    grants = options.calls * 5
    server = Server(server_core)
    try:
        server.sql(SCHEMA + SCATTER)
        server.sql(FILL.format(**sizes))
        rows = [("bytes a grant: table", server.number("pg_relation_size('grants')") / grants),
                ("bytes a grant: index by call",
                 server.number("pg_relation_size('grants_pkey')") / grants),
                ("bytes a grant: index by user",
                 server.number("pg_relation_size('grants_by_user')") / grants),
                ("bytes a call: table and index",
                 server.number("pg_total_relation_size('calls')") / options.calls)]
        read = READ.format(**sizes)
        for name, script, count, clients in (
                ("read one call, one at a time", read, 1, CLIENTS),
                ("read one call, 16 in one round trip", pipelined(read, 16), 16, 2),
                ("give, one a transaction", give(options.calls, options.companies, 1), 1, CLIENTS),
                (f"give, {BATCH} a transaction", give(options.calls, options.companies, BATCH),
                 BATCH, 2)):
            print(name, file=sys.stderr, flush=True)
            log = server.number("pg_current_wal_lsn() - '0/0'")
            changes = server.number("count(*) FROM changes")
            found = [server.load(script, options.seconds, load_core, clients)
                     for _ in range(options.rounds)]
            rate, cpu, client = map(statistics.median, zip(*found))
            rows.append((f"{name}: a second", rate * count))
            rows.append((f"{name}: µs of the server's CPU", cpu * 1e6 / count))
            rows.append((f"{name}: µs of the client's CPU", client * 1e6 / count))
            if name.startswith("give"):
                log = server.number("pg_current_wal_lsn() - '0/0'") - log
                changes = server.number("count(*) FROM changes") - changes
                rows.append((f"{name}: bytes of log", log / changes))
        rows.append(("bytes a change: table and index",
                     server.number("pg_total_relation_size('changes')")
                     / server.number("count(*) FROM changes")))
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
        version = machine.run_command([PROGRAMS / "postgres", "--version"], 10, "postgres").strip()
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
{options.rounds} rounds; tables and statements are in [postgres.py](postgres.py).

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
