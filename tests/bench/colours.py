#!/usr/bin/python3
"""Says how often the adjective over a patch of one clear colour means that colour.

    VQCT_LIBRARY=build/release/libvqct.so tests/bench/colours.py MODEL PRIOR ANCHORS < LIST

Paths of pictures come from standard input, a line each (held-out.txt of a run of training). A patch
is what one token stands for; ANCHORS (config/train/colour-anchors.json) says which word its mean
L*a*b* has. The adjective means the anchor whose embedding in PRIOR is nearest to its own by cosine.
Chance is the same with the adjectives of all such patches shuffled.
"""
import json
import os
import struct
import sys

import numpy as np
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "python"))
import vqct  # noqa: E402

SIDE, NONE = 256, -1
XYZ = np.array([[.4124564, .3575761, .1804375], [.2126729, .7151522, .0721750],
                [.0193339, .1191920, .9503041]]) / np.array([[.95047], [1], [1.08883]])


def lab(rgb):
    """L*a*b* (..., 3) of sRGB (..., 3) from 0 to 255, D65."""
    coded = rgb / 255
    t = np.where(coded <= .04045, coded / 12.92, ((coded + .055) / 1.055) ** 2.4) @ XYZ.T
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def names(anchors, pixels, factor):
    """The anchor's index, or NONE, of each patch (rows, columns) of a square picture."""
    count = len(pixels) // factor
    patches = lab(pixels.astype(float)).reshape(count, factor, count, factor, 3).mean((1, 3))
    lightness, a, b = np.moveaxis(patches, -1, 0)
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    named = np.full(lightness.shape, NONE)
    for index, anchor in reversed(list(enumerate(anchors))):
        inside = np.ones(named.shape, bool)
        for key, values, most in (("lightness", lightness, 100), ("chroma", chroma, 200),
                                  ("hue", hue, 360)):
            least, most = anchor.get(key, (0, most))
            inside &= ((values >= least) & (values <= most) if least <= most
                       else (values >= least) | (values <= most))
        named[inside] = index
    return named


def read_prior(path):
    """The adjectives of a prior and their embeddings, of length 1."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()

    def tensor(name, kind):
        begin, end = header[name]["data_offsets"]
        return np.frombuffer(data[begin:end], kind).reshape(header[name]["shape"])

    words = tensor("words.text", "u1").tobytes().split(b"\0")
    count = int(np.argmax(tensor("words.part", "u1") != tensor("words.part", "u1")[0]))
    vectors = tensor("embeddings", "<f4")[:count].astype(float)
    return ([word.decode() for word in words[:count]],
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def main():
    model_path, prior_path, anchors_path = sys.argv[1:]
    with open(anchors_path, encoding="utf-8") as file:
        anchors = json.load(file)
    words, vectors = read_prior(prior_path)
    rows = [words.index(anchor["word"]) for anchor in anchors]
    meaning = np.argmax(vectors @ vectors[rows].T, 1)  # of each adjective: the nearest anchor
    named, meant = [], []
    with vqct.Model(model_path) as model:
        if list(model.words[:len(words)]) != words:
            sys.exit("the model's adjectives are not the prior's")
        for path in sys.stdin.read().splitlines():
            picture = Image.open(path).convert("RGB")
            side = min(picture.size)
            left, top = ((length - side) // 2 for length in picture.size)
            square = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
            tokens = np.asarray(model.encode(np.asarray(square)[None]))[0, 0]
            named.append(names(anchors, np.asarray(square), SIDE // len(tokens)).ravel())
            meant.append(meaning[tokens].ravel())
    named, meant = np.concatenate(named), np.concatenate(meant)
    clear = named != NONE
    named, meant = named[clear], meant[clear]
    chance = np.mean(np.random.default_rng(1).permutation(meant) == named)
    print(f"{len(clear)} positions, {len(named)} of a clear colour: the adjective means it at "
          f"{np.mean(meant == named):.1%}, by chance {chance:.1%}")
    for index, anchor in enumerate(anchors):
        there = named == index
        if there.any():
            said = np.bincount(meant[there], minlength=len(anchors))
            first = ", ".join(f"{anchors[i]['word']} {said[i] / there.sum():.0%}"
                              for i in np.argsort(-said)[:3])
            print(f"  {anchor['word']:8} {there.sum():6} positions: {first}")


if __name__ == "__main__":
    main()
