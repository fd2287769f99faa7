"""Requests of random histories: what each sends, what the model makes of it, and whether its answer
says so. Times in answers are moments, ids are numbers."""

from harness import check, check_equal
from http11 import PATH, build, decode_access_list
from model import PARSE_ERROR, WAYS, Grant, moment, parse_time, utc_now
from world import (
    FUTURE,
    UNKNOWN_CALL,
    UNKNOWN_USER,
    USERS,
    apply_request,
    body_of,
    random_request,
    texts,
)

EARSHOT = "/earshot/v1"
REVISION = "x-earshot-revision"
REPLAYED = "idempotent-replayed"
CONFLICT = "Some calls have changed"
KEY_USED = "This key was used for another request"


def revision_of(answer):
    return int(answer.field(REVISION))


class Ask:
    """One request. What it sends never changes, so that it can be sent again."""

    method, target, body, fields = "POST", PATH, None, ()
    key = since = None
    def to_send(self, authorization):
        return build(self.method, self.target, self.body, authorization, self.fields)

    def carry_out(self, company):
        """The model does what was done."""

    def judge(self, company, answer):
        """The model follows, and has to say the same as the answer."""
        raise NotImplementedError

    def __repr__(self):
        return f"{self.method} {self.target} {self.body} {self.fields}"


class ListAsk(Ask):
    """One of the three operations on lists."""

    def __init__(self, method, named):
        self.method, self.named, self.body = method, named, body_of(method, named)

    def carry_out(self, company):
        apply_request(company, self.method, self.named)

    def judge(self, company, answer):
        status, expected = apply_request(company, self.method, self.named)
        check_equal(answer.status, status, "company", company.id, self, answer)
        if status == 400:
            text = " ".join(answer.json["errors"])
            check_equal(answer.json["errors"][0], expected[0], self)
            check(all(str(one) in text for one in expected[1]), text, "does not name", expected[1])
        elif self.method == "POST":
            check_equal(decode_access_list(answer), expected, "company", company.id, self)


class CheckAsk(Ask):
    """Whether users may hear calls, and why."""

    def __init__(self, pairs, query=""):
        self.pairs = pairs
        self.target = f"{EARSHOT}/access/check{query}"
        self.body = {"checks": [pair_of(call, user) for call, user in pairs]}

    def judge(self, company, answer):
        self.judge_at(company, decode_check(answer), utc_now())

    def judge_at(self, company, told, now):
        check_equal([pair for pair, _ in told], self.pairs, "pairs in the answer to", self)
        for (call, user), one in told:
            wanted = tell(company, call, user, now)
            check(
                one in wanted, "company", company.id, "call", call, "user", user, "at", now,
                "is told", one, "not", wanted[0],
            )


class ExplainAsk(Ask):
    """Everyone who may hear a call, in one page."""

    method = "GET"

    def __init__(self, call):
        self.call = call
        self.target = f"{EARSHOT}/calls/{call}/access?limit=1000"

    def judge(self, company, answer):
        if self.call not in company.calls:
            check_not_found(answer, f"Call ID {self.call} was not found")
            return
        told, _, cursor = decode_page(answer, "users")
        check(cursor is None, "a page of", len(told), "users is not the last")
        check_equal(told, company.who_hears(self.call, utc_now()), "company", company.id, self)


class GrantsAsk(Ask):
    """Gives or takes pairs, with a result for each. `since`: the revision after which no call that
    it names may have changed; `changed_at` says then when each was, as far as is known."""

    target = f"{EARSHOT}/grants"

    def __init__(self, method, pairs, all_of=None, key=None, dry_run=False, since=None,
                 changed_at=None):
        self.method, self.pairs, self.all_of, self.dry_run = method, pairs, all_of, dry_run
        self.key, self.since = key, since
        self.changed_at = {} if changed_at is None else changed_at  # the worker's own, which grows
        self.body = {"allOf": {"callId": str(all_of)}} if all_of else {
            "grants": [{**pair_of(call, user), **terms_of(grant)} for call, user, grant in pairs]
        }
        if dry_run:
            self.body["dryRun"] = True
        if since is not None:
            self.body["ifRevision"] = since
        self.fields = [f"Idempotency-Key: {key}"] if key else []

    def carry_out(self, company):
        """[(pair, result)]"""
        now = utc_now()
        if self.dry_run:
            # A copy, since others change calls of theirs in the company at the same time.
            company = company.snapshot()
        pairs = [(call, user) for call, user, _ in self.pairs]
        if self.all_of:
            pairs = company.live_pairs(now, call=self.all_of)
        if self.method == "PUT":
            results = company.give_pairs(self.pairs, now)
        else:
            results = company.remove_pairs(pairs, now)
        return [(pair, result) for pair, result in zip(pairs, results)]

    def named_calls(self):
        return {self.all_of} if self.all_of else {call for call, _, _ in self.pairs}

    def judge(self, company, answer):
        if self.all_of and self.all_of not in company.calls:
            check_not_found(answer, f"Call ID {self.all_of} was not found")
            return
        named = self.named_calls()
        is_conflict = answer.status == 409
        if is_conflict:
            check_equal(answer.json["errors"][0], CONFLICT, self)
            check(self.since is not None, "refused for what it does not say:", self)
        if any(self.changed_at.get(call, 0) > (self.since or 0) for call in named):
            check(is_conflict or self.since is None, "not refused:", self, self.changed_at)
        elif is_conflict:
            # A sweep of what has expired is a change of its call, too.
            check(named & company.calls_with_expired(utc_now()), "refused without cause:", self, self.changed_at)
        if not is_conflict:
            check_equal(answer.status, 200, self, answer)
            results = self.carry_out(company)
            check_equal(decode_results(answer), results, "company", company.id, self)


def random_ask(rng, worker):
    """What one worker asks about calls of its own."""
    roll = rng.random()
    if roll < 0.5:
        return ListAsk(*random_request(rng, worker.calls))
    if roll < 0.65:
        return CheckAsk([random_pair(rng, worker) for _ in range(rng.choice([1, 1, 2, 5, 20]))])
    if roll < 0.72:
        return ExplainAsk(rng.choice([*worker.calls, UNKNOWN_CALL]))
    key = worker.next_key() if rng.random() < 0.7 else None
    more = {"key": key, "dry_run": rng.random() < 0.15}
    if worker.newest and rng.random() < 0.2:
        since = rng.choice([worker.newest, *worker.changed_at.values()])
        more.update(since=max(since, worker.begin), changed_at=worker.changed_at)
    if rng.random() < 0.1:
        return GrantsAsk("DELETE", [], all_of=rng.choice(worker.calls), **more)
    method = rng.choice(["PUT", "PUT", "DELETE"])
    pairs = dict.fromkeys(random_pair(rng, worker) for _ in range(rng.choice([0, 1, 1, 2, 3, 6])))
    pairs = [(call, user, random_terms(rng) if method == "PUT" else Grant()) for call, user in pairs]
    pairs += rng.sample(pairs, min(len(pairs), rng.choice([0, 0, 0, 1])))
    return GrantsAsk(method, pairs, **more)


def random_pair(rng, worker):
    call = UNKNOWN_CALL if rng.random() < 0.03 else rng.choice(worker.calls)
    return call, UNKNOWN_USER if rng.random() < 0.03 else rng.choice(USERS)


def random_terms(rng):
    return Grant(
        FUTURE if rng.random() < 0.3 else None, rng.choice(["", "", "by hand", "ticket \u00e9 7"])
    )


def pair_of(call, user):
    return {"callId": str(call), "userId": str(user)}


def terms_of(grant):
    terms = {"expiresAt": grant.expires_at, "note": grant.note}
    return {name: value for name, value in terms.items() if value}


def tell(company, call, user, now):
    """What may be told of the pair: a grant that has expired may be there, or be swept."""
    told = [company.tell(call, user, now)]
    if "expiredAt" in told[0]:
        told.append(company.without_expired(now).tell(call, user, now))
    return told


# --- Answers


def decode_check(answer):
    """[((call, user), what is told)] in the answer's order."""
    check_equal(answer.status, 200, answer)
    return [
        ((int(one["callId"]), int(one["userId"])), decode_told(one))
        for one in answer.json["results"]
    ]


def decode_told(one):
    """As Company.tell() says it."""
    told = {"allowed": one["allowed"], "ways": decode_ways(one["ways"])}
    for name in ("reason", "waysIfActive"):
        if name in one:
            told[name] = one[name]
    if "expiredAt" in one:
        told["expiredAt"] = parse_time(one["expiredAt"])
    if "profile" in one:
        told["profile"] = {**one["profile"], "profileId": int(one["profile"]["profileId"])}
        if "teamLeadIds" in one["profile"]:
            told["profile"]["teamLeadIds"] = [int(user) for user in one["profile"]["teamLeadIds"]]
    check(told["allowed"] == ("reason" not in told), "neither access nor a reason:", one)
    return told


def decode_ways(ways):
    """{way: what is said of it}, in the order of the answer, which has to be the order of WAYS."""
    names = [one["way"] for one in ways]
    check_equal(names, [way for way in WAYS if way in names], "order of ways")
    decoded = {}
    for one in ways:
        told = {name: value for name, value in one.items() if name not in ("way", "leadId")}
        if "expiresAt" in told:
            told["expiresAt"] = parse_time(told["expiresAt"])
        if "profileId" in told:
            told["profileId"] = int(told["profileId"])
            told["chain"] = [int(user) for user in told["chain"]]
        if "leadId" in one:
            check_equal(int(one["leadId"]), told["chain"][-1], "the lead")
        decoded[one["way"]] = told
    return decoded


def decode_page(answer, kind):
    """({id: ways}, (revision, time), cursor or None) of a page of "users" or "calls"."""
    check_equal(answer.status, 200, answer)
    page = answer.json
    name = {"users": "userId", "calls": "callId"}[kind]
    told = {int(one[name]): decode_ways(one["ways"]) for one in page[kind]}
    check_equal(len(told), len(page[kind]), "twice in a page")
    check_equal(list(told), sorted(told), "order in a page")
    check_equal(page["records"]["currentPageSize"], len(told), "currentPageSize")
    return told, (page["revision"], parse_time(page["at"])), page["records"].get("cursor")


def decode_results(answer):
    """[((call, user), {"result", …})] as GrantsAsk.apply() gives them."""
    results = []
    for one in answer.json["results"]:
        told = {name: value for name, value in one.items() if name not in ("callId", "userId")}
        if "expiresAt" in told:
            told["expiresAt"] = moment(told["expiresAt"])
        results.append(((int(one["callId"]), int(one["userId"])), told))
    return results


def check_not_found(answer, text):
    check_equal((answer.status, answer.json["errors"][0]), (404, text), answer)


def check_used(ask, company, answer):
    """The key of an ask with another body."""
    check_equal((answer.status, answer.json["errors"][0]), (422, KEY_USED), "company", company.id, ask)
