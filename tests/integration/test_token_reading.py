"""`vqct decode` of sets whose files do not hold what they say: one clear line, whatever it is."""
import json
import os
import random
import shutil
import struct
import unittest

import numpy as np
from PIL import Image

from commands import CommandCase, content, vqct

DATA, READ, TOKENS = 11, 3, 6
SETS = {"w.tar": "w-000001.tar", "m.mds": "m.mds/shard.00001.mds", "t.tokens.jsonl": "t.tokens.jsonl",
        "b.npy": "b-16x16.npy", "p.bin": "p.bin"}


class Reading(CommandCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sets = os.path.join(cls.shared.name, "sets")
        os.makedirs(os.path.join(cls.sets, "in"))
        for seed in range(3):
            noise = np.random.default_rng(seed).integers(0, 256, (16, 16 + 16 * (seed % 2), 3), np.uint8)
            Image.fromarray(noise).save(os.path.join(cls.sets, f"in/{seed}.png"))
        for name in SETS:
            options = ("--shard-size", 1) if name in ("w.tar", "m.mds") else ()
            options += ("--buckets", "16x16,32x16") if name == "b.npy" else ("--resize", "none")
            done = vqct("encode", cls.model, "in", "-o", name, "--labels", "folder", "--row-end", 40,
                        *options, cwd=cls.sets)
            assert done.returncode == 0, done.stderr

    def setUp(self):
        super().setUp()
        shutil.copytree(self.sets, self.folder, dirs_exist_ok=True)

    def decode(self, name):
        return vqct("decode", self.model, self.path(name), "-o", self.path("out"))

    def restore(self, name):
        shutil.copyfile(os.path.join(self.sets, name), self.path(name))

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def refused(self, name, *words, status=None):
        shutil.rmtree(self.path("out"), ignore_errors=True)
        done = self.decode(name)
        self.assertNotEqual(done.returncode, 0)
        self.assertFails(done, done.returncode if status is None else status, *words)
        self.assertFalse(os.path.exists(self.path("out")), name)

    def test_whole(self):
        for name in SETS:
            self.assertEqual(self.decode(name).returncode, 0)
            self.assertEqual(len(os.listdir(self.path("out"))), 3)
            shutil.rmtree(self.path("out"))

    def test_gone_or_cut(self):
        for name, part in SETS.items():
            with self.subTest(name=name):
                whole = content(self.path(part))
                sizes = (0, 1, 700) if name == "w.tar" else (0, 1, len(whole) // 2, len(whole) - 2)
                for size in sizes:
                    self.write(part, whole[:size])
                    self.refused(name, os.path.basename(part).partition("-")[0].partition(".")[0])
                os.remove(self.path(part))
                self.refused(name, os.path.basename(part), "No such file", status=READ)
                self.restore(part)
                os.remove(self.path(name[0] + ".jsonl"))
                if name != "b.npy":
                    self.refused(name, name[0] + ".jsonl", "No such file", status=READ)

    def edit_side(self, name, change):
        """Changes the records of a side file."""
        side = name[0] + ".jsonl"
        records = [json.loads(line) for line in content(os.path.join(self.sets, side)).splitlines()]
        change(records)
        self.write(side, b"".join(json.dumps(r).encode() + b"\n" for r in records))

    def test_side_files_that_say_more(self):
        more = lambda r: r.insert(3, {**r[3], "row": 3})
        lines = len(content(self.path("p.jsonl")).splitlines())
        for name, words, change in (
                ("w.tar", ("picture 1", "does not hold"), lambda r: r[0].update(shard_size=2)),
                ("w.tar", ("shard_size",), lambda r: r[0].pop("shard_size")),
                ("w.tar", ("shard_size",), lambda r: r[0].update(shard_size=-1)),
                ("w.tar", ("w-000003.tar", "No such file"), more),
                ("w.tar", ("U32", "U16"), lambda r: r[0].update(tokens="uint32")),
                ("w.tar", ("w-000000.tar: ", "in/0.npy", "[60]", "[72]"), lambda r: r[1].update(grid=[4, 5])),
                ("m.mds", ("index.json", "picture 3"), more),
                ("m.mds", ("shard.00000.mds", "sample 0"), lambda r: r[1].update(grid=[4, 5])),
                ("m.mds", ("m.mds", "uint32"), lambda r: r[0].update(tokens="uint32")),
                ("t.tokens.jsonl", ("picture 1", "tokens"), lambda r: r[2].update(r[1], grid=[4, 8])),
                ("t.tokens.jsonl", ("picture 0",), lambda r: r[1].update(bytes=10 ** 6)),
                ("t.tokens.jsonl", ("picture 0",), lambda r: r[1].update(offset=2 ** 62, bytes=2 ** 62)),
                ("t.tokens.jsonl", ("picture 0",), lambda r: r[1].update(offset=-1)),
                ("t.tokens.jsonl", ("picture 0",), lambda r: r[1].update(grid=[1, 1])),
                ("b.npy", ("b-8x8.npy", "No such file"), lambda r: r[1].update(bucket="8x8")),
                ("b.npy", ("bucket",), lambda r: r[1].update(bucket="../b-16x16")),
                ("b.npy", ("bucket",), lambda r: r[1].update(bucket=16)),
                ("b.npy", ("bucket",), lambda r: r[1].update(bucket="16x16x")),
                ("b.npy", ("b-16x16.npy", "end at byte"), lambda r: r[1].update(offset=2 ** 62)),
                ("b.npy", ("offset",), lambda r: r[1].update(offset=-2)),
                ("p.bin", ("line 2", "grid"), lambda r: r[1].update(grid=[4])),
                ("p.bin", ("line 2", "grid"), lambda r: r[1].update(grid=[2 ** 20, 1])),
                ("p.bin", ("line 1", "tokens"), lambda r: r[0].update(tokens="int64")),
                *((name, ("totals", "missing"), lambda r: r.pop())
                  for name in ("p.bin", "w.tar", "m.mds", "t.tokens.jsonl", "b.npy")),
                ("p.bin", (f"line {lines - 1}", "other pictures"), lambda r: r.pop(-2)),
                ("p.bin", (f"line {lines}", "other pictures"), lambda r: r[-1].update(pictures=1))):
            with self.subTest(name=name, words=words):
                self.edit_side(name, change)
                self.refused(name, *words)

    def test_an_index_of_mds_that_says_more(self):
        whole = json.loads(content(self.path("m.mds/index.json")))
        for words, change in (
                (("shard.00000.mds", "2 samples"), lambda s: s[0].update(samples=2)),
                (("shard.00000.mds", "-1 samples"), lambda s: s[0].update(samples=-1)),
                (("index.json", "shard 0"), lambda s: s[0]["raw_data"].update(basename="../w-000000.tar")),
                (("index.json", "shard 1"), lambda s: s[1].pop("raw_data")),
                (("index.json", "shard 2"), lambda s: s[2].update(column_names=["tokens"])),
                (("shard 0", "ndarray:uint16"),
                 lambda s: s[0].update(column_encodings=["int", "str", "ndarray:uint32"])),
                (("nothing.mds",), lambda s: s[0]["raw_data"].update(basename="nothing.mds")),
                (("index.json", "picture 2"), lambda s: s.pop())):
            with self.subTest(words=words):
                index = json.loads(json.dumps(whole))
                change(index["shards"])
                self.write("m.mds/index.json", json.dumps(index).encode())
                self.refused("m.mds", *words)
        for text in (b"", b"[]", b"{", b'{"shards": 3}'):
            self.write("m.mds/index.json", text)
            self.refused("m.mds", "index.json", "no list of shards", status=DATA)

    def test_shards_of_mds_that_say_more(self):
        whole = content(self.path("m.mds/shard.00000.mds"))
        begin, end = struct.unpack_from("<II", whole, 4)
        for at, value in ((0, 2), (0, 2 ** 32 - 1), (4, end + 1), (4, 2 ** 32 - 1), (8, end + 1),
                          (8, 0), (begin + 4, 2 ** 31), (begin + 4, 0)):
            with self.subTest(at=at, value=value):
                data = bytearray(whole)
                struct.pack_into("<I", data, at, value)
                self.write("m.mds/shard.00000.mds", data)
                self.refused("m.mds", "shard.00000.mds", status=TOKENS)

    def test_lines_that_are_not_tokens(self):
        lines = content(self.path("t.tokens.jsonl")).splitlines(True)
        for text in (b"[]", b'{"tokens": 3}', b'{"tokens": [1]}',
                     lines[0].replace(b"[", b"[-", 1), lines[0].replace(b"[", b"[4294967296, ", 1),
                     lines[0].replace(b"[", b'["', 1), b"[" * 600):
            with self.subTest(text=text[:20]):
                self.write("t.tokens.jsonl", text[:len(lines[0])].ljust(len(lines[0])) +
                           b"".join(lines[1:]))
                self.refused("t.tokens.jsonl", "picture 0", status=TOKENS)

    def test_whatever_is_damaged(self):
        """Bytes changed anywhere end in one line, or in pictures."""
        chance = random.Random(14)
        for name, part in SETS.items():
            files = part, name[0] + ".jsonl", *(["m.mds/index.json"] if name == "m.mds" else [])
            for _ in range(25):
                for file in files:
                    self.restore(file)
                file = chance.choice(files)
                data = bytearray(content(self.path(file)))
                for _ in range(chance.randint(1, 4)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                self.write(file, data)
                shutil.rmtree(self.path("out"), ignore_errors=True)
                done = self.decode(name)
                if done.returncode:
                    self.assertIn(done.returncode, (READ, TOKENS, DATA, 15), done.stderr)
                    self.assertFails(done, done.returncode, name[0])


if __name__ == "__main__":
    unittest.main()
