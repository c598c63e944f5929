"""`-o -`: tokens on standard output, the same bytes as in a file where that is one."""
import io
import json
import os
import shutil
import subprocess
import tarfile
import unittest

import numpy as np
from PIL import Image

from commands import VQCT, CommandCase, content, vqct

USAGE, WRITE, PARTIAL = 2, 7, 10


class StandardOutput(CommandCase):
    def setUp(self):
        super().setUp()
        for i, name in enumerate(("cat/1", "cat/2", "dog/3")):
            os.makedirs(self.path("in/" + os.path.dirname(name)), exist_ok=True)
            noise = np.random.default_rng(i).integers(0, 256, (16, 16 + 16 * (i % 2), 3), np.uint8)
            Image.fromarray(noise).save(self.path(f"in/{name}.png"))

    def encode(self, *options, out="-", inputs=("in",), status=0, **more):
        """Standard output and standard error."""
        done = subprocess.run([VQCT, "encode", self.model, *inputs, "-o", out, "--size", "16",
                               *map(str, options)], capture_output=True, timeout=300,
                              cwd=self.folder, **more)
        done.stderr = done.stderr.decode()
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout, done.stderr

    def test_the_bytes_of_a_file(self):
        for kind, name in (("npy", "n.npy"), ("bin", "b.bin"), ("jsonl", "j.tokens.jsonl"),
                           ("webdataset", "w.tar")):
            for options in ((), ("--labels", "folder", "--flip", "--row-end", 70000),
                            ("--shard", "1/2")):
                with self.subTest(kind=kind, options=options):
                    said, _ = self.encode(*options, out=name)
                    self.assertIn("pictures/s", said.decode())
                    file = "w-000000.tar" if kind == "webdataset" else name
                    data, told = self.encode("--format", kind, *options)
                    self.assertEqual(data, content(self.path(file)))
                    self.assertRegex(told, r"^\d pictures, \d+ tokens, 0 failed, nothing passed over;"
                                     r" .* pictures/s\n$")
                    self.assertNotEqual(len(data), 0)
        self.assertEqual(self.encode("-q", "--format", "npy")[1], "")
        self.assertFalse([name for name in os.listdir(self.folder) if name.endswith(".part")])

    def test_an_array_is_decoded_again_and_the_rest_needs_its_jsonl(self):
        def decode(name):
            return vqct("decode", self.model, self.path(name), "-o", self.path("out"))

        for kind, options, name, word in (("npy", (), "s.npy", None),
                                          ("npy", ("--layout", "interleaved"), "i.npy", "interleaved is read with the .jsonl"),
                                          ("npy", ("--end", 99), "e.npy", "2 dimensions"),
                                          ("bin", (), "b.bin", "b.jsonl: No such file"),
                                          ("jsonl", (), "t.tokens.jsonl", "t.jsonl: No such file"),
                                          ("webdataset", (), "w.tar", "w.tar: the .jsonl beside it")):
            with self.subTest(name=name), open(self.path(name), "wb") as file:
                file.write(self.encode("--format", kind, *options)[0])
                file.flush()
                done = decode(name)
                if word:
                    self.assertFails(done, done.returncode, word)
                    self.assertNotIn(done.returncode, (0, 1))
                    self.assertFalse(os.path.exists(self.path("out")))
                else:
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(sorted(os.listdir(self.path("out"))), ["0000.png", "0001.png", "0002.png"])
                    shutil.rmtree(self.path("out"))
        # JSON Lines under a name of their own: not what tells of the array.
        with open(self.path("s.jsonl"), "wb") as file:
            file.write(self.encode("--format", "jsonl")[0])
        self.assertEqual(decode("s.npy").returncode, 0)
        self.assertFails(vqct("decode", self.model, "-", "-o", self.path("out")), 2, "standard input")

    def test_what_is_no_picture_is_told_and_left_out(self):
        with open(self.path("in/cat/2.png"), "w") as file:
            file.write("no picture")
        for options in ((), ("-q",)):
            data, told = self.encode("--format", "npy", *options, status=PARTIAL)
            self.assertEqual(np.load(io.BytesIO(data)).shape, (2, 3, 4, 4))
            self.assertIn("1 of 3 pictures failed\n", told)
            self.assertEqual("in/cat/2.png" in told, not options)
        with open(self.path("in/cat/1.png"), "w") as file, open(self.path("in/dog/3.png"), "w"):
            file.write("no picture")
        self.assertEqual(np.load(io.BytesIO(self.encode("--format", "npy", status=PARTIAL)[0])).shape,
                         (0, 3, 4, 4))

    def test_from_standard_input_to_standard_output(self):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(self.path("in/dog/3.png"), "x/3.png")
            info = tarfile.TarInfo("x/3.cls")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"7"))
        data, _ = self.encode("--format", "webdataset", inputs=("-",), input=archive.getvalue())
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            members = {name: tar.extractfile(name).read() for name in tar.getnames()}
        self.assertEqual(members["x/3.cls"], b"7")
        expected, _ = self.encode("--format", "jsonl", inputs=("in/dog/3.png",))
        self.assertEqual(np.load(io.BytesIO(members["x/3.npy"])).ravel().tolist(),
                         json.loads(expected)["tokens"])

    def test_what_cannot_go_there(self):
        for options, words in (
                ((), ("--output -", "--format must say")),
                (("--format", "megatron"), ("--output -", "megatron", "npy, bin, jsonl and webdataset")),
                (("--format", "mds"), ("mds is more than one file",)),
                (("--format", "datatrove"), ("datatrove is more than one file",)),
                (("--format", "tar"), ("--format", "webdataset")),
                (("--format", "webdataset", "--shard-size", 5), ("--shard-size", "one file")),
                (("--format", "npy", "--buckets", "16x16"), ("--output -", "--buckets")),
                (("--format", "bin", "--resize", "none"), ("one size", "--resize cover")),
                (("--format", "npy", "--resize", "contain"), ("one size",)),
                (("--format", "npy", "-o", "t.bin"), ("--format npy", "t.bin", ".npy"))):
            with self.subTest(options=options):
                data, told = self.encode(*options, status=USAGE)
                self.assertEqual(data, b"")
                self.assertEqual(told.count("\n"), 1)
                for word in words:
                    self.assertIn(word, told)
        self.assertEqual(os.listdir(self.folder), ["in"])

    def test_nobody_takes_it(self):
        with open("/dev/full", "wb") as full:
            for kind in "npy", "bin", "jsonl", "webdataset":
                done = subprocess.run([VQCT, "encode", self.model, self.path("in"), "-o", "-",
                                       "--format", kind, "--size", "16"], stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=300)
                self.assertFails(done, WRITE, "standard output: No space left")
        # Not even the terminal of whoever forgot to send it elsewhere.
        terminal, end = os.openpty()
        done = subprocess.run([VQCT, "encode", self.model, self.path("in"), "-o", "-", "--format",
                               "npy"], stdout=end, stderr=subprocess.PIPE, text=True, timeout=300)
        os.close(end)
        os.close(terminal)
        self.assertFails(done, USAGE, "terminal")


if __name__ == "__main__":
    unittest.main()
