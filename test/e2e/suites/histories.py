"""Random histories of requests and records, held against the model, while the program is killed and
started again. Nothing acknowledged may be lost, nothing half of a request may stay, and no company
may see another."""

import copy
import random
import subprocess
import time

from asks import REPLAYED, REVISION, check_used, decode_results, random_ask, revision_of
from harness import check, check_equal, clean_environment, in_threads, suite
from http11 import Closed
from model import facts_of_dump, lasting, ndjson
from past import Past
from server import Server
from world import CALLS, COMPANIES, initial_records, key_of, new_model, random_changes

tests, test = suite()


class Worker:
    """Asks about calls of its own and changes them, on a connection to each server, so that what it
    sees is decided by what it asked."""

    def __init__(self, company_id, calls, seed):
        self.company_id = company_id
        self.calls = calls
        self.random = random.Random(seed)
        self.unanswered = []
        self.answered = 0
        self.changes = []  # (revision, ask, when it was sent and when answered), of real changes
        self.begin = self.newest = 0  # revisions: at its begin, and of its newest answer
        self.changed_at = {}  # {call: revision}
        self.keyed = []  # (ask, answer) of what was asked with a key

    def next_key(self):
        return f"{self.random.getrandbits(64):x}"

    def run(self, servers, model, is_over):
        """Asks now one server and now another until it is over or one is gone; what has no answer
        then is kept as unanswered."""
        company = model.companies[self.company_id]
        self.unanswered = []
        batch = []
        try:
            clients = [server.client(*key_of(self.company_id), timeout=20) for server in servers]
            self.begin = self.newest = current_revision(clients[0])
            while not is_over():
                client = self.random.choice(clients)
                batch = [
                    random_ask(self.random, self)
                    for _ in range(self.random.choice([1, 1, 2, 4, 8]))
                ]
                sent = time.time()
                client.connection.send(b"".join(ask.to_send(client.authorization) for ask in batch))
                while batch:
                    answer = client.connection.receive(batch[0].method)
                    self.judge(company, batch.pop(0), answer, sent)
                    self.answered += 1
                if self.keyed and self.random.random() < 0.1:
                    self.repeat(company, client)
            for client in clients:
                client.close()
        except (Closed, ConnectionError):
            self.unanswered = batch

    def judge(self, company, ask, answer, sent):
        before = grants_of(company, self.calls)
        ask.judge(company, answer)
        after = grants_of(company, self.calls)
        if answer.field(REVISION):  # a list has none
            self.newest = revision_of(answer)
        if before != after:
            self.changes.append((self.newest, ask, sent, time.time()))
            self.changed_at.update(
                {call: self.newest for call in self.calls if before[call] != after[call]}
            )
        if getattr(ask, "key", None) and answer.status == 200 and not ask.dry_run:
            self.keyed.append((ask, answer))

    def repeat(self, company, client):
        """What was answered before is answered so again; with another body its key is of no use."""
        ask, answer = self.random.choice(self.keyed)
        again = client.connection.request(
            ask.method, ask.target, ask.body, client.authorization, ask.fields
        )
        check_equal((again.status, again.body), (200, answer.body), "again:", ask)
        check_equal((answer.field(REPLAYED), again.field(REPLAYED)), (None, "true"), REPLAYED)
        other = client.connection.request(
            ask.method, ask.target, {**ask.body, "more": 1}, client.authorization, ask.fields
        )
        check_used(ask, company, other)


def grants_of(company, calls):
    return {call: dict(company.grants.get(call, {})) for call in calls}


def current_revision(client):
    """Of its company."""
    answer = client.change("PUT", {})
    check_equal(answer.status, 200, answer)
    return revision_of(answer)


class History:
    """A store, what it must hold, and the servers that one after the other have it."""

    def __init__(self, env, *options):
        self.env = env
        self.options = options
        self.random = env.random
        records = initial_records(self.random)
        self.model = new_model(records)
        self.past = Past(self.random)
        self.start_seconds = []
        self.loads = self.asked_again = 0
        self.server = None
        env.command("load", env.write("initial.ndjson", ndjson(records)), "--store", env.store())
        self.start()
        self.note_present()

    def start(self):
        self.server = Server(self.env, "--drain-delay", "0", *self.options)
        self.start_seconds.append(self.server.start_seconds)

    def note_present(self):
        """Nobody writes: the companies are at their newest revisions what the model says."""
        for company_id in COMPANIES:
            client = self.server.client(*key_of(company_id))
            self.past.note(self.model.companies[company_id], current_revision(client))
            client.close()

    def workers(self, count):
        """`count` of them in each company, the calls shared out among them."""
        calls = list(CALLS)
        self.random.shuffle(calls)
        return [
            Worker(company_id, calls[index::count], self.random.getrandbits(32))
            for company_id in COMPANIES
            for index in range(count)
        ]

    def run(self, workers, servers, is_over, *others):
        """Lets the workers ask the servers until it is over, others beside them."""
        before = {id: company.snapshot() for id, company in self.model.companies.items()}
        in_threads(
            [
                *[
                    lambda worker=worker: worker.run(servers, self.model, is_over)
                    for worker in workers
                ],
                *others,
            ]
        )
        for company_id, company in before.items():
            mine = [worker for worker in workers if worker.company_id == company_id]
            changes = [change for worker in mine for change in worker.changes]
            self.past.follow(company, changes, not any(worker.unanswered for worker in mine))
        return sum(worker.answered for worker in workers)

    def ask_the_past(self, servers=None):
        """Nobody writes meanwhile."""
        for company_id in COMPANIES:
            self.past.ask(self.random.choice(servers or [self.server]), company_id)

    def change_records(self):
        """Applies random records, through the server or beside it."""
        self.loads += 1
        records = random_changes(self.random, self.model, self.random.choice([1, 3, 10, 40]))
        path = self.env.write("changes.ndjson", ndjson(records))
        self.env.command("load", path, "--store", self.env.store())
        if self.server.process.poll() is None:
            self.note_present()

    def check_all(self):
        """Every call of every company reads as the model says."""
        for company_id in COMPANIES:
            company = self.model.companies[company_id]
            check_equal(
                self.read(company_id, company.calls),
                company.read(sorted(company.calls)),
                "company",
                company_id,
            )

    def read(self, company_id, calls):
        client = self.server.client(*key_of(company_id))
        found = client.read(sorted(calls)) if calls else {}
        client.close()
        return found

    def check_dump(self):
        text = self.env.command("dump", "--store", self.env.store())
        check_equal(
            differences(lasting(facts_of_dump(text)), lasting(self.model.facts())),
            [],
            "dump and model",
        )

    def verify(self):
        done = self.env.run("verify", "--store", self.env.store())
        check(done.returncode == 0, "verify:", done.stdout, done.stderr)

    def resolve(self, worker):
        """Which of the requests without an answer took effect: some from the front, each whole. The
        model follows. Those that had a key are then asked again."""
        company = self.model.companies[worker.company_id]
        calls = [call for call in worker.calls if call in company.calls]
        seen = self.read(worker.company_id, calls)
        possible = []  # (how many took effect, the grants then, what each came to)
        changed = set()
        came_to = []
        for applied in range(len(worker.unanswered) + 1):
            if applied:
                came_to.append(carry_out(company, worker, worker.unanswered[applied - 1], changed))
            if company.read(sorted(calls)) == seen:
                possible.append((applied, grants_of(company, calls)))
        check(
            possible,
            "company",
            worker.company_id,
            "holds",
            seen,
            "but no front of",
            worker.unanswered,
            "leads there",
        )
        self.adopt(company, calls, [grants for _, grants in possible])
        self.ask_again(worker, company, possible[0][0], possible[-1][0], came_to)

    def ask_again(self, worker, company, least, most, came_to):
        """What was carried out is answered as it would have been then; what was not is carried out
        now."""
        client = self.server.client(*key_of(worker.company_id))
        for number, ask in enumerate(worker.unanswered):
            if not ask.key or ask.since is not None or ask.dry_run:
                continue
            answer = client.connection.request(
                ask.method, ask.target, ask.body, client.authorization, ask.fields
            )
            if ask.all_of and answer.status == 404:  # of an unknown call
                continue
            is_repeated = answer.field(REPLAYED) == "true"
            check(is_repeated or number >= least, "carried out twice:", ask, answer)
            check(not is_repeated or number < most, "answered as if it had been carried out:", ask)
            if is_repeated:
                check_equal(decode_results(answer), came_to[number], "again:", ask)
            else:
                ask.judge(company, answer)
            self.asked_again += 1
        client.close()

    def adopt(self, company, calls, possible):
        """Gives the model those grants of the calls that the store has. They all read the same, but
        notes and expiries may tell them apart."""
        different = [one for n, one in enumerate(possible) if one not in possible[:n]]
        company.grants.update(copy.deepcopy(different[0]))
        if len(different) == 1:
            return
        dump = facts_of_dump(self.env.command("dump", "--store", self.env.store()))
        for grants in different:
            company.grants.update(copy.deepcopy(grants))
            if lasting(fact for fact in dump if is_grant_of(fact, company, calls)) == lasting(
                fact for fact in self.model.facts() if is_grant_of(fact, company, calls)
            ):
                return
        check(False, "the dump has no possible state of company", company.id, "calls", calls)


def carry_out(company, worker, ask, changed):
    """What the ask came to, and adds the calls that it changed."""
    if ask.since is not None:
        later = {call for call, revision in worker.changed_at.items() if revision > ask.since}
        if ask.named_calls() & (later | changed):
            return None
    before = grants_of(company, worker.calls)
    came_to = ask.carry_out(company)
    after = grants_of(company, worker.calls)
    changed.update(call for call in worker.calls if before[call] != after[call])
    return came_to


def is_grant_of(fact, company, calls):
    return fact[0] == company.id and fact[1] == "grant" and fact[2] in calls


def differences(facts, others):
    return sorted(map(str, facts ^ others))[:10]


@test("what requests and records leave behind is what the model says", seconds=120)
def follows_the_model(env):
    history = History(env)
    answered = 0
    for round_number in range(25):
        history.change_records()
        history.check_all()
        workers = history.workers(2)
        end = time.monotonic() + 0.25
        answered += history.run(workers, [history.server], lambda: time.monotonic() > end)
        check(not any(worker.unanswered for worker in workers), "requests without an answer")
        history.ask_the_past()
        if round_number % 8 == 7:
            history.server.stop()
            history.change_records()
            history.start()
            history.note_present()
            history.past.take_up_cursors(history.server)
            history.check_all()
            history.check_dump()
    history.verify()
    history.check_dump()
    history.server.stop()
    history.verify()
    env.note(f"{answered} requests, {history.loads} loads, {history.past.asked} moments")


@test(
    "three servers at once leave behind what the model says", seconds=120, stores=("postgres",)
)
def three_servers_follow_the_model(env):
    history = History(env)
    servers = [history.server, *(Server(env, "--drain-delay", "0") for _ in range(2))]
    answered = 0
    for _ in range(12):
        history.change_records()
        history.server = env.random.choice(servers)
        history.check_all()
        workers = history.workers(2)
        end = time.monotonic() + 0.4
        answered += history.run(workers, servers, lambda: time.monotonic() > end)
        check(not any(worker.unanswered for worker in workers), "requests without an answer")
        history.check_all()
        history.ask_the_past(servers)
        history.past.take_up_cursors(history.random.choice(servers))
    history.check_dump()
    for server in servers:
        server.stop()
    history.verify()
    check(answered > 100, "hardly a request was answered:", answered)
    env.note(f"{answered} requests, {history.loads} loads, {history.past.asked} moments")


def killed_writing(history):
    """Kills the server under several writers, starts it again and lets the model follow; requests
    answered."""
    workers = history.workers(history.random.choice([1, 2, 4]))
    end = time.monotonic() + history.random.choice([0.005, 0.02, 0.05, 0.1, 0.2])

    def kill():
        time.sleep(max(0, end - time.monotonic()))
        history.server.kill()

    answered = history.run(workers, [history.server], lambda: False, kill)
    history.env.settle(history.server.store)
    if history.random.random() < 0.15:
        history.verify()
    history.start()
    for worker in workers:
        history.resolve(worker)
    history.note_present()
    return answered


def killed_loading(history):
    """Kills who applies records: all of them are there afterwards, or none. Over PostgreSQL that is
    the command, else the server."""
    before = copy.deepcopy(history.model)
    records = random_changes(history.random, history.model, 200)
    path = history.env.write("changes.ndjson", ndjson(records))
    loading = history.env.spawn(
        history.env.binary,
        "load",
        path,
        "--store",
        history.env.store(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
    )
    time.sleep(history.random.random() * 0.05)
    if not history.env.is_embedded:
        loading.kill()
    history.server.kill()
    code = loading.wait(30)
    history.env.settle(history.server.store)
    facts = facts_of_dump(history.env.command("dump", "--store", history.env.store()))
    if lasting(facts) != lasting(history.model.facts()):
        check_equal(
            differences(lasting(facts), lasting(before.facts())),
            [],
            "a load that was cut is neither whole nor absent",
        )
        check(code != 0, "a load that was acknowledged is lost")
        history.model = before
    history.start()
    history.note_present()


def survive(env, kills):
    history = History(env)
    answered = 0
    for number in range(kills):
        if number % 10 == 9:
            killed_loading(history)
        else:
            answered += killed_writing(history)
        history.check_all()
        history.past.take_up_cursors(history.server)
        history.ask_the_past()
        if number % 25 == 24:
            history.check_dump()
        if number % 4 == 3:
            history.change_records()
    history.verify()
    history.check_dump()
    history.server.stop()
    check(answered > kills * 3, "hardly a request was answered:", answered)
    env.note(
        f"{kills} kills, {answered} requests answered, {history.asked_again} asked again, "
        f"{history.past.asked} moments, start at most {max(history.start_seconds):.2f} s"
    )


@test(
    "killed while it writes, it keeps what it acknowledged, and of the rest all or nothing",
    seconds=180,
)
def survives_kills(env):
    survive(env, env.options.kills or 20)


@test("a history that is not what happened is noticed", seconds=60)
def notices_lies(env):
    history = History(env)
    company = history.model.companies[1]
    call = sorted(company.calls)[0]
    grants = company.grants.setdefault(call, {})
    user = next(user for user in company.users if user not in company.read([call])[call])
    grants[user] = type(
        "Grant", (), {"is_live": lambda self, now: True, "expires_at": None, "note": ""}
    )()
    for look in (
        history.check_all,
        history.check_dump,
        lambda: history.resolve(Worker(1, CALLS, 0)),
    ):
        try:
            look()
        except Exception:
            continue
        check(False, "a grant that is in the model alone was not noticed")
