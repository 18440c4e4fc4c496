"""A line plot with logarithmic axes, as SVG."""
import html
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 400, 70, 150, 40, 50
COLOURS = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#555555"]


def decades(values):
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {more}>{html.escape(words)}</text>'


def label(exponent):
    return f"{10 ** exponent:,}" if exponent >= 0 else f"{10 ** exponent:g}"


def grid(across, up, place):
    for e in range(across[0], across[1] + 1):
        x, _ = place(10 ** e, 10 ** up[0])
        yield f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#dddddd"/>'
        yield text(x, HEIGHT - BOTTOM + 16, label(e))
    for e in range(up[0], up[1] + 1):
        _, y = place(10 ** across[0], 10 ** e)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>'
        yield text(LEFT - 6, y + 4, label(e), "end")


def curve(name, points, colour, line, place):
    places = [place(x, y) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y in places:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
    y = TOP + 12 + 18 * line
    yield f'<path d="M{WIDTH - RIGHT + 12} {y - 4}h18" stroke="{colour}" stroke-width="2"/>'
    yield text(WIDTH - RIGHT + 36, y, name, "start")


def draw(title, across_name, up_name, curves):
    """`curves` is {name: [(x, y), ...]}, all above 0."""
    curves = {name: points for name, points in curves.items() if points}
    xs, ys = zip(*(point for points in curves.values() for point in points))
    across, up = decades(xs), decades(ys)

    def place(x, y):
        right = (math.log10(x) - across[0]) / (across[1] - across[0])
        above = (math.log10(y) - up[0]) / (up[1] - up[0])
        return (LEFT + right * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - above * (HEIGHT - TOP - BOTTOM))

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             text(WIDTH / 2, 22, title, more='font-size="15"'),
             text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, across_name),
             text(18, TOP - 12, up_name, "start"), *grid(across, up, place)]
    for i, (name, points) in enumerate(curves.items()):
        parts += curve(name, sorted(points), COLOURS[i % len(COLOURS)], i, place)
    return "\n".join(parts + ["</svg>"]) + "\n"
