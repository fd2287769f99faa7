"""What was measured, as tables. Figures are medians of the rounds, with the least and the greatest;
a ratio is the median of the ratios within each round, whose sides met the same machine."""

import shlex
import statistics
import subprocess

import machine

# A thread that wakes after each sync waits for whoever has the core by then; rates of gives drop
# to a tenth long before the core is full.
FOREIGN_SHARE_MAX = 0.1
LOAD_SHARE_MAX = 0.95  # of its core: beyond it the load was the limit, and CPU is the figure

READING = """\
- *CPU* is the processor time of the whole server process, all threads, for one request. It is the
  figure to trust: where the load used all of its own core, requests a second are the load's limit.
- *echo* is a raw epoll loop on the same core that answers the same requests with the same bytes.
- *bare store* is RocksDB alone writing the rows of as many gives as are in flight in one synced
  batch, again and again: what a store could do that had nothing to read, decide or answer. Its
  rows go in as the gives come. Earshot sorts those of a batch by key; a bare store that did so too
  was a fifth faster at 256 a batch, and no faster at 64.
- The server is wholly on one core, the load on another. Every round begins with a fresh copy of the
  data, every call read once. Reads are drawn uniformly; gives name pairs that were never given.
- *Over PostgreSQL* the database has the servers' core, and Earshot and its load, or pgbench, have
  the other. CPU is that of Earshot or of pgbench. pgbench runs the statements of Earshot, prepared,
  with generic plans, on a company of the same size; its gives are one a transaction, in two round
  trips.
- In the open loop requests are due at random times that were fixed before, and a latency begins
  when the request was due, not when it was sent. The echo answers at once, and on its core the bare
  store makes the commits of as many gives."""


def spread(values, digits):
    """A median, and in brackets the range where there is one."""
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def values_of(figure, rounds):
    return [found["figures"][figure.key] for found in rounds if figure.key in found["figures"]]


def bar_row(bench, figure, rounds):
    values = values_of(figure, rounds)
    middle = statistics.median(values)
    reached = [name for name, bar in (("must", figure.must), ("aim", figure.aim))
               if (middle <= bar if figure.less else middle >= bar)]
    sign = "≤ " if figure.less else ""
    unit = f" {figure.unit}" if figure.unit else ""
    return [f"{bench.name}: {figure.what}", spread(values, figure.digits) + unit,
            f"{sign}{number(figure.must)}", f"{sign}{number(figure.aim)}",
            reached[-1] if reached else "**missed**"]


def side_rows(bench, rounds):
    for side in rounds[0].get("sides", {}):
        all_of = [found["sides"][side] for found in rounds]
        things = all_of[0].things
        timed = all_of[0].p50_us > 0
        yield [
            bench.name,
            side,
            spread([m.per_second for m in all_of], 0),
            spread([m.per_second * things for m in all_of], 0) if things > 1 else "",
            spread([m.cpu_us for m in all_of], 2),
            spread([m.p50_us / 1000 for m in all_of], 2) if timed else "",
            spread([m.p99_us / 1000 for m in all_of], 2) if timed else "",
            load_share(all_of) if all_of[0].load_share else "",
        ]


def load_share(measured):
    share = statistics.median([m.load_share for m in measured])
    return f"{share:.0%}" + (", the limit" if share > LOAD_SHARE_MAX else "")


def figure_rows(bench, rounds):
    for figure in bench.figures:
        values = values_of(figure, rounds)
        if figure.must is None and values:
            unit = f" {figure.unit}" if figure.unit else ""
            yield [bench.name, figure.what, spread(values, figure.digits) + unit]


def measurements(rounds):
    return [side for found in rounds
            for side in (*found.get("sides", {}).values(), *found.get("open", {}).values())]


def noise(results):
    """How much others used of the servers' core meanwhile."""
    return noise_text([side.foreign for rounds in results.values()
                       for side in measurements(rounds)])


def noise_text(foreign):
    if not foreign:
        return ""
    usual = statistics.median(foreign)
    text = f"Others used {usual:.0%} of the servers' core meanwhile, at most {max(foreign):.0%}."
    if usual > FOREIGN_SHARE_MAX:
        text += " **That is too much: these figures say little.**"
    return text


def curve_table(curve):
    rows = [[f"{share:.0%}", *(f"{side.reads[key] / 1000:.3f}" for side in (ours, echo)
                               for key in ("p50_us", "p99_us", "p999_us"))]
            for share, echo, ours in curve]
    return table(["load", "Earshot p50", "p99", "p99.9 ms", "echo p50", "p99", "p99.9 ms"], rows)


def render(benches, results):
    bars = [bar_row(bench, figure, results[bench.name])
            for bench in benches for figure in bench.figures if figure.must is not None]
    sides = [row for bench in benches for row in side_rows(bench, results[bench.name])]
    figures = [row for bench in benches for row in figure_rows(bench, results[bench.name])]
    parts = []
    if bars:
        parts.append(table(["work", "found", "must", "aim", "reached"], bars))
    if sides:
        parts.append(table(["bench", "side", "requests/s", "calls or grants/s", "CPU µs", "p50 ms",
                            "p99 ms", "load's core"], sides))
    if figures:
        parts.append(table(["bench", "figure", "found"], figures))
    for bench in benches:
        first = results[bench.name][0]
        if "curve" in first:
            parts.append("Latency of reads in milliseconds, by load in parts of saturation:\n\n" +
                         curve_table(first["curve"]))
        parts += [f"{bench.name}: {note}" for note in first.get("notes", ())]
    parts.append(noise(results))
    return "\n\n".join(part for part in parts if part)


def page(text, data, path, arguments, pictures):
    """RESULTS.md: the tables, and what is needed to make them again."""
    command = " ".join(["./dev bench", *map(shlex.quote, arguments)])
    shown = "".join(f"\n![{title}]({name})\n" for name, title in pictures)
    return f"""# Results of the benches

Made by `{command}`, which writes this page.

- machine: {machine.describe(path)}
- commit: {commit(path)}
- data: {data.calls_count:,} calls with {data.grants_per_call} grants each

{text}
{shown}
Growth to 10⁸ grants is in [GROWTH.md](GROWTH.md), which `./dev bench-growth` writes.

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
