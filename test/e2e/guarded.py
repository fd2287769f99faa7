"""A directory whose processes end with this process, however that ends: also when it is killed. What
runs there are servers of others, which start processes of their own and outlive those who started
them; so whoever has its working directory inside belongs to it.

Run as a program this is the guard, which waits until nobody holds the other end of its input."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

END_SECONDS = 20


class GuardedDirectory:
    """On a disk, in a place that the servers' user can reach too; the checkout may be neither."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="earshot-e2e-", dir="/var/tmp"))
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(self.path, self.user)
        self.guard = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), str(self.path)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def spawn(self, name, *command, environment=None):
        """Starts a server in here; its output goes to NAME.log."""
        with open(self.path / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.path,
                user=self.user,
                start_new_session=True,
                env={**server_environment(), **(environment or {})},
            )

    def close(self):
        """Ends all in it. The guard removes it, which may take longer than is worth waiting for: a
        cluster has thousands of files."""
        end_processes_in(self.path)
        self.guard.stdin.close()


def server_environment():
    """Nothing of this process's environment may configure a server."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def processes_in(directory):
    """Ids of the processes that work in the directory or below it."""
    inside = f"{os.path.realpath(directory)}/"
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if f"{os.readlink(entry / 'cwd').removesuffix(' (deleted)')}/".startswith(inside):
                found.append(int(entry.name))
    return found


def end_processes_in(directory):
    deadline = time.monotonic() + END_SECONDS
    while (found := processes_in(directory)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def free_ports(count):
    """So many different ports of 127.0.0.1 that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def main():
    directory = sys.argv[1]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_processes_in(directory)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
