"""Several Earshot servers over a cluster of PostgreSQL that loses its primary, its agent or its
synchronous standby while many write: nothing acknowledged is lost, nothing is there that was not asked
for, the record of changes has no gap and its feed tells all of it, and all comes back by itself."""

import atexit
import json
import threading
import time

import faults
from cluster import TTL_SECONDS, Cluster
from feed import Follower, replay
from harness import Failure, check, check_equal, in_threads, suite, wait_until
from http11 import PATH, Client, basic, build
from linearizability import Operation, check_histories
from model import facts_of_dump, ndjson
from server import Server
from suites.linear import turn_one_late_read
from writers import ACCESS_KEY, CALLS, SECRET, SHARED_CALLS, USERS, Load, read_all, records

tests, test = suite()

STORES = ("postgres",)

SERVERS = 3
PROOF_MS = 1000
REQUEST_SECONDS = 5
OPTIONS = [
    *("--drain-delay", "0", "--primary-proof-ms", PROOF_MS),
    *("--store-statement-time", "2s", "--store-request-time", f"{REQUEST_SECONDS}s"),
]
# Beside the time in the store: a machine of two cores that runs all of it.
ANSWER_SECONDS = REQUEST_SECONDS + 5
OUTAGE_SECONDS = TTL_SECONDS + 10
# A server that shows no 503 within so long an outage hides it.
HIDDEN_OUTAGE_SECONDS = 5
READY_SECONDS = 20
GROWTH_BYTES_MAX = 96 << 20
# Fewer changes than that prove nothing.
CERTAIN_MIN = 20
ROLE, PASSWORD = "earshot", "earshot-of-the-tests"
# Of one burst that meets a cluster without a primary.
CROWD_CONNECTIONS, CROWD_REQUESTS = 60, 20
CROWD_CALLS = [5001, 5002]


class Shared:
    """The cluster of all tests here, made when the first one wants it."""

    cluster = None
    databases = 0

    @classmethod
    def get(cls):
        if cls.cluster is None:
            cls.cluster = Cluster(with_haproxy=True)
            atexit.register(cls.cluster.close)
            cls.cluster.sql(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        cls.cluster.heal()
        return cls.cluster


class Scene:
    """A database of its own on the cluster and the servers that have it."""

    def __init__(self, env, through_haproxy=False):
        self.env = env
        self.cluster = Shared.get()
        Shared.databases += 1
        self.database = f"earshot_{Shared.databases}"
        self.cluster.sql(f"CREATE DATABASE {self.database} OWNER {ROLE}")
        self.cluster.wait_replayed()
        url = self.cluster.url(ROLE, PASSWORD, self.database, through_haproxy)
        self.store = f"{url}?connect_timeout=2"
        env.command("migrate", "--store", self.store)
        lines = [*records(), *({"kind": "call", "callId": str(call)} for call in CROWD_CALLS)]
        env.command("load", env.write("failover.ndjson", ndjson(lines)), "--store", self.store)
        self.serve(SERVERS)

    def serve(self, count):
        self.servers = [Server(self.env, *OPTIONS, store=self.store) for _ in range(count)]
        self.addresses = [server.address for server in self.servers]

    def are_ready(self):
        return all(ready(server.address)[0] == 200 for server in self.servers)

    def record(self):
        """{revision: id of the request} of the record of changes."""
        rows = self.cluster.sql(
            "SELECT revision, request_id FROM earshot.changes WHERE company_id = 1 AND is_last"
            " ORDER BY revision",
            self.database,
        ).split()
        found = [row.split("|") for row in rows]
        check_equal([int(row[0]) for row in found], list(range(1, len(found) + 1)), "revisions")
        head = self.cluster.sql(
            "SELECT revision FROM earshot.companies WHERE company_id = 1", self.database
        )
        check_equal(int(head), len(found), "the head's revision and the record's length")
        return {int(revision): request_id for revision, request_id in found}

    def verify(self):
        done = self.env.run("verify", "--store", self.store)
        check_equal(done.returncode, 0, "verify:", done.stdout, done.stderr)

    def stop(self):
        for server in self.servers:
            server.stop()


def ready(address):
    """(status, text) of /readyz."""
    client = Client(address, None, timeout=5)
    try:
        answer = client.connection.request("GET", "/readyz")
        return answer.status, answer.body.decode()
    finally:
        client.close()


class Watch:
    """Asks the servers how they are while all happens: what /readyz says and the memory in use."""

    def __init__(self, servers):
        self.servers = servers
        self.begun_with = [server.status("VmRSS") for server in servers]
        self.most = list(self.begun_with)
        self.unready = [[] for _ in servers]  # (when, text)
        self.errors = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.over.wait(0.2):
                for number, server in enumerate(self.servers):
                    self.most[number] = max(self.most[number], server.status("VmRSS"))
                    status, text = ready(server.address)
                    check(status in (200, 503), "/readyz answers", status, text)
                    if status == 503:
                        self.unready[number].append((time.monotonic_ns(), text))
        except Exception as error:
            self.errors.append(error)

    def stop(self):
        self.over.set()
        self.thread.join(20)
        if self.errors:
            raise self.errors[0]
        check(not self.thread.is_alive(), "/readyz does not answer")

    def check_reasons(self, outage_seconds):
        for server, unready in zip(self.servers, self.unready):
            for _, text in unready:
                reasons = json.loads(text).get("errors") or [""]
                check("database" in " ".join(reasons), "/readyz does not say why:", text)
            if outage_seconds > HIDDEN_OUTAGE_SECONDS:
                check(unready, server.address, "was ready while nothing could be written")

    def growth(self):
        return max(most - begun for most, begun in zip(self.most, self.begun_with))


class Crowd:
    """Many clients that all write at once, without waiting, when nothing can be written."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.answers = []
        self.error = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start_in(self, seconds):
        self.after = seconds
        self.thread.start()

    def join(self):
        """Raises what went wrong; nothing where it was never started."""
        if self.thread.ident:
            self.thread.join(ANSWER_SECONDS * 4)
            check(not self.thread.is_alive(), "the crowd does not end")
        if self.error:
            raise self.error

    def _run(self):
        time.sleep(self.after)
        try:
            self._ask_all()
        except Exception as error:
            self.error = error

    def _ask_all(self):
        in_threads(
            [
                lambda number=number: self._client(self.addresses[number % len(self.addresses)])
                for number in range(CROWD_CONNECTIONS)
            ],
            seconds=ANSWER_SECONDS * 3,
        )

    def _client(self, address):
        client = Client(address, basic(ACCESS_KEY, SECRET), timeout=ANSWER_SECONDS)
        pairs = [{"callId": str(call), "userIds": [str(u) for u in USERS]} for call in CROWD_CALLS]
        request = build("PUT", PATH, {"callAccessList": pairs}, client.authorization)
        client.connection.send(request * CROWD_REQUESTS)
        for _ in range(CROWD_REQUESTS):
            answer = client.connection.receive()
            check(answer.status in (200, 503), "neither done nor 503:", answer)
            if answer.status == 503:
                check(int(answer.field("retry-after") or 0) >= 1, "no Retry-After:", answer)
            self.answers.append((answer.status, answer.json["requestId"]))
        client.close()

    def check_held(self, held):
        """All its requests ask for the same: it is there, or nothing of it and nobody was told."""
        there = {pair for pair in held if pair[0] in CROWD_CALLS}
        acknowledged = any(status == 200 for status, _ in self.answers)
        whole = {(call, user) for call in CROWD_CALLS for user in USERS}
        check(
            there == whole or not there and not acknowledged, "the crowd's request left", there
        )


def certain_of(load):
    """What was acknowledged and has surely changed something."""
    return [asked for writer in load.writers for asked in writer.certain]


def check_record(record, load, crowd):
    """What was acknowledged is in the record, at the revision that was answered, and nothing is in
    it that nobody asked for; the first entries are those of the load."""
    known = {one.request_id for one in load.asked()} | {name for _, name in crowd.answers}
    certain = certain_of(load)
    check(len(certain) > CERTAIN_MIN, "hardly anything was surely changed:", len(certain))
    for asked in certain:
        check_equal(record.get(asked.revision), asked.request_id, "record of", asked)
    loaded = record[1]
    strangers = {name for name in record.values() if name not in known and name != loaded}
    check_equal(strangers, set(), "requests that nobody made")
    names = [name for name in record.values() if name != loaded]
    check_equal(len(names), len(set(names)), "requests that were carried out twice")


def check_all(scene, load, crowd):
    """Everything about what is stored, when all is over."""
    held = read_all(scene.addresses, [*CALLS, *CROWD_CALLS])
    load.check_own({pair for pair in held if pair[0] not in CROWD_CALLS})
    crowd.check_held(held)
    load.check_revisions()
    histories = load.histories()
    now = time.monotonic_ns()
    for pair in histories:
        histories[pair].append(Operation(now, now + 1, "read", pair in held))
    check_histories(histories)
    check_record(scene.record(), load, crowd)
    scene.verify()
    dump = scene.env.command("dump", "--store", scene.store)
    granted = {(fact[2], fact[3]) for fact in facts_of_dump(dump) if fact[1] == "grant"}
    check_equal(granted, held, "grants of the dump")
    return histories


def follow(scene, rng):
    """Readers of the feed: one that streams from each server, and one that asks all for pages."""
    key = basic(ACCESS_KEY, SECRET)
    streams = [Follower([address], key, rng) for address in scene.addresses]
    return [*streams, Follower(scene.addresses, key, rng, by_pages=True, drop_share=0.1)]


def check_feed(scene, followers):
    """All were told the same, and all of it: what the record has, which makes what is there."""
    record = scene.record()
    for follower in followers:
        follower.wait_for(max(record))
        told = follower.stop()
        found = {revision: one["requestId"] for revision, one in told.revisions.items()}
        check_equal(found, record, "the feed's requests and the record's")
        check_equal(told.revisions, followers[0].reader.revisions, "what readers were told")
    dump = scene.env.command("dump", "--store", scene.store)
    check_equal(replay(followers[0].reader).facts(), facts_of_dump(dump), "replay and dump")


def endure(env, fault, through_haproxy=False, stale_ms=0, with_crowd=False):
    scene = Scene(env, through_haproxy)
    followers = follow(scene, env.random)
    load = Load(scene.addresses, env.random, ANSWER_SECONDS, stale_ms)
    crowd = Crowd(scene.addresses)
    watch = Watch(scene.servers)
    load.start()
    try:
        time.sleep(2)
        since = time.monotonic_ns()
        if with_crowd:
            crowd.start_in(3)
        fault(scene.cluster)
        healed = scene.cluster.heal()
        wait_until(scene.are_ready, READY_SECONDS, "the servers to be ready again")
        time.sleep(1.5)
    finally:
        load.stop()
        watch.stop()
    crowd.join()
    outage = load.longest_outage(since, time.monotonic_ns())
    check(outage <= OUTAGE_SECONDS, "nothing was acknowledged for", round(outage, 1), "s")
    watch.check_reasons(outage)
    check(watch.growth() <= GROWTH_BYTES_MAX, "memory grew by", watch.growth(), "bytes")
    if with_crowd:
        check_equal(len(crowd.answers), CROWD_CONNECTIONS * CROWD_REQUESTS, "answers to the crowd")
    check_all(scene, load, crowd)
    check_feed(scene, followers)
    scene.stop()
    note(env, load, outage, healed, watch)
    return scene


def note(env, load, outage, healed, watch):
    asked = load.asked()
    slowest = max(client.slowest_seconds for client in load.clients)
    refused = sum(one.status == 503 for one in asked)
    settled = sum(writer.own.settled for writer in load.writers)
    env.note(
        f"{len(asked)} requests, {refused} answered 503, {settled} of them seen to be done; "
        f"outage {outage:.1f} s, slowest answer {slowest:.1f} s, memory grew by "
        f"{watch.growth() >> 20} MiB; whole again after {healed:.1f} s"
    )


@test("the primary is killed under those who write", seconds=180, stores=STORES)
def primary_is_killed(env):
    endure(env, faults.kill_primary, with_crowd=True)


@test("a planned switchover", seconds=120, stores=STORES)
def switches_over(env):
    endure(env, faults.switch_over)


@test(
    "the primary's agent stands still, wakes up, and another node leads",
    seconds=180,
    stores=STORES,
)
def agent_stands_still(env):
    endure(env, faults.freeze_agent, stale_ms=PROOF_MS)


@test("the synchronous standby is killed", seconds=120, stores=STORES)
def standby_is_killed(env):
    endure(env, faults.kill_sync_standby)


def must_be_noticed(what, look):
    try:
        look()
    except Failure:
        return
    check(False, "not noticed:", what)


@test(
    "what is lost, never asked for or missing in the record is noticed", seconds=120, stores=STORES
)
def notices_lies(env):
    scene = Scene(env)
    load = Load(scene.addresses, env.random, ANSWER_SECONDS)
    crowd = Crowd(scene.addresses)
    load.start()
    wait_until(lambda: len(certain_of(load)) > 2 * CERTAIN_MIN, 30, "enough to be written")
    load.stop()
    histories = check_all(scene, load, crowd)
    for pair, history in histories.items():
        doctored = {pair: turn_one_late_read(history)}
        must_be_noticed(f"a turned read of {pair}", lambda: check_histories(doctored))

    held = sorted(read_all(scene.addresses, CALLS))
    own = next((pair for pair in held if pair[0] not in SHARED_CALLS), None)
    check(own, "no call of one writer has a grant")
    where = "company_id = 1 AND call_id = {} AND user_id = {}".format(*own)
    of_one = "WHERE company_id = 1 AND revision = 9"
    lies = {
        "a lost grant": f"DELETE FROM earshot.grants WHERE {where}",
        "a change that is gone": f"DELETE FROM earshot.changes {of_one}",
        "a change that nobody asked for": f"UPDATE earshot.changes SET request_id = 'x' {of_one}",
        "a record that says otherwise": f"UPDATE earshot.changes SET access_key = 'X' {of_one}",
    }
    scene.stop()
    for what, lie in lies.items():
        table = lie.split("earshot.")[1].split()[0]
        keep = f"CREATE TABLE kept AS TABLE earshot.{table}"
        scene.cluster.sql(f"{keep}; {lie}", scene.database)
        scene.serve(1)
        must_be_noticed(what, lambda: check_all(scene, load, crowd))
        scene.stop()
        put_back = f"TRUNCATE earshot.{table}; INSERT INTO earshot.{table} TABLE kept"
        scene.cluster.sql(f"{put_back}; DROP TABLE kept", scene.database)
    scene.serve(1)
    check_all(scene, load, crowd)
    scene.stop()
