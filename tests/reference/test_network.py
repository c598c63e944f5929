"""Encoder, decoder and quantizers against PyTorch with random weights."""
import os
import sys
import unittest

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import native  # noqa: E402
import native_network  # noqa: E402
import torch_vqct as vqct  # noqa: E402

PLAIN = {**vqct.TINY, "quantizer": "plain", "adjectives": 0, "nouns": 50}

# name, changes to the tiny configuration, images, height, width
CASES = [
    ("k = 1", {}, 2, 16, 24),
    ("k = 2", {"adjective_k": 2}, 2, 20, 12),
    ("plain", PLAIN, 1, 16, 16),
    ("plain, of length 1", {**PLAIN, "l2_normalize": True}, 1, 16, 16),
    ("grey", {"image_channels": 1}, 1, 12, 12),
    ("two channels", {"image_channels": 2}, 1, 8, 40),
    ("one level", {"multipliers": [2], "attention": [False]}, 1, 5, 7),
    ("four levels", {"multipliers": [1, 1, 2, 3], "attention": [False] * 4}, 1, 40, 24),
    ("attention everywhere", {"attention": [True] * 3}, 1, 16, 12),
    ("no attention", {"attention": [False] * 3, "middle_attention": False}, 1, 16, 16),
    ("attention, not in the middle", {"middle_attention": False}, 1, 16, 16),
    ("narrowing", {"multipliers": [3, 2, 1]}, 1, 16, 16),
    ("more blocks", {"encoder_blocks": 3, "decoder_blocks": 1}, 1, 16, 16),
    ("odd channels", {"channels": 12, "groups": 3, "z_channels": 7, "code_dimension": 5}, 1, 16, 16),
    ("one group", {"groups": 1}, 1, 8, 8),
    ("one token", {}, 1, 4, 4),
    ("more queries than a block", {}, 1, 52, 44),
    ("vqct-f8-small", vqct.F8_SMALL, 1, 64, 96),
    ("vqct-f16", vqct.F16, 1, 64, 80),
    ("vqct-small", vqct.SMALL, 1, 64, 96),
    ("vqct-small-f16", vqct.SMALL_F16, 1, 64, 96),
    ("spatial norms", {"spatial_norm": True}, 2, 16, 24),
    ("space to depth", {"space_to_depth": True}, 2, 16, 24),
    ("space to depth, grey, one token", {"space_to_depth": True, "image_channels": 1}, 1, 8, 8),
    ("space to depth, one level", {"space_to_depth": True, "multipliers": [2], "attention": [False]},
     1, 6, 10),
    ("upsampling widens and narrows", {"multipliers": [2, 3, 1], "upsample_changes_channels": True},
     1, 16, 12),
    ("another decoder", {"decoder_multipliers": [2, 3, 5], "encoder_level_blocks": [1, 2, 3],
                         "decoder_level_blocks": [3, 1, 2], "upsample_changes_channels": True},
     1, 12, 16),
]

# Of the largest value. Both sides compute in fp32, whose rounding of 6e-8 grows through some fifty
# layers of sums of up to 4,608 products, and a Winograd transform multiplies it by up to 10.
TOLERANCE = 5e-5


class AgainstTorch(unittest.TestCase):
    def check(self, config, seed, images, height, width):
        module = vqct.random_network(config, seed)
        halves = 2 if config["quantizer"] == "vqct" else 1
        codes = config["adjectives"] + config["nouns"]
        codebook = torch.randn(codes, config["code_dimension"])
        x = torch.rand(images, config["image_channels"], height, width) * 2 - 1
        z = module.encode(x)
        codebook *= z.std()  # so that codes lie where vectors do
        network = native_network.Network(config, module, codebook)
        self.addCleanup(network.close)
        with native.Team(2) as team:
            ours = network.run("encoder", native.nhwc(x), team)
            error = np.abs(ours - native.nhwc(z)).max()
            self.assertLess(error, TOLERANCE * z.abs().max().item())

            # The arithmetic error of z moves a squared distance by at most 2 |error| |e1 - e2|.
            their_tokens, _, gaps = vqct.quantize(config, codebook, z)
            reach = 2 * error * (halves * config["code_dimension"]) ** 0.5 * \
                2 * codebook.norm(dim=1).max().item()
            if config["l2_normalize"]:
                reach /= z.norm(dim=1).min().item() * codebook.norm(dim=1).min().item() / 2
            clear = (gaps > reach).numpy()
            self.assertGreater(clear.mean(), 0.8, "the comparison must cover most tokens")
            tokens = np.stack([network.tokens(np.ascontiguousarray(image), team) for image in ours])
            np.testing.assert_array_equal(tokens[clear], their_tokens.numpy()[clear])

            values = np.stack([network.code_values(image, ours.shape[3]) for image in tokens])
            zq = vqct.code_values(config, codebook, torch.from_numpy(tokens.astype(np.int64)))
            np.testing.assert_allclose(values, native.nhwc(zq), rtol=3e-7, atol=1e-7)
            pixels = network.run("decoder", values, team)
            theirs = native.nhwc(module.decode(zq))
            self.assertLess(np.abs(pixels - theirs).max(), TOLERANCE * np.abs(theirs).max())

    def test_every_feature(self):
        for seed in (1, 2):
            for name, changes, images, height, width in CASES:
                with self.subTest(name, seed=seed):
                    self.check({**vqct.TINY, **changes}, seed, images, height, width)


class SameBits(unittest.TestCase):
    """Threads, batch size, order and the tape change nothing."""

    def test_network(self):
        for config, height, width in ((vqct.TINY, 24, 40), (vqct.F8_SMALL, 72, 64),
                                      (vqct.SMALL_F16, 48, 80)):
            module = vqct.random_network(config, 3)
            codebook = torch.randn(config["adjectives"] + config["nouns"], config["code_dimension"])
            network = native_network.Network(config, module, codebook)
            self.addCleanup(network.close)
            x = native.nhwc(torch.rand(5, 3, height, width) * 2 - 1)
            with native.Team(1) as alone:
                single = [network.run("encoder", x[i:i + 1], alone)[0] for i in range(5)]
                tokens = [network.tokens(z, alone) for z in single]
            for threads in (1, 2, 3):
                with self.subTest(config["name"], threads=threads), native.Team(threads) as team:
                    whole = network.run("encoder", x, team)
                    kept = network.run("encoder", x, team, keep=True)
                    backwards = network.run("encoder", np.ascontiguousarray(x[::-1]), team)[::-1]
                    for i in range(5):
                        np.testing.assert_array_equal(whole[i], single[i])
                        np.testing.assert_array_equal(kept[i], single[i])
                        np.testing.assert_array_equal(backwards[i], single[i])
                        np.testing.assert_array_equal(network.tokens(single[i], team), tokens[i])


class Quantizer(unittest.TestCase):
    def setUp(self):
        team = native.Team(2)
        self.team = team.__enter__()
        self.addCleanup(team.__exit__)

    def network(self, codebook, **changes):
        config = {**vqct.TINY, **changes}
        network = native_network.Network(config, vqct.random_network(config, 1), codebook)
        self.addCleanup(network.close)
        return config, network

    def test_ties_go_to_the_lowest_row(self):
        """Every code stands several times, at places that a blocked product treats differently."""
        for k in (1, 2):
            config, network = self.tied(k)
            z = np.random.default_rng(5).normal(size=(9, 11, 16)).astype(np.float32)
            expected, _, _ = vqct.quantize(config, torch.from_numpy(network.codebook),
                                           torch.from_numpy(z).permute(2, 0, 1)[None])
            np.testing.assert_array_equal(network.tokens(z, self.team), expected[0].numpy())

    def tied(self, k):
        rng = np.random.default_rng(4)
        part = rng.normal(size=(7, 8)).astype(np.float32)
        return self.network(np.concatenate([np.tile(part, (13, 1)), np.tile(part, (19, 1))]),
                            adjectives=91, nouns=133, adjective_k=k)

    def test_codes_nearer_to_each_other_than_fp32_products_tell(self):
        """|e|^2 - 2 z e in fp32 would often pick the wrong one here."""
        rng = np.random.default_rng(6)
        centre = 100 * rng.normal(size=8)
        codebook = (centre + 1e-3 * rng.normal(size=(40, 8))).astype(np.float32)
        config, network = self.network(codebook, adjectives=20, nouns=20, adjective_k=2)
        z = (np.tile(centre, 2) + 1e-3 * rng.normal(size=(6, 6, 16))).astype(np.float32)
        expected, _, _ = vqct.quantize(config, torch.from_numpy(codebook),
                                       torch.from_numpy(z).permute(2, 0, 1)[None])
        np.testing.assert_array_equal(network.tokens(z, self.team), expected[0].numpy())

    def test_vectors_that_are_not_finite(self):
        _, network = self.network(np.ones((32, 8)))
        for value in (np.nan, np.inf, -np.inf):
            z = np.zeros((2, 2, 16), np.float32)
            z[1, 1, 15] = value
            with self.assertRaisesRegex(RuntimeError, "NaN or infinity"):
                network.tokens(z, self.team)

    def test_tokens_outside_their_plane(self):
        _, network = self.network(np.ones((32, 8)), adjective_k=2)  # 12 adjectives, 20 nouns
        fine = np.array([0, 11, 12], np.uint32)
        for plane, token in ((0, 12), (1, 12), (2, 11), (2, 32), (0, 2**32 - 1)):
            tokens = np.tile(fine[:, None, None], (1, 2, 2))
            tokens[plane, 1, 0] = token
            with self.assertRaisesRegex(RuntimeError, f"token {token} at position 2 of plane {plane}"):
                network.code_values(tokens, 16)


if __name__ == "__main__":
    unittest.main()
