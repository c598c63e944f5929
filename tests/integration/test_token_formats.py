"""The files of `vqct encode`: layouts of a picture's numbers, and the indexes of training stacks, read
as their published descriptions say."""
import json
import os
import shutil
import struct
import unittest

import numpy as np
from PIL import Image

from commands import CommandCase, content, vqct

USAGE, WRITE = 2, 7
PLANES, ADJECTIVES, CODES = 3, 12, 32  # of the preset vqct-tiny
SIZES = ((32, 16), (16, 16), (48, 32))  # width and height of pictures that are left as they are


class Formats(CommandCase):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("photos"))
        for i, size in enumerate(SIZES):
            noise = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(noise).resize(size, Image.BICUBIC).save(self.path(f"photos/{i}.png"))

    def encode(self, name, *options):
        done = vqct("encode", self.model, self.path("photos"), "-o", self.path(name), *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path(os.path.splitext(name)[0] + ".jsonl")) as file:
            return [json.loads(line) for line in file]

    def files(self):
        """Names and contents of all but the pictures."""
        return {name: content(self.path(name)) for name in os.listdir(self.folder) if name != "photos"}

    def tokens(self):
        """P,h,w of every picture, from the plainest file."""
        lines = self.encode("plain.bin", "--resize", "none")
        numbers = np.fromfile(self.path("plain.bin"), "<u2")
        found = []
        for line in lines[1:-1]:
            height, width = line["grid"]
            begin = line["offset"] // 2
            found.append(numbers[begin:begin + PLANES * height * width]
                         .reshape(PLANES, height, width).astype(int))
        self.assertEqual(len(found), len(SIZES))
        self.assertLess(max(t[0].max() for t in found), ADJECTIVES)
        return found

    def expect(self, tokens, interleaved=False, offset=0, begin=None, end=None, row_end=None):
        """A picture's numbers, arranged in NumPy."""
        rows = tokens.transpose(1, 2, 0).reshape(tokens.shape[1], -1) if interleaved \
            else tokens.reshape(-1, tokens.shape[2])
        rows = rows + offset
        if row_end is not None:
            rows = np.concatenate([rows, np.full((len(rows), 1), row_end)], 1)
        return np.array(([] if begin is None else [begin]) + rows.ravel().tolist() +
                        ([] if end is None else [end]))

    LAYOUTS = (
        ((), {}),
        (("--layout", "interleaved"), {"interleaved": True}),
        (("--offset", 7), {"offset": 7}),
        (("--begin", 40), {"begin": 40}),
        (("--end", 41, "--row-end", 42, "--offset", 3), {"end": 41, "row_end": 42, "offset": 3}),
        (("--layout", "interleaved", "--offset", 70000, "--begin", 0, "--end", 1, "--row-end", 2),
         {"interleaved": True, "offset": 70000, "begin": 0, "end": 1, "row_end": 2}),
    )

    def check_decoded(self, name, tokens):
        """What is decoded is what the plainest file decodes to."""
        for source, folder in (("plain.bin", "expected"), (name, "decoded")):
            done = vqct("decode", self.model, self.path(source), "-o", self.path(folder))
            self.assertEqual(done.returncode, 0, done.stderr)
        for i in range(len(tokens)):
            self.assertEqual(content(self.path(f"decoded/{i:04d}-{i}.png")),
                             content(self.path(f"expected/{i:04d}-{i}.png")), (name, i))

    def read_megatron(self, stem):
        """The sequences and documents of NAME.bin and NAME.idx."""
        index = content(self.path(stem + ".idx"))
        self.assertEqual(index[:9], b"MMIDIDX\0\0")
        version, code, sequences, documents = struct.unpack_from("<QBQQ", index, 9)
        self.assertEqual(version, 1)
        dtype = {8: np.dtype("<u2"), 4: np.dtype("<i4")}[code]
        at = 9 + 8 + 1 + 16
        lengths = np.frombuffer(index, "<i4", sequences, at)
        places = np.frombuffer(index, "<i8", sequences, at + 4 * sequences)
        starts = np.frombuffer(index, "<i8", documents, at + 12 * sequences)
        self.assertEqual(len(index), at + 12 * sequences + 8 * documents)
        numbers = content(self.path(stem + ".bin"))
        self.assertEqual(len(numbers), places[-1] + lengths[-1] * dtype.itemsize)
        return [np.frombuffer(numbers, dtype, n, p) for n, p in zip(lengths, places)], starts

    def test_megatron_in_every_layout(self):
        tokens = self.tokens()
        for options, arranged in self.LAYOUTS:
            with self.subTest(options=options):
                self.encode("set.idx", "--resize", "none", *options)
                sequences, documents = self.read_megatron("set")
                self.assertEqual(documents.tolist(), [0, 1, 2, 3])
                for mine, one in zip(sequences, tokens, strict=True):
                    np.testing.assert_array_equal(mine, self.expect(one, **arranged))
                self.check_decoded("set.idx", tokens)
                self.check_decoded("set.bin", tokens)

    def test_datatrove(self):
        tokens = self.tokens()
        for options, arranged in self.LAYOUTS:
            with self.subTest(options=options):
                self.encode("set.ds", "--resize", "none", *options)
                size = 4 if arranged.get("offset") == 70000 else 2
                numbers = np.fromfile(self.path("set.ds"), f"<u{size}")
                ends = np.fromfile(self.path("set.ds.index"), "<u8")
                for mine, one in zip(np.split(numbers, ends[:-1].astype(int)), tokens, strict=True):
                    np.testing.assert_array_equal(mine, self.expect(one, **arranged))
                self.assertEqual(ends[-1], len(numbers))
                first, second, _ = content(self.path("set.ds.metadata")).decode().split("\n")
                self.assertEqual((first.split("|")[1], second), (str(size), str(len(numbers))))
                self.check_decoded("set.ds", tokens)

    def test_arrays_in_every_layout(self):
        size = ("--width", 32, "--height", 16)
        self.encode("first.npy", *size)
        tokens = np.load(self.path("first.npy")).astype(int)
        self.assertEqual(tokens.shape[:2], (len(SIZES), PLANES))
        self.encode("plain.bin", *size)
        for options, arranged in self.LAYOUTS:
            with self.subTest(options=options):
                self.encode("set.npy", *size, *options)
                found = np.load(self.path("set.npy"))
                expected = np.stack([self.expect(one, **arranged) for one in tokens])
                np.testing.assert_array_equal(found.reshape(len(tokens), -1), expected)
                if {"begin", "end", "row_end"} & set(arranged):
                    self.assertEqual(found.ndim, 2)
                elif "interleaved" in arranged:
                    np.testing.assert_array_equal(found.transpose(0, 3, 1, 2), tokens)
                else:
                    self.assertEqual(found.shape, tokens.shape)
                self.check_decoded("set.npy", tokens)

    def test_a_cut_run_goes_on(self):
        tokens = self.tokens()
        self.encode("set.idx", "--resize", "none", "--row-end", 40)
        # What an interrupted run leaves: the numbers of two pictures and a half, two lines.
        numbers, index = content(self.path("set.bin")), content(self.path("set.idx"))
        lines = content(self.path("set.jsonl")).splitlines(True)
        for name, left in (("set.bin.part", numbers[:-8]), ("set.jsonl.part", b"".join(lines[:3]))):
            with open(self.path(name), "wb") as file:
                file.write(left)
        for name in ("set.bin", "set.idx", "set.jsonl"):
            os.remove(self.path(name))
        done = vqct("encode", self.model, self.path("photos"), "-o", self.path("set.idx"),
                    "--resize", "none", "--row-end", 40)
        self.assertIn("going on after 2 of 3 pictures", done.stdout)
        self.assertEqual(content(self.path("set.bin")), numbers)
        self.assertEqual(content(self.path("set.idx")), index)
        self.assertEqual(len(self.read_megatron("set")[0]), len(tokens))

    def test_another_layout_is_another_run(self):
        self.encode("set.bin", "--resize", "none")
        for name in ("set.bin", "set.jsonl"):
            os.rename(self.path(name), self.path(name + ".part"))
        done = vqct("encode", self.model, self.path("photos"), "-o", self.path("set.bin"),
                    "--resize", "none", "--layout", "interleaved")
        self.assertIn("starting over", done.stdout)

    def test_a_side_file_of_something_else_is_left_alone(self):
        self.encode("set.npy")
        with open(self.path("notes.jsonl"), "w") as file:
            file.write('{"caption": "a dog"}\n')
        there = self.files()
        for name, what in (("set.idx", "set.jsonl is there already, of tokens in the format npy"),
                           ("set.mds", "set.jsonl is there already, of tokens in the format npy"),
                           ("notes.npy", "notes.jsonl is there already, and not of tokens")):
            with self.subTest(name=name):
                done = vqct("encode", self.model, self.path("photos"), "-o", self.path(name))
                self.assertEqual(done.returncode, WRITE, done.stderr)
                self.assertIn(what, done.stderr)
                self.assertEqual(self.files(), there)
        self.encode("set.npy", "--offset", 7)

    def test_an_end_that_fails_leaves_no_side_file_of_other_tokens(self):
        self.encode("set.mds")
        os.remove(self.path("set.mds/index.json"))
        os.makedirs(self.path("set.mds/index.json/full"))
        done = vqct("encode", self.model, self.path("photos"), "-o", self.path("set.mds"), "--offset", 7)
        self.assertEqual(done.returncode, WRITE, done.stderr)
        self.assertFalse(os.path.exists(self.path("set.jsonl")))
        shutil.rmtree(self.path("set.mds/index.json"))
        self.encode("set.mds", "--offset", 7)

    def test_numbers_that_cannot_be_are_refused(self):
        for name, options, words in (
                ("a.npy", ("--begin", CODES - 1), ("--begin 31", "0 to 31")),
                ("a.npy", ("--offset", 5, "--end", 5), ("--end 5", "5 to 36")),
                ("a.npy", ("--row-end", 0), ("--row-end 0", "0 to 31")),
                ("a.npy", ("--numbers", "uint16", "--offset", 65505), ("--offset 65505", "65535")),
                ("a.npy", ("--numbers", "uint16", "--end", 65536), ("--end 65536", "65535")),
                ("a.idx", ("--offset", 2 ** 31 - 31), ("--offset", "2147483647")),
                ("a.bin", ("--offset", 2 ** 32 - 31), ("--offset", "4294967295")),
                ("a.bin", ("--offset", -1), ("--offset",)),
                ("a.bin", ("--begin", 2 ** 32), ("--begin",)),
                ("a.txt", (), (".npy", ".bin", ".idx", ".ds"))):
            with self.subTest(options=options):
                done = vqct("encode", self.model, self.path("photos"), "-o", self.path(name),
                            *options)
                self.assertFails(done, USAGE, *words)
                self.assertEqual(os.listdir(self.folder), ["photos"])

    def test_the_greatest_numbers_fit(self):
        self.encode("a.npy", "--numbers", "uint16", "--offset", 65504)
        self.encode("b.idx", "--offset", 2 ** 31 - 32)
        self.assertGreater(min(s.min() for s in self.read_megatron("b")[0]), 2 ** 31 - 33)
        self.encode("c.bin", "--offset", 2 ** 32 - 32)
        self.assertGreaterEqual(np.fromfile(self.path("c.bin"), "<u4").min(), 2 ** 32 - 32)

    def test_an_index_that_tells_of_other_numbers_is_refused(self):
        """Of Megatron-LM, three pictures: version at byte 9, type at 17, sequences at 18, documents at
        26, lengths from 34, places from 46, documents from 70 on; of datatrove, three ends."""
        for name, part, wrong in (("i.idx", "i.idx", ((0, "version 1"), (9, "version 1"), (17, "type 8"),
                                                      (18, "sequences"), (26, "documents"),
                                                      (34, "sequence 1 is at"), (42, "bytes"),
                                                      (46, "sequence 0 is at"), (62, "sequence 2 is at"),
                                                      (70, "document 0"), (86, "document 3"),
                                                      (94, "documents end"))),
                                  ("j.ds", "j.ds.index", ((8, "document 1 ends"), (16, "documents have")))):
            self.encode(name, "--resize", "none")
            index = content(self.path(part))
            bad = [(index[:at] + bytes([index[at] ^ 128]) + index[at + 1:], words) for at, words in wrong]
            for damaged, words in (*bad, (index[:-1], "bytes"), (index[:20], ""), (b"", "")):
                with open(self.path(part), "wb") as file:
                    file.write(damaged)
                done = vqct("decode", self.model, self.path(name), "-o", self.path("out"))
                with self.subTest(part=part, words=words):
                    self.assertNotEqual(done.returncode, 0)
                    self.assertFails(done, done.returncode, part, words)
            os.remove(self.path(part))
            done = vqct("decode", self.model, self.path(name), "-o", self.path("out"))
            self.assertNotEqual(done.returncode, 0)
            self.assertFails(done, done.returncode, part)

    def test_damaged_layouts_are_refused(self):
        self.encode("set.bin", "--resize", "none", "--layout", "interleaved", "--row-end", 50)
        lines = content(self.path("set.jsonl")).splitlines(True)
        for old, new, words in (
                (b'"interleaved"', b'"spiral"', ("line 1", '"order"')),
                (b'"row_end": 50', b'"row_end": -2', ("line 1", "4294967295")),
                (b'"row_end": 50', b'"row_end": "x"', ("line 1", "4294967295")),
                (b'"offset": 0', b'"offset": 4294967296', ("line 1", "4294967295")),
                (b'"offset": 0', b'"offset": 1', ("picture 0, plane", "outside the plane's codes"))):
            with self.subTest(new=new):
                self.assertEqual(lines[0].count(old), 1)
                with open(self.path("set.jsonl"), "wb") as file:
                    file.write(b"".join([lines[0].replace(old, new), *lines[1:]]))
                done = vqct("decode", self.model, self.path("set.bin"), "-o", self.path("out"))
                self.assertNotEqual(done.returncode, 0)
                self.assertFails(done, done.returncode, "set.", *words)


if __name__ == "__main__":
    unittest.main()
