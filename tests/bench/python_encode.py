#!/usr/bin/python3
"""What `vqct.Model.encode` of Python adds to the call of the library that it makes.

    make && tests/bench/python_encode.py            (make bench-encode)

A batch of pictures goes through both in turn, --rounds times: Model.encode, and vqct_encode of C with
the same session, the same pixels and room for tokens made before. Printed are the medians, the median
of the differences within a round, and for how long Model.encode is outside the library, which no load
of the machine disturbs much.
"""
import argparse
import os
import statistics
import sys
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("VQCT_BUILD", "build/release"))
os.environ.setdefault("VQCT_LIBRARY", os.path.join(BUILD, "libvqct.so"))
sys.path.insert(0, os.path.join(ROOT, "python"))
import vqct  # noqa: E402
from vqct import _library, model as vqct_model  # noqa: E402


class Inside:
    """Stands before the library's vqct_encode and keeps how long the last call was inside."""

    def __init__(self, entry):
        self.entry, self.seconds = entry, 0.0

    def __call__(self, *arguments):
        begin = time.perf_counter()
        status = self.entry(*arguments)
        self.seconds = time.perf_counter() - begin
        return status


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=os.path.join(ROOT, "models", "vqct-small.safetensors"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    model = vqct.Model(options.model, threads=options.threads)
    side, batch, info = options.size, options.batch, model.info
    pixels = np.random.default_rng(1).integers(0, 256, (batch, side, side, info.channels), np.uint8)
    tokens = np.empty((batch, len(info.planes), *[side // info.downsampling] * 2), np.uint32)
    np.testing.assert_array_equal(model.encode(pixels), model.encode(list(pixels)))
    inside = Inside(_library.library().vqct_encode)
    entry, record = inside.entry, _library.ErrorRecord()
    _library.library().vqct_encode = inside
    rows, room = vqct_model._rows(pixels), vqct_model._rows(tokens)
    python, c, outside = [], [], []
    with model._sessions.one() as session:
        pass  # the only one, which encode takes too
    for _ in range(options.rounds):
        python.append(timed(lambda: model.encode(pixels)))
        outside.append(python[-1] - inside.seconds)
        c.append(timed(lambda: entry(session, rows, batch, side, side, room, record)))
    np.testing.assert_array_equal(model.encode(pixels), tokens)
    inner = statistics.median(c)
    more = statistics.median(p - q for p, q in zip(python, c))
    print(f"batch {batch} of {side} x {side}, {options.threads} threads, {options.rounds} rounds: "
          f"C {1e3 * inner:.2f} ms, Python {1e3 * statistics.median(python):.2f} ms, "
          f"difference {1e3 * more:.2f} ms ({100 * more / inner:.2f}%); outside the library "
          f"{1e3 * statistics.median(outside):.3f} ms ({100 * statistics.median(outside) / inner:.3f}%); "
          f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
