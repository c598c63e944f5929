#!/usr/bin/python3
"""Cuts random squares out of pictures, as many from each as are needed for a number in all.

    tests/bench/crops.py --count 1000 --side 256 -o FOLDER < LIST

Paths come from standard input, a line each (held-out.txt of a run of training). A square is between
half of a picture's short side and all of it, resized to --side, and saved as PNG.
"""
import argparse
import os
import random
import sys

from PIL import Image


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("-o", "--output", required=True)
    arguments = parser.parse_args()
    paths, draw = sys.stdin.read().splitlines(), random.Random(1)
    os.makedirs(arguments.output)
    for i in range(arguments.count):
        picture = Image.open(paths[i % len(paths)]).convert("RGB")
        side = round(draw.uniform(0.5, 1) * min(picture.size))
        left, top = (draw.randint(0, length - side) for length in picture.size)
        crop = picture.crop((left, top, left + side, top + side))
        crop.resize((arguments.side,) * 2, Image.Resampling.BICUBIC).save(
            os.path.join(arguments.output, f"{i:04}.png"))


if __name__ == "__main__":
    main()
