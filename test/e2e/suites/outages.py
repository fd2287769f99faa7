"""PostgreSQL itself is crashed under writers, and comes back: nothing that was acknowledged is lost, a
request that was answered 503 or not at all is there whole or not at all, and the servers go on by
themselves."""

import copy
import itertools
import random
import signal
import time

from database import ROLE
from harness import check, check_equal, in_threads, suite, wait_until
from http11 import PATH, build, decode_access_list
from suites.histories import History
from world import COMPANIES, apply_request, body_of, key_of, random_request

tests, test = suite()

ONLY = ("postgres",)
# How long a request may wait for the store, as the servers are told, and with all around it.
TIMES = ["--store-statement-time", "1s", "--store-request-time", "2s"]
ANSWER_SECONDS_MAX = 6
# A setting that would lose what was acknowledged; Earshot must not go by it.
CARELESS = f"ALTER ROLE {ROLE} SET synchronous_commit = off"
BACK_SECONDS = 15
CRASHES = [signal.SIGQUIT, signal.SIGKILL]


class PatientWorker:
    """One connection that asks about calls of its own and goes on through refusals: a request that
    was answered 503 may have been carried out or not, which the next whole read tells."""

    def __init__(self, company_id, calls, seed):
        self.company_id = company_id
        self.calls = calls
        self.random = random.Random(seed)
        self.answered = self.refused = 0
        self.slowest = 0
        self.possible = []  # grants that its calls may have: {call: {user: grant}}

    def run(self, server, model, is_over):
        company = model.companies[self.company_id]
        self.possible = [grants_of(company, self.calls)]
        client = server.client(*key_of(self.company_id), timeout=30)
        while not is_over():
            batch = [
                random_request(self.random, self.calls)
                for _ in range(self.random.choice([1, 1, 2, 4]))
            ]
            answers = self.ask(client, batch)
            if any(answer.status == 503 for answer in answers):
                batch.append(("POST", [call for call in self.calls if call in company.calls]))
                answers.append(self.read_at_last(client, batch[-1][1]))
            self.possible = follow(company, self.calls, self.possible, batch, answers)
        client.close()

    def ask(self, client, batch):
        """Sends all at once. Each must be answered in bounded time, also while there is no store."""
        client.connection.send(
            b"".join(
                build(method, PATH, body_of(method, named), client.authorization)
                for method, named in batch
            )
        )
        answers = []
        for _ in batch:
            began = time.monotonic()
            answer = client.connection.receive()
            self.slowest = max(self.slowest, time.monotonic() - began)
            answers.append(answer)
            if answer.status == 503:
                self.refused += 1
                check(answer.field("retry-after").isdigit(), "no Retry-After:", answer)
                check_equal(answer.json["errors"][0], "Service Unavailable")
            else:
                self.answered += 1
        check(self.slowest < ANSWER_SECONDS_MAX, "an answer took", self.slowest, "s")
        return answers

    def read_at_last(self, client, calls):
        def answered():
            answer = self.ask(client, [("POST", calls)])[0]
            return answer if answer.status != 503 else time.sleep(0.1)

        return wait_until(answered, BACK_SECONDS + ANSWER_SECONDS_MAX, "the store to come back")


def grants_of(company, calls):
    return copy.deepcopy({call: company.grants.get(call, {}) for call in calls})


def follow(company, calls, possible, batch, answers):
    """All grants that the calls may have now, having had one of the possible before: whichever of
    the requests with 503 were carried out, it must explain every answer. The model takes one."""
    unsure = [index for index, answer in enumerate(answers) if answer.status == 503]
    found = []
    for before in possible:
        for done in itertools.product([True, False], repeat=len(unsure)):
            left_out = {index for index, is_done in zip(unsure, done) if not is_done}
            company.grants.update(copy.deepcopy(before))
            if explains(company, batch, answers, left_out):
                after = grants_of(company, calls)
                if after not in found:
                    found.append(after)
    check(found, "company", company.id, "nothing explains", list(zip(batch, answers)), possible)
    company.grants.update(copy.deepcopy(found[0]))
    return found


def explains(company, batch, answers, left_out):
    for index, ((method, named), answer) in enumerate(zip(batch, answers)):
        if index in left_out:
            continue
        status, expected = apply_request(company, method, named)
        if answer.status == 503:
            continue
        if answer.status != status:
            return False
        if status == 200 and method == "POST" and decode_access_list(answer) != expected:
            return False
    return True


class Outages(History):
    """A history over a PostgreSQL of its own, that it crashes."""

    def __init__(self, env):
        self.databases = env.own_databases()
        self.databases.before = CARELESS
        super().__init__(env, *TIMES)

    def crash(self, number, seconds):
        """Crashes it, and starts it again after some time."""
        self.databases.server.end(number)
        time.sleep(seconds)
        self.databases.server.restart()

    def workers(self, count):
        return [
            PatientWorker(worker.company_id, worker.calls, worker.random.getrandbits(32))
            for worker in super().workers(count)
        ]

    def is_ready(self):
        with self.server.connect() as connection:
            return connection.request("GET", "/readyz").status == 200


@test(
    "crashed under writers, PostgreSQL keeps what was acknowledged, and all comes back by itself",
    seconds=240,
    stores=ONLY,
)
def survives_crashes(env):
    history = Outages(env)
    answered = refused = 0
    for number, sent in enumerate(CRASHES * 5):
        workers = history.workers(2)
        # Every fifth outage is longer than a request waits.
        away = 4 if number % 5 == 4 else env.random.choice([0, 0.2, 0.5])
        over = []

        def crash(sent=sent, away=away, over=over):
            try:
                time.sleep(env.random.uniform(0.05, 0.4))
                history.crash(sent, away)
                wait_until(history.is_ready, BACK_SECONDS, "the server to be ready again")
                time.sleep(0.2)
            finally:
                over.append(True)

        run = [
            lambda worker=worker, over=over: worker.run(
                history.server, history.model, lambda: bool(over)
            )
            for worker in workers
        ]
        in_threads([*run, crash], seconds=60)
        answered += sum(worker.answered for worker in workers)
        refused += sum(worker.refused for worker in workers)
        for worker in workers:
            company = history.model.companies[worker.company_id]
            history.adopt(company, worker.calls, worker.possible)
        history.check_all()
        history.check_dump()
        if number % 3 == 2:
            history.change_records()
    history.verify()
    history.check_dump()
    check(answered > 500, "hardly a request was answered:", answered)
    check(refused > 10, "hardly a request met an outage:", refused)
    history.server.stop()
    env.note(f"{answered} requests answered, {refused} refused")


@test(
    "both are crashed at once: of what had no answer each request is whole or absent",
    seconds=120,
    stores=ONLY,
)
def survives_both(env):
    history = Outages(env)
    for sent in CRASHES * 2:
        workers = History.workers(history, 2)
        end = time.monotonic() + env.random.uniform(0.1, 0.4)

        def crash(sent=sent, end=end):
            time.sleep(max(0, end - time.monotonic()))
            history.databases.server.process.send_signal(sent)
            history.server.kill()  # at once, before anything is answered 503
            history.databases.server.end(sent)

        history.run(workers, [history.server], lambda: False, crash)
        history.databases.server.restart()
        history.start()
        for worker in workers:
            history.resolve(worker)
        history.note_present()
        history.check_all()
        history.ask_the_past()
        history.check_dump()
    history.verify()


@test(
    "while PostgreSQL is away all is answered 503 in time, readyz says why, and a stop still ends it",
    seconds=90,
    stores=ONLY,
)
def says_that_it_is_away(env):
    history = Outages(env)
    history.databases.server.end(signal.SIGQUIT)
    began = time.monotonic()

    def asks(company_id, method, named):
        client = history.server.client(*key_of(company_id), timeout=30)
        for _ in range(3):
            sent = time.monotonic()
            answer = client.ask(method, body_of(method, named))
            check_equal(answer.status, 503, method, answer)
            check(answer.field("retry-after").isdigit(), "no Retry-After:", answer)
            check(
                time.monotonic() - sent < ANSWER_SECONDS_MAX, "took", time.monotonic() - sent, "s"
            )
        client.close()

    in_threads(
        [
            lambda company_id=company_id, method=method, named=named: asks(
                company_id, method, named
            )
            for company_id in COMPANIES
            for method, named in (("POST", [101]), ("PUT", [(101, [1])]), ("DELETE", [(101, [1])]))
        ]
    )
    with history.server.connect() as connection:
        check_equal(connection.request("GET", "/healthz").status, 200, "healthz")
        answer = connection.request("GET", "/readyz")
        check_equal(answer.status, 503, "readyz")
        check(len(answer.body) > 20, "readyz does not say why:", answer)
        # What the request itself tells is answered as ever.
        check_equal(connection.request("GET", PATH).status, 405)
        check_equal(connection.request("POST", "/v2/nowhere").status, 404)
    history.databases.server.restart()
    wait_until(history.is_ready, BACK_SECONDS, "the server to be ready again")
    history.check_all()
    env.note(f"{time.monotonic() - began:.1f} s away")
    history.databases.server.end(signal.SIGQUIT)
    history.server.stop()


@test(
    "a server that is started while PostgreSQL is away says so, and serves once it is back",
    seconds=60,
    stores=ONLY,
)
def starts_without(env):
    history = Outages(env)
    history.server.stop()
    history.databases.server.end(signal.SIGINT)
    done = env.run("serve", "--listen", "127.0.0.1:0", "--store", env.store(), seconds=30)
    check_equal(done.returncode, 2, done.stderr)
    check_equal(done.stderr.count("\n"), 1, done.stderr)
    history.databases.server.restart()
    history.start()
    history.check_all()
