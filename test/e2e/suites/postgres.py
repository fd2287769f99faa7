"""What whoever runs Earshot over PostgreSQL meets: databases that cannot be served and are told from each
other in one line, passwords that nobody prints, and how databases are migrated."""

import os
import socket

from database import GUARDED_ROLE, OUTSIDER_ROLE, PASSWORD, ROLE, pick_port
from harness import check, check_equal, in_threads, suite
from http11 import PATH
from model import facts_of_dump, ndjson
from server import Server
from suites.records import check_sorted, dump, load
from suites.wire_fixture import ALL, GOOD, RECORDS, check_answer
from suites.wire_process import refused_to_start

tests, test = suite()

ONLY = ("postgres",)
LISTEN = ["--listen", "127.0.0.1:0"]
# Ends the connections of the guarded role and lets it make none.
TURN_AWAY = f"""
ALTER ROLE {GUARDED_ROLE} NOLOGIN;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{GUARDED_ROLE}';
"""
MIGRATE_BEYOND = """
INSERT INTO earshot.schema_versions
  SELECT max(version) + 1, 'later', now(), '99.0.0' FROM earshot.schema_versions;
"""


def commands(env):
    """Every command that opens a store, without its --store."""
    records = env.write("records.ndjson", RECORDS)
    return [
        ["serve", *LISTEN],
        ["load", records],
        ["dump"],
        ["verify"],
        ["key", "list"],
        ["key", "revoke", "FULL"],
        ["key", "create", "--company", "1", "--scope", "api:call-user-access:read"],
    ]


def refused(env, name, arguments, store, mention, environment=None, seconds=40):
    """The one line that the command says."""
    where = [] if store is None else ["--store", store]
    done = env.run(*arguments, *where, seconds=seconds, environment=environment)
    about = f"{name}: earshot {' '.join(arguments)}:"
    codes = (2,) if arguments[0] == "serve" else (1, 2)
    check(done.returncode in codes, about, "exit code", done.returncode, done.stderr)
    check_equal(done.stdout, "", about)
    line = done.stderr
    check(line.count("\n") == 1 and line.endswith("\n"), about, "lines of", line)
    check(line.startswith("earshot: ") and 30 < len(line) < 400, about, line)
    for word in mention:
        check(word.lower() in line.lower(), about, "does not say", word, "but", line)
    check(PASSWORD not in line and "libpq" not in line and "PQ" not in line, about, line)
    return line


def of_role(url, role):
    return f"postgresql://{role}@{url.split('@')[1]}"


@test(
    "a database that cannot be opened is refused by every command, with one line that says why",
    seconds=240,
    stores=ONLY,
)
def refuses_databases(env):
    there = env.store()
    databases = env.databases
    address = there.split("@")[1].split("/")[0]
    nobody = f"127.0.0.1:{pick_port()}"
    empty, newer, older = env.empty_database(), env.store("newer"), env.store("older")
    databases.sql(newer, MIGRATE_BEYOND)
    databases.sql(older, "DELETE FROM earshot.schema_versions")
    rows = [
        ("nobody listens", f"postgresql://earshot@{nobody}/x", [nobody.split(":")[1]]),
        (
            "no host of that name",
            "postgresql://earshot@no.such.host.invalid/x",
            ["no.such.host.invalid"],
        ),
        ("no database of that name", f"postgresql://earshot@{address}/nothing", ["nothing"]),
        ("no role of that name", f"postgresql://stranger@{address}/postgres", ["stranger"]),
        (
            "a wrong password",
            of_role(there, f"{GUARDED_ROLE}:{PASSWORD}x"),
            ["password"],
        ),
        ("no password", of_role(there, GUARDED_ROLE), ["password"]),
        ("not migrated", empty, ["earshot migrate"]),
        ("migrated by nobody any more", older, ["earshot migrate"]),
        ("newer", newer, ["newer", "upgrade"]),
        ("a role that may not read it", of_role(there, OUTSIDER_ROLE), ["permission"]),
    ]
    for name, url, mention in rows:
        for arguments in commands(env):
            refused(env, name, arguments, url, mention)


@test(
    "a URL that cannot be read is refused with one line, by migrate as well",
    seconds=60,
    stores=ONLY,
)
def refuses_urls(env):
    rows = [
        ("a bad port", "postgresql://earshot@127.0.0.1:port/x", "port"),
        ("a port beyond all", "postgresql://earshot@127.0.0.1:99999/x", "99999"),
        ("an unknown parameter", "postgresql://earshot@127.0.0.1/x?sslmood=require", "?NAME=VALUE"),
        ("a bad mode of TLS", "postgresql://earshot@127.0.0.1/x?sslmode=perhaps", "sslmode"),
        ("a bad escape", "postgresql://earshot@127.0.0.1/%zz", "cannot be read"),
        ("an open bracket", "postgresql://earshot@[::1/x", "cannot be read"),
    ]
    for name, url, mention in rows:
        for arguments in [*commands(env), ["migrate"]]:
            for secret in (f"earshot:{PASSWORD}@", "earshot@"):
                refused(env, name, arguments, url.replace("earshot@", secret), [mention])


@test(
    "a server that takes connections and says nothing is given up in bounded time",
    seconds=200,
    stores=ONLY,
)
def gives_up_silence(env):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        port = silent.getsockname()[1]
        url = f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/x"

        def give_up(arguments):
            refused(env, "silence", arguments, url, [str(port)], seconds=60)

        work = [lambda one=one: give_up(one) for one in [*commands(env), ["migrate"]]]
        in_threads(work, seconds=100)


@test("backup is refused over PostgreSQL, and told what to use", stores=ONLY)
def refuses_backup(env):
    load(env, env.store(), RECORDS)
    line = refused(env, "backup", ["backup", env.path("copy")], env.store(), ["postgres"])
    check("pg_dump" in line or "pg_basebackup" in line, "does not say what to use:", line)
    check(not os.path.exists(env.path("copy")), "made something")


@test(
    "migrate makes the tables, says what it did, and may be run again and by many at once",
    seconds=60,
    stores=ONLY,
)
def migrates(env):
    empty = env.empty_database()
    outputs = in_threads([lambda: env.command("migrate", "--store", empty)] * 4)
    check(all(text.count("\n") == 1 for text in outputs), outputs)
    again = env.command("migrate", "--store", empty)
    check(again.count("\n") == 1 and again != "", again)
    server = Server(env, "--load", env.write("r.ndjson", RECORDS), store=empty)
    before = dump(env, empty)
    check_equal(env.command("migrate", "--store", empty), again, "while a server runs")
    check_equal(dump(env, empty), before)
    with server.connect() as connection:
        check_answer(connection.request("PUT", PATH, GOOD["PUT"], ALL), 200)


@test(
    "migrate refuses what it cannot migrate, with one line, and leaves it as it was",
    seconds=60,
    stores=ONLY,
)
def migrate_refuses(env):
    databases = env.databases
    there, newer, empty = env.store(), env.store("newer"), env.empty_database()
    latin = env.empty_database("ENCODING 'LATIN1' LOCALE 'C'")
    databases.sql(newer, MIGRATE_BEYOND)
    rows = [
        ("newer", newer, ["newer"]),
        ("not of UTF-8", latin, ["UTF-8"]),
        ("a role that may make nothing", of_role(empty, OUTSIDER_ROLE), ["permission"]),
        ("a directory", env.path("directory"), ["postgresql://"]),
        ("nobody listens", f"postgresql://earshot@127.0.0.1:{pick_port()}/x", ["127.0.0.1"]),
        ("Citus where there is none", there, ["citus"]),
    ]
    for name, url, mention in rows:
        more = ["--citus"] if "Citus" in name else []
        refused(env, name, ["migrate", *more], url, mention)
    check(not os.path.exists(env.path("directory")), "made a directory")
    for database in (latin, empty):
        count = databases.sql(
            database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'earshot'"
        )
        check_equal(count, "0\n", "tables in", database)


@test(
    "a password comes from the URL, a file or the environment, and no message or log has it",
    seconds=60,
    stores=ONLY,
)
def keeps_passwords(env):
    there = env.store()
    url, bare = of_role(there, f"{GUARDED_ROLE}:{PASSWORD}"), of_role(there, GUARDED_ROLE)
    host, port = there.split("@")[1].split("/")[0].split(":")
    passfile = env.write("pgpass", f"{host}:{port}:*:{GUARDED_ROLE}:{PASSWORD}\n")
    os.chmod(passfile, 0o600)
    config = env.write("earshot.toml", f'store="{url}"\n')
    ways = [
        ("on the command line", ["--store", url], {}),
        ("by PGPASSFILE", ["--store", bare], {"PGPASSFILE": passfile}),
        ("by PGPASSWORD", ["--store", bare], {"PGPASSWORD": PASSWORD}),
        ("by EARSHOT_STORE", [], {"EARSHOT_STORE": url}),
        ("in --config", ["--config", config], {}),
    ]
    records = env.write("records.ndjson", RECORDS)
    said = []
    for name, options, environment in ways:
        done = env.run("load", records, *options, environment=environment)
        check_equal(done.returncode, 0, name, done.stderr)
        said += [done.stdout, done.stderr]
    server = Server(env, "--log-requests", "all", store=url)
    with server.connect() as connection:
        check_answer(connection.request("PUT", PATH, GOOD["PUT"], ALL), 200)
        said.append(connection.request("GET", "/metrics").body.decode())
        # The server loses its connections and is refused new ones, which it has to say.
        env.databases.sql(there, TURN_AWAY)
        try:
            connection.socket.settimeout(60)
            check_answer(connection.request("PUT", PATH, GOOD["PUT"], ALL), 503)
            said.append(connection.request("GET", "/readyz").body.decode())
        finally:
            env.databases.sql(there, f"ALTER ROLE {GUARDED_ROLE} LOGIN")
    server.stop()
    for text in [*said, server.log_text()]:
        check(PASSWORD not in text, "the password is in", text)


@test(
    "names sort byte by byte and stay apart, whatever the database's language is",
    seconds=60,
    stores=ONLY,
)
def sorts_by_bytes(env):
    turkish = "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C'"
    other = env.empty_database(turkish)
    env.databases.migrate(other)
    records = [{"kind": "company", "companyId": "1"}]
    for name in ["a", "B", "I", "i", "b-1", "b1", "_b", "Z", "z", "A", "SS", "ss"]:
        key = {"kind": "key", "accessKey": name, "secret": f"the-secret-of-{name}-is-this"}
        records.append({**key, "scopes": ["api:call-user-access:read"]})
    text = ndjson(records) + RECORDS
    for store in (other, env.store()):
        load(env, store, text)
        check_sorted(dump(env, store))
        check_equal(facts_of_dump(dump(env, store)), facts_of_dump(text))
    by_language = env.databases.sql(other, "SELECT 'a' < 'B' COLLATE \"default\"")
    check_equal(by_language, "t\n", "the database itself sorts byte by byte")
