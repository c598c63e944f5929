"""Sets of `vqct encode` that are not one array: lines of JSON as 1d-tokenizer reads them, shards as
webdataset does, each read as its published description says."""
import io
import json
import os
import tarfile
import unittest

import numpy as np
from PIL import Image

from commands import CommandCase, content, vqct
from serving import make_model

USAGE, WRITE, LIMIT, PARTIAL, DATA = 2, 7, 9, 10, 11
PLANES = 3  # of the preset vqct-tiny
NAMES = "cat/1", "cat/2", "dog/3", "dog/4", "dog/5"


def png(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (16, 16 + 16 * (seed % 2), 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "PNG")
    return data.getvalue()


class Shards(CommandCase):
    def setUp(self):
        super().setUp()
        for seed, name in enumerate(NAMES):
            self.write(f"in/{name}.png", png(seed))

    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())

    def archive(self, name, members):
        with tarfile.open(self.path(name), "w") as tar:
            for member, data in members:
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

    def run_encode(self, out, *options, inputs=None):
        inputs = inputs or (self.path("in"),)
        return vqct("encode", self.model, *inputs, "-o", self.path(out), "--resize", "none",
                    *options)

    def encode(self, out, *options, status=0, **more):
        done = self.run_encode(out, *options, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def expected(self, *options, **more):
        """The numbers of every picture, from the plainest file."""
        self.encode("plain.bin", *options, **more)
        with open(self.path("plain.jsonl")) as file:
            first, *lines, _ = map(json.loads, file)
        kind = {"uint16": "<u2", "uint32": "<u4"}[first["tokens"]]
        numbers = np.fromfile(self.path("plain.bin"), kind)
        size = numbers.itemsize
        starts = [line["offset"] // size for line in lines if "row" in line]
        return np.split(numbers, starts[1:])

    def read_webdataset(self, *names):
        """Samples in their order: members of one key, the name up to the first dot, that follow each
        other."""
        samples = []
        for name in names:
            with tarfile.open(self.path(name)) as tar:
                for member in tar:
                    self.assertTrue(member.isreg() and member.mtime == 0)
                    folder, slash, base = member.name.rpartition("/")
                    key, _, ending = base.partition(".")
                    key = folder + slash + key
                    if not samples or samples[-1]["__key__"] != key:
                        samples.append({"__key__": key})
                    self.assertNotIn(ending, samples[-1])
                    samples[-1][ending] = tar.extractfile(member).read()
        keys = [sample["__key__"] for sample in samples]
        self.assertEqual(len(keys), len(set(keys)))
        return samples

    def read_mds(self, name):
        """Samples of a folder of MosaicML Streaming, by the description of its format: of each shard
        the number of samples, their places, and for each the sizes of what has none of its own, then
        the columns."""
        with open(self.path(f"{name}/index.json")) as file:
            index = json.load(file)
        self.assertEqual(index["version"], 2)
        samples = []
        for shard in index["shards"]:
            self.assertEqual((shard["version"], shard["format"], shard["compression"],
                              shard["hashes"], shard["zip_data"]), (2, "mds", None, [], None))
            data = content(self.path(f"{name}/{shard['raw_data']['basename']}"))
            self.assertEqual(shard["raw_data"]["bytes"], len(data))
            count = int(np.frombuffer(data, "<u4", 1)[0])
            self.assertEqual(count, shard["samples"])
            places = np.frombuffer(data, "<u4", count + 1, 4)
            config, _ = json.JSONDecoder().raw_decode(data[4 * (count + 2):].decode("latin-1"))
            for key in config:
                self.assertEqual(config[key], shard[key], key)
            self.assertEqual(places[-1], len(data))
            self.assertEqual(shard["column_names"], sorted(shard["column_names"]))
            for begin, end in zip(places, places[1:]):
                samples.append(self.read_sample(data[begin:end], shard))
        return samples

    def read_sample(self, data, shard):
        at, sizes, sample = 0, [], {}
        for size in shard["column_sizes"]:
            sizes.append(size or int(np.frombuffer(data, "<u4", 1, at)[0]))
            at += 0 if size else 4
        for name, kind, size in zip(shard["column_names"], shard["column_encodings"], sizes):
            value = data[at:at + size]
            at += size
            if kind == "int":
                sample[name] = int(np.frombuffer(value, "<i8")[0])
            elif kind == "str":
                sample[name] = value.decode()
            else:
                self.assertEqual(kind, "ndarray:uint16")
                dims, side = value[0] >> 2, np.dtype(["<u1", "<u2", "<u4"][value[0] & 3])
                shape = np.frombuffer(value, side, dims, 1)
                sample[name] = np.frombuffer(value, "<u2", -1, 1 + dims * side.itemsize) \
                    .reshape(shape)
        self.assertEqual(at, len(data))
        return sample

    def key(self, name):
        return self.path("in").lstrip("/") + "/" + name

    # ---- decoding -----------------------------------------------------------------------------

    def pictures_of(self, name):
        """What a set decodes to."""
        done = vqct("decode", self.model, self.path(name), "-o", self.path(name + ".out"))
        self.assertEqual(done.returncode, 0, done.stderr)
        folder = self.path(name + ".out")
        return {name: content(os.path.join(folder, name)) for name in os.listdir(folder)}

    def test_all_decode_to_the_same_pictures(self):
        self.write("in/cat/3.png", "no picture")
        self.write("in/cat/1.json", "{}")
        self.encode("plain.bin", "-q", status=PARTIAL)
        expected = self.pictures_of("plain.bin")
        self.assertEqual(len(set(expected.values())), 5)
        for options in ((), ("--layout", "interleaved", "--labels", "folder"), ("--row-end", 60),
                        ("--offset", 65000, "--begin", 65500, "--end", 3)):
            for name in "t.tokens.jsonl", "w.tar", "m.mds":
                with self.subTest(name=name, options=options):
                    size = () if name.endswith("jsonl") else ("--shard-size", 2)
                    self.encode(name, "-q", *size, *options, status=PARTIAL)
                    self.assertEqual(self.pictures_of(name), expected)
        for name in "t.tokens.jsonl", "w.tar":
            self.encode(name, "-q", "--offset", 2 ** 32 - 32, status=PARTIAL)
            self.assertEqual(self.pictures_of(name), expected)

    def test_views_decode_in_their_order(self):
        options = "--flip", "--resize", "cover", "--size", 16
        self.encode("plain.bin", *options)
        expected = self.pictures_of("plain.bin")
        self.assertEqual(len(expected), 10)
        for name in "w.tar", "m.mds":
            self.encode(name, "--shard-size", 2, *options)
            self.assertEqual(self.pictures_of(name), expected)

    # ---- lines of JSON -----------------------------------------------------------------------

    def test_lines(self):
        for options in ((), ("--layout", "interleaved", "--offset", "4294967264", "--begin", 0),
                        ("--labels", "folder", "--row-end", 99)):
            with self.subTest(options=options):
                numbers = self.expected(*options)
                self.encode("t.tokens.jsonl", *options)
                lines = [json.loads(line) for line in content(self.path("t.tokens.jsonl"))
                         .decode().splitlines()]
                self.assertEqual([line["tokens"] for line in lines], [n.tolist() for n in numbers])
                classes = [0, 0, 1, 1, 1] if "folder" in options else [None] * 5
                self.assertEqual([line.get("class_id") for line in lines], classes)
                text = content(self.path("t.tokens.jsonl"))
                for line in content(self.path("t.jsonl")).splitlines()[1:-1]:
                    one = json.loads(line)
                    part = text[one["offset"]:one["offset"] + one["bytes"]]
                    self.assertEqual(json.loads(part), lines[one["row"]])

    def test_lines_go_on(self):
        self.encode("t.tokens.jsonl")
        whole, side = content(self.path("t.tokens.jsonl")), content(self.path("t.jsonl"))
        starts = [json.loads(line)["offset"] for line in side.splitlines()[1:-1]]
        for kept, lines, size, goes_on in ((3, 4, starts[3] + 20, 3), (2, 4, starts[3] - 1, 2),
                                           (0, 3, 0, 0)):
            with self.subTest(kept=kept):
                self.write("t.tokens.jsonl.part", whole[:size])
                self.write("t.jsonl.part", b"".join(side.splitlines(True)[:lines]))
                done = self.encode("t.tokens.jsonl")
                self.assertEqual("going on after" in done.stdout, kept > 0)
                self.assertIn(f"after {goes_on} of" if kept else "5 pictures", done.stdout)
                self.assertEqual(content(self.path("t.tokens.jsonl")), whole)
                self.assertEqual(content(self.path("t.jsonl")), side)

    # ---- webdataset --------------------------------------------------------------------------

    def test_shards(self):
        for options in ((), ("--layout", "interleaved"), ("--offset", 70000, "--end", 3)):
            with self.subTest(options=options):
                numbers = self.expected(*options)
                self.encode("w.tar", "--shard-size", 2, *options)
                names = [f"w-{i:06d}.tar" for i in range(3)]
                self.assertEqual([name for name in sorted(os.listdir(self.folder))
                                  if name.startswith("w")], [*names, "w.jsonl"])
                samples = self.read_webdataset(*names)
                self.assertEqual(len(self.read_webdataset(names[0])), 2)
                self.assertEqual([s["__key__"] for s in samples], [self.key(n) for n in NAMES])
                for seed, (sample, one) in enumerate(zip(samples, numbers, strict=True)):
                    self.assertEqual(set(sample), {"__key__", "npy"})
                    array = np.load(io.BytesIO(sample["npy"]))
                    np.testing.assert_array_equal(array.ravel(), one)
                    self.assertEqual(array.dtype, one.dtype)
                    shape = {0: (PLANES, 4, 4 + 4 * (seed % 2)), 2: (4, 4 + 4 * (seed % 2), PLANES),
                             4: (len(one),)}[len(options)]
                    self.assertEqual(array.shape, shape)

    def test_what_lies_beside_is_carried(self):
        self.write("in/cat/1.cls", "8\n")
        self.write("in/cat/1.json", b'{"a": "\xff"}')
        self.write("in/dog/3.txt", "a dog")
        self.archive("a.tar", (("./x/9.cls", b"5"), ("./x/9.png", png(9)), ("./x/9.txt", b""),
                               ("./x/9.seg", b"no"), ("very" * 60 + "/é.png", png(10)),
                               ("very" * 60 + "/é.json", b"{}")))
        inputs = self.path("in"), self.path("a.tar")
        self.encode("w.tar", inputs=inputs)
        found = {s.pop("__key__"): s for s in self.read_webdataset("w-000000.tar")}
        arrays = [one.pop("npy") for one in found.values()]
        self.assertEqual(len(set(arrays)), 7)
        self.assertEqual(found, {
            "x/9": {"cls": b"5", "txt": b""}, "very" * 60 + "/é": {"json": b"{}"},
            self.key("cat/1"): {"cls": b"8\n", "json": b'{"a": "\xff"}'}, self.key("cat/2"): {},
            self.key("dog/3"): {"txt": b"a dog"}, self.key("dog/4"): {}, self.key("dog/5"): {}})

    def test_classes_of_labels(self):
        self.write("in/cat/1.cls", "8")
        self.encode("w.tar", "--labels", "folder")
        self.assertEqual([s["cls"] for s in self.read_webdataset("w-000000.tar")],
                         [b"8", b"0", b"1", b"1", b"1"])

    def test_bad_pictures_are_left_out(self):
        self.write("in/cat/2.png", "no picture")
        self.write("in/cat/2.txt", "of none")
        self.encode("w.tar", "--shard-size", 2, status=PARTIAL)
        samples = self.read_webdataset("w-000000.tar", "w-000001.tar")
        self.assertEqual([s["__key__"] for s in samples],
                         [self.key(n) for n in NAMES if n != "cat/2"])

    def test_a_key_twice(self):
        self.write("in/dog/3.jpg", "")
        self.assertFails(self.run_encode("w.tar"), DATA, "in/dog/3.jpg", "in/dog/3.png", "one key",
                         self.key("dog/3"))
        os.remove(self.path("in/dog/3.jpg"))
        for name in "a.tar", "b.tar":
            self.archive(name, (("1.png", png(0)),))
        self.assertFails(self.run_encode("w.tar", inputs=(self.path("a.tar"), self.path("b.tar"))),
                         DATA, "a.tar:1.png", "b.tar:1.png", "'1'")
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.tar", "b.tar", "in"])

    def test_shards_go_on(self):
        options = "w.tar", "--shard-size", 2
        self.encode(*options)
        names = [f"w-{i:06d}.tar" for i in range(3)]
        whole, side = [content(self.path(name)) for name in names], content(self.path("w.jsonl"))
        ends = [json.loads(line)["end"] for line in side.splitlines()[1:-1]]
        lines = side.splitlines(True)
        for kept, sizes, after in (
                (4, (None, ends[2]), 3),             # the last picture is not whole
                (5, (None, None, ends[4]), 4 + 1),   # all are there, the end mark is not
                (3, (None,), 2),                     # a shard is not there
                (3, (ends[1], 700), 2),              # nor the end mark of the one before
                (2, (ends[1],), 2),                  # it ends with a shard
                (4, (ends[1] - 1, None), 1),
                (1, (0,), 0)):
            with self.subTest(kept=kept, sizes=sizes):
                for name in os.listdir(self.folder):
                    if name.startswith("w"):
                        os.remove(self.path(name))
                for name, data, size in zip(names, whole, sizes):
                    self.write(name + ".part", data[:size])
                self.write("w.jsonl.part", b"".join(lines[:1 + kept]))
                done = self.encode(*options)
                self.assertEqual(f"going on after {after} of 5" in done.stdout, after > 0)
                self.assertEqual([content(self.path(name)) for name in names], whole)
                self.assertEqual(content(self.path("w.jsonl")), side)
                self.assertFalse([n for n in os.listdir(self.folder) if n.endswith(".part")])

    def test_another_run_replaces_all_shards(self):
        self.encode("w.tar", "--shard-size", 1)
        for i in 1, 2:
            self.write(f"w-{i:06d}.tar.part", b"x" * 100000)
        self.encode("w.tar", "--shard-size", 3)
        self.assertEqual(sorted(n for n in os.listdir(self.folder) if n.startswith("w")),
                         ["w-000000.tar", "w-000001.tar", "w.jsonl"])
        self.assertEqual(len(self.read_webdataset("w-000000.tar", "w-000001.tar")), 5)

    def test_what_cannot_be_carried_ends_the_run(self):
        with open(self.path("in/dog/4.json"), "wb") as file:
            file.truncate((64 << 20) + 1)
        done = self.run_encode("w.tar", "-q")
        self.assertFails(done, LIMIT, "in/dog/4.json", "67108864", "goes on from there")
        self.assertFalse(os.path.exists(self.path("w-000000.tar")))
        os.remove(self.path("in/dog/4.json"))
        self.assertIn("going on after", self.encode("w.tar").stdout)
        self.assertEqual(len(self.read_webdataset("w-000000.tar")), 5)

    # ---- MosaicML Streaming ------------------------------------------------------------------

    def test_mds(self):
        for options in ((), ("--layout", "interleaved"), ("--offset", 65504, "--end", 3),
                        ("--labels", "folder")):
            with self.subTest(options=options):
                numbers = self.expected(*options)
                self.encode("m.mds", "--shard-size", 2, *options)
                self.assertEqual(sorted(os.listdir(self.path("m.mds"))),
                                 ["index.json", *(f"shard.{i:05d}.mds" for i in range(3))])
                samples = self.read_mds("m.mds")
                for seed, (sample, one) in enumerate(zip(samples, numbers, strict=True)):
                    width = 4 + 4 * (seed % 2)
                    np.testing.assert_array_equal(sample["tokens"].ravel(), one)
                    self.assertEqual(sample["tokens"].shape,
                                     {2: (4, width, PLANES), 4: (len(one),)}.get(
                                         len(options) if "folder" not in options else 0,
                                         (PLANES, 4, width)))
                labels = [("cat", 0)] * 2 + [("dog", 1)] * 3 if "folder" in options \
                    else [(None, None)] * 5
                self.assertEqual([(s.get("label"), s.get("class")) for s in samples], labels)

    def test_sides_of_more_than_a_byte(self):
        data = io.BytesIO()
        Image.new("RGB", (4 * 256, 4)).save(data, "PNG")
        self.write("wide/1.png", data.getvalue())
        self.encode("m.mds", inputs=(self.path("wide"),))
        self.assertEqual([s["tokens"].shape for s in self.read_mds("m.mds")], [(PLANES, 1, 256)])

    def test_mds_goes_on(self):
        options = "m.mds", "--shard-size", 2, "--labels", "folder"
        self.encode(*options)
        names = [f"m.mds/shard.{i:05d}.mds" for i in range(3)] + ["m.mds/index.json"]
        whole, side = [content(self.path(name)) for name in names], content(self.path("m.jsonl"))
        ends = [json.loads(line)["end"] for line in side.splitlines()[1:-1]]
        head = 4 * 2                                 # behind it the places of the samples
        for kept, sizes, after in ((4, (None, ends[2] + 1), 3), (3, (ends[1], ends[2] + 9), 3),
                                   (3, (ends[1],), 2), (2, (ends[1],), 2), (1, (head,), 0),
                                   (4, (ends[1] - 1, None), 1)):
            with self.subTest(kept=kept, sizes=sizes):
                for name in os.listdir(self.path("m.mds")):
                    os.remove(self.path("m.mds/" + name))
                for name, data, size in zip(names, whole, sizes):
                    # How many there are does not stand in the last one before the end.
                    begun = name == names[len(sizes) - 1]
                    self.write(name + ".part", bytes(4 * begun) + data[4 * begun:size])
                self.write("m.jsonl.part", b"".join(side.splitlines(True)[:1 + kept]))
                done = self.encode(*options)
                self.assertEqual(f"going on after {after} of 5" in done.stdout, after > 0)
                self.assertEqual([content(self.path(name)) for name in names], whole)
                self.assertEqual(len(os.listdir(self.path("m.mds"))), 4)

    def test_what_mds_cannot_hold(self):
        for options, words in ((("--numbers", "uint32"), ("uint32", "65535", ".mds")),
                               (("--offset", 65505), ("--offset", "65535")),
                               (("--begin", 65536), ("--begin", "65535"))):
            self.assertFails(self.run_encode("m.mds", *options), USAGE, *words)
            self.assertFalse(os.path.exists(self.path("m.mds")))
        self.write("m.mds", "a file")
        self.assertFails(self.run_encode("m.mds"), WRITE, "m.mds")

    def test_a_wide_codebook(self):
        wide = self.path("wide.safetensors")
        make_model(wide, adjectives=65537 - 20)
        done = vqct("encode", wide, self.path("in"), "-o", self.path("m.mds"))
        self.assertFails(done, USAGE, "65537 codes", ".mds")

    def test_options_that_do_not_go_together(self):
        self.assertFails(self.run_encode("a.bin", "--shard-size", 2), USAGE, "--shard-size", ".bin")
        self.assertFails(self.run_encode("none/w.tar"), WRITE, "none/w-000000.tar")


if __name__ == "__main__":
    unittest.main()
