#!/usr/bin/python3
"""report.py DIRECTORY: prints what tests/bench/run measured, as tables with ratios, and
whether the targets hold; writes results.json and the plots beside results.jsonl."""
import json
import pathlib
import random
import sys

sys.dont_write_bytecode = True
import plot  # noqa: E402

# What Portsmith wants to reach. Ratios within one run, or counts.
FASTER = {"portsmith-rules": 60, "portsmith-set": 120, "portsmith-nftables": 120}
FLAT_LATENCY = 1.5
FLAT_TO = {"portsmith-rules": 200, "portsmith-set": 10000, "portsmith-nftables": 10000}
GARBAGE_NS, FLAT_GARBAGE, PROFILES = 2000, 1.2, {1, 100, 1000, 10000}
FLOOD_US, FLOOD_KNOCKS = 50_000, 100
CROWD = 1000
CROWD_US = {"portsmith-rules": 1_000_000, "portsmith-set": 300_000, "portsmith-nftables": 300_000}
# It was 4 MiB for supervisor, sniffer and helper without iptables-restore. There are two of those
# now, which wait for work, so that no knock has to wait until one has been started; and a witness,
# which does without privilege what the helper did with it.
MEMORY_KB = {1: 5427, 10000: 12288}
IDLE_SECONDS = 60
BESIDE, BESIDE_KNOCKS, RESAMPLES = 1.05, 300, 2000
COUNTING_FASTER, TRACKED = 100, 200_000
# Of nftables: the share of the other build's set, and of fwknopd's fastest; milliseconds.
NATIVE_SHARE, NATIVE_FLAT, NATIVE_P99_MS, NATIVE_PEER_SHARE = .6, 1.3, 4, .1
NATIVE_EXPIRY_MS, NATIVE_CROWD_MS, NATIVE_COST_US = 5, 120, .4
# Of the way from wire to rule, beside the build of d3f80e1: shares of its figures, or milliseconds.
WAY_SET_SHARE, WAY_SET_P99_MS = .6, 4
WAY_RULES_P99_MS, WAY_RULES_FLAT = 8, 1.3
WAY_CROWD_SHARE = {"portsmith-set": .73, "portsmith-rules": .75}
WAY_MEMORY_MIB, WAY_MEMORY_LIVE_MIB = 5, 10
# For an hour: the last tenth's median by the first one's, and kilobytes more at its end.
DRIFT, GROWTH_KB, LONG_SECONDS = 1.1, 256, 3600
KINDS = ("plain", "counted", "roaming", "behind")  # client 1 is the second: see crowd.py
LATER = float("inf")  # than any that was waited for


def quantile(values, share):
    """The value that this share of them does not exceed; a None, or none at all, is later than
    all."""
    if not values:
        return None
    ordered = sorted(values, key=lambda v: LATER if v is None else v)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def median(values):
    return quantile(values, .5)


def number(value, divisor=1.0, digits=2):
    return "never" if value in (None, LATER) else f"{value / divisor:,.{digits}f}"


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
        """Of that measure and that peer, or of any."""
        return [r for r in self.all
                if measure in (None, r["measure"]) and peer in (None, r["peer"])]

    def stores(self):
        """How this run's Portsmith keeps grants: the default first."""
        found = [name for name in FASTER if self.of(None, name)]
        return found or list(FASTER)[:2]

    def one(self, measure, peer, size):
        return next((r for r in self.of(measure, peer) if r["size"] == size), None)


def median_at(results, measure, key, peer, size):
    found = results.one(measure, peer, size)
    return median(found[key]) if found else None


def print_latency(results):
    rows, stores = [], results.stores()
    for r in results.of("latency"):
        values = r["microseconds"]
        known = [v for v in values if v is not None]
        rows.append([r["peer"], f"{r['size']:,}", len(values), f"{len(known)}/{len(values)}",
                     number(min(known, default=None), 1000)] +
                    [number(quantile(values, q), 1000) for q in (.5, .95, .99)] +
                    [ratio(median(values), median_at(results, "latency", "microseconds", store,
                                                     r["size"])) for store in stores])
    print_table("From the datagram leaving to the first accepted connection, milliseconds; a new "
                "one is tried\nevery 25 microseconds, later every 1/256 of the time that has passed; no "
                "processor is let sleep",
                ["", "live grants", "knocks", "opened", "least", "median", "p95", "p99",
                 *(f"times {store.removeprefix('portsmith-')}" for store in stores)], rows)
    if results.of("latency", "fwknopd-1ms"):
        print("  fwknopd looks every 100 ms, which is its default; fwknopd-1ms with "
              "PCAP_LOOP_SLEEP 1000")


def print_trace(results):
    for r in results.of("trace"):
        rows = [[name, number(quantile(values, .5), 1, 0), number(quantile(values, .95), 1, 0)]
                for name, values in r["microseconds"].items() if values]
        print_table(f"Where the time goes ({r['peer']}, portsmithd --trace), microseconds",
                    ["", "median", "p95"], rows)


def print_garbage(results):
    rows = []
    for r in results.of("garbage_apart") + results.of("garbage"):
        own = median(r["nanoseconds"])
        rows.append([r["peer"], f"{r['size']:,}", f"{r['a_second']:,}", f"{r['packets']:,}",
                     number(own, 1000),
                     ratio(own, median_at(results, r["measure"], "nanoseconds",
                                          results.stores()[0], r["size"])), f"{r['log_lines']:,}"])
    print_table("Time on a processor for a datagram of garbage, microseconds: of the peer's own "
                "processes, system calls\nand interrupts that came meanwhile included; not what "
                "the kernel does before it wakes them. Each peer is sent\nas many a second as it "
                "can follow, and some one by one",
                ["", "profiles", "a second", "datagrams", "each", "times portsmith", "log lines"],
                rows)
    for r in results.of("allocations"):
        print(f"  portsmith allocated {r['allocations']} times for {r['packets']:,} of them")


def count_soon(flood):
    return sum(v is not None and v <= FLOOD_US for v in flood["microseconds"])


def print_flood(results):
    rows = []
    for r in results.of("flood"):
        values = r["microseconds"]
        opened = sum(v is not None for v in values)
        rows.append([r["peer"], f"{r['size']:,}" if r["size"] else "all it can",
                     number(r["a_second"], 1, 0), len(values), opened, count_soon(r),
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
    print_table("Memory of all processes (PSS, MiB) with live grants; Portsmith has a profile for "
                "each", ["", "live grants", "memory"],
                [[r["peer"], f"{r['size']:,}", number(r["kilobytes"], 1024)]
                 for r in results.of("memory_live")])
    print_table("Idle", ["", "seconds", "wake-ups", "a second", "microseconds of processor"],
                [[r["peer"], r["seconds"], r["wakeups"], number(r["wakeups"] / r["seconds"]),
                  number(r["nanoseconds"], 1000, 0)] for r in results.of("idle")])


# ---- targets ---------------------------------------------------------------

NOTHING = "-"


def target(name, figure, holds, complete):
    """What was not measured to the end may fail, but cannot hold."""
    verdict = "holds" if holds and complete else "not measured to the end"
    if not holds:
        verdict = "not measured" if figure == NOTHING else "DOES NOT HOLD"
    return {"target": name, "measured": figure, "verdict": verdict}


def spread(values):
    return LATER if None in values else max(values) / min(values)


def faster_target(results, peer):
    ours = {r["size"]: median(r["microseconds"]) for r in results.of("latency", peer)
            if r["size"] <= FLAT_TO[peer]}
    theirs = {r["size"]: median(r["microseconds"]) for r in results.of("latency", "fwknopd")}
    # One that never opens for half of the knocks is slower than any.
    ratios = {size: (theirs[size] or LATER) / (ours[size] or LATER)
              for size in ours if size in theirs}
    return target(f"{peer}: median {FASTER[peer]} times faster than fwknopd's",
                  "; ".join(f"{n:.0f} at {size:,}" for size, n in ratios.items()) or NOTHING,
                  bool(ratios) and min(ratios.values()) >= FASTER[peer], {1, 100} <= ratios.keys())


def latency_targets(results, peer):
    ours = {r["size"]: r["microseconds"] for r in results.of("latency", peer)
            if r["size"] <= FLAT_TO[peer]}
    p99 = [quantile(values, .99) for values in ours.values()]
    medians = [median(values) for values in ours.values()]
    theirs = [v for r in results.of("latency", "fwknopd") for v in r["microseconds"] if v]
    worst = LATER if None in p99 else max(p99, default=LATER)
    complete = {1, FLAT_TO[peer]} <= ours.keys()
    yield faster_target(results, peer)
    yield target(f"{peer}: p99 below fwknopd's fastest, to {FLAT_TO[peer]:,} live grants",
                 f"{number(worst, 1000)} ms, {number(min(theirs), 1000)} ms"
                 if p99 and theirs else NOTHING,
                 bool(p99 and theirs) and worst < min(theirs), complete)
    yield target(f"{peer}: flat (within {FLAT_LATENCY}) from 1 to {FLAT_TO[peer]:,} live grants",
                 f"{spread(medians):.2f} to {max(ours):,}" if len(ours) > 1 else NOTHING,
                 len(ours) > 1 and spread(medians) <= FLAT_LATENCY, complete)


def garbage_targets(results):
    all_of = results.of("garbage", results.stores()[0])
    costs = [median(r["nanoseconds"]) for r in all_of]
    lines = sum(r["log_lines"] for r in all_of)
    allocations = [r["allocations"] for r in results.of("allocations")]
    complete = PROFILES <= {r["size"] for r in all_of}
    yield target("garbage: below 2 microseconds a datagram",
                 f"{max(costs) / 1000:.2f}" if costs else NOTHING,
                 bool(costs) and max(costs) < GARBAGE_NS, complete)
    yield target(f"garbage: flat (within {FLAT_GARBAGE}) from 1 to 10,000 profiles",
                 f"{spread(costs):.2f}" if len(costs) > 1 else NOTHING,
                 len(costs) > 1 and spread(costs) <= FLAT_GARBAGE, complete)
    yield target("garbage: no log lines", f"{lines}" if all_of else NOTHING,
                 bool(all_of) and lines == 0, complete)
    yield target("garbage: no allocations", f"{allocations[0]}" if allocations else NOTHING,
                 allocations == [0], True)


def flood_target(results):
    flood = results.one("flood", results.stores()[0], 0)
    knocks = len(flood["microseconds"]) if flood else 0
    return target(f"the strongest flood: {FLOOD_KNOCKS} knocks open, each within 50 ms",
                  f"{count_soon(flood)} of {knocks} at {number(flood['a_second'], 1, 0)} a second"
                  if flood else NOTHING,
                  bool(flood) and count_soon(flood) == knocks, knocks >= FLOOD_KNOCKS)


def crowd_target(results, peer):
    crowds = results.of("crowd", peer)
    values = crowds[0]["microseconds"] if crowds else []
    last = quantile(values, 1) if values else None
    return target(f"{peer}: {CROWD:,} knocks at once honoured, the last within "
                  f"{CROWD_US[peer] / 1e6} s",
                  f"{sum(v is not None for v in values):,} of {len(values):,}, the last after "
                  f"{number(last, 1e6)} s" if values else NOTHING,
                  last is not None and last <= CROWD_US[peer], len(values) >= CROWD)


def rest_targets(results):
    for size, most in MEMORY_KB.items():
        r = results.one("memory", results.stores()[0], size)
        yield target(f"memory: below {most / 1024:.1f} MiB, profiles: {size:,}",
                     f"{r['kilobytes'] / 1024:.2f}" if r else NOTHING,
                     bool(r) and r["kilobytes"] < most, True)
    for peer in results.stores():
        r = results.one("idle", peer, 1)
        yield target(f"{peer}: no wake-up in an idle minute",
                     f"{r['wakeups']} in {r['seconds']} s" if r else NOTHING,
                     bool(r) and r["wakeups"] == 0, bool(r) and r["seconds"] >= IDLE_SECONDS)


def print_targets(results):
    found = [t for peer in results.stores() for t in latency_targets(results, peer)]
    found += [*garbage_targets(results), flood_target(results)]
    found += [*(crowd_target(results, peer) for peer in results.stores()), *rest_targets(results)]
    print_table("The targets", ["", "measured", ""], [t.values() for t in found])
    return found


# ---- beside another build --------------------------------------------------

def rounds_of(turns, size):
    """A list for each round, of pairs: our microseconds and theirs, of one moment."""
    found = [{r["round"]: [LATER if v is None else v for v in r["microseconds"]]
              for r in turns if (r["tree"], r["size"]) == (tree, size)}
             for tree in ("own", "other")]
    return [list(zip(found[0][i], found[1][i])) for i in found[0] if i in found[1]]


def quantiles(rounds, share):
    return [quantile(values, share) for values in zip(*(pair for pairs in rounds for pair in pairs))]


def interval(rounds, share):
    """Within which 95 of 100 ratios are, of rounds and then pairs drawn from these."""
    draw = random.Random(1).choices
    ratios = []
    for _ in range(RESAMPLES):
        own, other = quantiles([draw(pairs, k=len(pairs)) for pairs in draw(rounds, k=len(rounds))],
                               share)
        ratios.append(own / other)
    return quantile(ratios, .025), quantile(ratios, .975)


def judge_turns(low, high, knocks):
    if knocks < BESIDE_KNOCKS:
        return "not measured to the end"
    if low > BESIDE:
        return "DOES NOT HOLD"
    return "holds" if high <= BESIDE else "not decided"


def compare(rounds, peer, size, name, share):
    own, other = quantiles(rounds, share)
    low, high = interval(rounds, share)
    knocks = sum(map(len, rounds))
    return {"peer": peer, "live grants": f"{size:,}", "knocks": knocks, "figure": name,
            "own": number(own, 1000), "other": number(other, 1000), "ratio": number(own / other),
            "at least": number(low), "at most": number(high),
            f"{BESIDE} at most": judge_turns(low, high, knocks)}


def print_turns(results):
    cells = {(r["peer"], r["size"]): rounds_of(results.of("turns", r["peer"]), r["size"])
             for r in results.of("turns")}
    found = [compare(rounds, *cell, *figure) for cell, rounds in cells.items() if rounds
             for figure in (("median", .5), ("p95", .95), ("p99", .99))]
    print_table("This build beside the other one, knock by knock: from the datagram leaving to "
                "the first accepted\nconnection, milliseconds; their ratio, and between what it is "
                "with 95 % confidence", list(*found[:1]), [row.values() for row in found])
    return found


def both(results, measure, key, peer=None, size=None):
    """All values of the two trees, of the lists or single values there are: own, other."""
    found = {"own": [], "other": []}
    for r in results.of(measure, peer or results.stores()[0]):
        if size not in (None, r["size"]):
            continue
        found[r["tree"]] += r[key] if isinstance(r[key], list) else [r[key]]
    return found.values()


def beside_row(name, trees, divisor, holds=None):
    own, other = map(median, trees)
    verdict = "" if holds is None else "holds" if holds(own, other) else "DOES NOT HOLD"
    return {"": name, "own": number(own, divisor), "other": number(other, divisor),
            "ratio": number(own / other) if own and other else "-", "target": verdict}


def beside_rows(results):
    for size in {r["size"]: None for r in results.of("counting")}:
        yield beside_row(f"a knock whose connections count, of {size:,} tracked: ms, "
                         f"{COUNTING_FASTER} times faster", both(results, "counting", "microseconds"),
                         1000, (lambda own, other: own * COUNTING_FASTER <= other)
                         if size >= TRACKED else None)
        yield beside_row("a knock of another client meanwhile: ms",
                         both(results, "counting", "others"), 1000)
    for measure, how in ("garbage_apart", "one by one"), ("garbage", "50,000 a second"):
        for size in {r["size"]: None for r in results.of(measure)}:
            yield beside_row(f"a datagram of garbage, {how}, profiles: {size:,}: microseconds, "
                             f"{BESIDE} times at most",
                             both(results, measure, "nanoseconds", size=size), 1000,
                             lambda own, other: own <= other * BESIDE)
    if results.of("memory"):
        yield beside_row(f"memory of all processes: PSS, MiB, {MEMORY_KB[1] / 1024:.1f} at most",
                         both(results, "memory", "kilobytes"), 1024,
                         lambda own, _: own <= MEMORY_KB[1])
        yield beside_row("memory that no other process of this machine maps: MiB",
                         both(results, "memory", "own"), 1024)
        yield beside_row("memory on a machine that runs nothing else: MiB",
                         both(results, "memory", "alone"), 1024)
    for peer in sorted({r["peer"] for r in results.of("idle")}):
        yield beside_row(f"{peer}: wake-ups in {results.of('idle')[0]['seconds']} idle seconds, none",
                         both(results, "idle", "wakeups", peer), 1, lambda own, _: own == 0)


def print_beside(results):
    rows = list(beside_rows(results))
    print_table("This build beside the other one, medians", list(*rows[:1]),
                [row.values() for row in rows])
    return rows


# ---- nftables beside what another build has ---------------------------------

def native_turns(results, size, share):
    """Milliseconds of the other's rules and set, and ours as it was beside the set."""
    beside = {name: rounds_of(results.of(f"beside_{name}"), size) for name in ("rules", "set")}
    of_rules, of_set = (quantiles(beside[name], share) if beside[name] else [None, None]
                        for name in beside)
    return [v and v / 1000 for v in (of_rules[1], of_set[1], of_set[0])]


def native_of(results, measure, judge):
    """A figure of the other's rules and set, and of ours, from all results of each."""
    found = ([r for r in results.of(measure, f"portsmith-{store}") if r["tree"] == tree]
             for store, tree in (("rules", "other"), ("set", "other"), ("nftables", "own")))
    return [judge(of_one) if of_one else None for of_one in found]


def longest(of_one):
    """The round in which nothing else held anybody up."""
    return min(quantile(r["microseconds"], 1) for r in of_one) / 1000


def cost_of_packet(of_one):
    """Each host's own: how fast a host is at all differs by more than that."""
    without, crowded = ([min(r["nanoseconds"]) for r in of_one if (r["size"] > 0) == has_grants]
                        for has_grants in (False, True))
    return median([after - before for before, after in zip(without, crowded)]) / 1000


def native_row(name, figures, holds, target):
    own = figures[-1]
    verdict = "not measured" if own is None else "holds" if holds(own) else "DOES NOT HOLD"
    cells = [NOTHING if v is None else number(v) for v in figures]
    return {"": name, **dict(zip(("other rules", "other set", "nftables"), cells)),
            "target, at most": target, "verdict": verdict}


def native_latency_rows(results):
    one, many = (native_turns(results, size, .5) for size in (1, 10_000))
    p99 = native_turns(results, 1000, .99)
    peer = [v / 1000 for r in results.of("latency", "fwknopd") for v in r["microseconds"] if v]
    share = number(one[2] / one[1]) if one[1] else NOTHING
    yield native_row("a knock, 1 live grant: median, ms", one,
                     lambda own: own <= NATIVE_SHARE * one[1],
                     f"{NATIVE_SHARE} times the set ({share})")
    yield native_row("the same, 10,000", many, lambda own: own <= NATIVE_FLAT * one[2],
                     f"{NATIVE_FLAT} times its own at 1")
    yield native_row("the same, 1,000: p99, ms", p99,
                     lambda own: own <= NATIVE_P99_MS and peer and
                     own < NATIVE_PEER_SHARE * min(peer),
                     f"{NATIVE_P99_MS}, and {NATIVE_PEER_SHARE} times fwknopd's least "
                     f"({number(min(peer, default=None))})")


def quietest(of_one):
    return min(quantile(r["quiet"], 1) for r in of_one) / 1000


def native_rows(results):
    quiet = native_of(results, "expiry", quietest)[-1]
    crowd = max((r["size"] for r in results.of("crowd")), default=CROWD)
    yield from native_latency_rows(results)
    yield native_row(f"{crowd:,} grants end while knocks come: longest, ms",
                     native_of(results, "expiry", longest),
                     lambda own: own <= NATIVE_EXPIRY_MS,
                     f"{NATIVE_EXPIRY_MS} (none ends: {number(quiet)})")
    yield native_row(f"{crowd:,} knocks at once, to the last: ms",
                     native_of(results, "crowd", lambda of_one: median(
                         [quantile(r["microseconds"], 1) for r in of_one]) / 1000),
                     lambda own: own <= NATIVE_CROWD_MS, f"{NATIVE_CROWD_MS}")
    yield native_row(f"a packet to the host, {crowd:,} grants: microseconds more",
                     native_of(results, "delivered", cost_of_packet),
                     lambda own: own <= NATIVE_COST_US, f"{NATIVE_COST_US}")
    yield native_row("programs executed for a grant",
                     native_of(results, "programs", lambda of_one: max(
                         r["programs"] / r["size"] for r in of_one)),
                     lambda own: own == 0, "0")


def print_native(results):
    if not results.of("beside_set"):
        return []
    rows = list(native_rows(results))
    print_table("This build's nftables beside the other's rules and set, and fwknopd",
                list(*rows[:1]), [row.values() for row in rows])
    for r in results.of("latency", "fwknopd"):
        print(f"  fwknopd, {r['size']:,} live grants: median "
              f"{number(median(r['microseconds']), 1000)} ms")
    return rows


# ---- the way from wire to rule, beside the build of before ---------------------

def way_row(name, own, other, target, holds, knocks=None):
    """`knocks`: of how many the figures are, if more of them could change the verdict."""
    cells = [NOTHING if v is None else number(v) for v in (own, other)]
    verdict = "not measured" if own is None else "holds" if holds else "DOES NOT HOLD"
    if knocks is not None and own is not None and knocks < BESIDE_KNOCKS:
        verdict = "not measured to the end"
    return {"": name, "own": cells[0], "other": cells[1],
            "ratio": number(own / other) if own and other else NOTHING, "target, at most": target,
            "verdict": verdict}


def way_turns(results, peer, size, share):
    """Milliseconds of ours and the other's, and of how many knocks."""
    rounds = rounds_of(results.of("turns", peer), size)
    own, other = (v / 1000 for v in quantiles(rounds, share)) if rounds else (None, None)
    return own, other, sum(map(len, rounds))


def way_share_row(name, own, other, share, knocks=None):
    return way_row(name, own, other, f"{share} times the other's",
                   own is not None and bool(other) and own <= share * other, knocks)


def way_most_row(name, own, other, most, unit, knocks=None):
    return way_row(name, own, other, f"{most} {unit}", own is not None and own <= most, knocks)


def way_latency_rows(results):
    own, other, knocks = way_turns(results, "portsmith-set", 1, .5)
    yield way_share_row("sets, 1 live grant: median, ms", own, other, WAY_SET_SHARE, knocks)
    own, other, knocks = way_turns(results, "portsmith-set", 1000, .99)
    yield way_most_row("sets, 1,000: p99, ms", own, other, WAY_SET_P99_MS, "ms", knocks)
    for size in 100, 200:
        own, other, knocks = way_turns(results, "portsmith-rules", size, .99)
        yield way_most_row(f"rules, {size}: p99, ms", own, other, WAY_RULES_P99_MS, "ms", knocks)
    few, many = (way_turns(results, "portsmith-rules", size, .5) for size in (1, 200))
    own, other = (b / a if a and b else None for a, b in zip(few[:2], many[:2]))
    yield way_most_row("rules, 200: median by that at 1", own, other, WAY_RULES_FLAT, "times",
                       min(few[2], many[2]))


def way_crowd_rows(results):
    for peer, share in WAY_CROWD_SHARE.items():
        found = results.of("crowd", peer)
        own, other = (median([quantile(r["microseconds"], 1) for r in of_tree]) / 1000
                      if of_tree else None
                      for of_tree in ([r for r in found if r["tree"] == tree]
                                      for tree in ("own", "other")))
        yield way_share_row(f"{peer.removeprefix('portsmith-')}, {CROWD:,} knocks at once: the "
                            "last, ms", own, other, share,
                            None if all(r["size"] >= CROWD for r in found) else 0)


def way_both(results, measure, key, peer, size, divisor):
    return [median(values) / divisor if values else None
            for values in both(results, measure, key, peer, size)]


def way_rest_rows(results):
    for size in {r["size"]: None for r in results.of("garbage")}:
        yield way_share_row(f"garbage, profiles: {size:,}: microseconds a datagram",
                            *way_both(results, "garbage", "nanoseconds", "portsmith-rules", size,
                                      1000), BESIDE)
    yield way_most_row("memory of all processes, 1 profile: MiB",
                       *way_both(results, "memory", "kilobytes", "portsmith-rules", 1, 1024),
                       WAY_MEMORY_MIB, "MiB")
    live = max((r["size"] for r in results.of("memory_live")), default=10000)
    yield way_most_row(f"the same, {live:,} live grants in a set: MiB",
                       *way_both(results, "memory_live", "kilobytes", "portsmith-set", live, 1024),
                       WAY_MEMORY_LIVE_MIB, "MiB", None if live >= 10000 else 0)


def print_times(results):
    """How many times sooner than who else is measured in the same run."""
    rows = []
    for r in results.of("latency") if results.of("turns") else []:
        theirs, cells = median(r["microseconds"]), []
        for peer in results.stores():
            own = way_turns(results, peer, r["size"], .5)[0]
            cells += [f"{(theirs or LATER) / 1000 / own:,.0f}" if own else NOTHING]
        rows.append([r["peer"], f"{r['size']:,}", number(theirs, 1000), *cells])
    print_table("Others in the same run: their median, milliseconds, and how many times sooner "
                "this build is", ["", "live grants", "median", *results.stores()], rows)


def print_way(results):
    own_set = [r for r in results.of(None, "portsmith-set") if r["tree"] == "own"]
    if not own_set:
        return []
    rows = [*way_latency_rows(results), *way_crowd_rows(results), *way_rest_rows(results)]
    print_table("The way from wire to rule: this build beside the other one", list(*rows[:1]),
                [row.values() for row in rows])
    return rows


# ---- very many, and for long -------------------------------------------------

EACH = "Memory of each process, but for pages of programs and libraries, KiB"


def print_scale(results):
    rows = []
    for r in results.of("scale"):
        values = r["microseconds"]
        rows.append([f"{r['size']:,}", number(r["milliseconds"], 1, 0), number(r["alone"], 1024),
                     number(r["nanoseconds"], 1000, 0)] +
                    [number(quantile(values, share), 1000) for share in (.5, .95, 1)])
    print_table("Very many profiles: milliseconds from start to service; memory of all processes, "
                "MiB;\nmicroseconds of processor for a knock; milliseconds from knock to connection",
                ["profiles", "start", "memory", "processor", "median", "p95", "most"], rows)
    names = list({name: None for r in results.of("scale") for name in r["memory"]})
    print_table(EACH, ["profiles", *names],
                [[f"{r['size']:,}", *(f"{r['memory'].get(name, 0):,}" for name in names)]
                 for r in results.of("scale")])


def tenths(values):
    return [values[len(values) * i // 10:len(values) * (i + 1) // 10] for i in range(10)]


def print_hour(hour):
    values = hour["microseconds"]
    parts = [(f"tenth {i + 1}", part) for i, part in enumerate(tenths(values))]
    parts += [(name, values[(i - 1) % len(KINDS)::len(KINDS)]) for i, name in enumerate(KINDS)]
    print_table(f"{len(values):,} knocks in {hour['size']:,} seconds "
                f"({hour['peer']}), by tenths, and by the kinds of clients: milliseconds",
                ["", "knocks", "opened", "median", "p95", "p99", "most"],
                [[name, f"{len(part):,}", f"{sum(v is not None for v in part):,}"] +
                 [number(quantile(part, share), 1000) for share in (.5, .95, .99, 1)]
                 for name, part in parts])
    print_table(EACH, ["", "before", "after", "more"],
                [[name, before, hour["after"].get(name, 0), hour["after"].get(name, 0) - before]
                 for name, before in hour["before"].items()])
    print(f"  live grants at the end {hour['live']}, when all windows were over {hour['left']}; "
          f"lines of log {hour['lines']:,}")


def hour_targets(hour):
    parts = tenths(hour["microseconds"])
    complete = hour["size"] >= LONG_SECONDS
    first, last = median(parts[0]), median(parts[-1])
    lost = hour["microseconds"].count(None)
    growth = sum(hour["after"].values()) - sum(hour["before"].values())
    yield target("each knock opens", f"{lost} did not", lost == 0, complete)
    yield target(f"no drift: the last tenth's median at most {DRIFT} times the first one's",
                 number(last / first) if first and last else "never",
                 bool(first and last) and last <= DRIFT * first, complete)
    yield target(f"flat memory: at most {GROWTH_KB} KiB more", f"{growth} KiB", growth <= GROWTH_KB,
                 complete)
    yield target("no grant is left", f"{hour['left']}", hour["left"] == 0, complete)


def print_long(results):
    print_scale(results)
    found = []
    for hour in results.of("hour"):
        print_hour(hour)
        found += hour_targets(hour)
    print_table("The targets", ["", "measured", ""], [t.values() for t in found])
    return found


# ---- plots -----------------------------------------------------------------

def curves(results, measure, points):
    """A curve for each peer, of the points of each of its results: {name: [(x, y)]}."""
    found = {}
    for r in results.of(measure):
        found.setdefault(r["peer"], []).extend(points(r))
    return {peer: [(x, y) for x, y in found[peer] if x and y is not None] for peer in found}


def by_size(key, divisor, share=.5):
    """Points of the size and a quantile, or the one value."""
    def points(r):
        values = r[key] if isinstance(r[key], list) else [r[key]]
        value = quantile(values, share)
        return [(r["size"], value / divisor if value else None)]
    return points


def honoured(r):
    values = r["microseconds"]
    return [(r["a_second"], 100 * sum(v is not None for v in values) / len(values))]


def let_in(r):
    known = sorted(v for v in r["microseconds"] if v is not None)
    return [(v / 1000, i + 1) for i, v in enumerate(known)]


def write_plots(results, directory):
    latencies = [
        (f"latency-{name}", "latency", f"Knock to first connection, {name}", "live grants", "ms",
         by_size("microseconds", 1000, share))
        for name, share in (("median", .5), ("p95", .95), ("p99", .99))]
    plots = latencies + [
        ("garbage", "garbage", "Processor time for a datagram of garbage", "profiles",
         "microseconds", by_size("nanoseconds", 1000)),
        ("forwarded", "forwarded", "A packet that is forwarded", "live grants", "ns",
         by_size("nanoseconds", 1, 0)),
        ("memory", "memory", "Memory of all processes", "profiles", "KiB",
         by_size("kilobytes", 1)),
        ("start", "start", "From start to service", "profiles", "ms", by_size("milliseconds", 1)),
        ("flood", "flood", "Honest knocks honoured in a flood", "datagrams of garbage a second",
         "%", honoured),
        ("crowd", "crowd", "Clients let in that knocked at once", "ms", "clients", let_in),
    ]
    for name, measure, title, across, up, points in plots:
        found = curves(results, measure, points)
        scale = plot.FromZero if measure in ("flood", "crowd") else plot.Decades
        file = directory / f"{name}.svg"
        if any(found.values()):
            file.write_text(plot.draw(title, across, up, found, scale))
        else:
            file.unlink(missing_ok=True) # an earlier run's


def main(directory):
    results = Results((directory / "results.jsonl").read_text().splitlines())
    versions = (directory / "versions.txt").read_text().splitlines()
    print("\n".join(versions))
    if any("tree" in r for r in results.all):
        targets = (print_turns(results) + print_native(results) + print_beside(results) +
                   print_way(results))
        print_times(results)
    elif results.of("scale") + results.of("hour"):
        targets = print_long(results)
    else:
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
