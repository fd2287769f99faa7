"""The record of changes as its readers see it: pages and streams of one company, whether they go on
where they ended, and what comes of applying them one after the other."""

import json
import re
import threading
import time
import urllib.parse
from collections import namedtuple

from harness import Failure, check, check_equal
from http11 import Closed, Connection, build, is_chunked
from model import Model, parse_time

CHANGES = "/earshot/v1/changes"
HEAD = f"{CHANGES}/head"
AUDIT_READ = "earshot:audit:read"
HASH = re.compile(r"[0-9a-f]{64}")
OPERATIONS = ("give", "remove", "records", "sweep")
WITH_BEFORE = ("call", "share", "grant")
OF_REVISION = ("operation", "requestId", "accessKey", "directoryRevision")
LIMIT_MAX = 1000


def text_of(position):
    revision, changes = position
    return str(revision) if changes is None else f"{revision}.{changes}"


def position_of(text):
    check(re.fullmatch(r"0|[1-9][0-9]{0,18}(\.[1-9][0-9]{0,9})?", text), "no position:", text[:99])
    revision, _, changes = text.partition(".")
    return int(revision), int(changes) if changes else None


class Reader:
    """What a reader has seen who asked for all changes behind a position: nothing twice, nothing
    left out, or a Failure."""

    def __init__(self, after="0"):
        self.at = position_of(after)
        self.revisions = {}  # {revision: as it was told, its pieces joined}
        self.came_at = {}  # {revision: when all of it was here, of time.time()}

    @property
    def position(self):
        return text_of(self.at)

    @property
    def revision(self):
        """Seen to its end."""
        return self.at[0] if self.at[1] is None else self.at[0] - 1

    def take(self, piece):
        """A revision, or the part of one that comes next."""
        revision, seen = (self.at[0] + 1, 0) if self.at[1] is None else self.at
        where = f"after {self.position}"
        check_equal(piece["revision"], revision, where, "revision")
        numbers = [change["n"] for change in piece["changes"]]
        check(numbers, where, "comes a revision without changes:", piece)
        check_equal(numbers, list(range(seen, seen + len(numbers))), where, "numbers of changes")
        for change in piece["changes"]:
            is_told = change["record"]["kind"] in WITH_BEFORE
            check_equal("before" in change, is_told, "before in", change)
        check(piece["operation"] in OPERATIONS, piece["operation"])
        whole = self.revisions.setdefault(revision, {**piece, "changes": []})
        for name in OF_REVISION:
            check_equal(piece[name], whole[name], where, name, "of the parts of a revision")
        before = self.revisions.get(revision - 1)
        if before:
            times = parse_time(before["time"]), parse_time(piece["time"])
            check(times[0] <= times[1], where, "time goes back:", before["time"], piece["time"])
        check(whole["time"] <= piece["time"], where, "time goes back in", revision)
        whole["time"] = piece["time"]  # the last part has the last word
        whole["changes"] += piece["changes"]
        check_equal("hash" in piece, piece["complete"], where, "hash in", piece["revision"])
        if not piece["complete"]:
            self.at = revision, seen + len(numbers)
            return
        check(HASH.fullmatch(piece["hash"]), where, "hash", piece["hash"])
        whole.update(complete=True, hash=piece["hash"])
        self.at = revision, None
        self.came_at[revision] = time.time()

    def take_page(self, answer, limit):
        """The page; it was asked for behind `position`."""
        check_equal(answer.status, 200, "after", self.position, answer)
        page = answer.json
        check_equal(answer.field("x-earshot-revision"), str(page["revision"]), "the head")
        count = sum(len(one["changes"]) for one in page["revisions"])
        check(count <= limit, count, "changes where the limit is", limit)
        for piece in page["revisions"]:
            self.take(piece)
        check_equal(page["next"], self.position, "next")
        check_equal(page["atEnd"], self.at == (page["revision"], None), "atEnd at", self.position)
        check(page["revisions"] or page["atEnd"], "an empty page before the end", page)
        return page

    def take_event(self, event):
        check_equal(event.name, "revision", "event", event)
        self.take(event.data)
        check_equal(event.id, self.position, "the event's id")


def target_of(after=None, **parameters):
    if after is not None:
        parameters["after"] = after
    return f"{CHANGES}?{urllib.parse.urlencode(parameters)}" if parameters else CHANGES


def ask(client, after=None, **parameters):
    return client.connection.request(
        "GET", target_of(after, **parameters), None, client.authorization
    )


def read_all(client, rng, reader=None):
    """Page after page to the end, with limits of all sizes; the reader."""
    reader = reader or Reader()
    while True:
        limit = rng.choice([1, 2, 3, 7, 30, 100, LIMIT_MAX])
        if reader.take_page(ask(client, reader.position, limit=limit), limit)["atEnd"]:
            return reader


def read_head(client):
    answer = client.connection.request("GET", HEAD, None, client.authorization)
    check_equal(answer.status, 200, "head", answer)
    return answer.json


Event = namedtuple("Event", "id name data")
# What is no event of a stream's own: a line that only keeps it alive, and its end.
HEARTBEAT = Event(None, "heartbeat", None)
OVER = Event(None, "over", None)


class Refused(Exception):
    """Instead of a stream came another answer."""

    def __init__(self, answer):
        super().__init__(repr(answer))
        self.answer = answer


class Stream:
    """An open text/event-stream, read as it comes."""

    def __init__(
        self, address, authorization, after=None, last_event_id=None, timeout=20, **parameters
    ):
        self.connection = Connection(address, timeout)
        self.connection.send(stream_request(authorization, after, last_event_id, **parameters))
        head = self.connection.receive_head()
        if head.status != 200:
            head.body = self.connection.receive_body(head)
            self.close()
            raise Refused(head)
        check(is_chunked(head), "a stream that is not in chunks:", head)
        kind = (head.field("content-type") or "").split(";")[0]
        check_equal(kind, "text/event-stream", "content-type")
        self.text = ""
        self.retry = None
        self.last_id = None

    def close(self):
        self.connection.close()

    def next(self, seconds=20):
        """The next event or heartbeat; OVER where the server has ended the stream. TimeoutError
        where nothing comes in that time."""
        self.connection.socket.settimeout(seconds)
        while True:
            event = self._parse()
            if event:
                return event
            try:
                piece = self.connection.next_chunk()
            except (Closed, ConnectionError):
                piece = b""
            if not piece:
                return OVER
            self.text += piece.decode()

    def _parse(self):
        """One block of lines, as the HTML standard has them."""
        while "\n\n" in self.text:
            block, self.text = self.text.split("\n\n", 1)
            fields = {}
            for line in block.split("\n"):
                name, colon, value = line.partition(":")
                check(colon, "a line of a stream without a colon:", line)
                check(name not in fields, "a field twice:", block)
                fields[name] = value.removeprefix(" ")
            self.retry = fields.pop("retry", self.retry)
            if "" in fields and set(fields) <= {"", "id"}:
                self.last_id = fields.get("id", self.last_id)
                return HEARTBEAT
            if fields:
                check(set(fields) <= {"id", "event", "data"}, "fields of an event:", block)
                self.last_id = fields.get("id", self.last_id)
                return Event(fields.get("id"), fields["event"], json.loads(fields["data"]))
        return None

    def next_event(self, seconds=20):
        """The next that is no heartbeat."""
        deadline = time.monotonic() + seconds
        while (event := self.next(max(0.01, deadline - time.monotonic()))) == HEARTBEAT:
            pass
        return event


def stream_request(authorization, after=None, last_event_id=None, **parameters):
    fields = ["Accept: text/event-stream"]
    if last_event_id is not None:
        fields.append(f"Last-Event-ID: {last_event_id}")
    return build("GET", target_of(after, **parameters), None, authorization, fields)


class Follower:
    """Reads one company's changes as they come, in a thread, until stop(): by a stream that it
    drops now and again and takes up where it was, or by pages that wait. Goes to another server
    where one does not serve it; `addresses` may be changed meanwhile."""

    def __init__(self, addresses, authorization, rng, by_pages=False, drop_share=0.0, after="0"):
        self.addresses = addresses
        self.authorization = authorization
        self.random = rng
        self.by_pages = by_pages
        self.drop_share = drop_share
        self.reader = Reader(after)
        self.connected = 0
        self.turned_away = []  # what came instead of changes
        self.error = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.over.is_set():
                try:
                    self._connect()
                    self.over.wait(0.01)
                except (OSError, Closed):
                    self.over.wait(0.05)
                except Refused as refused:
                    self._turn_away(refused.answer)
        except Exception as error:
            self.error = error

    def _turn_away(self, answer):
        check_equal(answer.status, 503, "turned away", answer)
        self.turned_away.append(answer)
        self.over.wait(0.2)

    def _connect(self):
        address = self.random.choice(self.addresses)
        self.connected += 1
        if self.by_pages:
            self._ask_pages(address)
        else:
            self._listen(address)

    def _ask_pages(self, address):
        connection = Connection(address, timeout=10)
        try:
            while not self.over.is_set() and self.random.random() >= self.drop_share:
                target = target_of(self.reader.position, wait=1, limit=LIMIT_MAX)
                answer = connection.request("GET", target, None, self.authorization)
                if answer.status == 503:
                    raise Refused(answer)
                self.reader.take_page(answer, LIMIT_MAX)
        finally:
            connection.close()

    def _listen(self, address):
        where = {"last_event_id": self.reader.position}
        if self.random.random() < 0.5:
            where = {"after": self.reader.position}
        stream = Stream(address, self.authorization, timeout=10, **where)
        try:
            while not self.over.is_set() and self.random.random() >= self.drop_share:
                try:
                    event = stream.next(0.25)
                except TimeoutError:
                    continue
                if event == OVER:
                    return
                if event.name == "end":
                    check(event.data["reason"] in ("draining", "unavailable", "slow"), event)
                    check_equal(event.data["after"], self.reader.position, "the end's position")
                    return
                if event != HEARTBEAT:
                    self.reader.take_event(event)
        finally:
            stream.close()

    def wait_for(self, revision, seconds=10):
        """Until all changes up to that revision are here."""
        deadline = time.monotonic() + seconds
        while self.reader.revision < revision and not self.error:
            here = self.reader.position
            check(time.monotonic() < deadline, "changes came up to", here, "not", revision)
            time.sleep(0.005)
        if self.error:
            raise self.error

    def stop(self):
        self.over.set()
        self.thread.join(20)
        check(not self.thread.is_alive(), "a follower does not end")
        if self.error:
            raise self.error
        return self.reader


# --- What the changes come to


def key_of_record(record):
    return (record["kind"], *(record.get(name) for name in ("callId", "userId")))


class Replay:
    """Applies the changes of one company to nothing, in their order, and has `before` and
    `deadSince` say what is known from the changes before."""

    def __init__(self):
        self.model = Model()
        self.company_id = None
        self.lines = []  # as `earshot load` takes them
        self.there = {}  # {key: record} of calls, shares and grants
        self.dead = {}  # {key: (record, revision)} of shares and grants whose user or call went

    def apply(self, revision):
        for change in revision["changes"]:
            record = change["record"]
            self.lines.append(record)
            if record["kind"] == "company":
                self.company_id = int(record["companyId"])
            else:
                check("companyId" not in record, "a line that names its company:", record)
            self.model.apply(self.company_id, record)
            if record["kind"] in WITH_BEFORE:
                self.check_before(revision["revision"], change)
            self.follow(revision["revision"], record)

    def check_before(self, revision, change):
        key = key_of_record(change["record"])
        where = f"revision {revision}, change {change['n']}: {change['record']}"
        record, since = self.dead.get(key, (None, None))
        is_told = "deadSince" in change
        # What goes with its user or call may be told in the same revision, as a removal.
        if record and (is_told or (since == revision and change["record"].get("remove"))):
            check_equal(change.get("deadSince", since), since, "deadSince,", where)
            check_equal(change["before"], record, "before of what was dead,", where)
            return
        check("deadSince" not in change, "deadSince of what was not dead,", where, change)
        check_equal(change["before"], self.there.get(key), "before,", where)

    def follow(self, revision, record):
        key = key_of_record(record)
        is_removal = bool(record.get("remove"))
        if record["kind"] in WITH_BEFORE:
            self.dead.pop(key, None)
            self.there.pop(key, None)
            if not is_removal:
                self.there[key] = record
        if is_removal and record["kind"] in ("company", "call", "user"):
            for other in [other for other in self.there if is_of(other, key)]:
                self.dead[other] = self.there.pop(other), revision

    def facts(self):
        return self.model.facts()


def is_of(key, removed):
    """Whether a call, share or grant goes with what is removed."""
    kind, call, user = removed
    if kind == "company":
        return True
    return key[0] != "call" and (key[1] == call if kind == "call" else key[2] == user)


def replay(reader, upto=None):
    """Of what a reader has seen from the first change on."""
    replayed = Replay()
    for revision in range(1, (reader.revision if upto is None else upto) + 1):
        replayed.apply(reader.revisions[revision])
    return replayed


def must_be_noticed(what, look):
    try:
        look()
    except Failure:
        return
    check(False, "not noticed:", what)
