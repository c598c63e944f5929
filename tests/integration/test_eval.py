"""`vqct eval`: its measures against numpy and PyTorch over the very pictures of its sheet."""
import json
import os
import re
import sys
import unittest

import numpy as np
import torch
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "reference")]
import torch_lpips  # noqa: E402
from commands import CommandCase, vqct  # noqa: E402
from frechet import frechet  # noqa: E402
from safetensors_file import write_safetensors  # noqa: E402

SIDE, GAP, PICTURES = 48, 4, 6  # pixels; pixels between pictures of a sheet


class Eval(CommandCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        draw = np.random.default_rng(1)
        cls.pictures = f"{cls.shared.name}/pictures"
        os.makedirs(cls.pictures)
        for i in range(PICTURES):
            small = draw.integers(0, 255, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(small).resize((SIDE, SIDE)).save(f"{cls.pictures}/{i}.png")
        cls.weights = torch_lpips.random_weights("squeeze", 4)
        cls.network = f"{cls.shared.name}/squeeze.safetensors"
        write_safetensors(cls.network, {name: t.numpy() for name, t in cls.weights.items()})

    def eval(self, *more):
        return vqct("eval", self.model, self.pictures, "--size", SIDE, *more)

    def measured(self, *more):
        """(what it printed, its JSON, originals, reconstructions)"""
        done = self.eval("--json", self.path("r.json"), "--sheet", self.path("s.png"), "--columns",
                         1, *more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(self.path("r.json")) as file:
            result = json.load(file)
        with Image.open(self.path("s.png")) as image:
            sheet = np.asarray(image)
        rows = [sheet[i * (SIDE + GAP):][:SIDE] for i in range(PICTURES)]
        return (done.stdout, result, np.stack([row[:, :SIDE] for row in rows]),
                np.stack([row[:, SIDE + GAP:] for row in rows]))

    def tensor(self, pictures):
        return torch.from_numpy(pictures.astype(np.float64) / 127.5 - 1).permute(0, 3, 1, 2)

    def test_measures(self):
        text, result, original, made = self.measured("--perceptual", self.network, "--features",
                                                     self.network)
        x, y = self.tensor(original), self.tensor(made)
        squares = ((original.astype(float) - made) ** 2).mean((1, 2, 3))
        self.assertAlmostEqual(result["psnr"], (10 * np.log10(255 ** 2 / squares)).mean(), places=6)
        lpips = torch_lpips.lpips("squeeze", self.weights, x, y).mean().item()
        self.assertAlmostEqual(result["lpips"] / lpips, 1, delta=1e-5)  # fp32 in 12 layers
        pooled = [torch_lpips.features("squeeze", self.weights, p)[-1].mean((2, 3)).numpy()
                  for p in (x, y)]
        expected = result["frechet"]
        self.assertEqual({k: v for k, v in expected.items() if k != "distance"},
                         {"measure": "Frechet distance, SqueezeNet 1.1 pool", "features": 512,
                          "pictures": PICTURES})
        # fp32 features; the distance of six pictures is a small part of their variance.
        self.assertAlmostEqual(expected["distance"] / frechet(*pooled), 1, delta=1e-4)
        self.assertRegex(text, r"SqueezeNet 1\.1 pool: [\d.]+ \(too few pictures")
        printed = float(re.search(r"pool: ([\d.]+)", text)[1])
        self.assertAlmostEqual(printed, expected["distance"], delta=1e-4)
        self.assertEqual((result["pictures"], result["positions"]), (PICTURES, 6 * 12 * 12))

    def test_without_networks(self):
        text, result, _, _ = self.measured()
        self.assertFalse({"frechet", "lpips"} & set(result))
        self.assertNotIn("distance", text)

    def test_pictures_of_their_own_sizes(self):
        """One that is too small for SSIM fails alone; the sheet has cells of the largest size."""
        draw, pictures, sizes = np.random.default_rng(2), [], [(64, 16), (16, 32), (8, 8), (40, 24)]
        for i, (width, height) in enumerate(sizes):
            pictures.append(draw.integers(0, 255, (height, width, 3), dtype=np.uint8))
            Image.fromarray(pictures[-1]).save(self.path(f"{i}.png"))
        done = vqct("eval", self.model, self.folder, "--resize", "none", "--columns", 1, "--sheet",
                    self.path("s.sheet"), "--json", self.path("r.json"))
        self.assertEqual(done.returncode, 10, done.stderr)
        self.assertIn("2.png: a picture of 8 x 8 pixels", done.stderr)
        with open(self.path("r.json")) as file:
            result = json.load(file)
        self.assertEqual((result["pictures"], result["failed"]), (3, 1))
        self.assertEqual(result["positions"], (64 * 16 + 16 * 32 + 40 * 24) // 16)
        with Image.open(self.path("s.sheet")) as image:
            sheet = np.asarray(image)
        self.assertEqual(sheet.shape, (3 * 32 + 2 * GAP, 2 * 64 + GAP, 3))
        for row, i in enumerate((0, 1, 3)):
            (width, height), top = sizes[i], row * (32 + GAP)
            np.testing.assert_array_equal(sheet[top:top + height, :width], pictures[i])
            self.assertTrue((sheet[top + height:top + 32, :64] == 255).all())

    def test_wrong_use(self):
        missing = self.path("missing")
        self.assertFails(self.eval("--features", missing), 3, missing)
        self.assertFails(self.eval("--features", self.model), 5, "features.0.weight")
        self.assertFails(self.eval("--features", self.network, "--limit", 1), 2, "--features",
                         "two")
        self.assertFails(self.eval("--features", f"{self.pictures}/1.png"), 5, "1.png")


if __name__ == "__main__":
    unittest.main()
