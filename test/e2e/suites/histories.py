"""Random histories of requests and records, held against the model, while the program is killed and
started again. Nothing acknowledged may be lost, nothing half of a request may stay, and no company
may see another."""

import copy
import random
import subprocess
import time

from harness import check, check_equal, clean_environment, in_threads, suite
from http11 import PATH, Closed, build, decode_access_list
from model import facts_of_dump, ndjson
from server import Server
from world import (
    CALLS,
    COMPANIES,
    apply_request,
    body_of,
    initial_records,
    key_of,
    new_model,
    random_changes,
    random_request,
)

tests, test = suite()


class Worker:
    """Writes and reads calls of its own, on a connection to each server, so that what it sees is
    decided by what it asked."""

    def __init__(self, company_id, calls, seed):
        self.company_id = company_id
        self.calls = calls
        self.random = random.Random(seed)
        self.unanswered = []
        self.answered = 0

    def run(self, servers, model, is_over):
        """Asks now one server and now another until it is over or one is gone; what has no answer
        then is kept as unanswered."""
        company = model.companies[self.company_id]
        self.unanswered = []
        batch = []
        try:
            clients = [server.client(*key_of(self.company_id), timeout=20) for server in servers]
            while not is_over():
                client = self.random.choice(clients)
                batch = [
                    random_request(self.random, self.calls)
                    for _ in range(self.random.choice([1, 1, 2, 4, 8]))
                ]
                client.connection.send(
                    b"".join(
                        build(method, PATH, body_of(method, named), client.authorization)
                        for method, named in batch
                    )
                )
                while batch:
                    answer = client.connection.receive()
                    check_against_model(company, *batch.pop(0), answer)
                    self.answered += 1
            for client in clients:
                client.close()
        except (Closed, ConnectionError):
            self.unanswered = batch


def check_against_model(company, method, named, answer):
    status, expected = apply_request(company, method, named)
    check_equal(answer.status, status, "company", company.id, method, named, answer)
    if status == 400:
        text = " ".join(answer.json["errors"])
        check_equal(answer.json["errors"][0], expected[0], method, named)
        check(all(str(one) in text for one in expected[1]), text, "does not name", expected[1])
    elif method == "POST":
        check_equal(decode_access_list(answer), expected, "company", company.id, "read of", named)


class History:
    """A store, what it must hold, and the servers that one after the other have it."""

    def __init__(self, env, *options):
        self.env = env
        self.options = options
        self.random = env.random
        records = initial_records(self.random)
        self.model = new_model(records)
        self.start_seconds = []
        self.loads = 0
        self.server = None
        env.command("load", env.write("initial.ndjson", ndjson(records)), "--store", env.store())
        self.start()

    def start(self):
        self.server = Server(self.env, "--drain-delay", "0", *self.options)
        self.start_seconds.append(self.server.start_seconds)

    def workers(self, count):
        """`count` of them in each company, the calls shared out among them."""
        calls = list(CALLS)
        self.random.shuffle(calls)
        return [
            Worker(company_id, calls[index::count], self.random.getrandbits(32))
            for company_id in COMPANIES
            for index in range(count)
        ]

    def change_records(self):
        """Applies random records, through the server or beside it."""
        self.loads += 1
        records = random_changes(self.random, self.model, self.random.choice([1, 3, 10, 40]))
        path = self.env.write("changes.ndjson", ndjson(records))
        self.env.command("load", path, "--store", self.env.store())

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
        check_equal(differences(facts_of_dump(text), self.model.facts()), [], "dump and model")

    def verify(self):
        done = self.env.run("verify", "--store", self.env.store())
        check(done.returncode == 0, "verify:", done.stdout, done.stderr)

    def resolve(self, worker):
        """Which of the requests without an answer took effect: some from the front, each whole. The
        model follows."""
        company = self.model.companies[worker.company_id]
        calls = [call for call in worker.calls if call in company.calls]
        seen = self.read(worker.company_id, calls)
        possible = []
        for applied in range(len(worker.unanswered) + 1):
            if applied:
                apply_request(company, *worker.unanswered[applied - 1])
            if company.read(sorted(calls)) == seen:
                grants = copy.deepcopy({call: company.grants.get(call, {}) for call in calls})
                if grants not in possible:
                    possible.append(grants)
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
        self.adopt(company, calls, possible)

    def adopt(self, company, calls, possible):
        """Gives the model those grants of the calls that the store has. They all read the same, but
        notes and expiries may tell them apart."""
        company.grants.update(copy.deepcopy(possible[0]))
        if len(possible) == 1:
            return
        dump = facts_of_dump(self.env.command("dump", "--store", self.env.store()))
        for grants in possible:
            company.grants.update(copy.deepcopy(grants))
            if {fact for fact in dump if is_grant_of(fact, company, calls)} == {
                fact for fact in self.model.facts() if is_grant_of(fact, company, calls)
            }:
                return
        check(False, "the dump has no possible state of company", company.id, "calls", calls)


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
        in_threads(
            [
                lambda worker=worker: worker.run(
                    [history.server], history.model, lambda: time.monotonic() > end
                )
                for worker in workers
            ]
        )
        answered += sum(worker.answered for worker in workers)
        check(not any(worker.unanswered for worker in workers), "requests without an answer")
        if round_number % 8 == 7:
            history.server.stop()
            history.change_records()
            history.start()
            history.check_all()
            history.check_dump()
    history.verify()
    history.check_dump()
    history.server.stop()
    history.verify()
    env.note(f"{answered} requests, {history.loads} loads")


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
        in_threads(
            [
                lambda worker=worker: worker.run(
                    servers, history.model, lambda: time.monotonic() > end
                )
                for worker in workers
            ]
        )
        answered += sum(worker.answered for worker in workers)
        check(not any(worker.unanswered for worker in workers), "requests without an answer")
        history.check_all()
    history.check_dump()
    for server in servers:
        server.stop()
    history.verify()
    check(answered > 100, "hardly a request was answered:", answered)
    env.note(f"{answered} requests, {history.loads} loads")


def killed_writing(history):
    """Kills the server under several writers, starts it again and lets the model follow; requests
    answered."""
    workers = history.workers(history.random.choice([1, 2, 4]))
    end = time.monotonic() + history.random.choice([0.005, 0.02, 0.05, 0.1, 0.2])

    def kill():
        time.sleep(max(0, end - time.monotonic()))
        history.server.kill()

    never = lambda: False
    in_threads(
        [
            *[
                lambda worker=worker: worker.run([history.server], history.model, never)
                for worker in workers
            ],
            kill,
        ]
    )
    history.env.settle(history.server.store)
    if history.random.random() < 0.15:
        history.verify()
    history.start()
    for worker in workers:
        history.resolve(worker)
    return sum(worker.answered for worker in workers)


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
    if facts != history.model.facts():
        check_equal(
            differences(facts, before.facts()),
            [],
            "a load that was cut is neither whole nor absent",
        )
        check(code != 0, "a load that was acknowledged is lost")
        history.model = before
    history.start()


def survive(env, kills):
    history = History(env)
    answered = 0
    for number in range(kills):
        if number % 10 == 9:
            killed_loading(history)
        else:
            answered += killed_writing(history)
        history.check_all()
        if number % 25 == 24:
            history.check_dump()
        if number % 4 == 3:
            history.change_records()
    history.verify()
    history.check_dump()
    history.server.stop()
    check(answered > kills * 3, "hardly a request was answered:", answered)
    env.note(
        f"{kills} kills, {answered} requests answered, start at most {max(history.start_seconds):.2f} s"
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
