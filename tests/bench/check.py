#!/usr/bin/python3
"""check.py figures|plots|table|turns|long DIRECTORY: whether tests/bench/run has left all that
it is to leave there, after measuring everything of everybody; `turns`: after --against, `long`:
after --long. Says what is missing. How fast anybody was is not its business."""
import json
import pathlib
import sys
import xml.etree.ElementTree

PORTSMITH = ["portsmith-rules", "portsmith-set"]
PEERS = ["fwknopd", "knockd"]
ALL = PORTSMITH + PEERS
SERVERS = ["portsmith-rules"] + PEERS

# Of whom there is to be which figure.
FIGURES = {
    ("latency", "microseconds"): ALL + ["fwknopd-1ms"],
    ("trace", "microseconds"): PORTSMITH,
    ("forwarded", "nanoseconds"): ALL + ["none"],
    ("delivered", "nanoseconds"): ALL + ["none"],
    ("crowd", "microseconds"): ALL,
    ("garbage", "nanoseconds"): SERVERS,
    ("garbage", "log_lines"): SERVERS,
    ("garbage_apart", "nanoseconds"): ["portsmith-rules", "knockd"],
    ("allocations", "allocations"): ["portsmith-rules"],
    ("flood", "a_second"): SERVERS,
    ("flood", "microseconds"): SERVERS,
    ("memory", "kilobytes"): SERVERS,
    ("memory_live", "kilobytes"): ALL,
    ("start", "milliseconds"): SERVERS,
    ("idle", "wakeups"): ALL + ["fwknopd-1ms"],
}
PLOTS = ["latency-median", "latency-p95", "latency-p99", "garbage", "forwarded", "memory",
         "start", "flood", "crowd"]
# The same, beside another build, and of both.
BESIDE = {
    ("turns", "microseconds"): PORTSMITH,
    ("counting", "microseconds"): ["portsmith-rules"],
    ("counting", "others"): ["portsmith-rules"],
    ("garbage", "nanoseconds"): ["portsmith-rules"],
    ("garbage_apart", "nanoseconds"): ["portsmith-rules"],
    ("crowd", "microseconds"): PORTSMITH,
    ("memory", "kilobytes"): ["portsmith-rules"],
    ("memory_live", "kilobytes"): ["portsmith-set"],
    ("idle", "wakeups"): PORTSMITH,
}
NATIVE = {
    ("beside_rules", "microseconds"): ["portsmith-rules"],
    ("beside_set", "microseconds"): ["portsmith-set"],
    ("expiry", "microseconds"): PORTSMITH,
    ("crowd", "microseconds"): PORTSMITH,
    ("delivered", "nanoseconds"): PORTSMITH,
    ("programs", "programs"): PORTSMITH,
}
# A peer that is drowned in a flood honours nothing, and that is what was found.
MAY_BE_NULL = {("flood", "microseconds")}


def is_figure(value, may_be_null):
    if isinstance(value, dict):
        return bool(value) and all(is_figure(v, may_be_null) for v in value.values())
    if isinstance(value, list):
        return bool(value) and (may_be_null or any(v is not None for v in value))
    return value is not None


def missing_figures(directory):
    results = json.loads((directory / "results.json").read_text())["results"]
    for (measure, key), peers in FIGURES.items():
        for peer in peers:
            found = [r[key] for r in results if (r["measure"], r["peer"]) == (measure, peer)]
            if not found:
                yield f"{measure} of {peer} was not measured"
            elif not all(is_figure(v, (measure, key) in MAY_BE_NULL) for v in found):
                yield f"{measure} of {peer} has no {key}: {found}"


def missing_plots(directory):
    for name in PLOTS:
        text = (directory / f"{name}.svg").read_text()
        root = xml.etree.ElementTree.fromstring(text)
        lines = root.findall("{http://www.w3.org/2000/svg}polyline")
        if not lines or "nan" in text or "inf" in text:
            yield f"{name}.svg has no curve, or one that leads nowhere"


def missing_lines(directory):
    table = (directory / "table.txt").read_text()
    targets = json.loads((directory / "results.json").read_text())["targets"]
    if not targets:
        yield "no target was judged"
    for name in ALL + ["fwknopd-1ms", *(t["target"] for t in targets)]:
        if f"\n  {name} " not in table:
            yield f"the table has no line for {name}"


def missing_turns(directory):
    results = json.loads((directory / "results.json").read_text())["results"]
    table = (directory / "table.txt").read_text()
    wanted = [(*figure, peer, tree) for figure, peers in BESIDE.items() for peer in peers
              for tree in ("own", "other")]
    for figure, peers in NATIVE.items():
        wanted += [(*figure, "portsmith-nftables", "own")]
        wanted += [(*figure, peer, "other") for peer in peers]
    wanted += [("latency", "microseconds", peer, None) for peer in PEERS]
    for measure, key, peer, tree in wanted:
        found = [r[key] for r in results
                 if (r["measure"], r["peer"], r.get("tree")) == (measure, peer, tree)]
        if not found or not all(is_figure(v, False) for v in found):
            yield f"{measure} of {peer}, of the build '{tree}', was not measured: {found}"
    for name in [*PORTSMITH, "sets, 1 live grant: median, ms", *PEERS]:
        if f"\n  {name} " not in table:
            yield f"the table has no line for {name}"


def missing_long(directory):
    found = json.loads((directory / "results.json").read_text())
    for measure in "scale", "hour":
        values = [r["microseconds"] for r in found["results"] if r["measure"] == measure]
        if not values or not all(is_figure(v, False) for v in values):
            yield f"{measure} was not measured: {values}"
    if not found["targets"]:
        yield "no target was judged"


WAYS = {"figures": missing_figures, "plots": missing_plots, "table": missing_lines,
        "turns": missing_turns, "long": missing_long}
missing = list(WAYS[sys.argv[1]](pathlib.Path(sys.argv[2])))
print("\n".join(missing))
sys.exit(1 if missing else 0)
