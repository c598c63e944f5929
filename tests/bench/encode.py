#!/usr/bin/python3
"""`vqct encode` of JPEG photographs beside `vqct bench`: does the network ever wait for pictures?

    make && tests/bench/encode.py --threads 1,2            (`make bench-encode`)

Photographs are those of --photos, or random parts of those in tests/data, 500 x 375 pixels at quality
90. They are encoded in --parts (`--shard I/N`), each between two runs of `vqct bench` with the same
batch, threads and size, so that what else the machine does falls on both. Pictures a second are those
of the command's final line; the share is what they are of the mean of both runs of bench.
"""
import argparse
import json
import os
import random
import re
import statistics
import subprocess
import tempfile

from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("VQCT_BUILD", "build/release"))
VQCT = os.path.join(BUILD, "vqct")
DATA = os.path.join(ROOT, "tests", "data")
WIDTH, HEIGHT = 500, 375


def make_photographs(folder, count):
    sources = [Image.open(os.path.join(DATA, name)).convert("RGB") for name in sorted(os.listdir(DATA))
               if name.endswith(".jpg")]
    draw = random.Random(1)
    for i in range(count):
        picture = sources[i % len(sources)]
        share = draw.uniform(0.6, 1) * min(picture.width / WIDTH, picture.height / HEIGHT)
        width, height = int(WIDTH * share), int(HEIGHT * share)
        left, top = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
        part = picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC,
                              (left, top, left + width, top + height))
        part.save(os.path.join(folder, f"{i:05}.jpg"), quality=90)


def run(*arguments):
    done = subprocess.run([VQCT, *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout


def bench(options, threads):
    """Pictures encoded a second."""
    lines = run("bench", options.model, "--batch", options.batch, "--threads", threads, "--size",
                options.size, "--seconds", 5, "--json").splitlines()
    case, = [record for record in map(json.loads, lines) if record["operation"] == "encode"]
    return case["images_per_second"]


def encode(options, threads, photos, folder, part):
    """Pictures encoded a second of one part."""
    said = run("encode", options.model, photos, "-o", os.path.join(folder, f"{part}.npy"), "--batch",
               options.batch, "--threads", threads, "--size", options.size, "--shard",
               f"{part}/{options.parts}")
    pictures, seconds = re.search(r"^(\d+) pictures.*; ([\d.]+) s,", said).groups()
    return int(pictures) / float(seconds)


def measure(options, threads, photos, folder):
    rates, shares, before = [], [], bench(options, threads)
    for part in range(options.parts):
        rates.append(encode(options, threads, photos, folder, part))
        after = bench(options, threads)
        shares.append(rates[-1] / statistics.mean((before, after)))
        before = after
    print(f"{threads} threads, batch {options.batch}: encode {statistics.median(rates):.2f} "
          f"pictures/s, {100 * statistics.median(shares):.1f}% of bench (of {options.parts} parts "
          f"{100 * min(shares):.1f} to {100 * max(shares):.1f}%); load {os.getloadavg()[0]:.1f}",
          flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=os.path.join(ROOT, "models", "vqct-small.safetensors"))
    parser.add_argument("--photos", help="folder")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--parts", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = options.photos
        if not photos:
            photos = os.path.join(folder, "photos")
            os.mkdir(photos)
            make_photographs(photos, options.count)
        for threads in options.threads.split(","):
            measure(options, threads, photos, folder)


if __name__ == "__main__":
    main()
