"""A line plot as SVG."""
import html
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 400, 70, 150, 40, 50
COLOURS = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#555555"]
DOTS_MAX = 20


class Decades:
    """A logarithmic axis, for values above 0."""

    def __init__(self, values):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(values))))

    def share(self, value):
        return (math.log10(value) - self.low) / (self.high - self.low)

    def marks(self):
        for e in range(self.low, self.high + 1):
            yield 10 ** e, f"{10 ** e:,}" if e >= 0 else f"{10 ** e:g}"


class FromZero:
    """A linear axis."""

    def __init__(self, values):
        self.high = max(values) or 1

    def share(self, value):
        return value / self.high

    def marks(self):
        for part in range(5):
            value = self.high * part / 4
            yield value, f"{value:,.4g}"


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {more}>{html.escape(words)}</text>'


def place_across(share):
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def place_up(share):
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def grid(across, up):
    for value, name in across.marks():
        x = place_across(across.share(value))
        yield f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#dddddd"/>'
        yield text(x, HEIGHT - BOTTOM + 16, name)
    for value, name in up.marks():
        y = place_up(up.share(value))
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>'
        yield text(LEFT - 6, y + 4, name, "end")


def curve(name, places, colour, line):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    if len(places) <= DOTS_MAX:
        for x, y in places:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
    y = TOP + 12 + 18 * line
    yield f'<path d="M{WIDTH - RIGHT + 12} {y - 4}h18" stroke="{colour}" stroke-width="2"/>'
    yield text(WIDTH - RIGHT + 36, y, name, "start")


def draw(title, across_name, up_name, curves, scale=Decades):
    """`curves` is {name: [(x, y), ...]}, not all empty; x is above 0, and y is if `scale`
    is Decades."""
    curves = {name: points for name, points in curves.items() if points}
    xs, ys = zip(*(point for points in curves.values() for point in points))
    across, up = Decades(xs), scale(ys)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             text(WIDTH / 2, 22, title, more='font-size="15"'),
             text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, across_name),
             text(18, TOP - 12, up_name, "start"), *grid(across, up)]
    for i, (name, points) in enumerate(curves.items()):
        places = [(place_across(across.share(x)), place_up(up.share(y)))
                  for x, y in sorted(points)]
        parts += curve(name, places, COLOURS[i % len(COLOURS)], i)
    return "\n".join(parts + ["</svg>"]) + "\n"
