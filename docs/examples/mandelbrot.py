#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws the Mandelbrot set: muster maps the tiles, this puts them together as a PNG file.

    docs/examples/mandelbrot.py --muster build/release/muster mandelbrot.png
    docs/examples/mandelbrot.py --re -0.7436439 --im 0.1318259 --span 0.00002 --iterations 2000 zoom.png

    docs/examples/mandelbrot.py mandelbrot.png -- -j 2 --model threads

What stands behind `--` goes to `muster map`. Needs nothing but Python's standard library.
"""

import argparse
import base64
import json
import math
import struct
import subprocess
import sys
import threading
import zlib


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="the PNG file to write")
    parser.add_argument("--muster", default="muster", help="the command (default: muster)")
    parser.add_argument("--size", type=int, default=1024, help="pixels of a side (default: 1024)")
    parser.add_argument("--tile", type=int, default=64, help="pixels of a tile's side (default: 64)")
    parser.add_argument("--iterations", type=int, default=255, help="1 to 65535 (default: 255)")
    parser.add_argument("--re", type=float, default=-0.5, help="the centre's real part (default: -0.5)")
    parser.add_argument("--im", type=float, default=0.0, help="the centre's imaginary part (default: 0)")
    parser.add_argument("--span", type=float, default=3.0, help="the width in the complex plane (default: 3)")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, rest = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1:]
    if options.size < 1 or options.tile < 1:
        parser.error("--size and --tile are at least 1")
    return options, rest


def tiles(options):
    """The argument of each job."""
    for y in range(0, options.size, options.tile):
        for x in range(0, options.size, options.tile):
            yield {
                "x": x, "y": y,
                "width": min(options.tile, options.size - x), "height": min(options.tile, options.size - y),
                "size": options.size, "iterations": options.iterations,
                "re": options.re, "im": options.im, "span": options.span,
            }


def feed(pipe, options):
    """Writes an argument a line. muster reads only as fast as jobs are taken, so this has a thread."""
    try:
        with pipe:
            for tile in tiles(options):
                pipe.write(json.dumps(tile) + "\n")
    except BrokenPipeError:
        pass  # muster has ended, and its status says why


def draw(options, rest):
    """The picture, a byte a pixel, and how muster ended."""
    picture = bytearray(options.size * options.size)
    command = [options.muster, "map", "mandelbrot", "--unordered", *rest]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as muster:
        feeder = threading.Thread(target=feed, args=(muster.stdin, options))
        feeder.start()
        for line in muster.stdout:
            tile = json.loads(line)
            pixels = base64.b64decode(tile["pixels"])
            for row in range(tile["height"]):
                start = (tile["y"] + row) * options.size + tile["x"]
                picture[start:start + tile["width"]] = pixels[row * tile["width"]:(row + 1) * tile["width"]]
        feeder.join()
    return picture, muster.returncode


def palette():
    """Black inside the set; outside, colours that go round as points escape later."""
    def wave(value, shift):
        return round(127.5 + 127.5 * math.sin(0.12 * value + shift))

    return bytes(3) + bytes(wave(value, shift) for value in range(1, 256) for shift in (4.0, 4.8, 5.6))


def png(picture, size):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + picture[row * size:(row + 1) * size] for row in range(size))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 3, 0, 0, 0))
            + chunk(b"PLTE", palette()) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def main():
    options, rest = parse()
    try:
        picture, status = draw(options, rest)
        if status == 0:
            with open(options.output, "wb") as file:
                file.write(png(picture, options.size))
    except OSError as error:
        sys.exit(f"mandelbrot.py: {error}")
    if status != 0:
        sys.exit(f"mandelbrot.py: {options.muster} ended with status {status}, no picture is written")


if __name__ == "__main__":
    main()
