"""Programs on cores, and the time they take of them. Linux only."""

import contextlib
import dataclasses
import os
import pathlib
import platform
import re
import resource
import signal
import socket
import subprocess
import time

READY_SECONDS = 60
STOP_SECONDS = 30


class Failure(Exception):
    """A bench that could not run, or an answer that is not what it should be."""


class Missing(Failure):
    """This machine lacks what one bench needs; the others need not fail with it."""


class Process:
    """A program pinned to a core. Its output goes to a log, unless it is talked to."""

    def __init__(self, command, core, log, talks=False, stdin=None):
        self.command = [str(part) for part in command]
        self.name = pathlib.Path(command[0]).name
        self.log_path = log
        self.log = open(log, "ab")
        self.log_start = self.log.tell()
        pipe = subprocess.PIPE if talks else None
        self.process = subprocess.Popen(
            self.command,
            stdin=pipe or stdin or subprocess.DEVNULL,
            stdout=pipe or self.log,
            stderr=self.log,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )

    def cpu_seconds(self):
        """Of all its threads, ended ones too. Linux makes the clock of a process out of its id."""
        return time.clock_gettime_ns((~self.process.pid << 3) | 2) / 1e9

    def anonymous_bytes(self):
        """Memory of its own: what is no page of a file."""
        return self.status_bytes("RssAnon")

    def peak_bytes(self):
        """The most memory that it ever had, or since begin_peak(), pages of files included."""
        return self.status_bytes("VmHWM")

    def begin_peak(self):
        """Forgets the most that it had so far, and gives what it has now."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.peak_bytes()

    def status_bytes(self, name):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+) kB$", text, re.M)[1]) * 1024

    def kill(self):
        self.process.kill()
        self.process.wait()

    def said(self):
        return self.log_path.read_bytes()[self.log_start :].decode("utf-8", "replace")

    def wait_for_port(self):
        """The port that it listens on, once it says so."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            found = re.search(r"listening on https?://127\.0\.0\.1:(\d+)\n", self.said())
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise Failure(f"{self.name} does not listen:\n{self.said()[-2000:]}")

    def ask(self, line):
        self.tell(line)
        return self.hear()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{self.name} ended:\n{self.said()[-2000:]}")
        return line.strip()

    def stop(self):
        """Ends it, and gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.log.close()
        return self.process.returncode


def run_command(command, seconds, what, core=None, environment=None):
    """Runs it to its end, on any core or on the one named, and gives what it printed."""
    pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              timeout=seconds, preexec_fn=pin,
                              env={**os.environ, **(environment or {})})
    except subprocess.TimeoutExpired:
        raise Failure(f"{what}: not done after {seconds} s") from None
    if done.returncode != 0:
        printed = done.stdout[-2000:] + done.stderr[-2000:]
        raise Failure(f"{what}: exit code {done.returncode}\n{printed}")
    return done.stdout


def run_into(command, file, what, core=None):
    """Runs it to its end with its output in a file."""
    pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
    done = subprocess.run([str(part) for part in command], stdout=file, preexec_fn=pin)
    if done.returncode != 0:
        raise Failure(f"{what}: exit code {done.returncode}")


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of a program that ran to its end."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int  # of memory, pages of files included


@contextlib.contextmanager
def piped(command, core):
    """The output of a program on a core, to be read as it comes. It ends well, or with a Failure."""
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE,
                               preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    try:
        yield process.stdout
        process.stdout.close()
        if process.wait() != 0:
            raise Failure(f"{command[0]}: exit code {process.returncode}")
    finally:
        process.kill()
        process.wait()


def run_measured(command, core, what, source=None, environment=None):
    """Runs it on a core to its end, its input from a file or pipe, and says what it took."""
    begin = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdin=source or subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               preexec_fn=lambda: os.sched_setaffinity(0, {core}),
                               env={**os.environ, **(environment or {})})
    try:
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failure(f"{what}: exit code {process.returncode}\n{printed[-2000:]}")
    return Cost(time.monotonic() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def children_cpu_seconds():
    """Of all programs that this one ran to their end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class CpuShare:
    """A control group, of either version, whose processes get so much of a core and no more."""

    PERIOD_US = 10_000  # short, so that a server stands still for 8 ms at a time and not for 80

    def __init__(self, cores):
        self.quota_us = int(cores * self.PERIOD_US)
        self.directory = None

    def __enter__(self):
        tried = []
        for parent, version in cpu_groups():
            try:
                self.directory = self.make(parent, version)
                return self
            except OSError as error:
                tried.append(f"{parent}: {error.strerror}")
        raise Missing("no control group for processor time can be made here, of either version: "
                      + ("; ".join(tried) or "none is mounted"))

    def make(self, parent, version):
        directory = parent / f"earshot-bench-{os.getpid()}-{id(self):x}"
        if version == 2 and "cpu" not in (parent / "cgroup.subtree_control").read_text().split():
            (parent / "cgroup.subtree_control").write_text("+cpu")
        directory.mkdir()
        try:
            if version == 1:
                (directory / "cpu.cfs_period_us").write_text(str(self.PERIOD_US))
                (directory / "cpu.cfs_quota_us").write_text(str(self.quota_us))
            else:
                (directory / "cpu.max").write_text(f"{self.quota_us} {self.PERIOD_US}")
        except OSError:
            directory.rmdir()
            raise
        return directory

    def hold(self, process):
        (self.directory / "cgroup.procs").write_text(str(process.process.pid))

    # REQUIRES: whoever was held has ended.
    def __exit__(self, *_):
        self.directory.rmdir()


def cpu_groups():
    """Directories in which a group may be made, with the version of their kind: our own group and
    those above it."""
    own = {}
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update({name: path for name in controllers.split(",")})  # version 2 has none: ""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, mounted, kind, options, *_ = line.split()
        version = {"cgroup": 1, "cgroup2": 2}.get(kind)
        name = "cpu" if version == 1 else ""
        if not version or name not in own or (name and name not in options.split(",")):
            continue
        group = pathlib.Path(mounted) / own[name].lstrip("/")
        for directory in (group, *group.parents):
            if directory.is_relative_to(mounted) and directory.is_dir():
                yield directory, version


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def pick_cores():
    """A core for the servers and one for the load; not two threads of one core where it can be."""
    allowed = sorted(os.sched_getaffinity(0))
    servers = allowed[0]
    siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{servers}/topology/thread_siblings_list")
    shared = set()
    if siblings.exists():
        for part in siblings.read_text().strip().split(","):
            first, _, last = part.partition("-")
            shared.update(range(int(first), int(last or first) + 1))
    others = [core for core in allowed if core != servers]
    apart = [core for core in others if core not in shared]
    return servers, (apart or others or [servers])[0]


def core_busy_seconds(core):
    """What anybody used of the core since the start, the hypervisor's other guests included."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, irq, soft, steal = map(int, ticks[:8])
            return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
    raise Failure(f"/proc/stat does not know cpu{core}")


def describe(path):
    """The machine in one line, with the file system that the path is on."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    under = [m for m in mounts if pathlib.Path(path).resolve().is_relative_to(m[1])]
    kind = max(under, key=lambda mount: len(mount[1]))[2] if under else "unknown"
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} CPUs, "
            f"{memory:.0f} GiB, {kind}, Linux {platform.release()}")
