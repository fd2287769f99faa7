"""What each fault costs those who write to a cluster without Earshot: the tests' cluster keeps what
it acknowledged, so that what the suite `failover` finds lost was lost by Earshot."""

import threading
import time

import faults
from cluster import TTL_SECONDS, Cluster
from harness import check, check_equal, suite
from libpq import NotDone, Session, Unknown

tests, test = suite()

STORES = ("postgres",)

WRITERS = 3
STATEMENT_SECONDS = 2
OUTAGE_SECONDS = TTL_SECONDS + 10


class Writer:
    """Inserts one number after the other, each in a transaction of its own."""

    def __init__(self, cluster, number, through_haproxy):
        self.cluster = cluster
        self.number = number
        self.through_haproxy = through_haproxy
        self.done, self.unknown = [], []  # (number, when it was answered)
        self.turn = 0
        self.session = None

    def url(self):
        url = self.cluster.superuser_url(through_haproxy=self.through_haproxy)
        head, hosts, tail = url.rpartition("@")[0], *url.rpartition("@")[2].split("/")
        hosts = hosts.split(",")
        # A primary that its agent has left alone still takes sessions, and no commit ends there.
        first = self.turn % len(hosts)
        hosts = ",".join(hosts[first:] + hosts[:first])
        return f"{head}@{hosts}/{tail}?target_session_attrs=read-write&connect_timeout=2"

    def run(self, stop):
        number = 0
        while not stop.is_set():
            number += 1
            try:
                self.session = self.session or Session(self.url())
                self.session.execute(
                    f"INSERT INTO written VALUES ({self.number}, {number})", STATEMENT_SECONDS
                )
                self.done.append((number, time.monotonic()))
                continue
            except Unknown:
                self.unknown.append((number, time.monotonic()))
            except NotDone:
                pass
            self.turn += 1
            if self.session:
                self.session.close()
                self.session = None
            time.sleep(0.05)


def longest_gap(moments, since, until):
    moments = [since, *sorted(moment for moment in moments if since < moment < until), until]
    return max(later - earlier for earlier, later in zip(moments, moments[1:]))


def check_written(cluster, writers):
    rows = {tuple(map(int, row.split("|"))) for row in cluster.sql("TABLE written").split()}
    done = {(writer.number, number) for writer in writers for number, _ in writer.done}
    unknown = {(writer.number, number) for writer in writers for number, _ in writer.unknown}
    check_equal(sorted(done - rows)[:10], [], "acknowledged and lost")
    check_equal(sorted(rows - done - unknown)[:10], [], "refused and there")
    return len(unknown & rows), len(unknown)


def suffer(env, cluster, fault, through_haproxy=False):
    cluster.sql("DROP TABLE IF EXISTS written; CREATE TABLE written (writer int, number int)")
    writers = [Writer(cluster, number, through_haproxy) for number in range(WRITERS)]
    stop = threading.Event()
    threads = [threading.Thread(target=writer.run, args=(stop,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        time.sleep(2)
        since = time.monotonic()
        fault(cluster)
        healed = cluster.heal()
        time.sleep(2)
    finally:
        until = time.monotonic()
        stop.set()
        for thread in threads:
            thread.join(30)
    check(not any(thread.is_alive() for thread in threads), "a writer does not end")
    there, unknown = check_written(cluster, writers)
    moments = [moment for writer in writers for _, moment in writer.done]
    check(len(moments) > 100, "hardly anything was written:", len(moments))
    outage = longest_gap(moments, since, until)
    check(outage <= OUTAGE_SECONDS, "nothing was acknowledged for", round(outage, 1), "s")
    env.note(
        f"{len(moments)} writes, {there} of {unknown} unknown ones there, "
        f"outage {outage:.1f} s, whole again after {healed:.1f} s"
    )


@test("a cluster of three keeps what it acknowledged, whatever happens to it", seconds=7200, stores=STORES)
def keeps_what_it_acknowledged(env):
    cluster = Cluster(with_haproxy=True)
    try:
        env.note(f"started in {cluster.start_seconds:.1f} s")
        for through_haproxy in (False, True) * env.options.rounds:
            for name, fault in {**faults.SHORT, **faults.LONG}.items():
                env.note(f"{name}{', through HAProxy' if through_haproxy else ''}")
                suffer(env, cluster, fault, through_haproxy)
    finally:
        cluster.close()


@test("a lost write and one that was never asked for are noticed", seconds=120, stores=STORES)
def notices_lies(env):
    cluster = Cluster()
    try:
        cluster.sql("CREATE TABLE written (writer int, number int)")
        writer = Writer(cluster, 0, False)
        writer.done.append((1, 0.0))
        for rows in ("", "INSERT INTO written VALUES (0, 1), (0, 2)"):
            cluster.sql(rows)
            try:
                check_written(cluster, [writer])
            except Exception:
                continue
            check(False, "not noticed:", rows or "nothing is there")
    finally:
        cluster.close()
