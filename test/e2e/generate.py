#!/usr/bin/env python3
"""Writes records of a company as large ones look: a tree of managers with some broken branches,
profiles of every level with and without leads, workspaces, calls with hosts and parties, shares.
The same seed writes the same bytes.

    test/e2e/generate.py [--users 5000] [--calls 100000] [--seed 1] > company.ndjson"""

import argparse
import random
import sys

from model import ndjson

SCOPES = ["api:call-user-access:read", "api:call-user-access:write"]
LEVELS = ["none", "own", "report-to-them", "managers-team", "all"]
ACCESS_KEY, SECRET = "BIGCO", "bigco-secret-of-forty-characters-in-all-x"
FIRST_USER = 234599484848000
FIRST_CALL = 7782342274025000000


def company(rng, users, calls):
    """All records in an order that can be loaded."""
    user_ids = [FIRST_USER + 7 * number for number in range(users)]
    workspaces = list(range(10, 14))
    profiles = list(range(100, 100 + 3 * len(LEVELS) * len(workspaces)))
    yield {"kind": "company", "companyId": "1", "name": "BigCo"}
    yield {"kind": "key", "accessKey": ACCESS_KEY, "secret": SECRET, "scopes": SCOPES}
    for workspace in workspaces[:-1]:  # calls and profiles name the last one, which is not there
        yield {"kind": "workspace", "workspaceId": str(workspace), "name": f"Workspace {workspace}"}
    for number, profile in enumerate(profiles):
        leads = rng.sample(user_ids, rng.randint(1, 3)) if number % 3 == 2 else []
        yield {
            "kind": "profile",
            "profileId": str(profile),
            "workspaceId": str(workspaces[number % len(workspaces)]),
            "name": f"Profile {profile}",
            "callsAccess": {
                "permissionLevel": LEVELS[number // len(workspaces) % len(LEVELS)],
                "teamLeadIds": [str(lead) for lead in leads],
            },
        }
    # Few hold a profile that shows everything, so that there is something left to give.
    common = [
        profile
        for number, profile in enumerate(profiles)
        if LEVELS[number // len(workspaces) % len(LEVELS)] != "all"
    ]
    for number, user in enumerate(user_ids):
        yield user_record(rng, number, user, user_ids, profiles if rng.random() < 0.03 else common)
    for number in range(calls):
        yield call_record(rng, FIRST_CALL + 3 * number, user_ids, workspaces)
        for user in rng.sample(user_ids, rng.choice([0, 0, 0, 1, 2])):
            yield {"kind": "share", "callId": str(FIRST_CALL + 3 * number), "userId": str(user)}


def user_record(rng, number, user, user_ids, profiles):
    record = {
        "kind": "user",
        "userId": str(user),
        "emailAddress": f"user{number}@bigco.test",
        "firstName": "User",
        "lastName": str(number),
    }
    roll = rng.random()
    if roll < 0.01:
        record["managerId"] = str(FIRST_USER - 1)  # nobody
    elif roll < 0.02:
        record["managerId"] = str(
            rng.choice(user_ids)
        )  # perhaps below the user: a cycle, or the user alone
    elif number:
        record["managerId"] = str(user_ids[(number - 1) // rng.choice([6, 7, 8])])
    if rng.random() < 0.05:
        record["active"] = False
    record["profileIds"] = [
        str(profile) for profile in rng.sample(profiles, rng.choice([0, 1, 1, 2, 3]))
    ]
    return record


def call_record(rng, call, user_ids, workspaces):
    host = rng.choice(user_ids) if rng.random() < 0.99 else FIRST_USER - 2
    return {
        "kind": "call",
        "callId": str(call),
        "workspaceId": str(rng.choice(workspaces)),
        "title": f"Call {call % 1000}",
        "started": f"2026-03-{rng.randint(1, 28):02}T10:00:00Z",
        "primaryUserId": str(host),
        "partyUserIds": [str(user) for user in rng.sample(user_ids, rng.choice([0, 1, 1, 2, 4]))],
        "isPrivate": rng.random() < 0.1,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.stdout.write(
        ndjson(company(random.Random(arguments.seed), arguments.users, arguments.calls))
    )


if __name__ == "__main__":
    main()
