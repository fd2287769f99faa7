"""Line charts as SVG, without any library. They follow the reader's light or dark."""

import dataclasses
import html
import math
import statistics

PANEL_WIDTH, PLOT_HEIGHT = 440, 300  # the plot with its title and the words below it
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 44, 46
LEGEND_LINE = 18
COLUMNS = 2

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 14px; font-weight: 600 }
.grid { stroke: #d0d7de; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }
.s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bc4c00; fill: #bc4c00 }
.s2 { stroke: #1a7f37; fill: #1a7f37 } .s3 { stroke: #8250df; fill: #8250df }
.back { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .grid { stroke: #30363d }
  .back { fill: #0d1117 }
  .s0 { stroke: #58a6ff; fill: #58a6ff } .s1 { stroke: #f0883e; fill: #f0883e }
  .s2 { stroke: #3fb950; fill: #3fb950 } .s3 { stroke: #bc8cff; fill: #bc8cff }
}
.line { fill: none }
"""


@dataclasses.dataclass(frozen=True)
class Series:
    name: str
    points: list  # of (x, y)
    color: int
    dashes: str = ""


@dataclasses.dataclass(frozen=True)
class Panel:
    title: str
    x_label: str
    series: list
    x_ticks: list  # of (x, text)
    x_log: bool = False
    y_log: bool = False


class Axis:
    def __init__(self, least, most, start, end, log):
        self.log = log
        self.least, self.most = self.place(least), self.place(most)
        self.start, self.end = start, end

    def place(self, value):
        return math.log10(value) if self.log else value

    def at(self, value):
        share = (self.place(value) - self.least) / ((self.most - self.least) or 1)
        return round(self.start + share * (self.end - self.start), 1)


def y_ticks(values, log):
    """Round numbers that enclose all values."""
    if log:
        first = math.floor(math.log10(min(values)))
        last = math.ceil(math.log10(max(values)))
        return [10.0**power for power in range(first, max(last, first + 1) + 1)]
    most = max(values) or 1
    step = 10 ** math.floor(math.log10(most))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if most / s <= 6)
    return [step * i for i in range(math.ceil(most / step) + 1)]


def tick_text(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:g}"


def draw_panel(panel, left, top):
    values = [y for series in panel.series for _, y in series.points]
    ticks = y_ticks(values, panel.y_log)
    xs = [x for x, _ in panel.x_ticks]
    bottom = top + PLOT_HEIGHT - BOTTOM
    x_axis = Axis(min(xs), max(xs), left + LEFT, left + PANEL_WIDTH - RIGHT, panel.x_log)
    y_axis = Axis(ticks[0], ticks[-1], bottom, top + TOP, panel.y_log)
    middle = (x_axis.start + x_axis.end) / 2
    parts = [text_at(x_axis.start, top + 24, panel.title, 'class="title"'),
             text_at(middle, bottom + 36, panel.x_label, CENTERED)]
    for tick in ticks:
        y = y_axis.at(tick)
        parts += [line("grid", x_axis.start, x_axis.end, y),
                  text_at(x_axis.start - 8, y + 4, tick_text(tick), 'text-anchor="end"')]
    parts += [text_at(x_axis.at(x), bottom + 18, text, CENTERED) for x, text in panel.x_ticks]
    for place, series in enumerate(panel.series):
        style = f"s{series.color}"
        dashes = f' stroke-dasharray="{series.dashes}"' if series.dashes else ""
        points = [(x_axis.at(x), y_axis.at(y)) for x, y in series.points]
        path = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline class="line {style}" points="{path}"{dashes}/>')
        parts += [f'<circle class="{style}" cx="{x}" cy="{y}" r="2.5"/>' for x, y in points]
        y = top + PLOT_HEIGHT + 4 + place * LEGEND_LINE
        parts += [line(f"line {style}", x_axis.start, x_axis.start + 28, y, dashes),
                  text_at(x_axis.start + 36, y + 4, series.name)]
    return parts


CENTERED = 'text-anchor="middle"'


def text_at(x, y, text, more=""):
    return f'<text x="{x}" y="{y}" {more}>{html.escape(text)}</text>'


def line(style, start, end, y, more=""):
    return f'<line class="{style}" x1="{start}" x2="{end}" y1="{y}" y2="{y}"{more}/>'


def chart(panels):
    """One picture of panels, two beside each other, each with its legend below."""
    columns = min(COLUMNS, len(panels))
    panel_height = PLOT_HEIGHT + LEGEND_LINE * max(len(panel.series) for panel in panels) + 12
    width, height = PANEL_WIDTH * columns, panel_height * math.ceil(len(panels) / columns)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             f'width="{width}" height="{height}" role="img">',
             f"<style>{STYLE}</style>",
             f'<rect class="back" width="{width}" height="{height}"/>']
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        parts += draw_panel(panel, column * PANEL_WIDTH, row * panel_height)
    return "\n".join([*parts, "</svg>", ""])


def latency(curve):
    """Of reads, over the load: [(share of saturation, echo, Earshot)]."""
    ticks = [(share, f"{share:.0%}") for share, _, _ in curve]

    def panel(name, key):
        return Panel(
            f"{name} of reads with 5 % gives, ms", "load, of saturation",
            [Series("Earshot", [(share, ours.reads[key] / 1000) for share, _, ours in curve], 0),
             Series("an echo beside the bare store",
                    [(share, echo.reads[key] / 1000) for share, echo, _ in curve], 1, "5 4")],
            ticks, y_log=True)

    return chart([panel("p50", "p50_us"), panel("p99", "p99_us"), panel("p99.9", "p999_us")])


def growth(sizes, families):
    """Of a read, of the bytes on disk and of loads, over the number of grants."""
    ticks = [(size.grants, power_text(size.grants)) for size in sizes]

    def panel(title, *series):
        return Panel(title, "grants", [Series(name, [(size.grants, value(size)) for size in sizes],
                                              color) for color, (name, value) in enumerate(series)],
                     ticks, x_log=True)

    def family(name):
        return name, lambda size: size.bytes_on_disk[name] / size.grants

    return chart([
        panel("CPU of a read of one call, µs",
              ("the same hot calls", lambda size: statistics.median(size.hot_us)),
              ("uniform, cache off", lambda size: statistics.median(size.uniform_us))),
        panel("Bytes a grant on disk", *map(family, families)),
        panel("Records a second loaded, thousands",
              ("into an empty store", lambda size: size.loaded_per_second / 1000)),
        panel("First answer after kill -9, ms",
              ("under gives", lambda size: size.killed_seconds * 1000)),
    ])


def power_text(number):
    power = round(math.log10(number))
    return "10" + str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
