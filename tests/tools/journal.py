#!/usr/bin/env python3
"""Listens where systemd's journal does, and writes each entry as one line of JSON."""
import json
import os
import socket
import sys

place, entries = sys.argv[1:]
os.makedirs(os.path.dirname(place), exist_ok=True)
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(place)
with open(entries, "w", encoding="utf-8", buffering=1) as out:
    while True:
        fields = listener.recv(65536).decode().split("\n")
        assert fields.pop() == "", "an entry ends with the end of its last field"
        print(json.dumps(dict(field.split("=", 1) for field in fields)), file=out)
