"""Checkpoints of every family through `vqct import`, compared with PyTorch end to end."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import native  # noqa: E402
import native_network  # noqa: E402
import torch_families as families  # noqa: E402
import torch_vqct as vqct  # noqa: E402

torch.set_num_threads(1)  # the networks are small: threads would cost more than they give
BASE = {**vqct.TINY, "channels": 32, "groups": 32, "quantizer": "plain", "adjectives": 0,
        "adjective_k": 1, "nouns": 40, "name": "m"}
WIDE = {**BASE, "multipliers": [1, 2], "attention": [True, False], "encoder_blocks": 2,
        "decoder_blocks": 3, "image_channels": 1, "code_dimension": 3}
HALF = {**BASE, "multipliers": [2, 1, 3], "attention": [False] * 3, "middle_attention": False}
LLAMAGEN = {**BASE, "multipliers": [1, 2, 2], "attention": [False, False, True],
            "l2_normalize": True, "code_dimension": 4}
VQCT = {**BASE, "quantizer": "vqct", "adjectives": 9, "nouns": 14, "adjective_k": 2}
NEAREST = ("--distance", "euclidean")  # which taming's names alone do not tell
EDGES = [(0, 9, 3), (0, 12, 1), (2, 9, 40), (2, 22, 7), (7, 13, 2)]


def run(*words):
    done = subprocess.run([os.path.join(os.environ["VQCT_BUILD"], "vqct"), *words],
                          capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def state(module, **extra):
    return {**{name: value.numpy() for name, value in module.state_dict().items()}, **extra}


def taming(config, seed):
    network = vqct.random_network(config, seed)
    if config["quantizer"] == "plain":
        network.quantize = torch.nn.Module()
        network.quantize.embedding = torch.nn.Embedding(config["nouns"], config["code_dimension"])
        network.requires_grad_(False)
    return network


class Checkpoint(unittest.TestCase):
    """What tests of imports share."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.source, self.model = self.path("source.safetensors"), self.path("m.safetensors")

    def path(self, name):
        return os.path.join(self.folder, name)

    def import_ok(self, tensors, *options):
        native.write_safetensors(self.source, tensors)
        return self.import_file(self.source, *options)

    def import_file(self, path, *options):
        code, out, err = run("import", path, "-o", self.model, *options)
        self.assertEqual((code, err), (0, ""))
        return out

    def compare(self, config, module, codebook, quantize=vqct.quantize, lookup=None):
        """Tokens and pixels of the imported model against the module's. `lookup` is the table that
        tokens are read from, where that is not the codebook."""
        session = native_network.Session(self.model, 2)
        self.addCleanup(session.close)
        factor, channels = 2 ** (len(config["multipliers"]) - 1), config["image_channels"]
        pixels = np.random.default_rng(3).integers(0, 256, (2, 8 * factor, 6 * factor, channels),
                                                   dtype=np.uint8)
        z = module.encode(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1)
        theirs, _, gaps = quantize(config, codebook, z)
        ours = session.encode(pixels, theirs.shape[1], factor)
        clear = (gaps > 1e-4 * gaps.max()).numpy()  # farther apart than fp32 arithmetic errs
        self.assertGreater(clear.mean(), 0.9)
        np.testing.assert_array_equal(ours[clear], theirs.numpy()[clear])
        self.assertGreater(len(np.unique(ours)), 3)
        if not hasattr(module, "decode"):
            return
        table = codebook if lookup is None else lookup
        zq = vqct.code_values(config, table, torch.from_numpy(ours.astype(np.int64)))
        grey = np.clip((native.nhwc(module.decode(zq.float())).astype(np.float64) + 1) * 127.5,
                       0, 255)
        self.assertGreater(grey.std(), 5)
        # Rounded to the nearest of 256 levels; the rest is the arithmetic error.
        self.assertLess(np.abs(session.decode(ours, channels, factor) - grey).max(), 0.5 + 1e-2)

    def scaled(self, module, config):
        """Spreads the codebook over the vectors that the encoder gives, so that many codes are
        used."""
        torch.manual_seed(5)
        factor = 2 ** (len(config["multipliers"]) - 1)
        z = module.encode(torch.rand(1, config["image_channels"], 8 * factor, 8 * factor) * 2 - 1)
        weight = module.quantize.embedding.weight
        weight.copy_(z.mean((0, 2, 3)) + z.std((0, 2, 3)) * torch.randn(weight.shape))
        return weight

    def architecture(self):
        code, out, err = run("inspect", "--json", self.model)
        self.assertEqual(code, 0, err)
        return json.loads(out)["architecture"]

    def write_prior(self, dimension=6):
        words = [f"adjective{i}" for i in range(9)] + [f"noun{i}" for i in range(14)]
        text = b"".join(word.encode() + b"\0" for word in words)
        x = np.random.default_rng(1).standard_normal((23, dimension)).astype(np.float32)
        native.write_safetensors(self.path("prior"), {
            "words.text": np.frombuffer(text, np.uint8),
            "words.part": np.repeat(np.array([0, 1], np.uint8), [9, 14]),
            "words.count": np.arange(23, dtype=np.uint64), "embeddings": x,
            "edges": np.array(EDGES, np.uint32)},
            {"format": "vqct-prior", "version": "1", "provenance": "{}"})
        return words, torch.from_numpy(x)

    def vqct_checkpoint(self, config, seed=11):
        module = taming(config, seed)
        gcn = families.GraphConvolutions(6, config["code_dimension"]).requires_grad_(False)
        module.quantize = torch.nn.Module()
        module.quantize.gcn = gcn
        return module, gcn

    def refused(self, code, tensors, *options):
        native.write_safetensors(self.source, tensors)
        result, out, err = run("import", self.source, "-o", self.model, *options)
        self.assertEqual((result, out), (code, ""), err)
        self.assertFalse(os.path.exists(self.model))
        return err


class Import(Checkpoint):
    def test_plain_families(self):
        makers = [("taming VQGAN", taming, [BASE, WIDE, HALF]),
                  ("diffusers VQModel", lambda config, seed: families.randomize(
                      families.diffusers(config), seed), [BASE, WIDE, HALF]),
                  ("diffusers VQModel", lambda config, seed: families.randomize(
                      families.diffusers(config, families.OldLinearAttention), seed), [BASE]),
                  ("LlamaGen VQ", lambda config, seed: families.randomize(
                      families.llamagen(config), seed), [LLAMAGEN])]
        for family, maker, configs in makers:
            for seed, config in enumerate(configs):
                with self.subTest(family=family, seed=seed):
                    module = maker(config, seed)
                    codebook = self.scaled(module, config)
                    options = NEAREST if maker is taming else ()
                    out = self.import_ok(state(module), *options)
                    self.assertIn(family, out)
                    self.assertEqual(self.architecture(), config)
                    self.compare(config, module, codebook)

    def test_vqct(self):
        words, x = self.write_prior()
        for k in (1, 2):
            with self.subTest(k=k):
                config = {**VQCT, "adjective_k": k}
                module, gcn = self.vqct_checkpoint(config)
                codebook = gcn(x, EDGES)
                tensors = state(module, **{"loss.discriminator.main.0.weight": np.zeros(3)})
                out = self.import_ok(tensors, "--prior", self.path("prior"), "-k", str(k))
                self.assertIn("VQCT, 4 pixels a token, 23 codes of 8 numbers; 1 tensors", out)
                self.assertEqual(self.architecture(), config)
                code, out, _ = run("inspect", self.model, "-w", "20")
                self.assertIn(", ".join(words[:9]), out)
                self.compare(config, module, codebook)

    def test_prefix_and_types(self):
        module = taming(BASE, 4)
        codebook = self.scaled(module, BASE)
        tensors = {"first." + name: array for name, array in state(module).items()}
        tensors["first.decoder.conv_in.weight"] = \
            tensors["first.decoder.conv_in.weight"].astype(np.float64)
        half = tensors["first.encoder.mid.block_1.conv1.weight"].astype(np.float16)
        tensors["first.encoder.mid.block_1.conv1.weight"] = half
        module.encoder.mid.block_1.conv1.weight.copy_(torch.from_numpy(half.astype(np.float32)))
        self.import_ok(tensors, *NEAREST)
        self.compare(BASE, module, codebook)

    def test_the_source_is_not_overwritten(self):
        self.import_ok(state(taming(BASE, 4)), *NEAREST)
        before = open(self.source, "rb").read()
        os.symlink(self.source, self.path("link"))
        for output in self.source, self.path("link"), f"{self.folder}/./source.safetensors":
            code, out, err = run("import", self.source, "-o", output, *NEAREST)
            self.assertEqual((code, out), (2, ""), err)
            self.assertIn("is the checkpoint itself", err)
        self.assertEqual(open(self.source, "rb").read(), before)

    def test_names_of_files_that_are_not_ascii(self):
        """The model is called as its file is, in the characters that a name may have."""
        native.write_safetensors(self.source, state(taming(BASE, 4)))
        self.model = self.path("m\u00f6del \U0001f600.safetensors")
        code, _, err = run("import", self.source, "-o", self.model, *NEAREST)
        self.assertEqual((code, err), (0, ""))
        name = json.loads(run("inspect", "--json", self.model)[1])["name"]
        self.assertEqual(name, "m-del -")
        code, _, err = run("import", self.source, "-o", self.model, "--name", "m\u00f6del")
        self.assertEqual((code, "--name" in err), (2, True), err)

    def test_given_configuration(self):
        """Groups cannot be told from shapes."""
        config = {**BASE, "channels": 12, "groups": 4}
        module = taming(config, 5)
        codebook = self.scaled(module, config)
        native.write_safetensors(self.source, state(module))
        code, _, err = run("import", self.source, "-o", self.model, *NEAREST)
        self.assertEqual(code, 5)
        self.assertIn("groups 32 does not divide channels 12", err)
        with open(self.path("config"), "w") as file:
            json.dump({**config, "name": "other"}, file)
        code, _, err = run("import", self.source, "-o", self.model, "--config", self.path("config"))
        self.assertEqual(code, 5)  # euclidean is its default, so it does not tell
        self.assertIn("give --distance euclidean", err)
        self.import_ok(state(module), "--config", self.path("config"), *NEAREST)
        self.assertEqual(self.architecture(), config)
        self.compare(config, module, codebook)

    def test_every_tensor_that_does_not_fit_is_reported(self):
        tensors = state(taming(BASE, 6))
        del tensors["decoder.norm_out.bias"], tensors["encoder.mid.attn_1.k.weight"]
        tensors["quant_conv.weight"] = tensors["quant_conv.weight"].reshape(8, 12, 1, 1, 1)
        tensors["decoder.up.0.block.1.conv1.weight"] = np.zeros((32, 33, 3, 3), np.float32)
        tensors["encoder.conv_out.bias"] = np.zeros(12, np.int64)
        tensors["surprise"] = np.zeros((2, 3), np.float32)
        tensors["encoder.down.0.attn.7.q.weight"] = np.zeros(1, np.float32)
        lines = self.refused(5, tensors, *NEAREST).splitlines()
        self.assertEqual(sorted(lines[:-1]), [
            "missing: decoder.norm_out.bias, of shape [32]",
            "missing: encoder.mid.attn_1.k.weight, of shape [64, 64, 1, 1]",
            "unexpected: encoder.down.0.attn.7.q.weight, of shape [1]",
            "unexpected: surprise, of shape [2, 3]",
            "wrong shape: decoder.up.0.block.1.conv1.weight is [32, 33, 3, 3], not [32, 32, 3, 3]",
            "wrong shape: quant_conv.weight is [8, 12, 1, 1, 1], not [8, 12, 1, 1]",
            "wrong type: encoder.conv_out.bias is I64, not F16, BF16, F32 or F64",
        ])
        self.assertIn("5 tensors are missing or of a wrong shape or type, and 2 are unexpected",
                      lines[-1])

    def test_names_of_the_checkpoint_stand_in_the_report(self):
        tensors = state(families.diffusers(BASE).requires_grad_(False))
        tensors["decoder.up_blocks.0.attentions.0.to_q.weight"] = np.zeros((3, 3), np.float32)
        err = self.refused(5, tensors)
        self.assertIn("wrong shape: decoder.up_blocks.0.attentions.0.to_q.weight is [3, 3]", err)

    def test_refused(self):
        tensors = state(taming(BASE, 7))
        broken = tensors["encoder.conv_in.weight"].copy()
        broken[1, 2, 0, 1] = np.nan
        cases = [
            (12, {**tensors, "encoder.conv_in.weight": broken}, [*NEAREST],
             'tensor "encoder.conv_in.weight" has NaN or infinity at number 46'),
            (5, {"a": np.zeros(1)}, [], "of no known family"),
            (5, {"encoder.down.0.block.0.conv2.weight": np.zeros(1)}, [],
             "encoder.conv_in.weight is missing"),
            (5, {**tensors, "encoder.conv_in.weight": np.zeros((48, 3, 3, 3), np.float32)}, [],
             "32 channels are no multiple of the 48"),
            (5, {"encoder.down.x": np.zeros(1)}, [], "encoder.conv_in.weight is missing"),
            (5, {name: array for name, array in tensors.items() if "quantize" not in name}, [],
             "not a discrete tokenizer"),
            (5, tensors, [], "give --distance euclidean (taming VQGAN, the nearest code) or "
             "--distance dot (IBQ"),
            (2, {**tensors, "quantize.gcn.conv1.bias": np.zeros(8)}, [], "give the prior"),
            (2, tensors, ["--prior", self.path("prior")], "a prior is for a VQCT checkpoint"),
            (2, tensors, ["--adjective-k", "3"], "adjective-k"),
            (2, tensors, ["--name", "x" * 64], "longer than 63"),
            (2, tensors, ["--name", "\x1b"], "printable ASCII"),
            (3, tensors, ["--config", self.path("none")], "No such file"),
        ]
        self.write_prior()
        for code, checkpoint, options, message in cases:
            with self.subTest(message):
                self.assertIn(message, self.refused(code, checkpoint, *options))

    def test_prior_that_does_not_fit(self):
        module, _ = self.vqct_checkpoint(VQCT)
        self.write_prior(dimension=5)
        err = self.refused(5, state(module), "--prior", self.path("prior"))
        self.assertIn("wrong shape: quantize.gcn.conv1.lin.weight is [8, 6], not [8, 5]", err)
        with open(self.path("config"), "w") as file:
            json.dump({**VQCT, "nouns": 15}, file)
        err = self.refused(2, state(module), "--prior", self.path("prior"), "--config",
                           self.path("config"))
        self.assertIn("the configuration has 9 adjectives and 15 nouns, the prior 9 and 14", err)


if __name__ == "__main__":
    unittest.main()
