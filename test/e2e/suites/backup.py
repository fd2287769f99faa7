"""A backup is made while many write, and then served: everything acknowledged before it began is in
it, and every request is in it whole or not at all."""

import threading
import time

from harness import check, check_equal, in_threads, suite
from model import facts_of_dump, ndjson
from server import Server
from suites.wire_fixture import ALL, GOOD, RECORDS, check_answer

tests, test = suite()

ACCESS_KEY, SECRET = "KEY", "secret-of-the-company-for-tests"
WRITERS = 4
CALLS_EACH = 5
USERS = list(range(1, 4001))


def records():
    yield {"kind": "company", "companyId": "1"}
    yield {
        "kind": "key",
        "accessKey": ACCESS_KEY,
        "secret": SECRET,
        "scopes": ["api:call-user-access:read", "api:call-user-access:write"],
    }
    for user in USERS:
        yield {"kind": "user", "userId": str(user)}
    for call in range(1, WRITERS * CALLS_EACH + 1):
        yield {"kind": "call", "callId": str(call)}


class Writer:
    """Gives one user after the other to all its calls at once."""

    def __init__(self, number):
        self.calls = [number * CALLS_EACH + offset for offset in range(1, CALLS_EACH + 1)]
        self.acknowledged = 0

    def run(self, server, stop):
        client = server.client(ACCESS_KEY, SECRET)
        for user in USERS:
            if stop.is_set():
                break
            client.give({call: [user] for call in self.calls})
            self.acknowledged += 1
        client.close()


def check_copy(env, directory, writers, at_least, at_most):
    done = env.run("verify", "--store", directory)
    check_equal(done.returncode, 0, "verify of the backup:", done.stdout, done.stderr)
    server = Server(env, store=directory)
    client = server.client(ACCESS_KEY, SECRET)
    for writer, least, most in zip(writers, at_least, at_most):
        found = client.read(writer.calls)
        held = [found[call] for call in writer.calls]
        check(
            all(users == held[0] for users in held),
            "a write is there in parts:",
            [len(users) for users in held],
        )
        check_equal(held[0], USERS[: len(held[0])], "not a front of what was given")
        check(least <= len(held[0]) <= most, "has", len(held[0]), "of", least, "to", most)
    client.give({1: [USERS[-1]]})
    check(USERS[-1] in client.read([1])[1], "the copy takes no writes")
    client.close()
    server.stop()


@test(
    "a backup under load has all that was acknowledged before, each request whole, and is served",
    seconds=180,
    stores=("embedded",),
)
def backs_up_under_load(env):
    env.command("load", env.write("backup.ndjson", ndjson(records())), "--store", env.path("store"))
    server = Server(env)
    writers = [Writer(number) for number in range(WRITERS)]
    stop = threading.Event()
    made = []

    def back_up():
        try:
            for number in range(3):
                time.sleep(0.4)
                least = [writer.acknowledged for writer in writers]
                began = time.monotonic()
                env.command("backup", env.path(f"copy{number}"), "--store", server.store)
                made.append(
                    (
                        env.path(f"copy{number}"),
                        least,
                        [writer.acknowledged + 1 for writer in writers],
                        time.monotonic() - began,
                    )
                )
        finally:
            stop.set()

    in_threads(
        [back_up, *[lambda writer=writer: writer.run(server, stop) for writer in writers]],
        seconds=120,
    )
    server.kill()
    check(sum(made[0][1]) > 0, "nothing was written before the first backup")
    for directory, least, most, _ in made:
        check_copy(env, directory, writers, least, most)
    slowest = max(seconds for _, _, _, seconds in made)
    env.note(f"{sum(writer.acknowledged for writer in writers)} writes")
    env.note(f"backups in at most {slowest:.2f} s")


@test(
    "a backup is made without a server too, never over something, and is itself backed up",
    stores=("embedded",),
)
def backs_up_offline(env):
    store = env.path("store")
    env.command("load", env.write("records.ndjson", RECORDS), "--store", store)
    env.command("backup", env.path("copy"), "--store", store)
    env.command("backup", env.path("copy2"), "--store", env.path("copy"))
    texts = [
        env.command("dump", "--store", path)
        for path in (store, env.path("copy"), env.path("copy2"))
    ]
    check(texts[0] == texts[1] == texts[2], "copies differ")
    check_equal(facts_of_dump(texts[0]), facts_of_dump(RECORDS))
    for taken in (env.path("copy"), store, env.write("file", "x")):
        done = env.run("backup", taken, "--store", store)
        check(done.returncode != 0 and done.stderr.count("\n") == 1, "over", taken, done.stderr)
    check_equal(
        env.command("dump", "--store", env.path("copy")),
        texts[1],
        "a refused backup changed the copy",
    )
    server = Server(env, store=env.path("copy"))
    with server.connect() as connection:
        check_answer(connection.request("PUT", "/v2/calls/users-access", GOOD["PUT"], ALL), 200)
    check_equal(
        env.command("dump", "--store", store), texts[0], "a write to the copy reached the store"
    )
