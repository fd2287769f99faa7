"""A cluster of PostgreSQL as operators run it: three nodes, each with its Patroni agent, one member
of etcd, and before them an HAProxy where one is wanted. All of it on 127.0.0.1 and free ports. Knows
what can go wrong with such a cluster and does it; knows nothing of Earshot.

Whoever breaks something calls heal() afterwards, which waits until all three nodes are as they
should be."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import string
import subprocess
import time

from guarded import GuardedDirectory, free_ports, processes_in
from harness import Failure, check, wait_until

CONFIGURATIONS = pathlib.Path(__file__).parent / "configurations"
PROGRAMS = pathlib.Path("/usr/lib/postgresql/15/bin")
ETCD, PATRONI, HAPROXY = "/usr/bin/etcd", "/usr/bin/patroni", "/usr/sbin/haproxy"
NODES = 3
TTL_SECONDS = 10  # as in patroni.yml
START_SECONDS = 90
HEAL_SECONDS = 90
PASSWORDS = {
    "superuser_password": "superuser-of-the-tests",
    "replication_password": "replication-of-the-tests",
    "rewind_password": "rewind-of-the-tests",
}


def configuration(file, /, **values):
    return string.Template((CONFIGURATIONS / file).read_text()).substitute(values)


class Node:
    """One PostgreSQL and the agent that starts, promotes and demotes it."""

    def __init__(self, cluster, name, port, rest_port):
        self.cluster = cluster
        self.directory = cluster.directory
        self.name = name
        self.port = port
        self.rest_port = rest_port
        self.data = self.directory.path / name
        self.agent = None
        self.stopped = set()  # ids of processes that stand still

    def configure(self):
        path = self.directory.path / f"{self.name}.yml"
        path.write_text(
            configuration(
                "patroni.yml",
                name=self.name,
                port=self.port,
                rest_port=self.rest_port,
                etcd_port=self.cluster.etcd_port,
                directory=self.directory.path,
                bin_directory=PROGRAMS,
                **PASSWORDS,
            )
        )
        return path

    def start(self):
        if self.agent is None or self.agent.poll() is not None:
            path = self.directory.path / f"{self.name}.yml"
            self.agent = self.directory.spawn(self.name, PATRONI, path)

    def postmaster(self):
        """The id of the server's first process; None where it does not run."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            if pid in processes_in(self.data):
                return pid
        return None

    def kill_server(self):
        """As a crash of PostgreSQL: its other processes see it and end."""
        pid = self.postmaster()
        check(pid, self.name, "has no server to kill")
        os.kill(pid, signal.SIGKILL)

    def kill(self):
        """The server and the agent, at once; as a machine that goes away."""
        self.agent.kill()
        self.kill_server()
        self.agent.wait(10)

    def freeze_agent(self):
        self._stop([self.agent.pid])

    def freeze(self):
        """The agent and the server, whose sockets stay open; as a machine that hangs."""
        self._stop([self.agent.pid])
        # The first process first: it starts no others then.
        self._stop([pid for pid in [self.postmaster()] if pid])
        self._stop(processes_in(self.data))

    def freeze_receiver(self):
        """The process that receives the primary's log; whether there is one."""
        found = [pid for pid in processes_in(self.data) if "walreceiver" in command_line(pid)]
        self._stop(found)
        return bool(found)

    def _stop(self, pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.stopped.add(pid)

    def thaw(self):
        still_there = {self.agent.pid, *processes_in(self.data)}
        for pid in self.stopped & still_there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped.clear()

    def ask(self, path, method="GET", body=None, seconds=2):
        """(status, JSON) of the agent's REST API; (0, None) where none answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=seconds)
        try:
            connection.request(method, path, body and json.dumps(body))
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text.startswith("{") else text
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()


class Cluster:
    """Started and whole when made. Ends with close(), or with this process."""

    def __init__(self, with_haproxy=False):
        started = time.monotonic()
        self.directory = GuardedDirectory()
        self.etcd = self.haproxy = None
        ports = free_ports(2 + 1 + 2 * NODES)
        self.etcd_port, self.etcd_peer_port, self.haproxy_port = ports[:3]
        self.nodes = [
            Node(self, f"node{number + 1}", *ports[3 + 2 * number : 5 + 2 * number])
            for number in range(NODES)
        ]
        try:
            self.start_etcd()
            for node in self.nodes:
                node.configure()
                node.start()
            if with_haproxy:
                self._start_haproxy()
            wait_until(self.is_whole, START_SECONDS, "a whole cluster")
        except BaseException as error:
            error.add_note(self.ends_of_logs())
            self.close()
            raise
        self.start_seconds = time.monotonic() - started

    def start_etcd(self):
        clients = f"http://127.0.0.1:{self.etcd_port}"
        peers = f"http://127.0.0.1:{self.etcd_peer_port}"
        self.etcd = self.directory.spawn(
            "etcd",
            *(ETCD, "--name", "etcd1", "--data-dir", self.directory.path / "etcd"),
            *("--listen-client-urls", clients, "--advertise-client-urls", clients),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"etcd1={peers}", "--enable-v2=true"),
        )

    def _start_haproxy(self):
        path = self.directory.path / "haproxy.cfg"
        servers = [
            f"    server {node.name} 127.0.0.1:{node.port} check port {node.rest_port}"
            for node in self.nodes
        ]
        path.write_text(
            configuration(
                "haproxy-postgres.cfg", port=self.haproxy_port, servers="\n".join(servers)
            )
        )
        self.haproxy = self.directory.spawn("haproxy", HAPROXY, "-db", "-f", path)

    def close(self):
        self.directory.close()
        for process in (self.etcd, self.haproxy, *(node.agent for node in self.nodes)):
            if process:
                process.wait(10)

    def kill_etcd(self):
        self.etcd.kill()
        self.etcd.wait(10)

    # --- what it looks like

    def leader(self):
        """The node that the agents call the leader and that says so itself; None where none is."""
        for node in self.nodes:
            if not node.stopped and node.ask("/primary")[0] == 200:
                return node
        return None

    def replication(self):
        """{node: "sync", "async" or "potential"} of the standbys that stream from the leader."""
        leader = self.leader()
        _, answer = leader.ask("/patroni") if leader else (0, None)
        rows = (answer or {}).get("replication", []) if isinstance(answer, dict) else []
        by_name = {node.name: node for node in self.nodes}
        return {
            by_name[row["application_name"]]: row["sync_state"]
            for row in rows
            if row["state"] == "streaming" and row["application_name"] in by_name
        }

    def sync_standby(self):
        """The node that must have a write before it is acknowledged, and that knows so: only then
        will it be promoted. None where none is."""
        for node, state in self.replication().items():
            if state == "sync" and not node.stopped and node.ask("/sync")[0] == 200:
                return node
        return None

    def is_whole(self):
        """Whether there is a leader, a synchronous standby and one more."""
        return len(self.replication()) == NODES - 1 and self.sync_standby() is not None

    def heal(self):
        """Starts what was killed, lets go on what was stopped; seconds until all are there."""
        started = time.monotonic()
        if self.etcd.poll() is not None:
            self.start_etcd()
        for node in self.nodes:
            node.thaw()
            node.start()
        try:
            wait_until(self.is_whole, HEAL_SECONDS, "the cluster to be whole again")
        except Failure as error:
            error.add_note(self.ends_of_logs())
            raise
        return time.monotonic() - started

    def switchover(self):
        """Makes the synchronous standby the primary, as planned; seconds that the command took."""
        leader, candidate = self.leader(), self.sync_standby()
        check(leader and candidate, "a switchover needs a leader and a synchronous standby")
        started = time.monotonic()
        status, answer = leader.ask(
            "/switchover",
            "POST",
            {"leader": leader.name, "candidate": candidate.name},
            seconds=60,
        )
        check(status == 200, "switchover:", status, answer)
        return time.monotonic() - started

    # --- what a client needs

    def url(self, role, password, database, through_haproxy=False):
        """All nodes, for a client that finds the primary itself, or HAProxy, which knows it."""
        ports = [self.haproxy_port] if through_haproxy else [node.port for node in self.nodes]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://{role}:{password}@{hosts}/{database}"

    def superuser_url(self, database="postgres", through_haproxy=False):
        return self.url("postgres", PASSWORDS["superuser_password"], database, through_haproxy)

    def sql(self, text, database="postgres", seconds=30):
        """What psql prints, as the superuser at the primary: a line a row, columns split by |."""
        url = f"{self.superuser_url(database)}?target_session_attrs=read-write&connect_timeout=2"
        done = subprocess.run(
            [PROGRAMS / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", url],
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        check(done.returncode == 0, "psql:", done.stderr[-2000:])
        return done.stdout

    def wait_replayed(self):
        """Until the standbys show what the primary has. A client that comes to one first must find its
        role and database there: libpq tries no other node after a refusal."""
        query = (
            "SELECT count(*) FROM pg_stat_replication"
            " WHERE replay_lsn >= (SELECT pg_current_wal_lsn())"
        )
        wait_until(lambda: int(self.sql(query)) == NODES - 1, 20, "the standbys to follow")

    def ends_of_logs(self):
        return "\n".join(
            f"--- the end of {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self.directory.path.glob("*.log"))
        )


def command_line(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""
