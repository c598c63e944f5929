"""init, inspect and import, as a user runs them; and damaged model files."""
import hashlib
import json
import os
import resource
import struct
import sys
import unittest

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "reference")]
from commands import CommandCase, content, vqct  # noqa: E402
from safetensors_file import read_safetensors, write_prior  # noqa: E402

INVALID, READ, MODEL, WRITE, NOT_FINITE = 2, 3, 5, 7, 12


class ModelCommands(CommandCase):
    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def inspect(self, path, *options):
        done = vqct("inspect", "--json", path, *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def test_help(self):
        for command in ("init", "import", "inspect"):
            done = vqct(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"usage: vqct {command}", done.stdout)

    def test_a_seed_gives_one_file(self):
        same, other = self.path("same"), self.path("other")
        vqct("init", "-p", "vqct-tiny", "-s", 3, "-o", same)
        vqct("init", "-p", "vqct-tiny", "-s", 4, "-o", other)
        self.assertEqual(content(same), content(self.model))
        self.assertNotEqual(content(other), content(self.model))

    def test_inspect(self):
        facts = self.inspect(self.model)
        self.assertEqual(facts["checksum"], hashlib.sha256(content(self.model)).hexdigest())
        self.assertEqual(facts["bytes"], os.path.getsize(self.model))
        self.assertEqual([facts[key] for key in ("name", "weights", "downsampling", "planes",
                                                 "codes", "code_dimension")],
                         ["vqct-tiny", "F32", 4, 3, 32, 8])
        self.assertEqual(sum(count for part, count in facts["parameters"].items()
                             if part != "total"), facts["parameters"]["total"])
        self.assertEqual([(book["part_of_speech"], book["first"], book["count"],
                           book["training"]["tokens"]) for book in facts["codebooks"]],
                         [("adjective", 0, 12, 0), ("noun", 12, 20, 0)])
        done = vqct("inspect", self.model)
        for line in (f"checksum         sha256 {facts['checksum']}",
                     "quantizer        VQCT, 3 planes, 32 codes of 8 numbers",
                     "codebook         noun       20 codes, tokens 12 to 31"):
            self.assertIn(line + "\n", done.stdout)

    def test_weight_types(self):
        sizes = {}
        for kind, name in (("fp32", "F32"), ("fp16", "F16"), ("bf16", "BF16")):
            vqct("init", "-p", "vqct-tiny", "-t", kind, "-o", self.path(kind))
            self.assertEqual(self.inspect(self.path(kind))["weights"], name)
            sizes[kind] = os.path.getsize(self.path(kind))
        self.assertLess(sizes["fp16"], 0.7 * sizes["fp32"])

    def test_configuration_file(self):
        architecture = self.inspect(self.model)["architecture"]
        plain = {**architecture, "quantizer": "plain", "adjectives": 0, "adjective_k": 1,
                 "l2_normalize": True, "image_channels": 1}
        config = self.write("config.json", json.dumps(plain).encode())
        vqct("init", "--config", config, "--name", "grey", "-o", self.path("m"))
        self.assertEqual(self.inspect(self.path("m"))["architecture"], {**plain, "name": "grey"})

    def test_prior(self):
        """Words come from the prior, and so do the codes: two words that only one edge of weight 1
        joins, to each other, share all that the graph averages."""
        adjectives, nouns = ["big", "red", "tall"], ["cat", "tree", "grass", "boat"]
        write_prior(self.path("prior"), adjectives, nouns,
                    np.random.default_rng(1).standard_normal((7, 5)), [[0, 3, 1], [2, 4, 1]])
        done = vqct("init", "-p", "vqct-tiny", "--prior", self.path("prior"), "-o", self.path("m"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        books = self.inspect(self.path("m"))["codebooks"]
        self.assertEqual([book["words"] for book in books], [adjectives, nouns])
        codes = read_safetensors(self.path("m"))[0]["codebook.weight"]
        self.assertEqual(codes.shape, (7, 8))
        distance = ((codes[:, None] - codes) ** 2).sum(-1)
        same = {(0, 3), (3, 0), (2, 4), (4, 2)} | {(i, i) for i in range(7)}
        for i, j in np.ndindex(distance.shape):
            self.assertEqual(distance[i, j] < 1e-9, (i, j) in same, (i, j))

    def test_wrong_use(self):
        out = self.path("m")
        config = self.write("bad.json", b'{"channels": 0}')
        for arguments, status, word in [
                (["init", "-o", out], INVALID, "either --preset or --config"),
                (["init", "-p", "vqct-tiny"], INVALID, "--output"),
                (["init", "-p", "f16", "-o", out], INVALID, "there is no preset 'f16'"),
                (["init", "-p", "vqct-tiny", "-o", out, "-s", "-1"], INVALID, "seed"),
                (["init", "-p", "vqct-tiny", "-o", out, "-t", "int8"], INVALID, "type"),
                (["init", "-p", "vqct-tiny", "-o", out, "-n", ""], MODEL, "name"),
                (["init", "-c", config, "-o", out], MODEL, f"{config}: configuration"),
                (["init", "-c", self.path("none"), "-o", out], READ, "No such file"),
                (["init", "-p", "vqct-tiny", "--prior", self.model, "-o", out], MODEL, "prior"),
                (["inspect"], INVALID, "too few"),
                (["inspect", self.path("none")], READ, "No such file"),
                (["inspect", self.folder], READ, "not a regular file"),
                (["import", self.model], INVALID, "--output"),
                (["import", self.model, "-o", out], INVALID, "it is a vqct model already"),
                (["import", config, "-o", out], MODEL, "neither a safetensors file")]:
            with self.subTest(arguments):
                self.assertFails(vqct(*arguments), status, word)
                self.assertFalse(os.path.exists(out))

    def test_unwritable_output(self):
        for out, word in (("/dev/full", "not a regular file"), (self.folder, "not a regular file"),
                          (self.path("no/m"), "No such file")):
            self.assertFails(vqct("init", "-p", "vqct-tiny", "-o", out), WRITE, out, word)

    def test_full_disk(self):
        """A limit on the size of files fails a write half-way, as a full disk does."""
        out = self.write("m", b"what was there")
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))  # noqa: E731
        done = vqct("init", "-p", "vqct-tiny", "-o", out, preexec_fn=limit)
        self.assertFails(done, WRITE, "File too large")
        self.assertEqual(content(out), b"what was there")
        self.assertEqual(os.listdir(self.folder), ["m"])

    def test_damaged_models(self):
        data = content(self.model)
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + length])

        def changed(change, body=data[8 + length:]):
            other = json.loads(json.dumps(header))
            change(other)
            text = json.dumps(other).encode()
            return struct.pack("<Q", len(text)) + text + body

        def drop(other):
            other["quant_conv.other"] = other.pop("quant_conv.bias")

        def config(other):
            other["__metadata__"]["vqct.config"] = "{}"

        def shape(other):
            other["decoder.conv_in.weight"]["shape"] = [12, 16, 3, 3]

        def outside(other):
            other["decoder.conv_in.weight"]["data_offsets"][1] += 1 << 40

        begin, _ = header["decoder.conv_in.weight"]["data_offsets"]
        broken = bytearray(data)
        broken[8 + length + begin:12 + length + begin] = struct.pack("<f", float("nan"))
        for damaged, status, words in [
                (b"", MODEL, ["it has 0 bytes"]),
                (data[:7], MODEL, ["it has 7 bytes"]),
                (data[:length // 2], MODEL, ["truncated"]),
                (data[:-1], MODEL, ["tensor", "outside the file"]),
                (data + b"x", MODEL, ["1 bytes after the last tensor"]),
                (b"\x89PNG" + data, MODEL, ["not a safetensors file"]),
                (changed(drop), MODEL, ['"quant_conv.bias" is missing']),
                (changed(config), MODEL, ["configuration: name"]),
                (changed(shape), MODEL, ['"decoder.conv_in.weight" has shape [12, 16, 3, 3]']),
                (changed(outside), MODEL, ['"decoder.conv_in.weight"', "outside the file"]),
                (bytes(broken), NOT_FINITE, ['"decoder.conv_in.weight" has NaN'])]:
            with self.subTest(words):
                path = self.write("damaged", damaged)
                self.assertFails(vqct("inspect", path), status, path, *words)


if __name__ == "__main__":
    unittest.main()
