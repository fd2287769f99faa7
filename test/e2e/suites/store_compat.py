"""Stores that earlier releases wrote must be opened for good: each archive in test/stores is
opened, checked, dumped and written to. make_store.py makes one for the release at hand."""

import os
import tarfile

from harness import ROOT, check, check_equal, suite
from http11 import Client, basic
from server import Server
from world import key_of

tests, test = suite()

STORES = os.path.join(ROOT, "test", "stores")


@test(
    "data directories of every earlier format open, are sound, and dump what is written beside them",
    seconds=120,
    stores=("embedded",),
)
def opens_old_stores(env):
    archives = sorted(name for name in os.listdir(STORES) if name.endswith(".tar.gz"))
    check(archives, "no stores in", STORES)
    for archive in archives:
        name = archive.removesuffix(".tar.gz")
        with tarfile.open(os.path.join(STORES, archive)) as file:
            file.extractall(env.path(name))
        store = os.path.join(env.path(name), "store")
        with open(os.path.join(STORES, name + ".ndjson")) as file:
            expected = file.read()
        check_equal(env.command("dump", "--store", store), expected, archive, "dump")
        done = env.run("verify", "--store", store)
        check_equal(done.returncode, 0, archive, done.stdout, done.stderr)
        server = Server(env, store=store)
        client = Client(server.address, basic(*key_of(1)))
        call = next(iter(client.read([101])))
        client.give({call: [1, 2, 3]})
        client.remove({call: [1, 2, 3]})
        client.close()
        server.stop()
        done = env.run("verify", "--store", store)
        check_equal(done.returncode, 0, archive, "after writes", done.stdout, done.stderr)
    env.note(f"{len(archives)} stores")
