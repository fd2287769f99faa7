"""One running `earshot serve`: started on a free port, killed by its own process id only, its
output kept in a log."""

import os
import queue
import signal
import socket
import subprocess
import threading
import time

from harness import check, clean_environment
from http11 import Client, Connection, basic

LISTENING = "listening on "


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server of an environment. `store` is what --store takes; options are those of the command
    line."""

    count = 0

    def __init__(
        self, env, *options, store=None, listen="127.0.0.1:0", environment=None, wait=True
    ):
        Server.count += 1
        self.env = env
        self.store = store or env.store()
        self.log_path = env.path(f"server-{Server.count:03}.log")
        self.lines = queue.Queue()
        arguments = [
            env.binary,
            "serve",
            "--listen",
            listen,
            "--store",
            self.store,
            *map(str, options),
        ]
        self.log = open(self.log_path, "ab", buffering=0)
        self.started = time.monotonic()
        self.process = env.spawn(
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=env.directory,
            env=clean_environment(environment),
        )
        self.reader = threading.Thread(target=self._read_output, daemon=True)
        self.reader.start()
        self.url = self.address = None
        if wait:
            self.wait_listening()

    def _read_output(self):
        for line in self.process.stdout:
            self.log.write(line)
            self.lines.put(line.decode(errors="replace").rstrip("\n"))
        self.lines.put(None)

    def wait_listening(self, seconds=120):
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                check(False, "the server does not say that it listens after", seconds, "s")
            check(line is not None, "the server ended before it listened:", self.log_text()[-2000:])
            if line.startswith(LISTENING):
                self.start_seconds = time.monotonic() - self.started
                self.url = line[len(LISTENING) :].strip()
                self.address = self.url.split("://", 1)[1].rstrip("/")
                return

    @property
    def pid(self):
        return self.process.pid

    def connect(self, **options):
        return Connection(self.address, **options)

    def client(self, access_key, secret, **options):
        return Client(self.address, basic(access_key, secret), **options)

    def kill(self):
        """Ends it as a crash does."""
        self.process.kill()
        self._ended(30)

    def stop(self, seconds=30):
        """Ends it politely; the exit code must be 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self._ended(seconds)
        check(code == 0, "the server exited with", code, self.log_text()[-2000:])

    def _ended(self, seconds):
        code = self.process.wait(seconds)
        self.reader.join(10)
        self.log.close()
        return code

    def wait_exit(self, seconds=30):
        return self._ended(seconds)

    def log_text(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def status(self, name):
        """A figure of /proc/PID/status in bytes: VmRSS, VmHWM."""
        with open(f"/proc/{self.pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) * 1024
        return 0
