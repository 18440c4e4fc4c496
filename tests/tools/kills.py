#!/usr/bin/python3
"""Kills processes of portsmithd at random while knocks go on, again and again.

kills.py SEED SECONDS KILLS WINDOW PROFILE...
    runs on the lab's client, with the daemon on the server not yet started, until
    so many SECONDS are over or so many KILLS were made. The first PROFILE is the
    honest client's; the others knock from an address of its own each time, with
    their WINDOW in seconds. With VICTIMS in the environment only these kinds of process are
    killed; with FLUSH=yes another program flushes all rules of nftables meanwhile.

After each kill must be true: no knock that was honoured before is honoured again,
no rule outlives the deadline of its knock and no port stays open past it, and the
honest client's next knock opens the port. What happened is told on standard output;
the exit status is 1 if anything was not as it must be.
"""
import ipaddress
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timezone

LAB = "/run/lab"
LOG = LAB + "/log/portsmithd.log"
CONF = "/etc/portsmith.conf"
PORT, KNOCK_PORT = 22, 47000
SIX = os.environ["FAMILY"] == "6"
SERVER = "fd77::1" if SIX else "10.77.0.1"
HONEST = "fd77::2" if SIX else "10.77.0.2"
FIRST = int(ipaddress.ip_address("fd88::1:0" if SIX else "10.88.1.0"))
IS_NFTABLES = os.environ["BACKEND"] == "nftables"
ON_SERVER = ["ip", "netns", "exec", "server"]
SAVE = ON_SERVER + [f"ip{'6' if SIX else ''}tables-{os.environ['BACKEND']}-save"]
LIST = ON_SERVER + ["nft", "list", "table", "inet", "portsmith"]
FEWEST = 30  # kills, or nothing was shown
WITNESS_FD_HELPER = 4  # privsep/event.h
LONGER = 4   # times the seconds, on a machine that is too busy for as many
PATIENCE = 60  # seconds; for a machine that is busy with something else
REPLAYS = 16   # after each kill
FRESH = 200    # seconds for which a knock is not too old; MaxSkew is 300

NAMES = {"supervisor": r"portsmithd", "sniffer": r"portsmith-sniff", "witness": r"portsmith-witne",
         "prepare": r"portsmith-prepa", "helper": r"portsmith-helpe",
         "restore": r"(xtables|iptables|ip6tables).*"}
VICTIMS = os.environ.get("VICTIMS", "supervisor sniffer witness prepare helper helper all together" +
                         (" restore restore" * (not IS_NFTABLES))).split()
TOGETHER = ["sniffer", "witness", "prepare", "helper"]  # replaced together


class Wrong(Exception):
    """Something is not as it must be."""


def until(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


# ---- processes -------------------------------------------------------------

def processes(kind):
    """The ids of those that run, not of those that only wait to be reaped."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                name, state = re.match(r"\d+ \((.*)\) (\S)", stat.read()).groups()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z" and re.fullmatch(NAMES[kind], name):
            found.append(int(pid))
    return found


def everything():
    return [pid for kind in NAMES for pid in processes(kind)]


def send_signal(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def witness_has_heard_all():
    """It closes its socket to a helper that has ended, once that is empty; then all of it is
    in the log."""
    return not any(os.path.exists(f"/proc/{pid}/fd/{WITNESS_FD_HELPER}")
                   for pid in processes("witness"))


# ---- what the daemon says and does -----------------------------------------

class Daemon:
    def __init__(self):
        self.process = None
        self.output = open(LOG, "ab")
        self.log = open(LOG, encoding="utf-8")
        self.ready = self.waiting = 0
        self.unread = []

    def start(self):
        ready = self.ready
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", "server", "portsmithd", "-c", CONF, "-f"],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)
        if not until(PATIENCE, lambda: self.read().ready > ready or not self.runs()):
            raise Wrong("the daemon does not get ready")
        if self.ready == ready:
            raise Wrong("the daemon does not start")

    def runs(self):
        return self.process.poll() is None

    def read(self):
        """Counts what it said; keeps what it said of grants for take_grants()."""
        for line in self.log.read().splitlines():
            if re.search(r"ended by signal (?!9 )", line):
                raise Wrong(f"a process has crashed: {line}")
            self.ready += " ready: " in line
            self.waiting += "starting again in" in line
            match = re.search(r": (\S+): (?:opened|extended) tcp/22 for (\S+) for", line)
            if match:
                self.unread.append(match.groups())
        return self

    def take_grants(self):
        taken, self.unread = self.read().unread, []
        return taken


def elements():
    """The same of nftables, which tells how long each still lives."""
    before = time.time()
    done = subprocess.run(LIST, capture_output=True, text=True, check=True)
    for address, span in re.findall(r"([0-9a-f.:]+) \. (?:tcp|udp) \. \d+ [^,}]*expires (\w+)",
                                    done.stdout):
        left = sum(int(number) * {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}[unit]
                   for number, unit in re.findall(r"(\d+)(ms|[dhms])", span))
        yield str(ipaddress.ip_address(address)), before + left - 1


def rules():
    """Addresses and the last second of each: the kernel's word."""
    if IS_NFTABLES:
        yield from elements()
        return
    done = subprocess.run(SAVE, capture_output=True, text=True, check=True)
    for address, date in re.findall(r"^-A portsmith\S* -s (\S+)/\d+ .*--datestop (\S+)",
                                    done.stdout, re.M):
        when = datetime.fromisoformat(date).replace(tzinfo=timezone.utc)
        yield str(ipaddress.ip_address(address)), when.timestamp()


def socket_of(address, kind):
    """Bound to any address that is routed to this host."""
    s = socket.socket(socket.AF_INET6 if SIX else socket.AF_INET, kind)
    s.setsockopt(socket.IPPROTO_IPV6 if SIX else socket.IPPROTO_IP,
                 78 if SIX else 15, 1)  # IPV6_FREEBIND, IP_FREEBIND
    s.bind((address, 0))
    return s


def open_to(addresses, seconds):
    """Those of the addresses from which a connection is accepted, in that time."""
    sockets = [socket_of(address, socket.SOCK_STREAM) for address in addresses]
    for s in sockets:
        s.setblocking(False)
        s.connect_ex((SERVER, PORT))
    end = time.monotonic() + seconds
    done = []
    while not done and time.monotonic() < end:
        done = select.select([], sockets, [], end - time.monotonic())[1]
    return [address for address, s in zip(addresses, sockets)
            if s in done and s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0]


# ---- knocks ----------------------------------------------------------------

class Knock:
    def __init__(self, profile, address, signed):
        client = ["portsmith-knock", "--output", "-"]
        self.bytes = subprocess.run(
            client + (["--address", address] if signed else ["--address", "observed"]) + [profile],
            user="nobody", group="nogroup", extra_groups=[], check=True, capture_output=True,
            env={"HOME": LAB + "/home", "PATH": os.environ["PATH"]}).stdout
        self.made = time.time()
        self.address, self.signed = address, signed
        self.honoured = None  # when that was first known


def send(data, source):
    with socket_of(source, socket.SOCK_DGRAM) as s:
        s.sendto(data, (SERVER, KNOCK_PORT))


class Flusher:
    """As fast as it goes, from the first grant to the end of the drill."""

    def __init__(self):
        self.process = None

    def begin(self):
        self.process = subprocess.Popen(ON_SERVER + ["sh", "-c", "while nft flush ruleset; do :; done"],
                                        stdin=subprocess.DEVNULL)

    def end(self):
        if self.process:
            if self.process.poll() is not None:
                raise Wrong("nft flush ruleset fails")
            self.process.terminate()
            self.process.wait()
            self.process = None


class Drill:
    def __init__(self, seed, window, profiles):
        self.chance = random.Random(seed)
        self.window = window
        self.honest, *self.profiles = profiles
        self.daemon = Daemon()
        self.flusher = Flusher()
        self.addresses = 0
        self.by_address = {}  # of whoever sent a knock, or signed: the knock
        self.knocks = []
        self.killed = dict.fromkeys(NAMES, 0)
        self.replayed = self.kills = 0

    def new_address(self):
        self.addresses += 1
        return str(ipaddress.ip_address(FIRST + self.addresses))

    def new_knock(self):
        knock = Knock(self.chance.choice(self.profiles), self.new_address(),
                      self.chance.random() < 0.5)
        self.by_address[knock.address] = knock
        self.knocks.append(knock)
        return knock

    def send(self, knock):
        send(knock.bytes, HONEST if knock.signed else knock.address)

    # -- what was honoured

    def note(self, address):
        """The log says that this address was let in."""
        knock = self.by_address.get(address)
        if knock is None:
            return
        if knock.honoured:
            raise Wrong(f"the knock of {knock.address} was honoured again, for {address}")
        knock.honoured = time.time()

    def read_log(self):
        for _, address in self.daemon.take_grants():
            self.note(address)

    def check_rules(self, helper_was_killed):
        """A helper that was killed may have made a rule and not said so."""
        found = list(rules())
        self.read_log()
        for address, last in found:
            knock = self.by_address.get(address)
            if knock is None:
                continue
            if knock.honoured is None and helper_was_killed:
                knock.honoured = time.time()
            latest = (knock.honoured or time.time()) + self.window
            if last + 1 > latest:
                raise Wrong(f"the rule of {address} ends {last + 1 - latest:.3f} s after its window")

    def check_doors(self):
        """Of those whose window is over, some of the last."""
        over = [k for k in self.knocks[-60:]
                if k.honoured and k.honoured + self.window < time.time()]
        some = [k.address for k in self.chance.sample(over, min(4, len(over)))]
        if some and open_to(some, 0.05):
            raise Wrong("after its window the port is open to one of " + " ".join(some))

    # -- a round

    def choose_victims(self):
        kind = self.chance.choice(VICTIMS)
        kinds = {"all": list(NAMES), "together": TOGETHER}.get(kind, [kind])
        return kinds

    def await_prepare(self):
        """There is one only while a helper is made ready, as for a reload."""
        ready = self.daemon.read().ready
        if not self.daemon.runs():
            return
        send_signal([self.daemon.process.pid], signal.SIGHUP)
        until(PATIENCE, lambda: processes("prepare") or self.daemon.read().ready > ready)
        time.sleep(self.chance.uniform(0, 0.05))

    def kill(self, kinds):
        """Ends in a state that can be looked at: when the helper was killed, nothing
        is begun before the rules that it left were read. Tells whether those that are
        replaced together have to be."""
        if kinds == ["prepare"]:
            self.await_prepare()
        pids = [pid for kind in kinds for pid in processes(kind)]
        helper_killed = bool(set(pids) & set(processes("helper") + processes("prepare")))
        hit = set(pids) & {pid for kind in TOGETHER for pid in processes(kind)}
        preparing = set(pids) & set(processes("prepare"))
        if kinds == ["restore"] and len(pids) > 1:
            pids = self.chance.sample(pids, self.chance.randint(1, len(pids)))
        if helper_killed and self.daemon.runs() and "supervisor" not in kinds:
            send_signal([self.daemon.process.pid], signal.SIGSTOP)
        for kind in kinds:
            self.killed[kind] += bool(set(pids) & set(processes(kind)))
        send_signal(pids, signal.SIGKILL)
        self.kills += bool(pids)
        if not until(PATIENCE, lambda: not set(pids) & set(everything())):
            raise Wrong("what was killed does not end")
        if processes("helper"):  # what was to prepare did a thing besides, as a probe for a reload
            helper_killed = False
            hit -= preparing
        if helper_killed and not until(PATIENCE, lambda: not processes("restore")):
            raise Wrong("iptables-restore does not end after its helper")
        if helper_killed and not until(PATIENCE, witness_has_heard_all):
            raise Wrong("the witness does not notice that its helper has ended")
        if helper_killed:
            self.check_rules(True)
        send_signal([self.daemon.process.pid] if self.daemon.runs() else [], signal.SIGCONT)
        return bool(hit)

    def wait_behind_dead(self):
        """With every process dead, the kernel alone shuts what was opened."""
        live = [k for k in self.knocks[-20:] if k.honoured]
        if not live or everything():
            return
        last = max(k.honoured for k in live) + self.window
        time.sleep(max(0, last - time.time()))
        some = [k.address for k in live]
        if open_to(some, 0.5):
            raise Wrong("with all processes dead the port stays open to one of " + " ".join(some))

    def recover(self, ready_before, waiting_before, was_hit):
        """Starts it again if it was ended, else waits until it has helped itself."""

        def settled():
            nonlocal waiting_before
            self.read_log()
            if not self.daemon.runs() or not was_hit:
                return True
            if self.daemon.ready > ready_before and processes("sniffer") and processes("helper") \
                    and processes("witness"):
                return True
            if self.daemon.waiting > waiting_before:  # an admin who does not want to wait
                waiting_before = self.daemon.waiting
                send_signal([self.daemon.process.pid], self.chance.choice(
                    [signal.SIGHUP, signal.SIGKILL if "supervisor" in VICTIMS else signal.SIGHUP]))
            return False

        if not until(PATIENCE, settled):
            raise Wrong("the daemon does not come back")
        if self.daemon.runs():
            return
        if not until(PATIENCE, lambda: not everything()):
            raise Wrong("processes are left behind by a supervisor that was killed")
        if self.chance.random() < 0.1:
            self.wait_behind_dead()
        self.daemon.start()

    def replay(self):
        fresh = [k for k in self.knocks if k.made > time.time() - FRESH]
        some = fresh[-8:] + self.chance.sample(fresh, min(REPLAYS - 8, len(fresh)))
        for knock in some:
            source = self.new_address()  # whoever listened on the wire
            if not knock.signed:
                self.by_address[source] = knock
            send(knock.bytes, source)
            self.replayed += 1

    def knock_honestly(self):
        """What was sent before it has been dealt with when this is honoured. On a machine that
        is busy its window may be over before it is looked at."""
        is_honoured = False
        for _ in range(3):
            ready = self.daemon.read().ready
            send(Knock(self.honest, HONEST, self.chance.random() < 0.5).bytes, HONEST)
            is_honoured = self.is_honoured(ready)
            if is_honoured and until(self.window, lambda: open_to([HONEST], 1)):
                return
        raise Wrong("the port is not open after an honest knock" if is_honoured
                    else "an honest knock is not honoured")

    def is_honoured(self, ready):
        """False when the processes were replaced meanwhile, so that it may have been lost."""
        honoured = False

        def heard():
            nonlocal honoured
            for profile, address in self.daemon.take_grants():
                honoured = honoured or profile == self.honest
                self.note(address)
            return honoured or self.daemon.ready > ready or not self.daemon.runs()

        if not until(PATIENCE, heard):
            raise Wrong("the next honest knock does not open the port")
        if not self.daemon.runs():
            raise Wrong("the daemon has ended by itself")
        return honoured

    def round(self):
        burst = [self.new_knock() for _ in range(self.chance.randint(1, 8))]
        before = self.chance.randint(0, len(burst))
        for knock in burst[:before]:
            self.send(knock)
        time.sleep(self.chance.choice([0, self.chance.uniform(0, 0.004),
                                       self.chance.uniform(0, 0.2)]))
        ready, waiting = self.daemon.read().ready, self.daemon.waiting
        replaced = self.kill(self.choose_victims())
        for knock in burst[before:]:
            self.send(knock)
        if self.chance.random() < 0.2:  # into what is only starting
            time.sleep(self.chance.uniform(0, 0.2))
            ready_now = self.daemon.read().ready
            if self.kill(self.choose_victims()):
                ready, replaced = ready_now, True
        self.recover(ready, waiting, replaced)
        self.replay()
        self.knock_honestly()
        self.check_rules(False)
        self.check_doors()

    def nothing_is_left(self):
        return not [a for a, _ in rules() if a in self.by_address]

    def is_enough(self, kills):
        return self.kills >= min(FEWEST, kills) and \
            all(self.killed[kind] for kind in NAMES if kind in VICTIMS)

    def run(self, seconds, kills):
        begin = time.monotonic()
        self.daemon.start()
        self.knock_honestly()
        if os.environ.get("FLUSH") == "yes":
            self.flusher.begin()
        while self.kills < kills and time.monotonic() < begin + seconds * LONGER and \
                (time.monotonic() < begin + seconds or not self.is_enough(kills)):
            self.round()
        if not until(self.window + PATIENCE, self.nothing_is_left):
            raise Wrong("rules are left after their windows")
        if not self.is_enough(kills):
            raise Wrong("that was too few")
        self.flusher.end()

    def told(self):
        honoured = sum(k.honoured is not None for k in self.knocks)
        return (f"{self.kills} kills ({', '.join(f'{k} {n}' for k, n in self.killed.items())}), "
                f"{len(self.knocks)} knocks of which {honoured} were honoured, "
                f"{self.replayed} replays, {self.daemon.ready} starts of a helper")


def main(seed, seconds, kills, window, *profiles):
    drill = Drill(int(seed), int(window), profiles)
    try:
        drill.run(int(seconds), int(kills))
    except Wrong as wrong:
        print(f"seed {seed}, after {drill.told()}: {wrong}")
        return 1
    finally:
        if drill.flusher.process:
            drill.flusher.process.kill()
        send_signal(everything(), signal.SIGKILL)
    print(drill.told())
    return 0


sys.exit(main(*sys.argv[1:]))
