"""What was measured, as tables. Figures are medians of the rounds, with the least and the greatest;
a ratio is the median of the ratios within each round, whose sides met the same machine."""

import shlex
import statistics
import subprocess

import machine

# A thread that wakes after each sync waits for whoever has the core by then; rates of gives drop
# to a tenth long before the core is full.
FOREIGN_SHARE_MAX = 0.1

READING = """\
- *CPU* is the processor time of the whole server process, all threads, for one request or grant. It
  is the figure to trust: where CPU times requests per second is well below a second, the load,
  which has one core too, or the disk was the limit.
- *echo* is a raw epoll loop on the same core that answers the same requests with the same bytes.
  *of echo* is the part of it that Earshot reaches: by requests per second, and by CPU.
- *bare store* is RocksDB alone writing the rows of as many gives as are in flight in one synced
  batch, again and again: what a store could do that had nothing to read, decide or answer.
- *bounds* sets the CPU of echo and bare store together against Earshot's.
- Every round begins with a fresh copy of the data, every call read once. Reads are drawn uniformly;
  gives name pairs that were never given."""


def spread(values, digits):
    """A median, and in brackets the range where there is one."""
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def echo_row(bench, rounds):
    ours = [r[bench.name]["earshot"] for r in rounds]
    echo = [r[bench.name]["echo"] for r in rounds]
    return [
        f"{bench.name}: {bench.what}",
        str(bench.in_flight),
        f"{rounds[0][bench.name]['bytes']:,}",
        spread([m.per_second for m in ours], 0),
        spread([m.per_second for m in echo], 0),
        spread([a.per_second / b.per_second for a, b in zip(ours, echo)], 2),
        spread([m.cpu_us for m in ours], 2),
        spread([m.cpu_us for m in echo], 2),
        spread([b.cpu_us / a.cpu_us for a, b in zip(ours, echo)], 2),
        spread([m.p50_us / 1000 for m in ours], 2),
        spread([m.p99_us / 1000 for m in ours], 2),
    ]


def store_row(bench, rounds):
    ours = [r[bench.name]["earshot"] for r in rounds]
    echo = [r[bench.name]["echo"] for r in rounds]
    bare = [r[bench.name]["bare"] for r in rounds]
    return [
        bench.name,
        spread([m.per_second for m in ours], 0),
        spread([m.per_second for m in bare], 0),
        spread([a.per_second / b.per_second for a, b in zip(ours, bare)], 2),
        spread([m.cpu_us for m in ours], 2),
        spread([m.cpu_us for m in bare], 2),
        spread([(b.cpu_us + c.cpu_us) / a.cpu_us for a, b, c in zip(ours, echo, bare)], 2),
    ]


def sides(found):
    return [found[name] for name in ("echo", "earshot", "bare") if name in found]


def render(benches, rounds):
    parts = [table(
        ["bench", "in flight", "bytes", "requests/s", "echo", "of echo", "CPU µs", "echo",
         "of echo", "p50 ms", "p99 ms"],
        [echo_row(bench, rounds) for bench in benches])]
    gives = [bench for bench in benches if bench.gives]
    if gives:
        parts.append(table(
            ["bench", "grants/s", "bare store", "of bare store", "CPU µs", "bare store", "bounds"],
            [store_row(bench, rounds) for bench in gives]))
    foreign = [side.foreign for r in rounds for bench in benches for side in sides(r[bench.name])]
    usual = statistics.median(foreign)
    text = f"Others used {usual:.0%} of the servers' core meanwhile, at most {max(foreign):.0%}."
    if usual > FOREIGN_SHARE_MAX:
        text += " **That is too much: these figures say little.**"
    parts.append(text)
    return "\n\n".join(parts)


def page(text, parameters, path, arguments):
    """RESULTS.md: the tables, and what is needed to make them again."""
    command = " ".join(["./dev bench", *map(shlex.quote, arguments)])
    return f"""# Results of the benches

Made by `{command}`, which writes this page.

- machine: {machine.describe(path)}
- commit: {commit(path)}
- data: {parameters.calls:,} calls with {parameters.grants_per_call} grants each

{text}

## How to read it

{READING}
"""


def commit(path):
    def git(*command):
        done = subprocess.run(["git", "-C", path, *command], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "CMakeLists.txt")
    name = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return name + (" and changes" if changed else "")
