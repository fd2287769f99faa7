"""The feed of changes is the whole truth: read page by page or as it comes, it has no gap, and
applied to an empty store it makes the one that it comes from, whatever happens meanwhile."""

import json
import time

from asks import EARSHOT
from feed import (
    HEAD,
    LIMIT_MAX,
    Follower,
    Reader,
    Replay,
    ask,
    must_be_noticed,
    read_all,
    read_head,
    replay,
)
from harness import check, check_equal, suite, wait_until
from http11 import basic, check_ok
from model import facts_of_dump, ndjson, records_of
from server import Server
from suites.histories import History, killed_loading, killed_writing
from world import CALLS, COMPANIES, SCOPES, USERS, key_of, random_thing, texts

tests, test = suite()

STREAMED_SECONDS = 1.0  # from the answer to a change to its arrival at every reader
OF_METHOD = {"PUT": "give", "DELETE": "remove", "POST": "records"}


class FedHistory(History):
    """A random history of all that makes changes, and what readers of both companies' feeds make of
    it."""

    def __init__(self, env, *options):
        self.addresses = []
        super().__init__(env, *options)
        self.readers = {company: Reader() for company in COMPANIES}
        self.replays = {company: Replay() for company in COMPANIES}
        self.facts_at = {company: {} for company in COMPANIES}  # {revision: facts}
        self.followers = []
        self.borders = self.posts = self.keys_removed = 0

    def start(self):
        super().start()
        self.addresses[:] = [self.server.address]

    def follow(self, **how):
        """From here on readers follow both feeds."""
        self.followers += [
            (company, Follower(self.addresses, basic(*key_of(company)), self.random, **how))
            for company in COMPANIES
        ]

    def client(self, company_id):
        return self.server.client(*key_of(company_id))

    # --- Changes

    def change_records(self):
        roll = self.random.random()
        if roll < 0.4:
            super().change_records()
        elif roll < 0.8:
            self.post_directory()
        else:
            self.change_keys()

    def post_directory(self):
        company_id = self.random.choice(COMPANIES)
        company = self.model.companies[company_id]
        records = []
        for _ in range(self.random.choice([1, 3, 10, 40])):
            record = random_thing(self.random, company)
            if record["kind"] != "company":
                self.model.apply(company_id, record)
                records.append(record)
        client = self.client(company_id)
        answer = client.connection.request(
            "POST",
            f"{EARSHOT}/directory",
            ndjson(records),
            client.authorization,
            ["Content-Type: application/x-ndjson"],
        )
        check_equal(check_ok(answer).json["records"], len(records), "records")
        client.close()
        self.posts += 1
        self.note_present()

    def change_keys(self):
        """Makes a key, puts another in its place or takes one away."""
        company_id = self.random.choice(COMPANIES)
        keys = self.model.companies[company_id].keys
        others = sorted(name for name in keys if name != key_of(company_id)[0])
        old = self.random.choice(others) if others else None
        client = self.client(company_id)
        roll = self.random.random()
        if old and roll < 0.3:
            self.ask_for_keys(client, "DELETE", {"accessKey": old})
            del keys[old]
            self.keys_removed += 1
        elif old and roll < 0.6:
            made = self.ask_for_keys(client, "POST", {"replaces": old, "overlapSeconds": 600})
            keys[old]["expiresAt"] = made["replaced"]["expiresAt"]
            keys[made["key"]["accessKey"]] = {**keys[old], "expiresAt": None}
        else:
            scopes = self.random.sample(SCOPES, self.random.randint(1, 3))
            made = self.ask_for_keys(client, "POST", {"scopes": scopes})["key"]
            keys[made["accessKey"]] = {"scopes": set(scopes), "expiresAt": None}
        client.close()
        self.note_present()

    @staticmethod
    def ask_for_keys(client, method, body):
        return check_ok(
            client.connection.request(method, f"{EARSHOT}/keys", body, client.authorization)
        ).json

    # --- What the feeds say of them

    def heads(self):
        return {company: self.head(company)["revision"] for company in COMPANIES}

    def head(self, company_id):
        client = self.client(company_id)
        head = read_head(client)
        client.close()
        return head

    def dump(self):
        return self.env.command("dump", "--store", self.env.store())

    def check_border(self):
        """Nobody writes, but a sweep may: what was read up to here, applied to nothing, is there.
        Gives the dump."""
        heads = text = None
        while heads is None or heads != self.heads():
            heads, text = self.heads(), self.dump()
        there = facts_of_dump(text)
        for company_id in COMPANIES:
            reader, replayed = self.readers[company_id], self.replays[company_id]
            seen = reader.revision
            client = self.client(company_id)
            read_all(client, self.random, reader)
            client.close()
            for revision in range(seen + 1, heads[company_id] + 1):
                replayed.apply(reader.revisions[revision])
            facts = {fact for fact in there if fact[0] == company_id}
            check_equal(
                sorted(map(str, replayed.facts() ^ facts))[:10],
                [],
                f"company {company_id} at revision {heads[company_id]}: replay and dump",
            )
            self.facts_at[company_id][heads[company_id]] = facts
            self.borders += 1
        return text

    def check_end(self):
        """All of it again from the first change on, by other pages, by those who followed, and
        into a store."""
        text = self.check_border()
        for company_id, follower in self.followers:
            follower.wait_for(self.readers[company_id].revision)
            told = follower.stop().revisions
            check_equal(told, self.readers[company_id].revisions, "what was told as it came")
        lines = []
        for company_id in COMPANIES:
            client = self.client(company_id)
            again = read_all(client, self.random)
            client.close()
            check_equal(again.revisions, self.readers[company_id].revisions, "told again")
            self.check_replay(company_id, again)
            head = self.head(company_id)
            newest = again.revisions[head["revision"]]
            check_equal((head["hash"], head["time"]), (newest["hash"], newest["time"]), "the head")
            lines += replay(again).lines
        store = self.env.store("replayed")
        self.env.command("load", self.env.write("replay.ndjson", ndjson(lines)), "--store", store)
        check_equal(self.env.command("dump", "--store", store), text, "dump of the replay")
        self.verify()

    def check_replay(self, company_id, reader):
        """At every revision where a dump was looked at."""
        replayed = Replay()
        for revision in range(1, reader.revision + 1):
            replayed.apply(reader.revisions[revision])
            facts = self.facts_at[company_id].get(revision)
            check(facts is None or facts == replayed.facts(), "replay at", revision, "is another")

    def check_told(self, workers):
        """What was answered is what the feed says was done, and by whom."""
        for worker in workers:
            told = self.readers[worker.company_id].revisions
            for revision, asked, _, _ in worker.changes:
                found = told[revision]["operation"], told[revision]["accessKey"]
                expected = OF_METHOD[asked.method], key_of(worker.company_id)[0]
                check_equal(found, expected, "revision", revision)

    def sizes(self):
        revisions = [one for reader in self.readers.values() for one in reader.revisions.values()]
        changes = sum(len(one["changes"]) for one in revisions)
        return f"{len(revisions)} revisions, {changes} changes, {self.borders} borders"


@test("what the feed tells, applied to an empty store, is what is there", seconds=120)
def replay_is_the_store(env):
    history = FedHistory(env)
    history.follow(drop_share=0.05)
    history.follow(by_pages=True, drop_share=0.05)
    for number in range(12):
        for _ in range(3):
            history.change_records()
        while number == 11 and not history.keys_removed:
            history.change_keys()
        workers = history.workers(2)
        end = time.monotonic() + 0.25
        history.run(workers, [history.server], lambda: time.monotonic() > end)
        check(not any(worker.unanswered for worker in workers), "requests without an answer")
        history.check_border()
        history.check_told(workers)
    check_operations(history)
    check_filters(history)
    history.check_end()
    history.server.stop()
    env.note(history.sizes())


def check_operations(history):
    """The test is of little worth where something never happened."""
    revisions = [one for reader in history.readers.values() for one in reader.revisions.values()]
    found = {one["operation"] for one in revisions}
    check({"give", "remove", "records"} <= found, "only these happened:", found)
    kinds = {
        (change["record"]["kind"], bool(change["record"].get("remove")))
        for one in revisions
        for change in one["changes"]
    }
    for kind in ("key", "user", "call", "share", "grant"):
        check((kind, False) in kinds and (kind, True) in kinds, "no", kind, "put or removed")
    befores = [change for one in revisions for change in one["changes"] if change.get("before")]
    check(befores, "nothing was there before")
    check(history.posts, "nothing was posted")


def check_filters(history):
    rng = history.random
    for company_id in COMPANIES:
        client = history.client(company_id)
        revisions = history.readers[company_id].revisions
        for call, user in zip(rng.sample(CALLS, 4), rng.sample(USERS, 4)):
            for wanted in ({"callId": call}, {"userId": user}, {"callId": call, "userId": user}):
                expected = {number: filtered(one, wanted) for number, one in revisions.items()}
                expected = {number: changes for number, changes in expected.items() if changes}
                check_equal(read_filtered(client, rng, wanted), expected, "only", wanted)
        client.close()


def filtered(revision, wanted):
    """Its changes that a reader is told who asks for a call, a user or both."""
    return [change for change in revision["changes"] if is_wanted(change["record"], wanted)]


def is_wanted(record, wanted):
    of_pair = record["kind"] in ("share", "grant")
    if len(wanted) == 2 and not of_pair:
        return False
    if record["kind"] not in ("call", "user", "share", "grant"):
        return False
    return all(record.get(name) == str(thing) for name, thing in wanted.items())


def read_filtered(client, rng, wanted):
    """{revision: changes} of all pages."""
    found, after = {}, "0"
    while True:
        limit = rng.choice([1, 5, 100])
        page = check_ok(ask(client, after, limit=limit, **wanted)).json
        check(sum(len(one["changes"]) for one in page["revisions"]) <= limit, "too many changes")
        for piece in page["revisions"]:
            found.setdefault(piece["revision"], []).extend(piece["changes"])
        check(page["atEnd"] or page["next"] != after, "the page goes nowhere:", page)
        if page["atEnd"]:
            return {revision: changes for revision, changes in found.items() if changes}
        after = page["next"]


@test("killed while it writes, it takes back nothing that a reader was told", seconds=180)
def survives_kills(env):
    history = FedHistory(env)
    history.follow()
    history.follow(by_pages=True)
    kills = max(6, (env.options.kills or 0) // 2)
    for number in range(kills):
        for _ in range(2):
            history.change_records()
        if number % 4 == 3:
            killed_loading(history)
        else:
            killed_writing(history)
        history.check_border()
    history.check_end()
    history.server.stop()
    env.note(f"{kills} kills, {history.sizes()}")


@test(
    "over three servers a change is told within a second of its answer, in order, by all",
    seconds=120,
    stores=("postgres",),
)
def three_servers_tell(env):
    history = FedHistory(env)
    servers = [history.server, *(Server(env, "--drain-delay", "0") for _ in range(2))]
    followers = {}
    for server in servers:
        history.addresses = [server.address]
        history.follow()
    followers = list(history.followers)
    history.addresses = [server.address for server in servers]
    history.follow(by_pages=True, drop_share=0.2)
    answered = {company: {} for company in COMPANIES}
    for _ in range(6):
        history.server = env.random.choice(servers)
        history.change_records()
        workers = history.workers(1)
        end = time.monotonic() + 0.5
        history.run(workers, servers, lambda: time.monotonic() > end)
        for worker in workers:
            answered[worker.company_id].update(
                {revision: at for revision, _, _, at in worker.changes}
            )
        history.check_border()
    history.check_end()
    late = sorted(
        follower.reader.came_at[revision] - at
        for company, follower in followers
        for revision, at in answered[company].items()
    )
    check(len(late) > 100, "hardly a change:", len(late))
    check(late[-1] <= STREAMED_SECONDS, "a change was told", late[-1], "s after its answer")
    middle, most = (f"{1000 * late[int(share * (len(late) - 1))]:.0f}" for share in (0.5, 0.99))
    env.note(f"{history.sizes()}; told {middle} ms after the answer, p99 {most}")
    for server in servers:
        server.stop()


# --- Positions, and what is refused


def written(env, *options, changes=30):
    """A server of a small company with so many revisions, one of them of 2,500 changes, and its
    client."""
    access_key, secret = key_of(1)
    lines = [
        {"kind": "company", "companyId": "1"},
        {"kind": "key", "accessKey": access_key, "secret": secret, "scopes": SCOPES},
        *({"kind": "call", "callId": str(call)} for call in CALLS),
        *({"kind": "user", "userId": str(user)} for user in range(1, 2501)),
    ]
    env.command("load", env.write("written.ndjson", ndjson(lines)), "--store", env.store())
    server = Server(env, "--drain-delay", "0", *options)
    client = server.client(access_key, secret)
    for number in range(changes - 1):
        client.change("PUT" if number % 2 == 0 else "DELETE", {CALLS[number % 3]: [1, 2]})
    return server, client


@test("a feed with a gap, a change twice or told otherwise is noticed")
def notices_lies(env):
    server, client = written(env)
    told = read_all(client, env.random)
    client.remove({call: USERS for call in CALLS})
    client.give({101: [1], 102: [2]})
    client.remove({101: [1]})
    read_all(client, env.random, told)
    last = told.revision
    text = json.dumps([told.revisions[number] for number in sorted(told.revisions)])

    def retold(change):
        """What a reader is told after a change of it."""
        revisions = json.loads(text)
        change(revisions)
        reader = Reader()
        for revision in revisions:
            reader.take(revision)
        facts = replay(reader).facts()
        check_equal(facts, facts_of_dump(env.command("dump", "--store", env.store())), "dump")

    def turn(revisions):
        revisions[-2], revisions[-1] = revisions[-1], revisions[-2]

    retold(lambda revisions: None)
    lies = {
        "a revision that is left out": lambda all: all.pop(5),
        "a revision told twice": lambda all: all.insert(5, all[5]),
        "revisions in another order": turn,
        "a change that is left out": lambda all: all[0]["changes"].pop(9),
        "the last change left out": lambda all: all[last - 1]["changes"].pop(),
        "another thing before": lambda all: all[last - 1]["changes"][0].update(before=None),
        "another record": lambda all: all[last - 2]["changes"][0]["record"].update(userId="9"),
        "a revision cut short": lambda all: all[3].update(complete=False),
    }
    for what, lie in lies.items():
        must_be_noticed(what, lambda: retold(lie))
    client.close()
    server.stop()


@test("who asks for what retention has cut off is told so, and who keeps up misses nothing",
      seconds=120)
def retention_is_told(env):
    keep = 20
    server, client = written(env, changes=3)
    keeping_up = Reader()
    read_all(client, env.random, keeping_up)
    client.close()
    server.stop()
    server = Server(env, "--drain-delay", "0", "--store-retention-revisions", keep)
    client = server.client(*key_of(1))
    follower = Follower([server.address], client.authorization, env.random, drop_share=0.05)
    pages = Follower([server.address], client.authorization, env.random, by_pages=True)

    def is_cut():
        """Writes on until it is seen that something is gone."""
        for number in range(6):
            client.change("PUT" if number % 2 == 0 else "DELETE", {CALLS[number % 3]: [1, 2]})
            time.sleep(0.02)
        limit = LIMIT_MAX
        page = keeping_up.take_page(ask(client, keeping_up.position, limit=limit), limit)
        return page["oldest"]

    oldest = wait_until(is_cut, 100, "retention")
    head = keeping_up.revision
    check(head - oldest >= keep, "of", head, "revisions only those behind", oldest, "are left")
    for after in ("0", "1", str(oldest - 1), f"{oldest}.1"):
        check_gone(ask(client, after), oldest)
        answer = client.connection.request(
            "GET", f"{EARSHOT}/changes", None, client.authorization,
            ["Accept: text/event-stream", f"Last-Event-ID: {after}"],
        )
        check_gone(answer, oldest)
    late = Reader(str(oldest))
    read_all(client, env.random, late)
    for revision, told in late.revisions.items():
        check_equal(told, keeping_up.revisions.get(revision, told), "told before the cut")
    for reader in (follower, pages):
        reader.wait_for(late.revision)
        check_equal(reader.stop().revisions, keeping_up_to(late, keeping_up), "kept up with")
    client.close()
    server.stop()
    done = env.run("verify", "--store", env.store())
    check_equal(done.returncode, 0, "verify:", done.stdout, done.stderr)
    env.note(f"{head} revisions, cut off up to {oldest}")


def keeping_up_to(late, keeping_up):
    return {**keeping_up.revisions, **late.revisions}


def check_gone(answer, oldest):
    check_equal(answer.status, 410, answer)
    text = " ".join(answer.json["errors"])
    check(str(oldest) in text, "does not name the oldest,", oldest, ":", text)


# --- Heads that were signed


def make_key(env, name):
    private, public = env.path(f"{name}.pem"), env.path(f"{name}-public.pem")
    openssl(env, "genpkey", "-algorithm", "ed25519", "-out", private)
    openssl(env, "pkey", "-in", private, "-pubout", "-out", public)
    return private, public


def openssl(env, *arguments):
    process = env.spawn("openssl", *arguments, cwd=env.directory)
    return process.wait(20)


def signed_head(client):
    answer = client.connection.request("GET", HEAD, None, client.authorization)
    return check_ok(answer).body.decode()


def verify_head(env, store, *heads, key=None):
    """(exit code, what it says) of `earshot verify --head`."""
    path = env.write("heads.json", "".join(f"{head.strip()}\n" for head in heads))
    public = ["--head-public-key", key] if key else []
    done = env.run("verify", "--store", store, "--head", path, *public)
    return done.returncode, done.stdout + done.stderr


def must_say(word, found, is_good):
    code, text = found
    check_equal(code == 0, is_good, "exit code", code, text)
    check(word in text, "does not say", word, ":", text)


@test("a signed head shows whether a later store goes on from it", seconds=60)
def heads_prove(env):
    import base64

    private, public = make_key(env, "head")
    _, other_public = make_key(env, "other")
    server, client = written(env, "--head-key", private, changes=5)
    first = signed_head(client)
    older = copy_store(env, "older")
    client.give({101: [3]})
    client.remove({101: [3]})
    second = signed_head(client)
    told = json.loads(second)
    statement = env.write("statement", told["statement"])
    signature = env.write("signature", base64.b64decode(told["signature"]))
    verify = ("pkeyutl", "-verify", "-pubin", "-rawin", "-in", statement, "-sigfile", signature)
    check_equal(openssl(env, *verify, "-inkey", public), 0, "openssl does not agree")
    check(openssl(env, *verify, "-inkey", other_public) != 0, "openssl agrees with another key")
    for name in ("revision", "time", "hash"):
        check(f"{name} {told[name]}\n" in told["statement"], name, "is not stated:", told)

    must_say("goes on from it", verify_head(env, env.store(), first, second, key=public), True)
    must_say("goes on from it", verify_head(env, env.store(), first), True)
    must_say("ENDS before", verify_head(env, older, second, key=public), False)
    must_say("goes on from it", verify_head(env, older, first, key=public), True)
    must_say("ANOTHER revision", verify_head(env, rewritten(env), first, key=public), False)
    must_say("is signed with key", verify_head(env, env.store(), first, key=other_public), False)
    must_say("signature", verify_head(env, env.store(), forged(first), key=public), False)
    unsigned = json.dumps({**json.loads(first), "signature": None, "keyId": None})
    must_say("sign", verify_head(env, env.store(), unsigned, key=public), False)
    client.close()
    server.stop()


def copy_store(env, name):
    """As it is now, beside the server."""
    if env.is_embedded:
        env.command("backup", env.path(name), "--store", env.store())
        return env.path(name)
    env.stores[name] = env.databases.copy(env.store())
    env.at_end.callback(env.databases.drop, env.stores[name])
    return env.stores[name]


def rewritten(env):
    """A store with as many revisions and another history."""
    lines = [{"kind": "company", "companyId": "1"}, {"kind": "user", "userId": "1"}]
    store = env.store("rewritten")
    for number in range(12):
        lines[1]["firstName"] = f"n{number}"
        path = env.write("rewritten.ndjson", ndjson(lines))
        env.command("load", path, "--store", store)
    return store


def forged(head):
    told = json.loads(head)
    turned = "0" if told["hash"][0] != "0" else "1"
    said = told["hash"], turned + told["hash"][1:]
    return json.dumps({**told, "hash": said[1], "statement": told["statement"].replace(*said)})
