"""`-` as an input: a list of paths in lines, or an archive."""
import gzip
import io
import json
import os
import subprocess
import tarfile
import unittest

import numpy as np
from PIL import Image

from commands import VQCT, CommandCase, content

READ, PARTIAL, DATA = 3, 10, 11


class StandardInput(CommandCase):
    def setUp(self):
        super().setUp()
        for name in ("in/a.png", "in/deep/b.png", "in/ c .png", "é.png"):
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            noise = np.random.default_rng(len(name)).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(self.path(name))
        with tarfile.open(self.path("s.tar"), "w") as tar:
            tar.add(self.path("in/a.png"), "x/a.png")

    def encode(self, data, *more, out="t.npy"):
        """What the command did, and the names that have tokens."""
        if isinstance(data, str):
            data = data.encode()
        done = subprocess.run([VQCT, "encode", self.model, "-", *more, "-o", self.path(out), "--size",
                               "16", "-q"], input=data, capture_output=True, timeout=300)
        done.stderr = done.stderr.decode()
        if done.returncode not in (0, PARTIAL):
            return done, None
        with open(self.path(out[:-4] + ".jsonl")) as file:
            lines = [json.loads(line) for line in file]
        return done, [os.path.relpath(line["image"], self.folder) for line in lines if "row" in line]

    def paths(self, *names):
        return "".join(self.path(name) + "\n" for name in names)

    def test_paths(self):
        names = ["in/ c .png", "in/a.png", "in/deep/b.png", "é.png"]
        for text in (self.paths(*reversed(names)), self.paths(*names).replace("\n", "\r\n") + "\n\n",
                     self.paths("in", "é.png")[:-1]):
            done, found = self.encode(text)
            self.assertEqual((done.returncode, found), (0, names), done.stderr)
        done, found = self.encode(self.paths("s.tar", "é.png"), self.path("in/a.png"))
        self.assertEqual(found, ["in/a.png", "s.tar:x/a.png", "é.png"])
        by_list = np.load(self.path("t.npy"))
        np.testing.assert_array_equal(by_list[0], by_list[1])

    def test_many_paths(self):
        done, found = self.encode(self.paths(*(f"in/{'./' * (i % 60)}{'/' * (i // 60)}a.png" for i in range(3000))),
                                  "--shard", "0/1000")
        self.assertEqual((done.returncode, len(found)), (0, 3), done.stderr)

    def test_archives_still_are(self):
        data = content(self.path("s.tar"))
        for form in (data, gzip.compress(data)):
            done, found = self.encode(form)
            self.assertEqual((done.returncode, [name[-9:] for name in found]), (0, ["-:x/a.png"]))
        buffer = io.BytesIO()
        name = "n" * 96 + ".png"  # fills the place of a name to its last byte
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            tar.add(self.path("in/a.png"), name)
        done, found = self.encode(buffer.getvalue())
        self.assertEqual((done.returncode, found[0][-100:]), (0, name), done.stderr)

    def test_what_is_no_path(self):
        for data, status, words in (
                (self.paths("none.png"), READ, ("none.png",)), ("\n\n", READ, ("no PNG, JPEG or WebP",)),
                (self.paths("in/a.png") + "x" * 5000, DATA, ("line 2", "no path")),
                (self.paths("in/a.png") * 100 + "a\0b", DATA, ("line 101", "no path")),
                (self.paths("in/a.png", "t.txt"), READ, ("t.txt", "neither a directory")),
                ("", DATA, ("standard input: nothing came", "nor a path"))):
            with open(self.path("t.txt"), "w"):
                pass
            with self.subTest(data=data[-40:]):
                done, _ = self.encode(data)
                self.assertFails(done, status, *words)
        done, found = self.encode(self.paths("in/a.png", "none.png"))
        self.assertEqual((done.returncode, found), (PARTIAL, ["in/a.png"]))


if __name__ == "__main__":
    unittest.main()
