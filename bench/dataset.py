"""The data of the benches: one company as records, made from a seed. It measures nothing.

Sellers host the calls and take part in them; listeners hold the grants and get the new ones. Every
user stands in a tree of managers and holds a profile that covers the calls of those below, so that
a give costs the whole rule; but no seller stands below a listener, so that every give is a change.

Grants of the data are pairs of a call and a listener whose numbers have an even sum. The benches
give pairs of an odd sum, in a sequence without repetition: at place p stand call p % calls and
listener 2 * (p // calls) + (call + 1) % 2, and after p comes (p + stride) % pairs.
"""

import dataclasses
import json
import math
import random

SELLERS = 1000
LISTENERS = 4000  # even, so that each call has as many listeners of either sum
REPORTS = 8  # that a manager has
COMPANY, WORKSPACE, PROFILE = "1", "10", "20"
ACCESS_KEY, SECRET = "BENCH", "a-secret-of-the-benches-alone"


@dataclasses.dataclass(frozen=True)
class Parameters:
    calls: int = 200_000
    grants_per_call: int = 5
    seed: int = 1

    @property
    def name(self):
        return f"{self.calls}x{self.grants_per_call}-{self.seed}"

    @property
    def grants(self):
        return self.calls * self.grants_per_call


@dataclasses.dataclass(frozen=True)
class Dataset:
    parameters: Parameters
    calls: list  # ids, as text
    listeners: list

    @property
    def pairs(self):
        return len(self.calls) * len(self.listeners) // 2

    @property
    def stride(self):
        """Coprime to the number of pairs, so that all are met, and far from a simple part of it."""
        stride = int(self.pairs * (math.sqrt(5) - 1) / 2)
        while math.gcd(stride, self.pairs) != 1:
            stride += 1
        return stride

    def place(self, number):
        return number * self.stride % self.pairs

    def pair(self, number):
        """The ids of call and user of the give of this number."""
        place = self.place(number)
        call = place % len(self.calls)
        user = 2 * (place // len(self.calls)) + (call + 1) % 2
        return self.calls[call], self.listeners[user]


def ids(source, count):
    """Distinct ids of 19 digits, so that all requests of a kind are equally long."""
    found = {}
    while len(found) < count:
        found[str(source.randrange(10**18, 2**63))] = None
    return list(found)


def make(parameters):
    """The data, and beside it the ids of the sellers."""
    source = random.Random(parameters.seed)
    users = ids(source, SELLERS + LISTENERS)
    return Dataset(parameters, ids(source, parameters.calls), users[SELLERS:]), users[:SELLERS]


def write_records(parameters, path):
    """Writes the data set as records for `earshot load`."""
    dataset, sellers = make(parameters)
    source = random.Random(parameters.seed + 1)
    with open(path, "w", encoding="ascii") as file:
        for record in directory(sellers, dataset.listeners):
            file.write(json.dumps(record) + "\n")
        for number, call in enumerate(dataset.calls):
            host, party = source.sample(sellers, 2)
            file.write(
                f'{{"kind":"call","callId":"{call}","workspaceId":"{WORKSPACE}",'
                f'"title":"Call {number}","started":"2026-03-01T10:00:00Z",'
                f'"primaryUserId":"{host}","partyUserIds":["{party}"]}}\n'
            )
            for place in source.sample(range(LISTENERS // 2), parameters.grants_per_call):
                user = dataset.listeners[2 * place + number % 2]
                file.write(f'{{"kind":"grant","callId":"{call}","userId":"{user}"}}\n')


def directory(*trees):
    yield {"kind": "company", "companyId": COMPANY, "name": "Bench"}
    scopes = ["api:call-user-access:read", "api:call-user-access:write"]
    yield {"kind": "key", "accessKey": ACCESS_KEY, "secret": SECRET, "scopes": scopes}
    yield {"kind": "workspace", "workspaceId": WORKSPACE, "name": "Sales"}
    access = {"permissionLevel": "report-to-them", "teamLeadIds": []}
    yield {"kind": "profile", "profileId": PROFILE, "workspaceId": WORKSPACE, "name": "Managers",
           "callsAccess": access}
    for users in trees:
        for number, user in enumerate(users):
            record = {"kind": "user", "userId": user, "emailAddress": f"{user}@bench.test",
                      "profileIds": [PROFILE]}
            if number > 0:
                record["managerId"] = users[(number - 1) // REPORTS]
            yield record
