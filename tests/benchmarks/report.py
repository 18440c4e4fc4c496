#!/usr/bin/python3
"""report.py DIRECTORY: prints what tests/bench measured, as tables with ratios, and
whether the targets hold; writes results.json and the plots beside results.jsonl."""
import json
import pathlib
import sys

sys.dont_write_bytecode = True
import plot  # noqa: E402

# What Portsmith wants to reach. Ratios within one run, or counts.
FASTER = {"portsmith-rules": 60, "portsmith-set": 120}
FLAT_LATENCY, FLAT_TO = 1.5, {"portsmith-rules": 200, "portsmith-set": 10000}
GARBAGE_NS, FLAT_GARBAGE = 2000, 1.2
FLOOD_US = 50_000
CROWD_US = {"portsmith-rules": 1_000_000, "portsmith-set": 300_000}
MEMORY_KB = {1: 4096, 10000: 12288}


def quantile(values, share):
    """The value that this share of them does not exceed; a None is later than all."""
    ordered = sorted(values, key=lambda v: float("inf") if v is None else v)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def number(value, divisor=1.0, digits=2):
    return "never" if value is None else f"{value / divisor:,.{digits}f}"


def ratio(value, base):
    return f"{value / base:,.1f}" if value and base else "-"


def print_table(title, names, rows):
    if not rows:
        return
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [names, *rows]) for i in range(len(names))]
    print(f"\n{title}")
    for row in [names, *rows]:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())


class Results:
    def __init__(self, lines):
        self.all = [json.loads(line) for line in lines]

    def of(self, measure, peer=None):
        return [r for r in self.all
                if r["measure"] == measure and (peer is None or r["peer"] == peer)]

    def one(self, measure, peer, size):
        return next((r for r in self.of(measure, peer) if r["size"] == size), None)


def median_at(results, peer, size):
    found = results.one("latency", peer, size)
    return quantile(found["microseconds"], .5) if found else None


def print_latency(results):
    base = median_at(results, "portsmith-rules", 1)
    rows = []
    for r in results.of("latency"):
        values = r["microseconds"]
        known = [v for v in values if v is not None]
        rows.append([r["peer"], f"{r['size']:,}", len(values), f"{len(known)}/{len(values)}",
                     number(min(known, default=None), 1000)] +
                    [number(quantile(values, q), 1000) for q in (.5, .95, .99)] +
                    [ratio(quantile(values, .5), base)])
    print_table("From the datagram leaving to the first accepted connection, milliseconds",
                ["", "live grants", "knocks", "opened", "least", "median", "p95", "p99",
                 "times portsmith"], rows)


def print_trace(results):
    for r in results.of("trace"):
        rows = [[name, number(quantile(values, .5), 1, 0), number(quantile(values, .95), 1, 0)]
                for name, values in r["microseconds"].items() if values]
        print_table(f"Where the time goes ({r['peer']}, portsmithd --trace), microseconds",
                    ["", "median", "p95"], rows)


def print_garbage(results):
    base = results.one("garbage", "portsmith-rules", 1)
    rows = [[r["peer"], f"{r['size']:,}", f"{r['packets']:,}", number(r["nanoseconds"], 1000),
             ratio(r["nanoseconds"], base and base["nanoseconds"]), f"{r['log_lines']:,}"]
            for r in results.of("garbage")]
    print_table("Time on a processor for a datagram of garbage, microseconds",
                ["", "profiles", "datagrams", "each", "times portsmith", "log lines"], rows)
    for r in results.of("allocations"):
        print(f"  portsmith allocated {r['allocations']} times for {r['packets']:,} of them")


def print_flood(results):
    rows = []
    for r in results.of("flood"):
        values = r["microseconds"]
        soon = sum(v is not None and v <= FLOOD_US for v in values)
        opened = sum(v is not None for v in values)
        rows.append([r["peer"], f"{r['size']:,}" if r["size"] else "all it can",
                     f"{r['a_second']:,}", len(values), opened, soon,
                     number(quantile(values, .5), 1000), number(quantile(values, 1), 1000)])
    print_table("Honest knocks in a flood of garbage, milliseconds",
                ["", "asked for", "a second", "knocks", "opened within 2 s", "within 50 ms",
                 "median", "most"], rows)


def print_crowd(results):
    rows = []
    for r in results.of("crowd"):
        known = [v for v in r["microseconds"] if v is not None]
        rows.append([r["peer"], f"{r['size']:,}", f"{len(known):,}",
                     number(max(known, default=None), 1000, 0)])
    print_table("Valid knocks of as many clients at once, milliseconds",
                ["", "knocks", "honoured", "to the last"], rows)


def print_forward(results):
    for way, title in (("forwarded", "that is forwarded"), ("delivered", "to the host itself")):
        bare = results.one(way, "none", 0)
        rows = [[r["peer"], f"{r['size']:,}", f"{min(r['nanoseconds']):,}",
                 f"{min(r['nanoseconds']) - min(bare['nanoseconds']):,}" if bare else "-"]
                for r in results.of(way)]
        print_table(f"A packet {title}, nanoseconds, least of some runs",
                    ["", "live grants", "each", "more than without"], rows)


def print_sizes(results):
    rows = []
    for r in results.of("memory") or results.of("start"):
        memory, start = (results.one(m, r["peer"], r["size"]) for m in ("memory", "start"))
        rows.append([r["peer"], f"{r['size']:,}",
                     number(memory["kilobytes"], 1024) if memory else "-",
                     number(start["milliseconds"], 1, 0) if start else "-"])
    print_table("Memory of all processes (PSS, MiB), and milliseconds from start to service",
                ["", "profiles", "memory", "start"], rows)
    print_table("Idle", ["", "seconds", "wake-ups", "a second", "microseconds of processor"],
                [[r["peer"], r["seconds"], r["wakeups"], number(r["wakeups"] / r["seconds"]),
                  number(r["nanoseconds"], 1000, 0)] for r in results.of("idle")])


# ---- targets ---------------------------------------------------------------

def latency_targets(results, store):
    peer = f"portsmith-{store}"
    ours, theirs = median_at(results, peer, 1), median_at(results, "fwknopd", 1)
    all_of = [r for r in results.of("latency", peer) if r["size"] <= FLAT_TO[peer]]
    medians = [quantile(r["microseconds"], .5) for r in all_of]
    if ours and theirs:
        fastest = min(v for v in results.one("latency", "fwknopd", 1)["microseconds"] if v)
        p99 = quantile(results.one("latency", peer, 1)["microseconds"], .99)
        yield (theirs / ours >= FASTER[peer],
               f"{store}: median {FASTER[peer]} times faster than fwknopd's",
               f"{theirs / ours:.1f} times")
        yield (p99 is not None and p99 < fastest, f"{store}: p99 below fwknopd's fastest",
               f"{number(p99, 1000)} ms, {number(fastest, 1000)} ms")
    if ours and len(medians) > 1:
        flat = None not in medians and max(medians) / min(medians)
        yield (flat and flat <= FLAT_LATENCY,
               f"{store}: flat (within {FLAT_LATENCY}) from 1 to {FLAT_TO[peer]:,} live grants",
               f"{flat:.2f} to {max(r['size'] for r in all_of):,}")


def garbage_targets(results):
    costs = [r["nanoseconds"] for r in results.of("garbage", "portsmith-rules")]
    lines = sum(r["log_lines"] for r in results.of("garbage", "portsmith-rules"))
    allocations = sum(r["allocations"] for r in results.of("allocations"))
    if costs:
        yield (max(costs) < GARBAGE_NS, "garbage: below 2 microseconds a packet",
               f"{max(costs) / 1000:.2f}")
        yield (max(costs) / min(costs) <= FLAT_GARBAGE,
               f"garbage: flat (within {FLAT_GARBAGE}) from 1 to 10,000 profiles",
               f"{max(costs) / min(costs):.2f}")
        yield (lines == 0, "garbage: no log lines", f"{lines}")
    if results.of("allocations"):
        yield allocations == 0, "garbage: no allocations", f"{allocations}"


def load_targets(results):
    for r in results.of("flood", "portsmith-rules"):
        if r["size"] == 0:
            soon = sum(v is not None and v <= FLOOD_US for v in r["microseconds"])
            yield (soon == len(r["microseconds"]), "the strongest flood: every knock within 50 ms",
                   f"{soon} of {len(r['microseconds'])} at {r['a_second']:,} a second")
    for r in results.of("crowd"):
        if r["peer"] in CROWD_US:
            last = quantile(r["microseconds"], 1)
            yield (last is not None and last <= CROWD_US[r["peer"]],
                   f"{r['peer']}: {r['size']:,} at once, the last within "
                   f"{CROWD_US[r['peer']] / 1e6} s", f"{number(last, 1e6)} s")


def rest_targets(results):
    for size, most in MEMORY_KB.items():
        r = results.one("memory", "portsmith-rules", size)
        if r:
            yield (r["kilobytes"] < most, f"memory: below {most // 1024} MiB with {size:,} profiles",
                   f"{r['kilobytes'] / 1024:.2f}")
    for r in results.of("idle", "portsmith"):
        yield r["wakeups"] == 0, "idle: no wake-up", f"{r['wakeups']} in {r['seconds']} s"


def print_targets(results):
    found = [*latency_targets(results, "rules"), *latency_targets(results, "set"),
             *garbage_targets(results), *load_targets(results), *rest_targets(results)]
    print_table("The targets", ["", "measured", ""],
                [[name, figure, "holds" if holds else "DOES NOT HOLD"]
                 for holds, name, figure in found])
    return [{"target": name, "measured": figure, "holds": bool(holds)}
            for holds, name, figure in found]


# ---- plots -----------------------------------------------------------------

def curves(results, measure, value):
    """A curve for each peer: {name: [(size, value)]}."""
    peers = dict.fromkeys(r["peer"] for r in results.of(measure) if r["size"])
    pairs = {p: [(r["size"], value(r)) for r in results.of(measure, p) if r["size"]]
             for p in peers}
    return {p: [(x, y) for x, y in points if y] for p, points in pairs.items()}


def write_plots(results, directory):
    def median(r):
        value = quantile(r["microseconds"], .5)
        return value and value / 1000

    plots = [
        ("latency", "Knock to first connection, median", "live grants", "ms", median),
        ("garbage", "Processor time for a datagram of garbage", "profiles", "microseconds",
         lambda r: r["nanoseconds"] / 1000),
        ("flood", "Honest knocks in a flood, median", "datagrams of garbage a second", "ms", median),
        ("forwarded", "A packet that is forwarded", "live grants", "ns",
         lambda r: min(r["nanoseconds"])),
        ("memory", "Memory of all processes", "profiles", "KiB", lambda r: r["kilobytes"]),
        ("start", "From start to service", "profiles", "ms", lambda r: r["milliseconds"]),
    ]
    for measure, title, across, up, value in plots:
        found = curves(results, measure, value)
        if any(found.values()):
            (directory / f"{measure}.svg").write_text(plot.draw(title, across, up, found))


def main(directory):
    results = Results((directory / "results.jsonl").read_text().splitlines())
    versions = (directory / "versions.txt").read_text().splitlines()
    print("\n".join(versions))
    print_latency(results)
    print_trace(results)
    print_garbage(results)
    print_flood(results)
    print_crowd(results)
    print_forward(results)
    print_sizes(results)
    targets = print_targets(results)
    write_plots(results, directory)
    (directory / "results.json").write_text(json.dumps(
        {"versions": versions, "targets": targets, "results": results.all}, indent=1) + "\n")
    print(f"\nresults.json and the plots are in {directory}")


main(pathlib.Path(sys.argv[1]))
