"""PostgreSQL 15 of the tests' own: a server on a port of 127.0.0.1 with its files in a directory
that goes with it, and databases in it, each as `earshot migrate` leaves one. However the run ends,
the server and its files do not outlive it."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

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
}
# Without fsync a fresh database costs a tenth. A process that is killed loses nothing by it, since
# what it wrote is with the kernel; but tests that crash PostgreSQL ask for a durable one, and run
# it as it runs in production.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}

# Ends the server and removes its files when the other end of the pipe is gone: also where the run
# was killed. Each line that comes is the process id of the server, or 0 while there is none.
GUARD = """
pid=0
while read -r line; do pid=$line; done
if [ "$pid" -gt 0 ]; then
  kill -QUIT "$pid" 2>/dev/null
  for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null && sleep 0.2; done
fi
rm -rf "$1"
"""


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
        # On a disk, where the server's user can reach it; PostgreSQL refuses to run as root.
        self.directory = tempfile.mkdtemp(prefix="earshot-postgres-", dir="/var/tmp")
        self.files = os.path.join(self.directory, "files")
        self.log_path = os.path.join(self.directory, "log")
        self.port = pick_port()
        self.process = None
        self.guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", self.directory],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self._initialize(durable)
            self.start()
            self.sql(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
            self.sql(f"CREATE ROLE {GUARDED_ROLE} LOGIN PASSWORD '{PASSWORD}' IN ROLE {ROLE}")
        except BaseException:
            self.close()
            raise

    def _initialize(self, durable):
        self.user = {}
        if os.geteuid() == 0:
            shutil.chown(self.directory, SUPERUSER, SUPERUSER)
            self.user = {"user": SUPERUSER, "group": SUPERUSER, "extra_groups": []}
        options = ["--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C.UTF-8"]
        command = [os.path.join(PROGRAMS, "initdb"), "-D", self.files, "--no-sync", *options]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.directory, check=False, **self.user
        )
        check(done.returncode == 0, "initdb:", done.stdout[-1000:], done.stderr[-1000:])
        settings = {**SETTINGS, **({} if durable else NOT_DURABLE), "port": str(self.port)}
        with open(os.path.join(self.files, "postgresql.conf"), "a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        with open(os.path.join(self.files, "pg_hba.conf"), "w") as file:
            file.write(ACCESS)

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(PROGRAMS, "postgres"), "-D", self.files],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                **self.user,
            )
        self._tell_guard(self.process.pid)
        if wait:
            wait_until(self.is_ready, START_SECONDS, "PostgreSQL to start")

    def is_ready(self):
        if self.process.poll() is not None:
            with open(self.log_path, errors="replace") as log:
                raise Failure(f"PostgreSQL does not start:\n{log.read()[-3000:]}")
        command = [os.path.join(PROGRAMS, "pg_isready"), "-q", "-h", "127.0.0.1"]
        return subprocess.run([*command, "-p", str(self.port)], check=False).returncode == 0

    def _tell_guard(self, pid):
        self.guard.stdin.write(b"%d\n" % pid)
        self.guard.stdin.flush()

    def end(self, number):
        """Sends the signal and waits: SIGINT ends it politely; SIGQUIT as `pg_ctl stop -m
        immediate` does, without a checkpoint; SIGKILL as a crash of the postmaster does."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(STOP_SECONDS)
        self._tell_guard(0)

    def restart_after_kill(self):
        """Starts it after SIGKILL. The processes below the postmaster see a moment later that it is
        gone, and it refuses to start before the last has left."""

        def started():
            self.start(wait=False)
            with contextlib.suppress(Failure):
                return wait_until(self.is_ready, START_SECONDS, "PostgreSQL to start")
            return False

        wait_until(started, START_SECONDS, "the processes of the killed PostgreSQL to leave")

    def close(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.end(signal.SIGINT)
        if self.process and self.process.poll() is None:
            self.end(signal.SIGKILL)
        self.guard.stdin.close()
        self.guard.wait(STOP_SECONDS)

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

    def _prepare(self):
        if self.server:
            return
        self.server = Postgres(self.durable)
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
        """Connections are ended: a server that was killed may still be leaving."""
        self.server.sql(f"DROP DATABASE IF EXISTS {name_of(url)} WITH (FORCE)")

    def sql(self, url, text, role=SUPERUSER):
        return self.server.sql(text, name_of(url), role)

    def export(self, url):
        """All that is in the database, as pg_dump writes it."""
        command = [os.path.join(PROGRAMS, "pg_dump"), "--inserts", "-d", url]
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
