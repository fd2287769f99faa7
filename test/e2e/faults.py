"""What happens to a cluster of PostgreSQL, each as one function that does it, waits until the cluster
has answered it and leaves the rest to heal(). Every wait is bounded."""

import time

from cluster import TTL_SECONDS
from harness import check, wait_until

TAKEOVER_SECONDS = TTL_SECONDS + 20
# How long there are two that take themselves for the primary: clients come to both.
LEFT_ALONE_SECONDS = 6


def other_leader(cluster, than):
    def found():
        leader = cluster.leader()
        return leader if leader not in (None, than) else None

    return wait_until(found, TAKEOVER_SECONDS, f"another leader than {than.name}")


def present(node, what):
    check(node, "the cluster has no", what)
    return node


def kill_primary(cluster):
    leader = present(cluster.leader(), "leader")
    leader.kill()
    other_leader(cluster, leader)


def switch_over(cluster):
    leader = present(cluster.leader(), "leader")
    cluster.switchover()
    other_leader(cluster, leader)


def freeze_agent(cluster):
    """The agent of the leader stands still until another node leads and has been written to; its
    PostgreSQL does not know, and goes on as a primary."""
    leader = present(cluster.leader(), "leader")
    leader.freeze_agent()
    other_leader(cluster, leader)
    time.sleep(LEFT_ALONE_SECONDS)
    leader.thaw()


def kill_sync_standby(cluster):
    present(cluster.sync_standby(), "synchronous standby").kill()


def crash_primary(cluster):
    """Only PostgreSQL: its agent starts it again."""
    present(cluster.leader(), "leader").kill_server()


def freeze_primary(cluster):
    leader = present(cluster.leader(), "leader")
    leader.freeze()
    other_leader(cluster, leader)
    time.sleep(LEFT_ALONE_SECONDS)
    leader.thaw()


def freeze_receiver(cluster):
    """The synchronous standby takes no more log, and its connection stays open."""
    standby = present(cluster.sync_standby(), "synchronous standby")
    check(standby.freeze_receiver(), standby.name, "receives nothing")
    time.sleep(TTL_SECONDS)
    standby.thaw()


def lose_etcd(cluster):
    cluster.kill_etcd()
    time.sleep(TTL_SECONDS + 5)
    check(cluster.leader(), "without etcd the primary gave up")


# What an ordinary test run does, then the rest.
SHORT = {
    "the primary is killed": kill_primary,
    "a planned switchover": switch_over,
    "the primary's agent stands still": freeze_agent,
    "the synchronous standby is killed": kill_sync_standby,
}
LONG = {
    "PostgreSQL crashes and its agent does not": crash_primary,
    "the primary's machine stands still": freeze_primary,
    "the synchronous standby hangs": freeze_receiver,
    "etcd is away": lose_etcd,
}
