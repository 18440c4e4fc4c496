#!/usr/bin/env python3
"""A service manager's ear: manager.py SOCKET LOG [COMMAND...]

Writes a line to LOG for each datagram, its line ends as spaces. COMMAND is run as
READY=1 comes, before anything else is read; its output goes to LOG.ready. A leading
@ of SOCKET is the abstract namespace's."""
import os
import socket
import subprocess
import sys

name, log, command = sys.argv[1], sys.argv[2], sys.argv[3:]
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind("\0" + name[1:] if name[0] == "@" else name)
with open(log, "w", buffering=1) as out:
    while True:
        said = ear.recv(4096).decode()
        if said.startswith("READY=1") and command:
            with open(log + ".ready", "w") as rules:
                subprocess.run(command, stdout=rules, check=False)
        out.write(said.replace("\n", " ") + os.linesep)
