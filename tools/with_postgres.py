#!/usr/bin/env python3
"""Runs a command beside a PostgreSQL of its own, which ends with it:

    tools/with_postgres.py COMMAND…

The command finds in EARSHOT_TEST_POSTGRES the URL of a server in which it may create databases. The
exit code is the command's. The server does not sync to the disk; see test/e2e/database.py."""

import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "test" / "e2e"))
from database import Postgres  # pylint: disable=wrong-import-position


def end(number, _frame):
    sys.exit(128 + number)


def run(command):
    server = Postgres()
    child = None
    try:
        environment = {**os.environ, "EARSHOT_TEST_POSTGRES": server.url()}
        child = subprocess.Popen(command, env=environment)
        code = child.wait()
        return code if code >= 0 else 128 - code
    finally:
        if child and child.poll() is None:
            child.kill()
            child.wait()
        server.close()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    try:
        return run(sys.argv[1:])
    except OSError as error:
        print(f"with_postgres.py: {error}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main())
