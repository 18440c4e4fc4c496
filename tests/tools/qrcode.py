#!/usr/bin/env python3
"""qrcode.py < OUTPUT: draws the QR code in what a program printed, and has zbarimg(1) read it, as a
camera would. Prints the text of the code."""
import re
import subprocess
import sys
import tempfile

LIGHT = {" ": "00", "\u2580": "10", "\u2584": "01", "\u2588": "11"}  # of the two rows of a line
SCALE = 4


def rows_of(output):
    """Rows of modules, each a text of 0 (dark) and 1 (light)."""
    for line in output.splitlines():
        found = re.fullmatch("\033\\[40;37;1m([ \u2580\u2584\u2588]+)\033\\[0m", line)
        if found:
            yield from ("".join(LIGHT[c][row] for c in found[1]) for row in (0, 1))


def picture_of(rows):
    """A PBM, in which 1 is black."""
    inked = ["".join(("1" if c == "0" else "0") * SCALE for c in row) for row in rows]
    lines = [row for row in inked for _ in range(SCALE)]
    return f"P1 {len(lines[0])} {len(lines)}\n" + "\n".join(" ".join(row) for row in lines) + "\n"


def main():
    rows = list(rows_of(sys.stdin.read()))
    if not rows:
        sys.exit("there is no QR code")
    with tempfile.NamedTemporaryFile("w", suffix=".pbm") as file:
        file.write(picture_of(rows))
        file.flush()
        command = ["zbarimg", "--quiet", "--nodbus", "--raw", file.name]
        read = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
    print(read.stdout.decode().rstrip("\n"))


main()
