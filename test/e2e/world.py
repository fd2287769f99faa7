"""Two small companies with the same ids, random records for them and random requests: a space so
small that everything happens to everything."""

from model import Model

COMPANIES = [1, 2]
USERS = list(range(1, 11))
CALLS = list(range(101, 117))
WORKSPACES = [10, 11]
PROFILES = [20, 21, 22, 23, 24]
LEVELS = ["none", "own", "report-to-them", "managers-team", "all"]
UNKNOWN_USER = 999
UNKNOWN_CALL = 998
PAST = "2021-05-06T07:08:09Z"
FUTURE = "2199-05-06T07:08:09Z"
SCOPES = [
    "api:call-user-access:read",
    "api:call-user-access:write",
    "earshot:access:read",
    "earshot:audit:read",
    "earshot:directory:write",
    "earshot:grants:write",
    "earshot:keys:write",
]


def key_of(company):
    return f"KEY{company}", f"secret-of-company-{company}-for-tests"


def company_records(company):
    access_key, secret = key_of(company)
    return [
        {"kind": "company", "companyId": str(company), "name": f"Company {company}"},
        {"kind": "key", "accessKey": access_key, "secret": secret, "scopes": SCOPES},
    ]


def texts(numbers):
    return [str(number) for number in numbers]


def some(rng, values, most):
    return rng.sample(values, rng.randint(0, min(most, len(values))))


def user_record(rng, user):
    record = {"kind": "user", "userId": str(user)}
    if rng.random() < 0.7:
        record["managerId"] = str(rng.choice([*USERS, UNKNOWN_USER]))
    if rng.random() < 0.6:
        record["profileIds"] = texts(some(rng, PROFILES, 3))
    if rng.random() < 0.3:
        record["active"] = rng.random() < 0.5
    if rng.random() < 0.3:
        record.update(
            firstName="Ann",
            lastName=rng.choice(["Lee", 'O\'Neil "é" \\ 漢']),
            emailAddress=f"u{user}@test",
        )
    return record


def call_record(rng, call):
    record = {"kind": "call", "callId": str(call), "isPrivate": rng.random() < 0.3}
    if rng.random() < 0.9:
        record["workspaceId"] = str(rng.choice(WORKSPACES))
    if rng.random() < 0.8:
        record["primaryUserId"] = str(rng.choice([*USERS, UNKNOWN_USER]))
    record["partyUserIds"] = texts(some(rng, USERS, 2))
    if rng.random() < 0.3:
        record.update(title="Intro 😀", started="2026-03-01T10:00:00Z")
    return record


def profile_record(rng, profile):
    access = {
        "permissionLevel": rng.choice(LEVELS),
        "teamLeadIds": texts(some(rng, USERS, 2) if rng.random() < 0.4 else []),
    }
    return {
        "kind": "profile",
        "profileId": str(profile),
        "workspaceId": str(rng.choice(WORKSPACES)),
        "name": f"P{profile}",
        "callsAccess": access,
    }


def grant_record(rng, call, user):
    record = {"kind": "grant", "callId": str(call), "userId": str(user)}
    if rng.random() < 0.4:
        record["expiresAt"] = rng.choice([PAST, FUTURE])
    if rng.random() < 0.3:
        record["note"] = rng.choice(["by hand", "ticket 7"])
    return record


def whole_company(rng, company):
    """Every record of one company, everything in it known."""
    records = company_records(company)
    records += [
        {"kind": "workspace", "workspaceId": str(workspace), "name": f"W{workspace}"}
        for workspace in WORKSPACES
    ]
    records += [profile_record(rng, profile) for profile in PROFILES]
    records += [user_record(rng, user) for user in USERS]
    records += [call_record(rng, call) for call in CALLS]
    for _ in range(10):
        call, user = rng.choice(CALLS), rng.choice(USERS)
        records.append({"kind": "share", "callId": str(call), "userId": str(user)})
        records.append(grant_record(rng, rng.choice(CALLS), rng.choice(USERS)))
    return records


def initial_records(rng):
    return [record for company in COMPANIES for record in whole_company(rng, company)]


def random_thing(rng, company):
    """A line that can be applied to the company of the model: what it needs is there."""
    call, user = rng.choice(CALLS), rng.choice(USERS)
    pair_is_there = call in company.calls and user in company.users
    roll = rng.random()
    if roll < 0.3 and pair_is_there:
        return {"kind": "share", "callId": str(call), "userId": str(user)}
    if roll < 0.45 and pair_is_there:
        return grant_record(rng, call, user)
    if roll < 0.6:
        return user_record(rng, user)
    if roll < 0.75:
        return call_record(rng, call)
    if roll < 0.85:
        return profile_record(rng, rng.choice(PROFILES))
    if roll < 0.9:
        return {
            "kind": "workspace",
            "workspaceId": str(rng.choice(WORKSPACES)),
            "name": rng.choice(["A", "B"]),
        }
    if roll < 0.92:
        return {"kind": "company", "name": rng.choice(["Acme", "Acme 2"])}
    return remove_of(
        rng,
        rng.choice(["share", "share", "grant", "grant", "user", "call", "profile", "workspace"]),
    )


def remove_of(rng, kind):
    record = {"kind": kind, "remove": True}
    if kind in ("share", "grant", "user"):
        record["userId"] = str(rng.choice(USERS))
    if kind in ("share", "grant", "call"):
        record["callId"] = str(rng.choice(CALLS))
    if kind == "profile":
        record["profileId"] = str(rng.choice(PROFILES))
    if kind == "workspace":
        record["workspaceId"] = str(rng.choice(WORKSPACES))
    return record


def random_changes(rng, model, count):
    """Records that change one company here and there, applied to the model on the way."""
    company_id = rng.choice(COMPANIES)
    if rng.random() < 0.05:
        records = [
            {"kind": "company", "companyId": str(company_id), "remove": True},
            *whole_company(rng, company_id),
        ]
        model.load(records)
        return records
    company = model.companies[company_id]
    records = []
    for _ in range(count):
        record = {**random_thing(rng, company), "companyId": str(company_id)}
        model.apply(company_id, record)
        records.append(record)
    return records


def random_pairs(rng, calls):
    """[(call, [user, …]), …] for a request; sometimes with what is unknown, twice or empty."""
    chosen = [rng.choice(calls) for _ in range(rng.choice([1, 1, 1, 2, 3, 5]))]
    pairs = [
        (call, [rng.choice(USERS) for _ in range(rng.choice([0, 1, 1, 2, 3, 6]))])
        for call in chosen
    ]
    if rng.random() < 0.03:
        pairs.append((UNKNOWN_CALL, [1]))
    if rng.random() < 0.05:
        pairs.append((rng.choice(calls), [UNKNOWN_USER]))
    return pairs


def random_request(rng, calls):
    """(method, what it names)."""
    roll = rng.random()
    if roll < 0.25:
        return "POST", rng.sample(calls, rng.randint(1, len(calls)))
    return ("PUT" if roll < 0.68 else "DELETE"), random_pairs(rng, calls)


def body_of(method, named):
    if method == "POST":
        return {"filter": {"callIds": texts(named)}}
    return {
        "callAccessList": [{"callId": str(call), "userIds": texts(users)} for call, users in named]
    }


def apply_request(company, method, named):
    """What the model says: (status, first error and ids, or for a read its answer)."""
    if method == "POST":
        unknown = [call for call in named if call not in company.calls]
        if unknown:
            return 400, ("Some calls not found", unknown)
        return 200, company.read(named)
    refusal = company.give(named) if method == "PUT" else company.remove(named)
    return (400, refusal) if refusal else (200, None)


def new_model(records):
    model = Model()
    model.load(records)
    return model
