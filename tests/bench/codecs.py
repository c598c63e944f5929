#!/usr/bin/python3
"""The reconstructions of a model beside JPEG and WebP of as many bits: PSNR and LPIPS.

    tests/bench/codecs.py MODEL lpips_squeeze.safetensors PICTURES...

A picture is fitted to 256 x 256 (short side, centre) and costs the tokens of each plane at log2(codes)
bits, without an entropy coder. JPEG and WebP get the highest quality whose file, headers and all, is no
larger. LPIPS by PyTorch (tests/reference/torch_lpips.py).
"""
import argparse
import io
import json
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from PIL import Image, ImageOps

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "reference"))
import torch_lpips  # noqa: E402
from safetensors_file import read_safetensors  # noqa: E402

SIDE = 256  # pixels
VQCT = os.path.join(ROOT, os.environ.get("VQCT_BUILD", "build/release"), "vqct")


def tensor(image):
    values = torch.from_numpy(np.asarray(image).astype(np.float32) / 127.5 - 1)
    return values.permute(2, 0, 1)[None].double()


def psnr(x, y):
    difference = np.asarray(x).astype(float) - np.asarray(y)
    return 10 * math.log10(255 ** 2 / max(np.mean(difference ** 2), 1e-12))


def coded(image, form, limit):
    """The picture from the largest file of a form that is no larger than the limit, and its size."""
    best = None
    steps = np.arange(0, 100.01, 0.1) if form == "WEBP" else range(101)
    low, high = 0, len(steps)
    while low < high:  # the first quality whose file is too large
        middle = (low + high) // 2
        file = io.BytesIO()
        image.save(file, form, quality=steps[middle],
                   **({"method": 6} if form == "WEBP" else {"optimize": True}))
        if file.tell() > limit:
            high = middle
            continue
        low, best = middle + 1, file
    if best is None:
        raise SystemExit(f"no {form} of {limit} bytes")
    return Image.open(best).convert("RGB"), best.tell()


def sheet(path, originals, rebuilt):
    """Six pictures a row at their own size, each above its reconstruction."""
    rows = math.ceil(len(originals) / 6)
    paper = Image.new("RGB", (6 * (SIDE + 4) - 4, rows * 2 * (SIDE + 4) - 4), "white")
    for i, (original, image) in enumerate(zip(originals, rebuilt)):
        x, y = i % 6 * (SIDE + 4), i // 6 * 2 * (SIDE + 4)
        paper.paste(original, (x, y))
        paper.paste(image, (x, y + SIDE + 2))
    paper.save(path, quality=80, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("perceptual")
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--sheet", help="a JPEG file of the pictures and what comes back")
    options = parser.parse_args()
    weights = {name: torch.from_numpy(value).double()
               for name, value in read_safetensors(options.perceptual)[0].items()}
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        originals = []
        for i, path in enumerate(options.pictures):
            image = ImageOps.fit(Image.open(path).convert("RGB"), (SIDE, SIDE), Image.BICUBIC)
            image.save(os.path.join(folder, f"{i:04}.png"))
            originals.append(image)
        files = [os.path.join(folder, f"{i:04}.png") for i in range(len(originals))]
        tokens, out = os.path.join(folder, "tokens.npy"), os.path.join(folder, "out")
        subprocess.run([VQCT, "encode", options.model, *files, "-o", tokens], check=True)
        subprocess.run([VQCT, "decode", options.model, tokens, "-o", out], check=True)
        books = json.loads(subprocess.check_output([VQCT, "inspect", "--json", options.model]))["codebooks"]
        positions = np.load(tokens).shape[-2:]
        bits = math.prod(positions) * sum(math.log2(book["count"]) for book in books)
        limit = int(bits / 8)
        rebuilt = [Image.open(os.path.join(out, name)).convert("RGB") for name in sorted(os.listdir(out))]
        if options.sheet:
            sheet(options.sheet, originals, rebuilt)
        for original, ours in zip(originals, rebuilt):
            for label, (image, size) in (("vqct", (ours, limit)), ("JPEG", coded(original, "JPEG", limit)),
                                         ("WebP", coded(original, "WEBP", limit))):
                distance = torch_lpips.lpips("squeeze", weights, tensor(original), tensor(image))[0].item()
                rows.setdefault(label, []).append((size, psnr(original, image), distance))
    print(f"| {len(options.pictures)} pictures | bytes a picture | PSNR, dB | LPIPS |\n|---|---|---|---|")
    for label, figures in rows.items():
        size, quality, distance = np.mean(figures, axis=0)
        print(f"| {label} | {size:.0f} | {quality:.2f} | {distance:.3f} |")


if __name__ == "__main__":
    main()
