"""Readers of the feed that stay: streams and pages that wait, and readers that drop, stall, lie
about where they were or lose their key."""

import contextlib
import signal
import threading
import time
import urllib.parse

from asks import EARSHOT
from feed import (
    CHANGES,
    HEARTBEAT,
    LIMIT_MAX,
    OVER,
    Follower,
    Reader,
    Refused,
    Stream,
    ask,
    position_of,
    read_all,
    read_head,
    stream_request,
    target_of,
    text_of,
)
from harness import Failure, check, check_equal, in_threads, suite, wait_until
from http11 import Closed, basic, check_ok
from model import ndjson
from server import Server
from suites.changes import written
from world import CALLS, SCOPES, key_of

tests, test = suite()

KEY = basic(*key_of(1))
READERS = 40
STALLED = 16
LARGE = 2518  # changes of the first revision that written() leaves
# Of the last event or heartbeat before the server must have looked at a key again.
HEARTBEAT_SECONDS = 15
SOON_SECONDS = 1.0


def write_on(client, count, pause=0.0):
    for number in range(count):
        method = "PUT" if number % 2 == 0 else "DELETE"
        check_ok(client.change(method, {CALLS[number % 5]: [1, 2, 3]}))
        time.sleep(pause)


def load_here(env, *records):
    """Applies records to company 1, beside the server."""
    lines = [{**record, "companyId": "1"} for record in records]
    env.command("load", env.write("here.ndjson", ndjson(lines)), "--store", env.store())


def make_key(client, **asked):
    body = {"scopes": SCOPES, **asked}
    answer = client.connection.request("POST", f"{EARSHOT}/keys", body, client.authorization)
    key = check_ok(answer).json["key"]
    return key["accessKey"], basic(key["accessKey"], key["secret"])


def revoke(client, access_key):
    body = {"accessKey": access_key}
    check_ok(client.connection.request("DELETE", f"{EARSHOT}/keys", body, client.authorization))


# --- Going on where one was


@test("readers that drop and take up where they were see every change once", seconds=60)
def takes_up(env):
    server, client = written(env)
    followers = [
        Follower([server.address], KEY, env.random, by_pages=number % 5 == 4, drop_share=0.2)
        for number in range(READERS)
    ]
    write_on(client, 150, 0.005)
    told = read_all(client, env.random)
    for follower in followers:
        follower.wait_for(told.revision, 30)
        check_equal(follower.stop().revisions, told.revisions, "what a follower saw")
    connected = sum(follower.connected for follower in followers)
    check(connected > 5 * READERS, "hardly a reader dropped:", connected)
    client.close()
    server.stop()
    env.note(f"{READERS} readers, {connected} connections, {told.revision} revisions")


@test("a reader goes on at any position, also in the middle of a revision", seconds=60)
def goes_on_anywhere(env):
    server, client = written(env)
    told = read_all(client, env.random)
    check_equal(len(told.revisions[1]["changes"]), LARGE, "changes of the first revision")
    places = ["0", "1", "1.1", "1.999", "1.1000", "1.1001", f"1.{LARGE - 1}"]
    places += [f"1.{env.random.randint(1, LARGE - 1)}" for _ in range(20)]
    places += [str(env.random.randint(1, told.revision - 1)) for _ in range(10)]
    for place in places:
        check_rest(told, read_all(client, env.random, Reader(place)), place)
        for where in ({"after": place}, {"last_event_id": place, "after": "7"}):
            check_rest(told, read_stream(server, told.revision, place, where), place)
    client.close()
    server.stop()
    env.note(f"{len(places)} positions")


def read_stream(server, upto, place, where):
    reader = Reader(place)
    with contextlib.closing(Stream(server.address, KEY, **where)) as stream:
        while reader.revision < upto:
            reader.take_event(stream.next_event())
        check(stream.retry, "no retry was sent")
    return reader


def check_rest(told, reader, place):
    """What was seen from the place on is what was told behind it."""
    revision, seen = position_of(place)
    begun = {revision: told.revisions[revision]["changes"][seen:]} if seen else {}
    later = {number: one for number, one in told.revisions.items() if number > revision}
    expected = {number: one["changes"] for number, one in later.items()}
    found = {number: one["changes"] for number, one in reader.revisions.items()}
    check_equal(found, {**begun, **expected}, "behind", place)


# --- Who lies about where they were

NO_POSITIONS = [
    *("", "-1", "-1.5", "x", "1.", ".1", ".", "01", "1.0", "1.01", "00", "0.0", "0.1", "+1", "1,5"),
    *("1e3", "0x1", "1.5.2", "1 5", "1..5", "٣", "1.٣", "NaN", "null", "1;2", "1'--", "\u202e1"),
    *(str(2**63), str(2**64 - 1), str(2**64), "9" * 400, "1." + "9" * 400, f"1.{2**64 + 1}"),
]


@test("a reader that lies about its position is told so", seconds=60)
def lies_about_position(env):
    server, client = written(env)
    head = read_all(client, env.random).revision
    for place in NO_POSITIONS:
        check_refused(ask(client, place), place)
        if place:
            check_refused(ask_stream(client, place.encode().decode("latin-1")), place)
    for place in (str(head + 1), f"{head + 1}.1", "99999999.7"):
        for answer in (ask(client, place), ask_stream(client, place), ask(client, place, wait=5)):
            check_refused(answer, place)
            text = " ".join(answer.json["errors"])
            check(str(head) in text, "does not say where the record ends:", text)
    for place in (f"{head}.77", f"1.{LARGE + 1}", "5.4294967295", "5.4294967296"):
        answer = ask(client, place)
        check_equal(answer.status, 400, place, answer)
    client.close()
    server.stop()


def ask_stream(client, place):
    client.connection.send(stream_request(client.authorization, last_event_id=place))
    return client.connection.receive()


def check_refused(answer, place):
    check_equal(answer.status, 400, "position", repr(place), answer)
    check(answer.json["errors"], answer)


@test("thousands of random positions are refused or answered rightly", seconds=60)
def fuzzed_positions(env):
    server, client = written(env, changes=8)
    told = read_all(client, env.random)
    counts = {}
    client.close()
    for _ in range(60):
        places = [random_place(env.random, told.revision) for _ in range(50)]
        with contextlib.closing(server.client(*key_of(1))) as client:
            with contextlib.suppress(Closed, ConnectionError):
                for place in places:
                    status = ask_for(client, told, place, env.random)
                    counts[status] = counts.get(status, 0) + 1
    check(sum(counts.values()) > 1500, "hardly a position was asked for:", counts)
    check(counts[200] > 100 and counts[400] > 1000, "of one kind only:", counts)
    server.stop()
    env.note(", ".join(f"{count} answered {status}" for status, count in sorted(counts.items())))


def random_place(rng, head):
    """Bytes: a position, one with a part changed, or anything."""
    good = f"{rng.randint(0, head)}"
    if rng.random() < 0.5:
        good = f"1.{rng.randint(1, LARGE - 1)}"
    roll = rng.random()
    if roll < 0.2:
        return good.encode()
    if roll < 0.6:
        place = bytearray(good.encode())
        for _ in range(rng.randint(1, 3)):
            at = rng.randint(0, len(place))
            place[at : at + rng.randint(0, 1)] = rng.choice(
                [b"0", b".", b"-", b"9" * rng.choice([1, 10, 19, 20]), rng.randbytes(1), b"%", b" "]
            )
        return bytes(place)
    if roll < 0.9:
        return rng.randbytes(rng.choice([1, 2, 5, 20, 100]))
    return rng.choice([b"9", b"1.", "é漢😀".encode(), b"\0"]) * rng.choice([100, 1000, 5000])


def ask_for(client, told, place, rng):
    """The status of the answer, which has to be the right one."""
    if rng.random() < 0.3:
        return ask_header(client, place)
    target = f"{CHANGES}?limit=5&after={urllib.parse.quote_from_bytes(place)}"
    answer = client.connection.request("GET", target, None, client.authorization)
    if answer.status != 200:
        check(answer.status in (400, 414, 431), place[:100], answer)
        return answer.status
    reader = Reader(place.decode())
    reader.take_page(answer, 5)
    revision, seen = position_of(place.decode())
    for number, one in reader.revisions.items():
        begin = seen or 0 if number == revision else 0
        expected = told.revisions[number]["changes"][begin : begin + len(one["changes"])]
        check_equal(one["changes"], expected, "behind", place)
    return 200


def ask_header(client, place):
    """As the id of the last event. What is a position would open a stream, and is left out."""
    place = bytes(byte for byte in place if byte > 0x20 and byte != 0x7F) or b"x"
    with contextlib.suppress(Failure, UnicodeDecodeError):
        position_of(place.decode())
        return 0
    answer = ask_stream(client, place.decode("latin-1"))
    check(answer.status in (400, 414, 431), place, answer)
    return answer.status


# --- Who does not take what is sent


@test("readers that stall are cut off, cost bounded memory and hold nobody up", seconds=120)
def stalls(env):
    server, client = written(env, "--stream-stall", "2s")
    name = "x" * 120
    users = [{"kind": "user", "userId": str(user), "lastName": name} for user in range(1, 60_000)]
    load_here(env, *users)
    large = read_head(client)["revision"]
    follower = Follower([server.address], KEY, env.random)
    follower.wait_for(large, 30)
    before = server.status("VmRSS")
    stalled = [Stream(server.address, KEY, after="0") for _ in range(STALLED)]
    most = before
    end = time.monotonic() + 7
    while time.monotonic() < end:
        write_on(client, 2)
        most = max(most, server.status("VmRSS"))
        time.sleep(0.02)
    reasons = [cut_off(stream, large) for stream in stalled]
    last = read_head(client)["revision"]
    follower.wait_for(last)
    check_equal(follower.stop().revision, last, "a reader that keeps up")
    check(most - before < 64 << 20, "memory grew by", (most - before) >> 20, "MiB")
    client.close()
    server.stop()
    counts = {reason: reasons.count(reason) for reason in reasons}
    env.note(f"{counts}, memory grew by {(most - before) >> 20} MiB")


def cut_off(stream, large):
    """Why; reads what had been sent. What was sent is the front of the feed, and not all of it."""
    reader = Reader()
    with contextlib.closing(stream):
        while True:
            event = stream.next(30)
            if event == OVER:
                check(reader.revision < large, "was not cut off")
                return "closed"
            if event == HEARTBEAT:
                continue
            if event.name == "end":
                check_equal(event.data["reason"], "slow", event)
                check_equal(event.data["after"], reader.position, "where to go on")
                check_equal(stream.next(5), OVER, "after its end")
                return "slow"
            reader.take_event(event)


# --- Keys that end


@test("a key that is revoked while it reads is denied from then on", seconds=60)
def revoked_while_it_reads(env):
    server, client = written(env)
    servers = [server]
    if not env.is_embedded:
        servers.append(Server(env, "--drain-delay", "0"))
    for reading in servers:
        for end_it in (
            lambda name: revoke(client, name),
            lambda name: env.command("key", "revoke", name, "--store", env.store()),
            lambda name: load_here(
                env, {"kind": "key", "accessKey": name, "secret": "x" * 20, "scopes": SCOPES[:1]}
            ),
        ):
            access_key, key = make_key(client)
            place = str(read_all(client, env.random).revision)
            stream = Stream(reading.address, key, after=place)
            filtered = Stream(reading.address, key, after=place, callId=CALLS[0])
            poll = reading.connect()
            target = target_of(place, wait=30, userId=7)
            poll.send(stream_request(key).replace(CHANGES.encode(), target.encode(), 1)
                      .replace(b"text/event-stream", b"application/json"))
            time.sleep(0.1)
            end_it(access_key)
            ended = time.monotonic()
            for one in (stream, filtered):
                event = one.next_event()
                check_equal((event.name, event.data["reason"]), ("end", "denied"), event)
                check_equal(one.next_event(5), OVER, "after its end")
                one.close()
            check_equal(poll.receive().status, 401, "a page that waited")
            passed = time.monotonic() - ended
            check(passed < SOON_SECONDS, "denied after", round(passed, 2), "s")
            poll.close()
            with contextlib.suppress(Refused):
                Stream(reading.address, key)
                check(False, "a stream was opened with a revoked key")
    client.close()
    for one in servers:
        one.stop()


@test("what time brings: heartbeats, keys that run out, grants that are swept", seconds=90)
def time_passes(env):
    server, client = written(env)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    _, key = make_key(client, expiresAt=soon)
    grants = [{"callId": "101", "userId": "9", "expiresAt": soon}]
    check_ok(
        client.connection.request(
            "PUT", f"{EARSHOT}/grants", {"grants": grants}, client.authorization
        )
    )
    place = str(read_all(client, env.random).revision)
    ending = Stream(server.address, key, after=place)
    lasting = Stream(server.address, KEY, after=place)
    began = time.monotonic()

    def ends():
        event = ending.next_event(30)
        check_equal((event.name, event.data["reason"]), ("end", "denied"), event)
        return time.monotonic() - began

    def beats():
        check_equal(lasting.next(HEARTBEAT_SECONDS + 2), HEARTBEAT, "in an idle stream")
        beat = time.monotonic() - began
        event = lasting.next_event(60)
        check_equal((event.name, event.data["operation"]), ("revision", "sweep"), event)
        record = event.data["changes"][0]["record"]
        check_equal(
            record, {"kind": "grant", "callId": "101", "userId": "9", "remove": True}, event
        )
        return beat, time.monotonic() - began

    ended, (beat, swept) = in_threads([ends, beats], 80)
    check(ended < 3 + HEARTBEAT_SECONDS + 2, "a key that ran out went on for", ended, "s")
    ending.close()
    lasting.close()
    client.close()
    server.stop()
    env.note(f"ended after {ended:.1f} s, beat {beat:.1f}, swept {swept:.1f}")


# --- Pages that wait


@test("a page that waits comes with the next change, or empty when its time is over", seconds=60)
def pages_wait(env):
    server, client = written(env)
    connections = [server.client(*key_of(1)) for _ in range(20)]
    late = []
    for number in range(10):
        place = str(read_all(client, env.random).revision)
        for one in connections:
            target = target_of(place, wait=20)
            one.connection.send(ask_bytes(target))
        time.sleep(0.05)
        write_on(client, 1) if number % 2 == 0 else client.remove({CALLS[0]: [1, 2, 3]})
        answered = time.monotonic()
        for one in connections:
            page = check_ok(one.connection.receive()).json
            check_equal([piece["revision"] for piece in page["revisions"]], [int(place) + 1], page)
        late.append(time.monotonic() - answered)
    check(max(late) < SOON_SECONDS, "a page came", max(late), "s after the change")
    began = time.monotonic()
    page = check_ok(ask(client, str(int(place) + 1), wait=1)).json
    passed = time.monotonic() - began
    check_equal((page["revisions"], page["atEnd"]), ([], True), page)
    check(0.9 < passed < 2, "an empty page after", passed, "s of one")
    began = time.monotonic()
    check_ok(ask(client, str(int(place) + 1), wait=0))
    check_ok(ask(client, "0", wait=20))
    check(time.monotonic() - began < 0.5, "waited for what was there")
    for wait in ("61", "-1", "x", "", "1.5", "99999999999999999999"):
        check_refused(ask(client, "1", wait=wait), f"wait={wait}")
    client.connection.send(stream_request(KEY, "1", wait=3))
    check_refused(client.connection.receive(), "a stream that waits")
    for one in (*connections, client):
        one.close()
    server.stop()
    env.note(f"all of 20 at most {1000 * max(late):.0f} ms after the answer to the change")


def ask_bytes(target):
    request = stream_request(KEY).replace(b"Accept: text/event-stream\r\n", b"")
    return request.replace(CHANGES.encode(), target.encode(), 1)


@test("a change in which nothing was asked for does not end the wait", seconds=30)
def waits_filtered(env):
    server, client = written(env)
    other = server.client(*key_of(1))
    place = str(read_all(client, env.random).revision)
    other.connection.send(ask_bytes(target_of(place, wait=2, callId=CALLS[9])))
    began = time.monotonic()
    while time.monotonic() - began < 1:
        write_on(client, 2, 0.05)
    client.give({CALLS[9]: [5]})
    page = check_ok(other.connection.receive()).json
    found = [change["record"]["callId"] for one in page["revisions"] for change in one["changes"]]
    check_equal(found, [str(CALLS[9])], page)
    other.close()
    client.close()
    server.stop()


# --- Many at once, and the end


@test("more streams than there may be are turned away; what has ended makes room", seconds=60)
def too_many(env):
    # Of one company half of them.
    server, client = written(env, "--streams-max", "10")
    place = str(read_all(client, env.random).revision)
    streams = [Stream(server.address, KEY, after=place) for _ in range(5)]
    for _ in range(3):
        answer = turned_away(server)
        check_equal(answer.status, 503, answer)
        check(int(answer.field("retry-after") or 0) >= 1, "no Retry-After:", answer)
    check_ok(ask(client, place, wait=0))
    streams.pop().close()

    def opened():
        with contextlib.suppress(Refused):
            return Stream(server.address, KEY, after=place)

    streams.append(wait_until(opened, 20, "room for a stream"))
    write_on(client, 1)
    for stream in streams:
        check_equal(stream.next_event().data["revision"], int(place) + 1)
        stream.close()
    client.close()
    server.stop()


def turned_away(server):
    try:
        Stream(server.address, KEY).close()
    except Refused as refused:
        return refused.answer
    raise Failure("a stream too many was opened")


@test("SIGTERM ends streams and pages that wait, in time and with a word", seconds=60)
def ends_with_streams(env):
    server, client = written(env, "--drain-time", "8s", "--stream-stall", "3s")
    place = str(read_all(client, env.random).revision)
    streams = [Stream(server.address, KEY, after=place) for _ in range(READERS)]
    busy = Stream(server.address, KEY, after="0")
    polls = [server.client(*key_of(1)) for _ in range(10)]
    for poll in polls:
        poll.connection.send(ask_bytes(target_of(place, wait=60)))
    stop = threading.Event()

    def write():
        with contextlib.suppress(Closed, ConnectionError, OSError, Failure):
            while not stop.is_set():
                write_on(client, 1)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    time.sleep(0.3)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for stream in streams:
        reader = Reader(place)
        while (event := stream.next_event()).name == "revision":
            reader.take_event(event)
        check_equal((event.name, event.data["reason"]), ("end", "draining"), event)
        check_equal(event.data["after"], reader.position, event)
        check_equal(stream.next_event(), OVER, "after its end")
        stream.close()
    for poll in polls:
        check(poll.connection.receive().status in (200, 503), "a page that waited")
        poll.close()
    code = server.wait_exit(20)
    passed = time.monotonic() - began
    stop.set()
    busy.close()
    check_equal(code, 0, "exit code", server.log_text()[-2000:])
    check(passed < 8, "ended after", passed, "s")
    env.note(f"ended after {passed:.2f} s")


@test("a stream of one call or user tells of nothing else", seconds=30)
def streams_filter(env):
    server, client = written(env)
    place = str(read_all(client, env.random).revision)
    of_call = Stream(server.address, KEY, after=place, callId=CALLS[1])
    of_user = Stream(server.address, KEY, after=place, userId=77)
    client.give({CALLS[0]: [5], CALLS[1]: [77, 78]})
    client.give({CALLS[2]: [5]})
    client.give({CALLS[2]: [77]})
    found = [pairs_of(of_call.next_event()), pairs_of(of_user.next_event())]
    check_equal(found, [{(CALLS[1], 77), (CALLS[1], 78)}, {(CALLS[1], 77)}], "of the first")
    check_equal(pairs_of(of_user.next_event()), {(CALLS[2], 77)}, "of the last")
    client.give({CALLS[1]: [79]})
    check_equal(pairs_of(of_call.next_event()), {(CALLS[1], 79)}, "after others")
    of_call.close()
    of_user.close()
    client.close()
    server.stop()


def pairs_of(event):
    check_equal(event.name, "revision", event)
    records = [change["record"] for change in event.data["changes"]]
    return {(int(record["callId"]), int(record["userId"])) for record in records}
