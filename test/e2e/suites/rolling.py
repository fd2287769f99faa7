"""Three Earshot servers behind HAProxy, each stopped and started again in turn under load: no request
fails, and what they leave is what was acknowledged."""

import time

from cluster import HAPROXY, configuration
from guarded import free_ports
from harness import check, check_equal, suite, wait_until
from linearizability import check_histories
from model import ndjson
from server import Server
from suites.failover import ready
from writers import CALLS, Load, read_all, records

tests, test = suite()

SERVERS = 3
# HAProxy looks every 200 ms and believes the second answer.
DRAIN_SECONDS = 1
NOTICED_SECONDS = 1
ANSWER_SECONDS = 10


def serve(env, port):
    return Server(env, "--drain-delay", f"{DRAIN_SECONDS}s", listen=f"127.0.0.1:{port}")


def start_haproxy(env, ports):
    servers = [
        f"    server earshot{number} 127.0.0.1:{port} check"
        for number, port in enumerate(ports[1:], 1)
    ]
    text = configuration("haproxy-earshot.cfg", port=ports[0], servers="\n".join(servers))
    with open(env.path("haproxy.log"), "wb") as log:
        path = env.write("haproxy.cfg", text)
        env.spawn(HAPROXY, "-db", "-f", path, stdout=log, stderr=log, cwd=env.directory)
    address = f"127.0.0.1:{ports[0]}"
    wait_until(lambda: is_served(address), 20, "HAProxy to answer")
    return address


def is_served(address):
    try:
        return ready(address)[0] == 200
    except ConnectionError:
        return False


@test(
    "each of three servers restarted in turn behind HAProxy: no request fails",
    seconds=120,
    stores=("postgres",),
)
def restarts_in_turn(env):
    env.command("load", env.write("rolling.ndjson", ndjson(records())), "--store", env.store())
    ports = free_ports(1 + SERVERS)
    servers = [serve(env, port) for port in ports[1:]]
    address = start_haproxy(env, ports)
    load = Load([address], env.random, ANSWER_SECONDS, new_share=0.2)
    load.start()
    try:
        time.sleep(1)
        for number, port in enumerate(ports[1:]):
            before = len(load.asked())
            servers[number].stop()
            servers[number] = serve(env, port)
            time.sleep(NOTICED_SECONDS)
            load.check_running()
            check(len(load.asked()) > before + 50, "hardly a request during a restart")
    finally:
        load.stop()
    failed = [asked for asked in load.asked() if asked.status != 200]
    check_equal(failed[:5], [], len(failed), "requests failed")
    load.check_revisions()
    load.check_own(read_all([server.address for server in servers], CALLS))
    check_histories(load.histories())
    slowest = max(client.slowest_seconds for client in load.clients)
    env.note(f"{len(load.asked())} requests, slowest {slowest:.2f} s")
    for server in servers:
        server.stop()
