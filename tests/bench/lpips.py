#!/usr/bin/python3
"""LPIPS with real weights beside PyTorch: distances and gradients of photographs and damaged copies.

    VQCT_BUILD=build/release tests/bench/lpips.py lpips_squeeze.safetensors PICTURE...

Prints the largest differences and fails where they are more than rounding. The tests proper use random
weights, since published ones are not the project's to ship. PyTorch's own gradient in fp32 is shown
beside ours, both against PyTorch in double: where an activation is within rounding of a kink, gradients
may differ. Pictures are dithered by half a level, or the flat blocks of a JPEG would tie in every
maximum, and which of equal positions gets the gradient would be for rounding to say.
"""
import argparse
import ctypes
import io
import os
import sys

import numpy as np
import torch
from PIL import Image, ImageFilter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))
import torch_lpips  # noqa: E402
from native import LIB, Error, Team, doubles, floats, nhwc  # noqa: E402
from safetensors_file import read_safetensors  # noqa: E402

SIDE = 256  # pixels
# Relative: some twelve layers of fp32 sums. The worst gradient may be three times as far off as PyTorch's
# worst; a wrong one would be far off for every picture.
DISTANCE_LIMIT, GRADIENT_LIMIT = 1e-5, 1e-5


def jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=10)
    return Image.open(file).convert("RGB")


def noisy(image):
    noise = np.random.default_rng(1).normal(0, 25, (SIDE, SIDE, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


DAMAGES = {"JPEG of quality 10": jpeg, "noise of 25 levels": noisy,
           "blur over 3 pixels": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
           "itself": lambda image: image}


def tensor(image):
    levels = np.asarray(image) + np.random.default_rng(2).uniform(-0.5, 0.5, (SIDE, SIDE, 3))
    values = torch.from_numpy((levels / 127.5 - 1).astype(np.float32))
    return values.permute(2, 0, 1)[None].double()


def theirs(kind, weights, x, y):
    y = y.clone().requires_grad_()
    distance = torch_lpips.lpips(kind, weights, x, y)[0]
    distance.backward()
    return distance.item(), nhwc(y.grad)


def apart(gradient, expected):
    """Length of the difference as a part of the length."""
    return np.linalg.norm(gradient - expected) / max(np.linalg.norm(expected), 1e-6)


def ours(network, x, y, team):
    distance, loss = np.empty(1), ctypes.c_double()
    x, y = nhwc(x), nhwc(y)
    gradient = np.zeros_like(y)
    pair = (network, floats(x), floats(y), 1, SIDE, SIDE)
    assert LIB.perceptual_distance(*pair, doubles(distance), team, None) == 0
    assert LIB.perceptual_loss(*pair, ctypes.c_float(1), ctypes.byref(loss), floats(gradient), team,
                               None) == 0
    assert abs(loss.value - distance[0]) <= 1e-9 * distance[0]  # depths are added in another order
    return distance[0], gradient


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("pictures", nargs="+")
    given = parser.parse_args()
    network, error = ctypes.c_void_p(), Error()
    if LIB.perceptual_open(given.weights.encode(), ctypes.byref(network), ctypes.byref(error)):
        raise SystemExit(error.message.decode())
    LIB.perceptual_name.restype = ctypes.c_char_p
    kind = LIB.perceptual_name(network).decode()
    weights = {name: torch.from_numpy(array.astype(np.float32).copy())
               for name, array in read_safetensors(given.weights)[0].items()}
    every = []
    print("| picture | beside | LPIPS | PyTorch, double | differs by | gradient by | PyTorch's by |")
    print("|---|---|---|---|---|---|---|")
    with Team() as team:
        for path in given.pictures:
            image = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.BICUBIC)
            for name, damage in DAMAGES.items():
                x, y = tensor(image), tensor(damage(image))
                expected, slope = theirs(kind, weights, x, y)
                distance, gradient = ours(network, x, y, team)
                errors = (abs(distance - expected) / max(expected, 1e-3), apart(gradient, slope),
                          apart(theirs(kind, weights, x.float(), y.float())[1], slope))
                every += [errors] if expected else []
                print(f"| {os.path.basename(path)} | {name} | {distance:.6f} | {expected:.6f} | "
                      + " | ".join(f"{error:.1e}" for error in errors) + " |")
    worst, least = np.max(every, 0), np.min(every, 0)
    print(f"\n{kind}: largest difference of a distance {worst[0]:.1e}, of a gradient {worst[1]:.1e} "
          f"(PyTorch's in fp32: {worst[2]:.1e})")
    return int(worst[0] > DISTANCE_LIMIT or least[1] > GRADIENT_LIMIT or
               worst[1] > max(GRADIENT_LIMIT, 3 * worst[2]))


if __name__ == "__main__":
    sys.exit(main())
