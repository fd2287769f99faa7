"""What Earshot must hold and answer, written a second time and in the plainest way: companies as
dictionaries, the rules of access as sentences. Shares no code with the program; the suites compare
the two."""

import copy
import json
from datetime import datetime, timezone

WAYS = ["individual", "shared", "participant", "profile"]  # as answers order them
KINDS = ["company", "key", "workspace", "profile", "user", "call", "share", "grant"]
PARSE_ERROR = "Json parse error, verify Json format matches the API description."


class BadRecord(Exception):
    pass


class Grant:
    def __init__(self, expires_at=None, note=""):
        self.expires_at = expires_at  # text, as given
        self.note = note

    def is_live(self, now):
        return self.expires_at is None or parse_time(self.expires_at) > now

    def terms(self):
        """What answers say of it."""
        told = {"expiresAt": moment(self.expires_at), "note": self.note}
        return {name: value for name, value in told.items() if value}

    def __eq__(self, other):
        return isinstance(other, Grant) and self.terms() == other.terms()

    def __repr__(self):
        return f"Grant({self.expires_at!r}, {self.note!r})"


def parse_time(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def utc_now():
    return datetime.now(timezone.utc)


class Company:
    def __init__(self, company_id, name):
        self.id = company_id
        self.name = name
        self.keys = {}
        self.workspaces = {}
        self.profiles = {}
        self.users = {}
        self.calls = {}
        self.shares = {}  # call -> set of users
        self.grants = {}  # call -> {user: Grant}

    def snapshot(self):
        """The company as it is now, whatever becomes of this one."""
        copied = copy.copy(self)
        for name in ("keys", "workspaces", "profiles", "users", "calls"):
            setattr(copied, name, dict(getattr(self, name)))
        # Lists at once, since threads may add calls meanwhile.
        copied.shares = {call: set(users) for call, users in list(self.shares.items())}
        copied.grants = {call: dict(grants) for call, grants in list(self.grants.items())}
        return copied

    # --- the rules of access

    def managers_of(self, user):
        """The user and all above, in order, through users that exist, each once."""
        chain = []
        while user in self.users and user not in chain:
            chain.append(user)
            user = self.users[user]["managerId"]
        return chain

    def stands_under(self, user, leader):
        return leader in self.managers_of(user)

    def participants(self, call):
        record = self.calls[call]
        return {
            user for user in [record["primaryUserId"], *record["partyUserIds"]] if user is not None
        }

    def profile_in(self, user, workspace):
        if workspace not in self.workspaces:
            return None
        for profile in self.users[user]["profileIds"]:
            if profile in self.profiles and self.profiles[profile]["workspaceId"] == workspace:
                return self.profiles[profile]
        return None

    def profile_covers(self, profile, call, user):
        level = profile["permissionLevel"]
        people = self.participants(call)
        if level == "all":
            return True
        if level == "own":
            return user in people
        if level == "none":
            return False
        leaders = self.leaders(profile, user)
        return any(self.stands_under(person, leader) for person in people for leader in leaders)

    def leaders(self, profile, user):
        """Under one of whom somebody of a call has to stand."""
        if profile["teamLeadIds"]:
            return profile["teamLeadIds"]
        if profile["permissionLevel"] == "report-to-them":
            return [user]
        return [self.users[user]["managerId"]]

    def ways(self, call, user, now):
        """Every way by which the user hears the call, judged as if active."""
        ways = set()
        if user in self.participants(call):
            ways.add("participant")
        if user in self.shares.get(call, ()):
            ways.add("shared")
        record = self.calls[call]
        profile = self.profile_in(user, record["workspaceId"])
        if profile and not record["isPrivate"] and self.profile_covers(profile, call, user):
            ways.add("profile")
        grant = self.grants.get(call, {}).get(user)
        if grant and grant.is_live(now):
            ways.add("individual")
        return ways

    # --- what is told of a pair, of a call and of a user

    def tell(self, call, user, now):
        """As a check answers one pair: {"allowed", "ways": {name: what is said of it}, "reason" and
        what goes with it}."""
        if call not in self.calls:
            return refusal("unknown call")
        if user not in self.users:
            return refusal("unknown user")
        ways = self.ways(call, user, now)
        grant = self.grants.get(call, {}).get(user)
        ended = {} if not grant or grant.is_live(now) else {"expiredAt": moment(grant.expires_at)}
        profile = self.profile_of(call, user)
        if self.calls[call]["isPrivate"] or self.calls[call]["workspaceId"] not in self.workspaces:
            profile = None
        about = {}
        if profile and "profile" not in ways:
            about["profile"] = self.tell_profile(profile)
        if not self.users[user]["active"]:
            return refusal("user inactive", waysIfActive=in_order(ways), **ended, **about)
        if ways:
            told = {way: {} for way in in_order(ways)}
            if "individual" in ways:
                told["individual"] = grant.terms()
            if "profile" in ways:
                told["profile"] = {
                    "profileId": profile["id"],
                    "permissionLevel": profile["permissionLevel"],
                    "chain": self.way_up(call, user),
                }
            return {"allowed": True, "ways": told}
        if ended:
            return refusal("grant expired", **ended, **about)
        if self.calls[call]["isPrivate"]:
            return refusal("call is private")
        if self.calls[call]["workspaceId"] not in self.workspaces:
            return refusal("unknown workspace")
        if not profile:
            return refusal("no profile in this workspace")
        return refusal(self.why_not_covered(profile, user), **about)

    @staticmethod
    def tell_profile(profile):
        told = {"profileId": profile["id"], "permissionLevel": profile["permissionLevel"]}
        if profile["teamLeadIds"] and told["permissionLevel"] in ("report-to-them", "managers-team"):
            told["teamLeadIds"] = sorted(set(profile["teamLeadIds"]))
        return told

    def why_not_covered(self, profile, user):
        level = profile["permissionLevel"]
        if level == "none":
            return "profile gives no calls"
        if level == "own":
            return "not a participant"
        if profile["teamLeadIds"]:
            return "no participant reports to a team lead"
        if level == "report-to-them":
            return "no participant reports to the user"
        if self.users[user]["managerId"] not in self.users:
            return "user has no manager"
        return "no participant reports to the user's manager"

    def profile_of(self, call, user):
        return self.profile_in(user, self.calls[call]["workspaceId"])

    def way_up(self, call, user):
        """What makes the user's profile cover the call: from the participant with the lowest id who
        stands under somebody that the profile wants, upwards to the first of those."""
        profile = self.profile_of(call, user)
        if profile["permissionLevel"] == "all":
            return []
        if profile["permissionLevel"] == "own":
            return [user]
        leaders = self.leaders(profile, user)
        for person in sorted(self.participants(call)):
            chain = self.managers_of(person)
            reached = [place for place, one in enumerate(chain) if one in leaders]
            if reached:
                return chain[: reached[0] + 1]
        return None

    def who_hears(self, call, now):
        """{user: what a check tells}, users ascending: everyone who may hear the call."""
        told = {user: self.tell(call, user, now) for user in sorted(self.users)}
        return {user: one["ways"] for user, one in told.items() if one["allowed"]}

    def what_is_heard(self, user, ways, now):
        """{call: …}, calls ascending: those that the user hears by one of the ways at least."""
        told = {call: self.tell(call, user, now) for call in sorted(self.calls)}
        return {
            call: one["ways"]
            for call, one in told.items()
            if one["allowed"] and set(one["ways"]) & set(ways)
        }

    # --- giving and taking with results; each pair is judged on the company as it was

    def give_pairs(self, pairs, now):
        """pairs: [(call, user, Grant)]; gives [{"result", …}] in the same order."""
        before = [self.judge_pair(call, user, now) for call, user, _ in pairs]
        results = []
        for (call, user, grant), (result, live, ways) in zip(pairs, before):
            if result:
                results.append({"result": result})
            elif not live and ways:
                results.append({"result": f"no effect: {in_order(ways)[0]}", "ways": in_order(ways)})
            else:
                result = "given" if not live else "already" if live == grant else "changed"
                self.grants.setdefault(call, {})[user] = grant
                results.append({"result": result, **grant.terms()})
        return results

    def remove_pairs(self, pairs, now):
        """pairs: [(call, user)]"""
        before = [self.judge_pair(call, user, now) for call, user in pairs]
        results = []
        for (call, user), (result, live, _) in zip(pairs, before):
            if not result:
                result = "removed" if live else "not found"
                if live:
                    self.grants[call].pop(user, None)
            results.append({"result": result})
        return results

    def judge_pair(self, call, user, now):
        """(why it is none, its live grant, the ways that hold)"""
        if call not in self.calls:
            return "unknown call", None, set()
        if user not in self.users:
            return "unknown user", None, set()
        grant = self.grants.get(call, {}).get(user)
        live = grant if grant and grant.is_live(now) else None
        return None, live, self.ways(call, user, now)

    def live_pairs(self, now, call=None, user=None):
        """[(call, user)] with a live grant: of one call or of one user."""
        return [
            (one, other)
            for one, grants in sorted(self.grants.items())
            for other, grant in sorted(grants.items())
            if (call is None or one == call)
            and (user is None or other == user)
            and grant.is_live(now)
        ]

    def calls_with_expired(self, now):
        """Where something is to be swept, or may have been."""
        return {
            call
            for call, grants in self.grants.items()
            if any(not grant.is_live(now) for grant in grants.values())
        }

    def without_expired(self, now):
        """The same company when what has expired is swept."""
        swept = self.snapshot()
        for grants in swept.grants.values():
            for user in [user for user, grant in grants.items() if not grant.is_live(now)]:
                del grants[user]
        return swept

    # --- the three operations; pairs is [(call, [user, …]), …] as a request names them

    def give(self, pairs, now=None):
        now = now or utc_now()
        unknown = distinct(call for call, _ in pairs if call not in self.calls)
        if unknown:
            return "Some calls not found", unknown
        unknown = distinct(user for _, users in pairs for user in users if user not in self.users)
        if unknown:
            return "Some users not found", unknown
        for call, users in pairs:
            for user in users:
                if not self.ways(call, user, now):
                    self.grants.setdefault(call, {})[user] = Grant()
        return None

    def remove(self, pairs, now=None):
        now = now or utc_now()
        unknown = distinct(call for call, _ in pairs if call not in self.calls)
        if unknown:
            return "Some calls not found", unknown
        for call, users in pairs:
            grants = self.grants.get(call, {})
            for user in users:
                if user in grants and grants[user].is_live(now):
                    del grants[user]
        return None

    def read(self, calls, now=None):
        """{call: users ascending}, in the order asked."""
        now = now or utc_now()
        return {
            call: sorted(
                user for user, grant in self.grants.get(call, {}).items() if grant.is_live(now)
            )
            for call in calls
        }

    # --- taking things away

    def remove_user(self, user):
        self.users.pop(user, None)
        for shared in self.shares.values():
            shared.discard(user)
        for grants in self.grants.values():
            grants.pop(user, None)

    def remove_call(self, call):
        self.calls.pop(call, None)
        self.shares.pop(call, None)
        self.grants.pop(call, None)


class Model:
    def __init__(self):
        self.companies = {}

    def load(self, records):
        """Applies records in order; BadRecord leaves the model as far as it came."""
        current = None
        for record in records:
            if "companyId" in record and record["companyId"] is not None:
                company_id = int(record["companyId"])
            else:
                if current is None:
                    raise BadRecord("no company")
                company_id = current
            if record["kind"] == "company":
                current = company_id
            self.apply(company_id, record)

    def apply(self, company_id, record):
        kind = record["kind"]
        remove = bool(record.get("remove"))
        if kind == "company":
            if remove:
                self.companies.pop(company_id, None)
            elif company_id in self.companies:
                self.companies[company_id].name = record.get("name") or ""
            else:
                self.companies[company_id] = Company(company_id, record.get("name") or "")
            return
        if company_id not in self.companies:
            if remove:
                return
            raise BadRecord("unknown company")
        getattr(self, f"apply_{kind}")(self.companies[company_id], record, remove)

    def apply_key(self, company, record, remove):
        name = record["accessKey"]
        owner = next((other for other in self.companies.values() if name in other.keys), None)
        if owner is not None and owner is not company:
            raise BadRecord("another company's access key")
        if remove:
            company.keys.pop(name, None)
        else:
            company.keys[name] = {
                "scopes": set(record["scopes"]),
                "expiresAt": record.get("expiresAt"),
            }

    def apply_workspace(self, company, record, remove):
        put(company.workspaces, int(record["workspaceId"]), remove, record.get("name") or "")

    def apply_profile(self, company, record, remove):
        access = record.get("callsAccess") or {}
        put(
            company.profiles,
            int(record["profileId"]),
            remove,
            {
                "id": int(record["profileId"]),
                "workspaceId": number(record.get("workspaceId")),
                "name": record.get("name") or "",
                "permissionLevel": access.get("permissionLevel") or "none",
                "teamLeadIds": [int(user) for user in access.get("teamLeadIds") or []],
            },
        )

    def apply_user(self, company, record, remove):
        user = int(record["userId"])
        if remove:
            company.remove_user(user)
            return
        company.users[user] = {
            "emailAddress": record.get("emailAddress") or "",
            "firstName": record.get("firstName") or "",
            "lastName": record.get("lastName") or "",
            "managerId": number(record.get("managerId")),
            "active": True if record.get("active") is None else record["active"],
            "profileIds": [int(profile) for profile in record.get("profileIds") or []],
        }

    def apply_call(self, company, record, remove):
        call = int(record["callId"])
        if remove:
            company.remove_call(call)
            return
        company.calls[call] = {
            "workspaceId": number(record.get("workspaceId")),
            "title": record.get("title") or "",
            "started": record.get("started") or "",
            "primaryUserId": number(record.get("primaryUserId")),
            "partyUserIds": [int(user) for user in record.get("partyUserIds") or []],
            "isPrivate": bool(record.get("isPrivate")),
        }

    def apply_share(self, company, record, remove):
        call, user = self.pair_of(company, record, remove)
        if remove:
            company.shares.get(call, set()).discard(user)
        else:
            company.shares.setdefault(call, set()).add(user)

    def apply_grant(self, company, record, remove):
        call, user = self.pair_of(company, record, remove)
        if remove:
            company.grants.get(call, {}).pop(user, None)
        else:
            grant = Grant(record.get("expiresAt"), record.get("note") or "")
            company.grants.setdefault(call, {})[user] = grant

    def pair_of(self, company, record, remove):
        call, user = int(record["callId"]), int(record["userId"])
        if not remove and (call not in company.calls or user not in company.users):
            raise BadRecord("unknown call or user")
        return call, user

    def facts(self):
        """All that a dump must tell, as a set of tuples; secrets aside."""
        facts = set()
        for company in self.companies.values():
            facts.update(company_facts(company))
        return facts


def company_facts(company):
    here = company.id
    yield (here, "company", company.name)
    for name, key in company.keys.items():
        yield (here, "key", name, frozenset(key["scopes"]), moment(key["expiresAt"]))
    for workspace, name in company.workspaces.items():
        yield (here, "workspace", workspace, name)
    for profile, record in company.profiles.items():
        yield (here, "profile", profile, freeze(record))
    for user, record in company.users.items():
        yield (here, "user", user, freeze(record))
    for call, record in company.calls.items():
        yield (here, "call", call, freeze(record))
    for call, users in company.shares.items():
        for user in users:
            yield (here, "share", call, user)
    for call, grants in company.grants.items():
        for user, grant in grants.items():
            yield (here, "grant", call, user, moment(grant.expires_at), grant.note)


def refusal(reason, **more):
    return {"allowed": False, "ways": {}, "reason": reason, **more}


def in_order(ways):
    return [way for way in WAYS if way in ways]


def lasting(facts):
    """Without grants that have expired: a store that is served sweeps them some time."""
    now = utc_now()
    return {fact for fact in facts if fact[1] != "grant" or not fact[4] or fact[4] > now}


def freeze(record):
    def value_of(name):
        value = record[name]
        if name in ("partyUserIds", "teamLeadIds"):
            return frozenset(value)  # sets: only of profileIds the order means something
        return tuple(value) if isinstance(value, list) else value

    return tuple((name, value_of(name)) for name in sorted(record))


def moment(text):
    return parse_time(text) if text else None


def put(things, thing, remove, value):
    if remove:
        things.pop(thing, None)
    else:
        things[thing] = value


def number(text):
    return None if text is None else int(text)


def distinct(values):
    return list(dict.fromkeys(values))


def records_of(text):
    """The records of NDJSON text."""
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def ndjson(records):
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)


def facts_of_dump(text):
    model = Model()
    model.load(records_of(text))
    return model.facts()
