"""What every suite stands on: declaring tests, running them bounded in time, and the directory,
random numbers, stores and servers that belong to one test. Knows nothing of what is tested."""

import contextlib
import faulthandler
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STORES = ("embedded", "postgres")


class Failure(Exception):
    """A promise that did not hold."""


class Timeout(BaseException):
    """The test's time is over. Not an Exception, so that no test swallows it."""


def check(condition, *message):
    if not condition:
        raise Failure(" ".join(str(part) for part in message) or "check failed")


def check_equal(actual, expected, *message):
    if actual != expected:
        text = " ".join(str(part) for part in message)
        raise Failure(f"{text}: got {shorten(actual)}, expected {shorten(expected)}")


def shorten(value, length=600):
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}… ({len(text)} characters)"


class Test:
    def __init__(self, function, promise, seconds, stores):
        self.function = function
        self.promise = promise
        self.seconds = seconds
        self.stores = stores


def suite():
    """A fresh pair: the list of a suite's tests, and the decorator that puts functions on it. A
    test runs on every store, unless its promise is about one of them."""
    tests = []

    def test(promise, seconds=30, stores=STORES):
        def declare(function):
            tests.append(Test(function, promise, seconds, stores))
            return function

        return declare

    return tests, test


class Environment:
    """What one test may use. Everything in it ends with the test. `databases` makes its stores;
    without, they are directories."""

    def __init__(self, binary, seed, options, databases=None):
        self.binary = binary
        self.seed = seed
        self.options = options
        self.random = random.Random(seed)
        self.notes = []
        self.directory = tempfile.mkdtemp(prefix="earshot-e2e-")
        self.processes = []
        self.databases = databases
        self.is_embedded = databases is None
        self.stores = {}
        self.at_end = contextlib.ExitStack()
        if databases:
            self.at_end.callback(self._keep_log, databases, databases.log_size())

    def note(self, text):
        """Adds to the test's line: a figure that was measured."""
        self.notes.append(text)

    def path(self, name):
        return os.path.join(self.directory, name)

    def store(self, name="store"):
        """What --store takes: a directory, or the URL of a migrated database; for the same name the
        same."""
        if self.is_embedded:
            return self.path(name)
        if name not in self.stores:
            self.stores[name] = self.databases.make()
            self.at_end.callback(self.databases.drop, self.stores[name])
        return self.stores[name]

    def empty_database(self, options=""):
        """The URL of a database that nobody has migrated; options are those of CREATE DATABASE."""
        url = self.databases.make_empty(options)
        self.at_end.callback(self.databases.drop, url)
        return url

    def settle(self, store):
        """After a process that used the store was killed: until nothing that it had sent can take
        effect any more."""
        if not self.is_embedded:
            self.databases.wait_for_orphans(store)

    def own_databases(self):
        """From here on stores are databases of a PostgreSQL that this test alone has and may crash,
        set up as in production."""
        self.databases = self.databases.apart()
        self.at_end.callback(self.databases.close)
        self.at_end.callback(self._keep_log, self.databases, 0)
        return self.databases

    def _keep_log(self, databases, begin):
        self.write("postgresql.log", databases.log_text(begin))

    def write(self, name, text):
        with open(self.path(name), "w" if isinstance(text, str) else "wb") as file:
            file.write(text)
        return self.path(name)

    def spawn(self, *arguments, **options):
        """Starts a process that dies with the test at the latest."""
        process = subprocess.Popen([str(argument) for argument in arguments], **options)
        self.processes.append(process)
        return process

    def run(self, *arguments, seconds=60, environment=None):
        """Runs the program's command to its end."""
        return subprocess.run(
            [self.binary, *[str(argument) for argument in arguments]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=self.directory,
            env=clean_environment(environment),
        )

    def run_on_terminal(self, *arguments, environment=None, seconds=30):
        """Runs any program as a person would; its exit code, and all that the terminal shows."""
        own, terminal = pty.openpty()
        process = self.spawn(
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            cwd=self.directory,
            env=clean_environment(environment),
        )
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(own, 65536):
                shown += piece
        except OSError:  # how a terminal says that its last process has ended
            pass
        os.close(own)
        return process.wait(seconds), shown.decode().replace("\r\n", "\n")

    def command(self, *arguments, seconds=60):
        """Runs a command that must succeed; its standard output."""
        done = self.run(*arguments, seconds=seconds)
        check(
            done.returncode == 0,
            "earshot",
            *arguments,
            "exited",
            done.returncode,
            done.stderr[-2000:],
        )
        return done.stdout

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        self.at_end.close()

    def logs(self):
        for name in sorted(os.listdir(self.directory)):
            if name.endswith(".log"):
                with open(self.path(name), errors="replace") as file:
                    yield name, file.read()


def clean_environment(extra=None):
    """This process's environment without options for the program or for libpq."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "PG"))
    }
    return {**kept, **(extra or {})}


def run_bounded(function, seconds):
    def on_alarm(_signal, _frame):
        faulthandler.dump_traceback(file=sys.stderr)
        raise Timeout(f"not done after {seconds} s")

    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(seconds)
    try:
        function()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def run_test(name, test, binary, seed, options, databases=None):
    """Runs one test and prints its line; whether it held."""
    # Every test has random numbers of its own, so that it can be run again alone.
    own_seed = seed ^ zlib.crc32(f"{name}/{test.promise}".encode())
    environment = Environment(binary, own_seed, options, databases)
    started = time.monotonic()
    error = None
    try:
        run_bounded(lambda: test.function(environment), test.seconds)
    except (Exception, Timeout):
        error = traceback.format_exc()
    finally:
        environment.close()
    elapsed = time.monotonic() - started
    notes = f"  [{'; '.join(environment.notes)}]" if environment.notes else ""
    print(
        f"{'FAILED' if error else 'ok    '} {name}: {test.promise} ({elapsed:.1f} s){notes}",
        flush=True,
    )
    if error:
        print(indent(error))
        kept = keep_logs(environment, name, test)
        print(f"    seed {seed}; the server's log is in {kept}\n", flush=True)
    shutil.rmtree(environment.directory, ignore_errors=True)
    return error is None


def keep_logs(environment, name, test):
    folder = os.path.join(
        ROOT, "build", "e2e-logs", f"{name}-{zlib.crc32(test.promise.encode()):08x}"
    )
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for log, text in environment.logs():
        with open(os.path.join(folder, log), "w") as file:
            file.write(text)
        print(indent(f"--- the end of {log}\n" + "\n".join(text.splitlines()[-15:])))
    return folder


def indent(text):
    return "".join(f"    {line}\n" for line in text.splitlines())


def in_threads(functions, seconds=60):
    """Runs the functions at once, each in a thread; raises the first error, gives the results in
    order."""
    results = [None] * len(functions)
    errors = []

    def run(index, function):
        try:
            results[index] = function()
        except Exception as error:
            error.add_note("".join(traceback.format_tb(error.__traceback__)))
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(index, function), daemon=True)
        for index, function in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    if errors:
        raise errors[0]
    check(not any(thread.is_alive() for thread in threads), "threads not done after", seconds, "s")
    return results


def wait_until(condition, seconds, what):
    """Asks until it holds; what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, "waited", seconds, "s for", what)
        time.sleep(0.02)
