"""The suite `failover` at length: its faults and the rarer ones, again and again, by a URL of all nodes
and through HAProxy."""

import faults
from harness import suite
from suites.failover import PROOF_MS, STORES, endure

tests, test = suite()

# After these a primary may be left that does not know that it is none.
LEFT_ALONE = (faults.freeze_agent, faults.freeze_primary)


def declare(name, fault):
    @test(name, seconds=7200, stores=STORES)
    def endures(env):
        for _ in range(env.options.rounds):
            for through_haproxy in (False, True):
                env.note("through HAProxy" if through_haproxy else "all nodes in the URL")
                stale_ms = PROOF_MS if fault in LEFT_ALONE else 0
                is_killed = fault is faults.kill_primary
                endure(env, fault, through_haproxy, stale_ms, with_crowd=is_killed)


for name, fault in {**faults.SHORT, **faults.LONG}.items():
    declare(name, fault)
