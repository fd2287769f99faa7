#!/usr/bin/env python3
"""Makes a store with the program at hand and keeps it in test/stores, with its dump beside it, for
the suite store_compat:

    test/e2e/make_store.py NAME [--binary build/release/earshot]

as in `make_store.py earshot-store-format-1`. To be run once for each format of the store, by the
release that wrote it."""

import argparse
import os
import random
import sys
import tarfile

from harness import ROOT, Environment, check
from model import ndjson
from server import Server
from suites.store_compat import STORES
from world import (
    COMPANIES,
    body_of,
    initial_records,
    key_of,
    new_model,
    random_changes,
    random_request,
)


def fill(env):
    """Records, requests, a crash, and then more of both: everything that a store can hold."""
    records = initial_records(env.random)
    model = new_model(records)
    env.command("load", env.write("initial.ndjson", ndjson(records)), "--store", env.path("store"))
    for number in range(6):
        server = Server(env, "--drain-delay", "0")
        for company_id in COMPANIES:
            client = server.client(*key_of(company_id))
            for _ in range(40):
                calls = sorted(model.companies[company_id].calls)
                method, named = random_request(env.random, calls)
                client.ask(method, body_of(method, named))
            client.close()
        changes = env.write("changes.ndjson", ndjson(random_changes(env.random, model, 20)))
        env.command("load", changes, "--store", server.store)
        server.kill() if number % 2 else server.stop()
    # The suite reads and writes this call.
    ready = [
        {"kind": "company", "companyId": "1", "name": "Kept"},
        {"kind": "call", "callId": "101", "primaryUserId": "1"},
    ]
    ready += [{"kind": "user", "userId": str(user)} for user in (1, 2, 3)]
    env.command("load", env.write("ready.ndjson", ndjson(ready)), "--store", env.path("store"))
    check(
        env.run("verify", "--store", env.path("store")).returncode == 0,
        "the new store is not sound",
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/earshot"))
    arguments = parser.parse_args()
    archive = os.path.join(STORES, arguments.name + ".tar.gz")
    if os.path.exists(archive):
        sys.exit(f"{archive} is there already; a kept store is never made again")
    os.makedirs(STORES, exist_ok=True)
    env = Environment(os.path.abspath(arguments.binary), 1, None)
    env.random = random.Random(1)
    try:
        fill(env)
        text = env.command("dump", "--store", env.path("store"))
        with tarfile.open(archive, "w:gz") as file:
            file.add(env.path("store"), "store", filter=without_owner)
        with open(os.path.join(STORES, arguments.name + ".ndjson"), "w") as file:
            file.write(text)
    finally:
        env.close()
    print(archive)


def without_owner(member):
    """Files as anybody's; neither sockets nor logs."""
    name = os.path.basename(member.name)
    if not (member.isfile() or member.isdir()) or name.startswith("LOG"):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
