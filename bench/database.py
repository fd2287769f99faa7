"""A PostgreSQL of the benches' own, with Earshot's tables and data, and scripts for pgbench made of
the very statements of src/store. It measures nothing but what pgbench takes.

The data that pgbench works on is made by SQL and like that of dataset.py, but that its ids can be
worked out by pgbench, which knows no bits: they are evenly spread, and drawn at random.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import machine
from dataset import LISTENERS
from machine import Failure

ROOT = pathlib.Path(__file__).resolve().parent.parent
STORE = ROOT / "src/store"
PROGRAMS = pathlib.Path("/usr/lib/postgresql/15/bin")
START_SECONDS = 30
STOP_SECONDS = 60
TICK = 1 / os.sysconf("SC_CLK_TCK")
NAME = "bench"  # of role and database

ID_FIRST, ID_SPAN = 10**18, 8 * 10**18  # of 19 digits, below 2^63
CALL_PLACES_STEP = 618_033  # calls are made in no order of their ids
REVISIONS_OF_A_RUN = 10**12

FILL = """
INSERT INTO earshot.companies (company_id, revision, directory_revision, changed_at, hash, name)
  SELECT c, 1, 1, now(), sha256(c::text::bytea), 'Bench'
  FROM generate_series({first}, {last}) c;
INSERT INTO earshot.users (company_id, user_id, email_address, first_name, last_name, active,
    profile_ids, revision)
  SELECT c, {user}, u || '@bench.test', '', '', true, ARRAY[20], 1
  FROM generate_series({first}, {last}) c, generate_series(0, {listeners} - 1) u;
INSERT INTO earshot.calls (company_id, call_id, workspace_id, title, started, primary_user_id,
    party_user_ids, is_private, revision)
  SELECT c, {call}, 10, 'Call ' || n, '2026-03-01T10:00:00Z', n % 1000 + 1,
    ARRAY[(n + 7) % 1000 + 1], false, 1
  FROM generate_series({first}, {last}) c, generate_series(0::bigint, {calls} - 1) n;
INSERT INTO earshot.grants (company_id, call_id, user_id, revision)
  SELECT c, {call}, {user}, 1
  FROM generate_series({first}, {last}) c, generate_series(0::bigint, {calls} - 1) n,
    generate_series(0, {grants} - 1) g, LATERAL (SELECT (n * 7 + g * 801) % {listeners} AS u) d;
"""


# --- Statements of the store ---------------------------------------------------------------------


def statements():
    """{name: text} of every statement in the headers of the store."""
    found = {}
    for header in sorted(STORE.glob("pg_*.h")):
        for name, text in re.findall(r'PgStatement k\w+\s*=?\s*\{\s*"(\w+)",\s*(.*?)\};',
                                     header.read_text(), re.S):
            raw = re.fullmatch(r'R"\((.*)\)"', text.strip(), re.S)
            found[name] = raw[1].strip() if raw else "".join(re.findall(r'"([^"]*)"', text))
    return found


def bound(name, *parameters):
    """The statement with the parameters in the place of $1, $2 and so on."""
    text = statements().get(name)
    if text is None:
        raise Failure(f"no statement {name} in {STORE}/pg_*.h")
    if {int(number) for number in re.findall(r"\$(\d+)", text)} != set(
            range(1, len(parameters) + 1)):
        raise Failure(f"the statement {name} takes other parameters than its bench gives:\n{text}")
    return re.sub(r"\$(\d+)", lambda found: str(parameters[int(found[1]) - 1]), text) + ";"


def session_settings():
    """What each connection of a server sets before its first statement, as options of libpq."""
    text = (STORE / "pg_connection.cc").read_text()
    settings = re.findall(r"set_config\('(\w+)', '(\w+)', false\)", text)
    if not settings:
        raise Failure("no settings of a session in src/store/pg_connection.cc")
    return " ".join(f"-c {name}={value}" for name, value in settings)


# --- Data and scripts ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Population:
    """Companies of the same size, with what pgbench asks of them."""

    calls: int  # of each company
    first_company: int = 1
    companies: int = 1
    grants_per_call: int = 5

    def fill(self):
        return FILL.format(
            first=self.first_company, last=self.first_company + self.companies - 1,
            calls=self.calls, grants=self.grants_per_call, listeners=LISTENERS,
            call=self.call_id(f"(n * {CALL_PLACES_STEP} % {self.calls})"), user=user_id("u"))

    def call_id(self, place):
        return f"{ID_FIRST} + {place} * {ID_SPAN // self.calls}"

    @property
    def company(self):
        if self.companies == 1:
            return f"\\set company {self.first_company}"
        return f"\\set company random({self.first_company}, " \
               f"{self.first_company + self.companies - 1})"

    def draw_call(self, name):
        return f"\\set {name} {self.call_id(f'random(0, {self.calls - 1})')}"

    def read(self, count=1):
        """So many calls of a company in one statement."""
        return [self.company, *(self.draw_call(f"call{i}") for i in range(count)),
                bound("read_calls", ":company", array(f":call{i}" for i in range(count)))]

    def give(self, batch):
        """So many in one transaction of two round trips: lock and load, then apply and commit.

        No result reaches the second, so that revisions are counted by the clients, in the order in
        which they get the lock. Each user is of a slice of its own, so that no pair is there twice:
        one INSERT cannot put the same row twice."""
        lines = [self.company, "\\set turn :turn + 1",
                 f"\\set revision :base + (:turn * :clients + :client_id) * {batch}"]
        slice_ = LISTENERS // batch
        for i in range(batch):
            lines += [self.draw_call(f"call{i}"),
                      f"\\set user{i} {user_id(f'random({i * slice_}, {(i + 1) * slice_ - 1})')}"]
        company = ":company"
        calls = array(f":call{i}" for i in range(batch))
        users = array(f":user{i}" for i in range(batch))
        revisions = array(f":revision::bigint + {i}" for i in range(batch))
        hashes = array(["sha256('bench')"] * batch)
        last = f":revision::bigint + {batch - 1}"
        return lines + [
            "\\startpipeline",
            bound("begin"),
            bound("lock_head", company),
            bound("load_calls", company, calls),
            bound("load_shares", company, calls, users),
            bound("load_grants", company, calls, users),
            "\\endpipeline",
            "\\startpipeline",
            bound("put_grants", company, calls, users, revisions, array(["NULL"] * batch),
                  array(["NULL"] * batch)),
            bound("insert_changes", company, revisions, array(["0"] * batch),
                  array(["true"] * batch), array(["now()"] * batch), array(["1"] * batch),
                  array(["'give'"] * batch), array(["'0123456789abcdefghi'"] * batch),
                  array(["'BENCH1'"] * batch),
                  array(f"'{{' || :call{i} || '}}'" for i in range(batch)), array(["1"] * batch),
                  array(["'\\x000102030405060708090a0b0c0d0e0f1011121314'"] * batch), hashes),
            bound("move_head", company, last, "now()", "sha256('bench')"),
            bound("commit"),
            "\\endpipeline"]


def user_id(number):
    return f"{ID_FIRST} + {number} * {ID_SPAN // LISTENERS}"


def array(elements):
    return f"ARRAY[{', '.join(elements)}]"


# --- The server ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Load:
    """What pgbench found."""

    per_second: float  # transactions
    server_us: float  # of CPU, for each
    client_us: float
    latency_ms: float  # mean


class Server:
    """A PostgreSQL on a port of 127.0.0.1, as durable as it comes, its files in a directory of its
    own. Ends with close()."""

    def __init__(self, core):
        # On a disk, in a place that the server's user can reach too; the checkout may be neither.
        directory = self.directory = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp"))
        self.user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        self.process = None
        self.runs = 0  # of pgbench
        self.log = open(directory / "log", "ab")
        try:
            self.start(core)
        except BaseException:
            self.close()
            raise

    def start(self, core):
        directory = self.directory
        if self.user:
            shutil.chown(directory, self.user)
        self.run(PROGRAMS / "initdb", "-D", directory / "data", "-A", "trust", "-U", NAME,
                 "-E", "UTF8", "--locale=C", "--data-checksums")
        self.port = machine.free_port()
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "",
                    "port": self.port, "shared_buffers": "2GB", "max_wal_size": "4GB",
                    "wal_compression": "lz4", "autovacuum": "off"}
        with open(directory / "data/postgresql.conf", "a", encoding="ascii") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.process = subprocess.Popen(
            [str(PROGRAMS / "postgres"), "-D", str(directory / "data")], stdout=self.log,
            stderr=self.log, user=self.user, cwd=directory,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run([PROGRAMS / "pg_isready", "-q", "-h", "127.0.0.1", "-p",
                              str(self.port), "-d", "postgres"], check=False).returncode != 0:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise Failure(f"PostgreSQL does not start:\n{(directory / 'log').read_text()}")
            time.sleep(0.1)
        self.create(NAME)

    def url(self, database=NAME):
        return f"postgresql://{NAME}@127.0.0.1:{self.port}/{database}"

    def create(self, database):
        self.sql(f"CREATE DATABASE {database}", "postgres")

    def migrate(self):
        """Makes the tables as `earshot migrate` does, for where there is no Earshot."""
        self.sql("CREATE SCHEMA earshot;")
        for migration in sorted((STORE / "migrations").glob("*.sql")):
            self.sql(migration.read_text())
        text = (STORE / "pg_schema.cc").read_text()
        indexes = re.findall(r'LargeIndex\{"(\w+)",\s*"([^"]+)"\}', text)
        if not indexes:
            raise Failure("no indexes of large tables in pg_schema.cc")
        for name, over in indexes:
            self.sql(f"CREATE INDEX {name} ON {over};")

    def settle(self, database=NAME):
        """Everything on disk and analysed, so that nothing of it is left to do."""
        self.sql("VACUUM (FREEZE, ANALYZE); CHECKPOINT;", database)

    def run(self, *command, core=None, stdin=None, environment=None):
        pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              user=self.user, preexec_fn=pin, input=stdin, cwd=self.directory,
                              check=False, env={**os.environ, **(environment or {})})
        if done.returncode != 0:
            raise Failure(f"{command[0]}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        return done.stdout

    def sql(self, text, database=NAME):
        return self.run("psql", self.url(database), "-qAtX", "-v", "ON_ERROR_STOP=1", stdin=text)

    def number(self, text):
        return float(self.sql(f"SELECT {text}"))

    def log_bytes(self):
        """Of the write-ahead log so far."""
        return self.number("pg_current_wal_lsn() - '0/0'")

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
        """The script again and again by pgbench, in sessions as a server of Earshot has them. Its
        plans are the generic ones."""
        path = self.directory / "script.sql"
        path.write_text("\n".join(script) + "\n")
        self.runs += 1
        before, ours = self.cpu_seconds(), machine.children_cpu_seconds()
        output = self.run(
            PROGRAMS / "pgbench", "-n", "-f", path, "-T", seconds, "-c", clients, "-j", 1,
            "-M", "prepared", "-D", f"base={self.runs * REVISIONS_OF_A_RUN}", "-D", "turn=0",
            "-D", f"clients={clients}", self.url(), core=core, environment={
                "PGOPTIONS": f"{session_settings()} -c plan_cache_mode=force_generic_plan"})
        client = machine.children_cpu_seconds() - ours
        server = self.cpu_seconds() - before
        found = {name: float(re.search(pattern, output)[1]) for name, pattern in (
            ("done", r"actually processed: (\d+)"), ("failed", r"failed transactions: (\d+)"),
            ("rate", r"tps = ([\d.]+)"), ("latency", r"latency average = ([\d.]+) ms"))}
        if found["failed"] or not found["done"]:
            raise Failure(output)
        return Load(found["rate"], server * 1e6 / found["done"], client * 1e6 / found["done"],
                    found["latency"])

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STOP_SECONDS)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
