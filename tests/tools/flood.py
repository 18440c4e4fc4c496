#!/usr/bin/python3
"""flood.py ADDRESS PORT RATE SECONDS: sends RATE datagrams of noise a second, each
as long as a knock may be, and says how many a second they were. Falls behind
rather than sending more at once than a tenth of a second's. FAULTS_SEED says
which noise."""
import os
import random
import socket
import sys
import time


def main(address, port, rate, seconds):
    info = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
    chance = random.Random(os.environ.get("FAULTS_SEED"))
    noise = chance.randbytes(1 << 20)
    with socket.socket(info[0], socket.SOCK_DGRAM) as s:
        start = last = time.monotonic()
        sent = credit = 0
        while last - start < seconds:
            time.sleep(0.001)
            now = time.monotonic()
            credit = min(credit + (now - last) * rate, rate / 10)
            last = now
            while credit >= 1:
                at = chance.randrange(len(noise) - 304)
                try:
                    s.sendto(noise[at:at + chance.randint(176, 304)], info[4])
                except ConnectionRefusedError:  # the host answers as it would without us
                    pass
                sent += 1
                credit -= 1
    print(round(sent / (last - start)))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
