"""PostgreSQL 15 of the tests' own: a server on a port of 127.0.0.1 with its files in a directory
that goes with it, and databases in it, each as `earshot migrate` leaves one. However the run ends,
the server and its files do not outlive it."""

import contextlib
import os
import random
import socket
import subprocess

from guarded import GuardedDirectory
from harness import Failure, check, clean_environment, wait_until

PROGRAMS = "/usr/lib/postgresql/15/bin"
START_SECONDS = 60
STOP_SECONDS = 30

# The role that owns the databases is no superuser, so that Earshot is never seen to need one; it
# may make databases, because tests of the store do.
ROLE = "earshot"
SUPERUSER = "postgres"
# A role that must give its password, where all others on 127.0.0.1 are trusted.
GUARDED_ROLE = "guarded"
PASSWORD = "a-password-that-nobody-may-print"
# A role that was granted nothing.
OUTSIDER_ROLE = "outsider"

ACCESS = f"""
host all {GUARDED_ROLE} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "log_line_prefix": "%m [%p] %d %a ",
    # After a crash one call syncs the files, in place of one for each; it takes seconds off.
    "recovery_init_sync_method": "syncfs",
}
# Without fsync a fresh database costs a tenth. A process that is killed loses nothing by it, since
# what it wrote is with the kernel; but tests that crash PostgreSQL ask for a durable one, and run
# it as it runs in production.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


def pick_port():
    """A port below those that outgoing connections get, so that it stays free while the server is
    down."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Postgres:
    """One server. Everything of it is gone after close()."""

    def __init__(self, durable=False):
        self.directory = GuardedDirectory()
        self.files = self.directory.path / "files"
        self.log_path = self.directory.path / "postgres.log"
        self.port = pick_port()
        self.process = None
        try:
            self._initialize(durable)
            self.process = self._spawn()
            wait_until(self.is_ready, START_SECONDS, "PostgreSQL to start")
            self.sql(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
            self.sql(f"CREATE ROLE {GUARDED_ROLE} LOGIN PASSWORD '{PASSWORD}' IN ROLE {ROLE}")
            self.sql(f"CREATE ROLE {OUTSIDER_ROLE} LOGIN")
        except BaseException:
            self.close()
            raise

    def _initialize(self, durable):
        options = ["--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C.UTF-8"]
        done = subprocess.run(
            [f"{PROGRAMS}/initdb", "-D", self.files, "--no-sync", *options],
            capture_output=True,
            text=True,
            cwd=self.directory.path,
            user=self.directory.user,
            check=False,
        )
        check(done.returncode == 0, "initdb:", done.stdout[-1000:], done.stderr[-1000:])
        settings = {**SETTINGS, **({} if durable else NOT_DURABLE), "port": str(self.port)}
        with open(self.files / "postgresql.conf", "a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        with open(self.files / "pg_hba.conf", "w") as file:
            file.write(ACCESS)

    def _spawn(self):
        return self.directory.spawn("postgres", f"{PROGRAMS}/postgres", "-D", self.files)

    def is_ready(self):
        if self.process.poll() is not None:
            raise Failure(f"PostgreSQL does not start:\n{self.log_path.read_text()[-3000:]}")
        command = [f"{PROGRAMS}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def end(self, number):
        """Sends the signal and waits: SIGINT ends it politely; SIGQUIT as `pg_ctl stop -m
        immediate` does, without a checkpoint; SIGKILL as a crash of the postmaster does."""
        self.process.send_signal(number)
        self.process.wait(STOP_SECONDS)

    def restart(self):
        """Starts it after end(). The processes below a killed postmaster see a moment later that it
        is gone, and until the last has left it refuses to start."""

        def started():
            self.process = self._spawn()
            with contextlib.suppress(Failure):
                return wait_until(self.is_ready, START_SECONDS, "PostgreSQL to start")
            return False

        wait_until(started, START_SECONDS, "PostgreSQL to start again")

    def close(self):
        self.directory.close()
        if self.process:
            self.process.wait(STOP_SECONDS)

    def url(self, database="postgres", role=ROLE):
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def sql(self, text, database="postgres", role=SUPERUSER):
        """What the statements print: rows as lines, columns divided by `|`."""
        command = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", self.url(database, role)]
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=60,
            check=False,
        )
        check(done.returncode == 0, text, "says", done.stderr[-2000:])
        return done.stdout


class Databases:
    """Fresh databases for one program: migrated once, then copied. The server is started for the
    first of them and ended by close()."""

    def __init__(self, binary, durable=False):
        self.binary = binary
        self.durable = durable
        self.server = None
        self.before = ""  # what is done in the server before all else
        self.count = 0

    def apart(self):
        """The same in a server of its own, durable as one in production."""
        return Databases(self.binary, durable=True)

    def make(self):
        """The URL of a database of its own, as `earshot migrate` leaves it."""
        self._prepare()
        return self._create("TEMPLATE migrated")

    def make_empty(self, options=""):
        """The URL of a database that nobody has migrated."""
        self._prepare()
        return self._create(f"TEMPLATE template0 {options}")

    def copy(self, url):
        """The URL of a database with all that is in this one now."""
        copied = self.make_empty()
        self.sql(copied, self.export(url))
        return copied

    def _prepare(self):
        if self.server:
            return
        self.server = Postgres(self.durable)
        if self.before:
            self.server.sql(self.before)
        self.server.sql(f"CREATE DATABASE migrated OWNER {ROLE}")
        self.migrate(self.server.url("migrated"))

    def _create(self, source):
        self.count += 1
        name = f"store_{self.count}"
        self.server.sql(f"CREATE DATABASE {name} OWNER {ROLE} {source}")
        return self.server.url(name)

    def migrate(self, url):
        done = subprocess.run(
            [self.binary, "migrate", "--store", url],
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=60,
            check=False,
        )
        check(done.returncode == 0, "earshot migrate:", done.stdout, done.stderr)

    def drop(self, url):
        """Connections are ended: a server that was killed may still be leaving. Where PostgreSQL was
        left stopped, its databases go with its files."""
        if self.server.process.poll() is None:
            self.server.sql(f"DROP DATABASE IF EXISTS {name_of(url)} WITH (FORCE)")

    def sql(self, url, text, role=SUPERUSER):
        return self.server.sql(text, name_of(url), role)

    def export(self, url):
        """All that is in the database, as pg_dump writes it."""
        command = [f"{PROGRAMS}/pg_dump", "--inserts", "-d", url]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=60,
            check=False,
        )
        check(done.returncode == 0, "pg_dump:", done.stderr[-2000:])
        return done.stdout

    def wait_for_orphans(self, url):
        """Until the database has no connection left whose client is gone: what a killed process had
        sent may be carried out before, and not after."""
        query = "SELECT client_port FROM pg_stat_activity WHERE client_port > 0 AND datname = "

        def none_left():
            served = self.server.sql(f"{query}'{name_of(url)}'").split()
            return set(map(int, served)) <= client_ports(self.server.port)

        wait_until(none_left, 30, "connections of killed processes to end")

    def log_size(self):
        return os.path.getsize(self.server.log_path) if self.server else 0

    def log_text(self, begin=0):
        """What the server has said since its log was that long."""
        if not self.server:
            return ""
        with open(self.server.log_path, "rb") as file:
            file.seek(begin)
            return file.read().decode(errors="replace")

    def close(self):
        if self.server:
            self.server.close()
            self.server = None


def client_ports(port):
    """Ports of this machine from which somebody is connected to that port of it."""
    found = set()
    with open("/proc/net/tcp") as file:
        for line in list(file)[1:]:
            _, here, there, state = line.split()[:4]
            if int(there.split(":")[1], 16) == port and state == "01":
                found.add(int(here.split(":")[1], 16))
    return found


def name_of(url):
    return url.rsplit("/", 1)[1].split("?")[0]
