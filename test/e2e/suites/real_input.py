"""A company of real size: 5,000 users and 100,000 calls, loaded, 200,000 pairs given over HTTP by
several clients at once, and every call read back against the model."""

import random
import threading
import time

from generate import ACCESS_KEY, SECRET, company
from harness import check, check_equal, in_threads, suite
from model import Model, ndjson, utc_now
from server import Server

tests, test = suite()

USERS = 5_000
CALLS = 100_000
PAIRS = 200_000
PAIRS_EACH = 100  # in one request
CONNECTIONS = 4


class CachedCompany:
    """The model's company with the chains of managers worked out once: the directory does not
    change here."""

    def __init__(self, company_of_model):
        self.company = company_of_model
        chains = {user: company_of_model.managers_of(user) for user in company_of_model.users}
        company_of_model.managers_of = lambda user: chains.get(user, [])


def random_pairs(rng, model_company):
    """PAIRS pairs, grouped by call: some users near the call, so that other ways hold for a good
    part of them."""
    calls, users = sorted(model_company.calls), sorted(model_company.users)
    wanted = {}
    count = 0
    while count < PAIRS:
        call = rng.choice(calls)
        chosen = set(rng.sample(users, rng.choice([1, 2, 3])))
        if rng.random() < 0.2:
            near = [
                user
                for user in model_company.participants(call) | model_company.shares.get(call, set())
                if user in model_company.users
            ]
            chosen.update(near)
            chosen.update(
                manager for user in near for manager in model_company.managers_of(user)[:3]
            )
        known = wanted.setdefault(call, set())
        count += len(chosen - known)
        known |= chosen
    return wanted


def requests_of(wanted):
    """The pairs in requests of about PAIRS_EACH, as {call: users}."""
    request, size = {}, 0
    for call, users in wanted.items():
        request[call] = sorted(users)
        size += len(users)
        if size >= PAIRS_EACH:
            yield request
            request, size = {}, 0
    if request:
        yield request


def take_turns(items, work):
    """Works on all items with CONNECTIONS threads; each takes the next."""
    lock, rest = threading.Lock(), iter(items)

    def run():
        worker = work()
        while True:
            with lock:
                item = next(rest, None)
            if item is None:
                return
            worker(item)

    in_threads([run] * CONNECTIONS, seconds=120)


@test("a company of real size is loaded, written to and read back as the model says", seconds=150)
def real_company(env):
    rng = random.Random(env.random.getrandbits(32))
    began = time.monotonic()
    records = list(company(rng, USERS, CALLS))
    path = env.write("company.ndjson", ndjson(records))
    model = Model()
    model.load(records)
    here = CachedCompany(model.companies[1]).company
    wanted = random_pairs(rng, here)
    requests = list(requests_of(wanted))
    env.note(f"{len(records)} records made in {time.monotonic() - began:.1f} s")

    began = time.monotonic()
    env.command("load", path, "--store", env.store(), seconds=100)
    env.note(f"loaded in {time.monotonic() - began:.1f} s")
    server = Server(env)
    began = time.monotonic()
    take_turns(requests, lambda: server.client(ACCESS_KEY, SECRET).give)
    seconds = time.monotonic() - began
    env.note(f"{PAIRS} pairs in {len(requests)} requests given in {seconds:.1f} s")

    now = utc_now()
    held = {
        call: sorted(user for user in users if not here.ways(call, user, now))
        for call, users in wanted.items()
    }
    given = sum(map(len, held.values()))
    check(
        0.4 * PAIRS < given < 0.95 * PAIRS,
        "of",
        PAIRS,
        "pairs",
        given,
        "had no other way: the input is too plain",
    )

    server.kill()
    server = Server(env)
    calls = sorted(here.calls)
    batches = [calls[at : at + 1000] for at in range(0, len(calls), 1000)]
    began = time.monotonic()

    def reader():
        client = server.client(ACCESS_KEY, SECRET)

        def read(batch):
            for call, users in client.read(batch).items():
                check_equal(users, held.get(call, []), "grants of call", call)

        return read

    take_turns(batches, reader)
    env.note(f"{given} grants read back in {time.monotonic() - began:.1f} s")
    done = env.run("verify", "--store", server.store)
    check_equal(done.returncode, 0, done.stdout, done.stderr)
