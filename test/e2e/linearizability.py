"""Whether a recorded history of one pair (call, user) could have come from one register that is
set, cleared and read one operation at a time, each taking effect between its start and its end
(Herlihy and Wing). Pairs are judged one by one, which is enough: a history is linearizable if that
of every object is. Knows nothing of servers.

The method sweeps the history's starts and ends in order and keeps the states that are still
possible: the value, and which of the operations under way have taken effect already. An operation
must have taken effect by its end. An operation that was never answered may have or not; its end is
the moment when it could take effect no more. Of unanswered ones that do the same only the one that
ends first need be tried: whatever another of them explains, it explains too."""

from collections import namedtuple

from harness import Failure

# kind: "set", "clear" or "read" (value: what was read). end is when the answer was there; where
# unanswered is true, when it was certain that none would come and that it could take no effect any
# more.
Operation = namedtuple("Operation", "start end kind value unanswered", defaults=(None, False))


def timeline(operations):
    """Starts and ends in order; of the same moment starts first, so that such operations count as
    concurrent."""
    events = []
    for index, operation in enumerate(operations):
        events.append((operation.start, 0, index))
        events.append((operation.end, 1, index))
    events.sort()
    return events


def close_over(states, under_way, operations):
    """All states that can be reached by letting operations under way take effect, in any order; but
    none that another is at least as good as. Reads of the value that is there take effect at once:
    that leaves everything else possible."""
    writes = [index for index in under_way if operations[index].kind != "read"]
    answered = [index for index in writes if not operations[index].unanswered]
    unanswered = sorted(set(writes) - set(answered), key=lambda index: operations[index].end)
    reads = {True: 0, False: 0}  # value -> bits
    for index in under_way.keys() - writes:
        reads[operations[index].value] |= under_way[index]
    reached = {(value, done | reads[value]) for value, done in states}
    waiting = list(reached)
    while waiting:
        _, done = waiting.pop()
        left = [index for index in unanswered if not done & under_way[index]]
        first = {operations[index].kind: index for index in reversed(left)}
        for index in [*answered, *first.values()]:
            bit = under_way[index]
            if done & bit:
                continue
            value = operations[index].kind == "set"
            state = (value, done | bit | reads[value])
            if state not in reached:
                reached.add(state)
                waiting.append(state)
    return without_lesser(reached, reads[True] | reads[False])


def without_lesser(states, reads):
    """Of states that differ in reads alone those to which no other is superior."""
    groups = {}
    for value, done in states:
        groups.setdefault((value, done & ~reads), []).append(done)
    return {
        (value, done)
        for (value, _), group in groups.items()
        for done in group
        if not any(done != other and done & other == done for other in group)
    }


def first_contradiction(operations, initial=False):
    """None if the history is linearizable, else the operation at whose end no state is possible any
    more."""
    states = {(initial, 0)}
    under_way = {}  # index -> bit
    free_bits = []
    for _, is_end, index in timeline(operations):
        if not is_end:
            bit = free_bits.pop() if free_bits else 1 << len(under_way)
            under_way[index] = bit
            continue
        bit = under_way[index]
        if any(not done & bit for _, done in states):
            states = close_over(states, under_way, operations)
        if operations[index].unanswered:
            states = {(value, done & ~bit) for value, done in states}
        else:
            states = {(value, done & ~bit) for value, done in states if done & bit}
        del under_way[index]
        free_bits.append(bit)
        if not states:
            return operations[index]
    return None


def check_histories(histories, initial=None):
    """histories: {pair: [Operation]}; initial: {pair: bool}, absent is False."""
    for pair, operations in histories.items():
        bad = first_contradiction(operations, bool(initial and initial.get(pair)))
        if bad:
            near = [
                one
                for one in operations
                if one.end >= bad.start - 20_000_000 and one.start <= bad.end
            ]
            raise Failure(f"no order explains {bad} of pair {pair}; around it: {near[-40:]}")
