#!/usr/bin/python3
"""pages.py PID...: kilobytes of memory that the processes map, in three ways.

  own    pages that no other process maps at all: what ends with them
  pss    a page that N processes map counts 1/N for each. What the rest of the machine
         happens to run is in N, so libc costs less the busier the machine is
  alone  every page once, however many map it: what they take on a machine that runs
         nothing else. Only this does not depend on others, so it is what is compared"""
import struct
import sys

PAGE = 4096
PRESENT, FRAME = 1 << 63, (1 << 55) - 1
KERNELS_OWN = ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]")


def frames_of(pid):
    frames = set()
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for line in maps:
            if line.rstrip().endswith(KERNELS_OWN):
                continue
            first, last = (int(word, 16) // PAGE for word in line.split(" ", 1)[0].split("-"))
            pagemap.seek(first * 8)
            entries = struct.unpack(f"{last - first}Q", pagemap.read((last - first) * 8))
            frames.update(entry & FRAME for entry in entries if entry & PRESENT)
    return frames


def rollup_of(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as lines:
        found = dict(line.split()[:2] for line in list(lines)[1:])
    return {key: int(found[key + ":"]) for key in ("Pss", "Private_Clean", "Private_Dirty")}


pids = [int(word) for word in sys.argv[1:]]
rollups = [rollup_of(pid) for pid in pids]
print(sum(r["Private_Clean"] + r["Private_Dirty"] for r in rollups),
      sum(r["Pss"] for r in rollups),
      len(set().union(*map(frames_of, pids))) * PAGE // 1024)
