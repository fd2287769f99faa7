"""What companies were at their revisions, as far as that is known for certain, and questions about it:
checks and explanations as of a revision, of a time and of now, page by page, also with cursors that
are older than the server."""

import itertools
from datetime import timedelta, timezone

from asks import EARSHOT, CheckAsk, check_not_found, decode_check, decode_page
from harness import check, check_equal
from model import WAYS, parse_time
from world import CALLS, COMPANIES, UNKNOWN_CALL, UNKNOWN_USER, USERS, key_of

ALL_PAIRS = list(itertools.product([*CALLS, UNKNOWN_CALL], [*USERS, UNKNOWN_USER]))
CURSORS_KEPT_MAX = 20
CLOCK_SECONDS = 0.005  # by which two clocks of one machine may differ


class Past:
    def __init__(self, rng):
        self.random = rng
        self.states = {company: {} for company in COMPANIES}  # {revision: Company}
        self.sent = {company: {} for company in COMPANIES}  # {revision: (earliest, latest)}
        self.times = {company: {} for company in COMPANIES}  # {revision: as the server says}
        self.cursors = []  # (company, kind, target, cursor, what is still to come)
        self.asked = 0

    # --- What is known

    def note(self, company, revision):
        """The company has come to this revision, and is what it is now."""
        self.states[company.id][revision] = company.snapshot()

    def follow(self, before, changes, is_whole):
        """Changes of a company that was `before`: (revision, ask, earliest, latest). Where some may be
        missing, nothing is known from the first gap on."""
        state = before.snapshot()
        expected = None
        for revision, ask, earliest, latest in sorted(changes, key=lambda change: change[0]):
            if not is_whole and expected not in (None, revision):
                return
            expected = revision + 1
            check(revision not in self.states[state.id], "revision", revision, "was another one's")
            ask.carry_out(state)
            self.states[state.id][revision] = state.snapshot()
            self.sent[state.id][revision] = earliest, latest

    # --- Questions

    def ask(self, server, company_id):
        """At a moment that is known, all pairs, and some calls and users."""
        client = server.client(*key_of(company_id))
        try:
            query, state = self.choose(client, company_id)
            if state is None:
                return
            as_of = self.check_pairs(client, query, state)
            for call in self.random.sample([*CALLS, UNKNOWN_CALL], 2):
                target = f"{EARSHOT}/calls/{call}/access?limit={self.random.randint(1, 6)}{query}"
                if call not in state.calls:
                    check_not_found(get(client, target), f"Call ID {call} was not found")
                else:
                    who = lambda time, call=call: heard(state, [call], USERS, time, key=1)
                    self.turn_pages(client, company_id, "users", target, as_of, who)
            for user in self.random.sample([*USERS, UNKNOWN_USER], 2):
                self.ask_user(client, company_id, user, query, state, as_of)
            self.asked += 1
        finally:
            client.close()

    def choose(self, client, company_id):
        """A moment, as a query, and the company then; None where that is not known."""
        states = self.states[company_id]
        revision = self.random.choice(list(states))
        roll = self.random.random()
        if roll < 0.2:
            return "", states[max(states)]
        time = self.time_of(client, company_id, revision)
        if roll < 0.6:
            return f"&revision={revision}", states[revision]
        latest = self.time_of(client, company_id, max(states))
        span = (latest - time) // timedelta(microseconds=1)
        time += timedelta(microseconds=self.random.randint(0, max(0, span)))
        found = client.connection.request(
            "POST", f"{EARSHOT}/access/check?at={text_of(time)}",
            CheckAsk([(1, 1)]).body, client.authorization,
        )
        check_equal(found.status, 200, found)
        revision = found.json["revision"]
        check_equal(parse_time(found.json["at"]), time, "at")
        check(self.time_of(client, company_id, revision) <= time, revision, "is later than", time)
        if revision < max(states):
            after = self.time_of(client, company_id, revision + 1)
            check(time < after, "revision", revision + 1, "is not later than", time)
        return f"&at={text_of(time)}", states.get(revision)

    def time_of(self, client, company_id, revision):
        times = self.times[company_id]
        if revision not in times:
            answer = client.connection.request(
                "POST", f"{EARSHOT}/access/check?revision={revision}",
                CheckAsk([(1, 1)]).body, client.authorization,
            )
            check_equal(answer.status, 200, answer)
            times[revision] = time = parse_time(answer.json["at"])
            earliest, latest = self.sent[company_id].get(revision, (0, float("inf")))
            check(
                earliest - CLOCK_SECONDS <= time.timestamp() <= latest + CLOCK_SECONDS,
                "revision", revision, "is of", time, "but was asked for from", earliest, "to", latest,
            )
            for other in times:
                check((other < revision) <= (times[other] <= time), other, "and", revision, times)
        return times[revision]

    def check_pairs(self, client, query, state):
        """(revision, time) of the answer, which must be what the state says."""
        ask = CheckAsk(ALL_PAIRS, query.replace("&", "?", 1))
        answer = client.connection.request(
            ask.method, ask.target, ask.body, client.authorization
        )
        told = decode_check(answer)
        as_of = answer.json["revision"], parse_time(answer.json["at"])
        ask.judge_at(state, told, as_of[1])
        return as_of

    def ask_user(self, client, company_id, user, query, state, as_of):
        ways = self.random.sample(WAYS, self.random.randint(1, len(WAYS)))
        narrowed = "".join(f"&way={way}" for way in ways) if len(ways) < len(WAYS) else ""
        limit = self.random.randint(1, 6)
        target = f"{EARSHOT}/users/{user}/access?limit={limit}{narrowed}{query}"
        if user not in state.users:
            check_not_found(get(client, target), f"User ID {user} was not found")
            return
        calls = lambda time: {
            call: by
            for call, by in heard(state, CALLS, [user], time, key=0).items()
            if set(by) & set(ways)
        }
        self.turn_pages(client, company_id, "calls", target, as_of, calls)

    def turn_pages(self, client, company_id, kind, target, as_of, wanted_at, cursor=None):
        """All pages; or only some, and the rest another time. The first page of what is so now has a
        time of its own, which the others share."""
        is_of_now = cursor is None and "&at=" not in target and "&revision=" not in target
        wanted = None if is_of_now else wanted_at(as_of[1])
        found = {}
        while True:
            more = f"&cursor={cursor}" if cursor else ""
            told, page_as_of, cursor = decode_page(get(client, target + more), kind)
            if wanted is None:
                check(page_as_of[1] >= as_of[1], page_as_of, "is before", as_of)
                as_of = as_of[0], page_as_of[1]
                wanted = wanted_at(as_of[1])
            check_equal(page_as_of, as_of, "as of, in a page of", target)
            check(not found or not told or max(found) < min(told), "pages overlap:", target)
            found.update(told)
            if cursor is None:
                check_equal(found, wanted, "company", company_id, target)
                return
            if self.random.random() < 0.1 and len(self.cursors) < CURSORS_KEPT_MAX:
                left = {one: wanted[one] for one in wanted if one not in found}
                check_equal(found, {one: wanted[one] for one in found if one in wanted}, target)
                self.cursors.append((company_id, kind, target, as_of, left, cursor))
                return

    def take_up_cursors(self, server):
        """Goes on where pages were left, whatever has happened since."""
        cursors, self.cursors = self.cursors, []
        for company_id, kind, target, as_of, left, cursor in cursors:
            client = server.client(*key_of(company_id))
            self.turn_pages(client, company_id, kind, target, as_of, lambda _, left=left: left, cursor)
            client.close()
            other = next(one for one in COMPANIES if one != company_id)
            client = server.client(*key_of(other))
            answer = get(client, f"{target}&cursor={cursor}")
            check_equal((answer.status, answer.json["errors"][0]), (400, "Bad request"), "foreign")
            client.close()


def heard(state, calls, users, time, key):
    """{call (key 0) or user (key 1): ways} of those of these pairs that have access."""
    found = {}
    for pair in itertools.product(calls, users):
        told = state.tell(*pair, time)
        if told["allowed"]:
            found[pair[key]] = told["ways"]
    return found


def get(client, target):
    return client.connection.request("GET", target, None, client.authorization)


def text_of(time):
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
