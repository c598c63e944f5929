"""Labels of `vqct encode`: where they come from, which class they are, and what does not match."""
import gzip
import io
import json
import os
import tarfile
import unittest

import numpy as np
from PIL import Image

from commands import CommandCase, content, vqct

READ, DATA, LIMIT, PARTIAL = 3, 11, 9, 10


def png(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "PNG")
    return data.getvalue()


class Labels(CommandCase):
    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())

    def pictures(self, *names):
        for seed, name in enumerate(names):
            self.write(name, png(seed))

    def archive(self, name, members):
        with tarfile.open(self.path(name), "w") as tar:
            for member, data in members:
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

    def run_encode(self, *arguments, out="t.bin"):
        return vqct("encode", self.model, *arguments, "--size", 16, "-o", self.path(out))

    def encode(self, *arguments, status=0, out="t.bin"):
        """The labels of the first line, and name, label and class of each picture."""
        done = self.run_encode(*arguments, out=out)
        self.assertEqual(done.returncode, status, done.stderr)
        with open(self.path(out[:-4] + ".jsonl")) as file:
            first, *lines, _ = map(json.loads, file)
        return first.get("labels"), [(os.path.relpath(line["image"], self.folder), line["label"],
                                      line["class"]) for line in lines if "row" in line]

    def test_folders(self):
        self.pictures("in/dog/1.png", "in/cat/1.png", "in/cat/deep/2.png", "in/zebra.png")
        self.archive("a.tar", (("dog/5.png", png(5)), ("./owl/6.png", png(6))))
        labels, found = self.encode(self.path("in//"), self.path("a.tar"), "--labels", "folder")
        self.assertEqual(labels, ["cat", "deep", "dog", "in", "owl"])
        self.assertEqual(found, [("a.tar:./owl/6.png", "owl", 4), ("a.tar:dog/5.png", "dog", 2),
                                 ("in/cat/1.png", "cat", 0), ("in/cat/deep/2.png", "deep", 1),
                                 ("in/dog/1.png", "dog", 2), ("in/zebra.png", "in", 3)])

    def test_without_labels_there_are_none(self):
        self.pictures("in/cat/1.png")
        self.run_encode(self.path("in"))
        first, second, _ = map(json.loads, content(self.path("t.jsonl")).splitlines())
        self.assertFalse({"labels", "label", "class"} & {*first, *second})

    def test_a_shard_has_the_classes_of_all(self):
        self.pictures("in/a/1.png", "in/b/2.png", "in/c/3.png")
        labels, found = self.encode(self.path("in"), "--labels", "folder", "--shard", "2/3")
        self.assertEqual((labels, found), (["a", "b", "c"], [("in/c/3.png", "c", 2)]))

    def test_beside(self):
        self.pictures("in/1.png", "in/2.x.png", "in/3.png", "in/4.png")
        for name, data in (("1.cls", "10\n"), ("1.txt", "not this"), ("2.txt", " 9 "),
                           ("3.json", '{"label": "10"}'), ("4.json", '{"label": 100}')):
            self.write("in/" + name, data)
        self.archive("a.tar", (("k/1.cls", b"7"), ("k/1.seg.png", png(6)), ("1.cls", b"0"),
                               ("2.txt", b"9"), ("2.png", png(7))))
        self.archive("b.tar", (("1.png", png(8)), ("1.cls", b"010"), ("2.txt", b"11")))
        labels, found = self.encode(self.path("in"), self.path("a.tar"), self.path("b.tar"),
                                    "--labels", "beside")
        # Whole numbers go by their value.
        self.assertEqual(labels, ["7", "9", "010", "10", "100"])
        self.assertEqual(found, [("a.tar:2.png", "9", 1), ("a.tar:k/1.seg.png", "7", 0),
                                 ("b.tar:1.png", "010", 2), ("in/1.png", "10", 3),
                                 ("in/2.x.png", "9", 1), ("in/3.png", "10", 3),
                                 ("in/4.png", "100", 4)])

    def test_a_name_within_json_beside(self):
        self.pictures("in/1.png")
        self.write("in/1.cls", "not this")
        self.write("in/1.json", '{"label": 1, "wnid": "n02", "a:b": 7}')
        self.archive("a.tar", (("2.png", png(6)), ("2.json", b'{"wnid": "n01", "a:b": 40, "x": []}')))
        inputs = self.path("in"), self.path("a.tar")
        self.assertEqual(self.encode(*inputs, "--labels", "beside:wnid"),
                         (["n01", "n02"], [("a.tar:2.png", "n01", 0), ("in/1.png", "n02", 1)]))
        self.assertEqual(self.encode(*inputs, "--labels", "beside:a:b")[0], ["7", "40"])
        for name, picture in (("x", "a.tar:2.png"), ("none", "a.tar:2.png"), ("label", "a.tar:2.png"), ("", "a.tar")):
            self.assertFails(self.run_encode(*inputs, "--labels", "beside:" + name), DATA, picture,
                             f'.json has no "{name}"')
        os.remove(self.path("in/1.json"))
        self.assertFails(self.run_encode(self.path("in"), "--labels", "beside:wnid"), DATA,
                         "labels of beside:wnid: pictures without one: 1,", "in/1.png")

    def test_lines(self):
        self.pictures("in/a/1.png", "in/a/2.png", "in/b/1.png")
        self.archive("s.tar", (("c/9.png", png(9)),))
        self.write("labels.tsv", f"a/1.png\tcat\r\n\n2.png\t10 of them \n{self.path('in/b/1.png')}"
                                 "\té\n9.png\ttab\tin it\n")
        with gzip.open(self.path("labels.gz"), "wb") as file:
            file.write(content(self.path("labels.tsv")))
        for name in ("labels.tsv", "labels.gz"):
            labels, found = self.encode(self.path("in"), self.path("s.tar"), "--labels",
                                        self.path(name), out=name[-2:] + ".bin")
            self.assertEqual(labels, ["10 of them", "cat", "tab\tin it", "é"])
            self.assertEqual(found, [("in/a/1.png", "cat", 1), ("in/a/2.png", "10 of them", 0),
                                     ("in/b/1.png", "é", 3), ("s.tar:c/9.png", "tab\tin it", 2)])

    def test_what_does_not_match_is_one_line(self):
        self.pictures("in/1.png", "in/2.png", "in/sub/1.png")
        for lines, words in (
                ("9.png\tx\n1.png\ty\n", ("line 2", "'1.png'", "in/1.png", "in/sub/1.png")),
                ("in/1.png\tx\n2.png\ty\n", ("pictures without one: 1,", "in/sub/1.png")),
                ("in/1.png\tx\n2.png\ty\nsub/1.png\tz\n8.png\tx\n7.png\tx\n",
                 ("lines that name no picture: 2,", "line 4, '8.png'")),
                ("in/1.png\tx\n8.png\tx\n", ("pictures without one: 2,", "in/2.png",
                                             "lines that name no picture: 1,", "line 2, '8.png'")),
                ("1.png\n", ("line 1", "a tab")), ("\tx\n", ("line 1", "a tab")),
                ("in/1.png\t \n", ("in/1.png", "empty")),
                ("2.png\tx\n1.png\ty\n2.png\tx\n", ("line 3", "'2.png'", "line 1")),
                ("2.png\t" + "x" * 1025, ("in/2.png", "1,024")),
                ("2.png\t" + "x" * 20000, ("line 1", "too long")),
                (b"2.png\tx\0y\n", ("line 1", "zero byte"))):
            with self.subTest(lines=lines[:40]):
                self.write("labels.tsv", lines)
                done = self.run_encode(self.path("in"), "--labels", self.path("labels.tsv"))
                self.assertFails(done, DATA, *words)
                self.assertFalse(os.path.exists(self.path("t.bin.part")))
        self.assertFails(self.run_encode(self.path("in"), "--labels", self.path("none.tsv")), READ,
                         "none.tsv")

    def test_what_is_wrong_beside_is_one_line(self):
        self.pictures("in/1.png", "in/2.png")
        self.archive("a.tar", (("1.png", png(6)), ("1.cls", b"x" * (2 ** 20 + 1))))
        self.write("in/2.txt", "fine")
        for ending, data, status, words in (
                ("cls", " \n", DATA, ("in/1.png", ".cls is empty")),
                ("cls", "x" * 1025, DATA, ("in/1.png", "1,024")),
                ("txt", b"a\0b", DATA, ("in/1.png", "zero byte")),
                ("txt", "x" * (2 ** 20 + 1), LIMIT, ("in/1.txt", "1048576")),
                ("json", "{", DATA, ("in/1.png", '"label"')),
                ("json", '{"label": 1.5}', DATA, ("in/1.png", '"label"')),
                ("xml", "", DATA, ("pictures without one: 1,", "in/1.png"))):
            with self.subTest(ending=ending, data=data[:20]):
                self.write(f"in/1.{ending}", data)
                self.assertFails(self.run_encode(self.path("in"), "--labels", "beside"), status,
                                 *words)
                os.remove(self.path(f"in/1.{ending}"))
        self.assertFails(self.run_encode(self.path("a.tar"), "--labels", "beside"), LIMIT,
                         "1.cls beside", "a.tar:1.png")
        self.archive("flat.tar", (("1.png", png(6)),))
        self.assertFails(self.run_encode(self.path("flat.tar"), "--labels", "folder"), DATA,
                         "flat.tar:1.png")

    def test_faults_need_no_label(self):
        self.pictures("in/cat/1.png")
        labels, found = self.encode(self.path("in"), self.path("none.png"), "--labels", "folder",
                                    status=PARTIAL)
        self.assertEqual((labels, found), (["cat"], [("in/cat/1.png", "cat", 0)]))

    def test_names_that_are_not_text(self):
        self.pictures("in/1.png")
        os.rename(self.path("in"), os.fsencode(self.path("in-")) + b"\xe9")
        done = self.run_encode(os.fsencode(self.path("in-")).decode() + "\udce9", "--labels",
                               "folder")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(content(self.path("t.jsonl")).splitlines()[0])["labels"],
                         ["in-\\xe9"])

    def test_other_labels_are_another_run(self):
        self.pictures("in/1.png", "in/2.png")
        self.write("labels.tsv", "1.png\ta\n2.png\tb\n")
        self.encode(self.path("in"), "--labels", self.path("labels.tsv"))
        for name in ("t.bin", "t.jsonl"):
            os.rename(self.path(name), self.path(name + ".part"))
        self.write("labels.tsv", "1.png\tb\n2.png\ta\n")
        done = self.run_encode(self.path("in"), "--labels", self.path("labels.tsv"))
        self.assertIn("starting over", done.stdout)
        self.assertIn(b'"label": "b", "class": 1', content(self.path("t.jsonl")).splitlines()[1])

    def test_captions_are_no_classes(self):
        members = []
        for i in range(1100):
            members += (f"{i:04d}.png", png(0)), (f"{i:04d}.txt", f"{i:04d}".encode() * 250)
        self.archive("a.tar", members)
        done = self.run_encode(self.path("a.tar"), "--labels", "beside")
        self.assertFails(done, LIMIT, "1100 different labels")


if __name__ == "__main__":
    unittest.main()
