#!/usr/bin/env python3
"""Holds so many connections that ask nothing: `hold.py PORT COUNT [tls]`. Each has had one answer,
as a client's has. Says "ready" when all are there, and lets go of them when its input ends."""

import resource
import sys

import dataset
import wire

SPARE_FILES = 100


def main(port, count, tls):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < count + SPARE_FILES:
        print(f"{count} connections need a limit of open files beyond {hard}", flush=True)
        return 1
    request = wire.request_of("POST", {"filter": {"callIds": [dataset.call_id(1, 0)]}})
    held = []
    for _ in range(count):
        connection = wire.connect(port, tls)
        connection.sendall(request)
        head, _, _ = wire.receive_answer(connection)
        if not head.startswith(b"HTTP/1.1 200 "):
            print(f"answered {head[:100]}", flush=True)
            return 1
        held.append(connection)
    print("ready", flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), "tls" in sys.argv[3:]))
