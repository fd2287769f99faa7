"""The history that is killed, again and again: 500 times unless --kills says otherwise."""

from harness import suite
from suites.histories import survive

tests, test = suite()


@test("killed hundreds of times while it writes, it keeps what it acknowledged", seconds=7200)
def survives_many_kills(env):
    survive(env, env.options.kills or 500)
