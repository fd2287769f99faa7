#!/usr/bin/env python3
"""Runs what every store must pass, and the suites about what is stored, against a Citus cluster that
the operator names:

    ./dev citus-check URL [--plain] [--only TEXT] [--seed N]

URL is of a database on the coordinator in which the extension citus is and the workers are known;
its role is a superuser there and on the workers, which must be reachable from here by the names that
the coordinator has for them. Databases earshot_check_N are made on all nodes and dropped again;
nothing else is touched. Each is distributed by `earshot migrate --citus`.

A server without Citus is refused, unless --plain says that it is meant: then the same runs on
databases that are not distributed, which proves this check and not Citus."""

import argparse
import contextlib
import os
import random
import re
import subprocess
import sys
import urllib.parse

from database import PROGRAMS, Databases, client_ports
from harness import ROOT, Failure, check, clean_environment, wait_until
from run import run_suite

SUITES = ["records", "histories", "linear"]
CONFORMANCE = "Postgres/StoreSuite.*"
CONFORMANCE_SECONDS = 1800
NAME = "earshot_check"


def replaced(url, database=None, host=None, port=None):
    """The URL of another database, or of the same on another node."""
    parts = urllib.parse.urlsplit(url)
    authority = parts.netloc
    if host:
        user = authority.rpartition("@")[0]
        authority = f"{user}@{host}:{port}" if user else f"{host}:{port}"
    path = f"/{database}" if database else parts.path
    return urllib.parse.urlunsplit(parts._replace(netloc=authority, path=path))


def psql(url, text):
    """What the statements print: rows as lines, columns divided by `|`."""
    done = subprocess.run(
        [os.path.join(PROGRAMS, "psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", url],
        input=text,
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=120,
        check=False,
    )
    check(done.returncode == 0, text, "says", done.stderr[-2000:])
    return done.stdout


class NamedServer:
    """A server that is somebody else's. Makes databases in it, over Citus on all of its nodes."""

    def __init__(self, url, is_plain):
        self.named = url
        self.nodes = [] if is_plain else self._nodes()

    def _nodes(self):
        """(group, host, port) of the primaries; the coordinator has group 0."""
        installed = psql(self.named, "SELECT extversion FROM pg_extension WHERE extname = 'citus'")
        if not installed.strip():
            raise Failure(
                "the extension citus is not in this database; name a coordinator's, or say --plain"
            )
        rows = psql(
            self.named,
            "SELECT groupid, nodename, nodeport FROM pg_dist_node"
            " WHERE noderole = 'primary' AND isactive ORDER BY groupid",
        ).split()
        nodes = [tuple(row.split("|")) for row in rows]
        if not any(group != "0" for group, _, _ in nodes):
            raise Failure("this coordinator knows no workers (pg_dist_node)")
        return nodes

    def workers(self):
        return [(host, port) for group, host, port in self.nodes if group != "0"]

    def url(self, database):
        return replaced(self.named, database)

    def create(self, database):
        self.drop(database)
        psql(self.named, f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'")
        for host, port in self.workers():
            there = replaced(self.named, None, host, port)
            psql(there, f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'")
            psql(replaced(there, database), "CREATE EXTENSION citus")
        if self.nodes:
            psql(self.url(database), "CREATE EXTENSION citus")
        for group, host, port in self.nodes:
            add = "citus_add_node" if group != "0" else "citus_set_coordinator_host"
            psql(self.url(database), f"SELECT {add}('{host}', {port})")

    def drop(self, database):
        text = f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"
        psql(self.named, text)
        for host, port in self.workers():
            psql(replaced(self.named, None, host, port), text)


class NamedDatabases(Databases):
    """Fresh databases of a named server, each migrated, and distributed over Citus."""

    def __init__(self, binary, url, is_plain):
        super().__init__(binary)
        self.is_plain = is_plain
        self.named = NamedServer(url, is_plain)
        self.made = set()

    def make(self):
        url = self.make_empty()
        options = [] if self.is_plain else ["--citus"]
        done = subprocess.run(
            [self.binary, "migrate", "--store", url, *options],
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=120,
            check=False,
        )
        check(done.returncode == 0, "earshot migrate:", done.stdout, done.stderr)
        return url

    def make_empty(self, options=""):
        check(not options, "a named server makes no databases with", options)
        self.count += 1
        database = f"{NAME}_{self.count}"
        self.made.add(database)
        self.named.create(database)
        return self.named.url(database)

    def drop(self, url):
        self._drop(urllib.parse.urlsplit(url).path[1:])

    def _drop(self, database):
        self.named.drop(database)
        self.made.discard(database)

    def sql(self, url, text, role=None):
        check(role is None, "a named server knows no role", role)
        return psql(url, text)

    def wait_for_orphans(self, url):
        query = (
            "SELECT client_port FROM pg_stat_activity WHERE client_port > 0"
            " AND datname = current_database() AND application_name = 'earshot'"
        )
        port = urllib.parse.urlsplit(url).port or 5432

        def none_left():
            return set(map(int, psql(url, query).split())) <= client_ports(port)

        wait_until(none_left, 60, "connections of killed processes to end")

    def close(self):
        for database in list(self.made):
            with contextlib.suppress(Failure):
                self._drop(database)


def run_conformance(program, databases):
    """Runs the tests that every store must pass, in one database; (passed, failed)."""
    url = databases.make()
    done = subprocess.run(
        [program, f"--gtest_filter={CONFORMANCE}", "--gtest_brief=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "EARSHOT_TEST_DATABASE": url},
        timeout=CONFORMANCE_SECONDS,
        check=False,
    )
    databases.drop(url)
    held = re.search(r"^\[  PASSED  \] (\d+) test", done.stdout, re.M)
    broken = re.search(r"^\[  FAILED  \] (\d+) tests?, listed below", done.stdout, re.M)
    held, broken = (int(found[1]) if found else 0 for found in (held, broken))
    # One that ends badly without a word has failed too.
    broken = broken or int(done.returncode != 0 or held == 0)
    if broken:
        print(done.stdout[-8000:])
    return held, broken


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev citus-check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--plain", action="store_true", help="a server without Citus is meant")
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/earshot"))
    parser.add_argument("--store-test", default=os.path.join(ROOT, "build/dev/store_test"))
    parser.add_argument("--seed", type=int, default=random.getrandbits(32))
    parser.add_argument("--only", default="", help="only tests of the suites that say this")
    arguments = parser.parse_args()
    arguments.binary = os.path.abspath(arguments.binary)
    # What the suites take from run.py.
    arguments.store, arguments.kills, arguments.seconds, arguments.lines = "postgres", 20, 8, 300_000
    return arguments


def main():
    arguments = parse_arguments()
    try:
        databases = NamedDatabases(arguments.binary, arguments.url, arguments.plain)
    except Failure as error:
        print(f"citus-check: {error}", file=sys.stderr)
        return 2
    print(f"seed {arguments.seed}")
    workers = databases.named.workers()
    if arguments.plain:
        print("a plain server, nothing is distributed: this proves the check, not Citus")
    else:
        print(f"Citus with {len(workers)} workers: {', '.join(map(':'.join, workers))}")
    passed = failed = 0
    runs = [("conformance", lambda: run_conformance(arguments.store_test, databases))]
    runs += [(name, lambda name=name: run_suite(name, arguments, databases)) for name in SUITES]
    try:
        for name, run in runs if not arguments.only else runs[1:]:
            held, broken = run()
            print(f"suite {name}: {held} passed, {broken} failed", flush=True)
            passed, failed = passed + held, failed + broken
    finally:
        databases.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
