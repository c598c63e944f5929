"""Views of pictures in `vqct encode`: the tokens of each are those of the picture that Pillow crops,
by torchvision's account of its crops."""
import json
import os
import unittest

import numpy as np
from PIL import Image, ImageOps

from commands import CommandCase, content, vqct

USAGE = 2
PLANES = 3  # of the preset vqct-tiny
SIDE = 32   # of views
SIZES = ((75, 50), (40, 61), (33, 33), (300, 40))  # of pictures


class Views(CommandCase):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("in"))
        self.pictures = {}
        for i, (width, height) in enumerate(SIZES):
            noise = np.random.default_rng(i).integers(0, 256, (9, 9, 3), dtype=np.uint8)
            picture = Image.fromarray(noise).resize((width, height), Image.BICUBIC)
            self.pictures[f"{i}.png"] = picture
            picture.save(self.path(f"in/{i}.png"))

    def run_encode(self, out, *options, inputs=None, size=SIDE):
        # Names without the folder's, which is another in each run: random views follow them.
        return vqct("encode", self.model, *(inputs or ("in",)), "-o", self.path(out), "--size", size,
                    *options, cwd=self.folder)

    def encode(self, out, *options, read=True, **more):
        """First and last line, those of the rows, and of one array the tokens."""
        done = self.run_encode(out, *options, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path(os.path.splitext(out)[0] + ".jsonl")) as file:
            first, *rows, last = map(json.loads, file)
        numbers = np.load(self.path(out)) if out.endswith(".npy") and read else None
        return first, rows, last, numbers

    def tokens(self, images):
        """Of pictures that are left as they are."""
        folder = self.path("crops")
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(folder):
            os.remove(os.path.join(folder, name))
        for i, image in enumerate(images):
            image.save(os.path.join(folder, f"{i:03d}.png"))
        done = vqct("encode", self.model, folder, "-o", self.path("crops.npy"), "--width",
                    images[0].width, "--height", images[0].height)
        self.assertEqual(done.returncode, 0, done.stderr)
        return np.load(self.path("crops.npy"))

    @staticmethod
    def covered(picture, width, height):
        """torchvision's Resize by the side that fits first."""
        if width * picture.height >= height * picture.width:
            return picture.resize((width, picture.height * width // picture.width), Image.BICUBIC)
        return picture.resize((picture.width * height // picture.height, height), Image.BICUBIC)

    @staticmethod
    def centre(picture, width, height):
        """torchvision's center_crop."""
        left = round((picture.width - width) / 2)
        top = round((picture.height - height) / 2)
        return picture.crop((left, top, left + width, top + height))

    @classmethod
    def five(cls, picture, width, height):
        """torchvision's five_crop."""
        right, bottom = picture.width - width, picture.height - height
        return [picture.crop((left, top, left + width, top + height))
                for left, top in ((0, 0), (right, 0), (0, bottom), (right, bottom))] + \
            [cls.centre(picture, width, height)]

    def test_ten(self):
        for options, width, height in (((), 32, 32), (("--width", 24, "--height", 40), 24, 40)):
            first, rows, last, numbers = self.encode("t.npy", "--crops", "ten", *options)
            larger = int(width * 1.1), int(height * 1.1)
            crops = []
            for picture in self.pictures.values():
                middle = self.centre(self.covered(picture, *larger), *larger)
                crops += self.five(middle, width, height)
                crops += self.five(ImageOps.mirror(middle), width, height)
            np.testing.assert_array_equal(numbers, self.tokens(crops))
            self.assertGreater(len(np.unique(numbers, axis=0)), len(crops) * 3 // 4)
            self.assertEqual((last["pictures"], last["views"]), (4, 40))
            self.assertEqual([row["view"] for row in rows], list(range(10)) * 4)
            self.assertEqual([row["mirrored"] for row in rows], ([False] * 5 + [True] * 5) * 4)
            self.assertEqual([row["row"] for row in rows], list(range(40)))
            self.assertEqual([os.path.basename(row["image"]) for row in rows[::10]],
                             list(self.pictures))

    def test_flip(self):
        _, rows, _, numbers = self.encode("t.npy", "--flip")
        crops = []
        for picture in self.pictures.values():
            crop = self.centre(self.covered(picture, SIDE, SIDE), SIDE, SIDE)
            crops += [crop, ImageOps.mirror(crop)]
        np.testing.assert_array_equal(numbers, self.tokens(crops))
        self.assertEqual([row["mirrored"] for row in rows], [False, True] * 4)
        left, top, right, bottom = rows[0]["box"]  # 48 x 32 of 75 x 50 pixels, 32 of the 48
        np.testing.assert_allclose((left, top, right, bottom), (12.5, 0, 62.5, 50), rtol=1e-9)

    def of_box(self, row):
        """The crop that a line tells of, and which part of the picture that covers."""
        picture = self.pictures[os.path.basename(row["image"])]
        left, top, right, bottom = row["box"]
        full = (round(SIDE * picture.width / (right - left)),
                round(SIDE * picture.height / (bottom - top)))
        x, y = round(left * full[0] / picture.width), round(top * full[1] / picture.height)
        self.assertLessEqual(right, picture.width + 1e-9)
        self.assertLessEqual(bottom, picture.height + 1e-9)
        crop = picture.resize(full, Image.BICUBIC).crop((x, y, x + SIDE, y + SIDE))
        return ImageOps.mirror(crop) if row["mirrored"] else crop, SIDE / min(full)

    def test_random(self):
        first, rows, _, numbers = self.encode("t.npy", "--crops", "random:20", "--flip", "--seed", 5)
        self.assertEqual(first["views"], {"count": 40, "crops": "random", "flip": True, "seed": 5,
                                          "buckets": [], "range": [0.8, 1]})
        crops, parts = zip(*map(self.of_box, rows))
        np.testing.assert_array_equal(numbers, self.tokens(crops))
        self.assertLess(min(parts), 0.83)
        self.assertGreater(max(parts), 0.97)
        self.assertTrue(0.79 <= min(parts) and max(parts) <= 1)
        places = [row["box"][0] / (300 - 40) for row in rows[120:140]]  # all over the long one
        self.assertTrue(min(places) < 0.2 and max(places) > 0.8)
        self.assertEqual([row["box"] for row in rows[:20]], [row["box"] for row in rows[20:40]])
        self.assertGreater(len({tuple(row["box"]) for row in rows}), 70)

    def test_range_of_random_crops(self):
        for text, least, most in (("0.4:0.6", 0.4, 0.6), ("0.05:0.05", 0.05, 0.05), ("1:1", 1, 1)):
            first, rows, _, numbers = self.encode("t.npy", "--crops", "random:20", "--crop-range",
                                                  text)
            self.assertEqual(first["views"]["range"], [least, most])
            crops, parts = zip(*map(self.of_box, rows))
            np.testing.assert_array_equal(numbers, self.tokens(crops))
            self.assertTrue(least - 0.01 <= min(parts) and max(parts) <= most + 0.01)
            self.assertGreaterEqual(max(parts) - min(parts), 0.8 * (most - least))

    def test_random_is_settled_by_seed_and_name(self):
        _, rows, _, numbers = self.encode("all.npy", "--crops", "random:3")
        _, alone, _, found = self.encode("one.npy", "--crops", "random:3", inputs=("in/2.png",))
        np.testing.assert_array_equal(found, numbers[6:9])
        self.assertEqual([row["box"] for row in alone], [row["box"] for row in rows[6:9]])
        _, shard, _, found = self.encode("s.npy", "--crops", "random:3", "--shard", "1/2", "-b", 2)
        np.testing.assert_array_equal(found, np.concatenate([numbers[3:6], numbers[9:12]]))
        _, other, _, _ = self.encode("t.npy", "--crops", "random:3", "--seed", 1)
        self.assertFalse({tuple(row["box"]) for row in rows} & {tuple(row["box"]) for row in other})

    BUCKETS = (32, 32), (48, 32), (24, 40), (96, 32), (16, 64)
    NEAREST = BUCKETS[1], BUCKETS[2], BUCKETS[0], BUCKETS[3]  # of each picture; the last has none
    BUCKET_OPTIONS = "--buckets", ",".join(f"{w}x{h}" for w, h in BUCKETS), "--flip"

    def of_buckets(self):
        """The tokens of each picture and its mirror image, P,h,w."""
        found = []
        for picture, size in zip(self.pictures.values(), self.NEAREST):
            crop = self.centre(self.covered(picture, *size), *size)
            found += [self.tokens([image])[0] for image in (crop, ImageOps.mirror(crop))]
        return found

    def files(self, stem):
        return sorted(name for name in os.listdir(self.folder) if name.startswith(stem))

    def test_buckets(self):
        """Arrays have a file of each size that a picture has; what is not of this run is gone."""
        expected = self.of_buckets()
        sizes = ["24x40", "32x32", "48x32", "96x32"]
        for ending, endings in ((".npy", [".npy"]), (".bin", [".bin"]), (".idx", [".bin", ".idx"]),
                                (".ds", [".ds", ".ds.index", ".ds.metadata"])):
            with self.subTest(ending=ending):
                for name in self.files("t"):
                    os.remove(self.path(name))
                for one in endings:
                    with open(self.path("t-16x64" + one), "wb"):
                        pass
                first, rows, _, _ = self.encode("t" + ending, *self.BUCKET_OPTIONS, read=False)
                self.assertEqual(first["views"]["buckets"], [list(size) for size in self.BUCKETS])
                self.assertEqual(self.files("t"), sorted(
                    [f"t-{size}{one}" for size in sizes for one in endings] + ["t.jsonl"]))
                for i, (row, tokens) in enumerate(zip(rows, expected, strict=True)):
                    self.assertEqual((row["row"], row["bucket_row"]), (i, i % 2))
                    self.assertEqual(row["bucket"], "{}x{}".format(*self.NEAREST[i // 2]))
                    name = self.path(f"t-{row['bucket']}{endings[0]}")
                    numbers = np.load(name) if ending == ".npy" else \
                        np.fromfile(name, "<u2").reshape(-1, *tokens.shape)
                    self.assertEqual(len(numbers), 2)
                    np.testing.assert_array_equal(numbers[row["bucket_row"]], tokens)
                    self.assertEqual(row["offset"], row["bucket_row"] * tokens.size * 2)
                self.check_decoded("t" + ending, expected)

    def check_decoded(self, name, expected):
        """Decoding gives the pictures that each picture's own array gives."""
        done = vqct("decode", self.model, self.path(name), "-o", self.path("out"))
        self.assertEqual(done.returncode, 0, done.stderr)
        found = sorted(os.listdir(self.path("out")))
        self.assertEqual(found, [f"{i:04d}-{i // 2}.png" for i in range(2 * len(self.pictures))])
        for name, tokens in zip(found, expected, strict=True):
            np.save(self.path("one.npy"), tokens)
            vqct("decode", self.model, self.path("one.npy"), "-o", self.path("one"))
            self.assertEqual(content(self.path(f"out/{name}")), content(self.path("one/0000.png")))

    def test_a_cut_run_goes_on_with_buckets(self):
        for ending in (".npy", ".idx"):
            with self.subTest(ending=ending):
                for name in self.files("t"):
                    os.remove(self.path(name))
                self.encode("t" + ending, *self.BUCKET_OPTIONS, read=False)
                files = {name: content(self.path(name)) for name in self.files("t")}
                for name in files:
                    os.remove(self.path(name))
                array = ".bin" if ending == ".idx" else ending
                parts = {name: data for name, data in files.items() if name.endswith(array)}
                parts[f"t-24x40{array}"] = parts[f"t-24x40{array}"][:-3]
                parts["t.jsonl"] = files["t.jsonl"][:-40]
                for name, data in parts.items():
                    with open(self.path(name + ".part"), "wb") as file:
                        file.write(data)
                done = self.run_encode("t" + ending, *self.BUCKET_OPTIONS)
                self.assertIn("going on after 1 of 4", done.stdout)
                self.assertEqual({name: content(self.path(name)) for name in self.files("t")}, files)

    def test_views_are_one_document(self):
        self.encode("t.idx", "--crops", "ten")
        index = content(self.path("t.idx"))
        sequences, documents = np.frombuffer(index, "<u8", 2, 18)
        starts = np.frombuffer(index, "<i8", documents, 34 + 12 * int(sequences))
        self.assertEqual((int(sequences), starts.tolist()), (40, [0, 10, 20, 30, 40]))

    def test_views_in_shards(self):
        import io
        import tarfile
        with open(self.path("in/1.cls"), "w") as file:
            file.write("7")
        _, _, _, numbers = self.encode("t.npy", "--flip")
        self.encode("w.tar", "--flip", "--shard-size", 3)
        found = []
        for i, count in enumerate((3, 1)):
            with tarfile.open(self.path(f"w-{i:06d}.tar")) as tar:
                members = {os.path.basename(name): tar.extractfile(name).read()
                           for name in tar.getnames()}
            if not i:
                self.assertEqual(members.pop("1.cls"), b"7")
            self.assertEqual(list(members), [f"{3 * i + k}.{v}.npy" for k in range(count)
                                             for v in range(2)])
            found += [np.load(io.BytesIO(data)) for data in members.values()]
        np.testing.assert_array_equal(np.stack(found), numbers)
        self.encode("m.mds", "--flip", "--shard-size", 3)
        with open(self.path("m.mds/index.json")) as file:
            self.assertEqual([shard["samples"] for shard in json.load(file)["shards"]], [6, 2])

    def test_a_cut_run_goes_on_within_a_picture(self):
        options = "--crops", "ten", "-b", 3
        for out, size in (("t.npy", 256 + 13 * PLANES * 64 * 2 + 5), ("w.tar", None)):
            with self.subTest(out=out):
                part = "w-000000.tar" if out == "w.tar" else out
                self.run_encode(out, *options)
                whole, side = content(self.path(part)), content(self.path(out[:-4] + ".jsonl"))
                with open(self.path(part + ".part"), "wb") as file:
                    file.write(whole[:size])
                with open(self.path(out[:-4] + ".jsonl.part"), "wb") as file:
                    file.writelines(side.splitlines(True)[:15 if size else 18])
                done = self.run_encode(out, *options)
                self.assertIn("going on after 1 of 4", done.stdout)
                self.assertEqual(content(self.path(part)), whole)
                self.assertEqual(content(self.path(out[:-4] + ".jsonl")), side)

    def test_a_bad_picture_has_one_line(self):
        with open(self.path("in/1.png"), "wb") as file:
            file.write(b"no picture")
        done = self.run_encode("t.npy", "--crops", "ten", "-q")
        self.assertEqual(done.returncode, 10)
        with open(self.path("t.jsonl")) as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual(sum("error" in line for line in lines), 1)
        self.assertEqual((lines[-1]["pictures"], lines[-1]["views"], lines[-1]["failed"]), (3, 30, 1))
        self.assertEqual(np.load(self.path("t.npy")).shape[0], 30)

    def test_bad_options(self):
        for options, words in (
                (("--crops", "five"), ("--crops 'five'", "random:N")),
                (("--crops", "random:0"), ("random:0",)), (("--crops", "random:1001"), ("1000",)),
                (("--crops", "random:2x"), ("random:2x",)),
                (("--crop-range", "0.8"), ("--crop-range '0.8'", "MIN:MAX")),
                (("--crop-range", "0.8:1.1"), ("0.8:1.1",)), (("--crop-range", "1:0.8"), ("first",)),
                (("--crop-range", "0.04:1"), ("0.05",)), (("--crop-range", "nan:1"), ("nan:1",)),
                (("--crop-range", "0.8:1x"), ("0.8:1x",)),
                (("--crop-range", "0.5:1", "--flip"), ("--crops random:N",)),
                (("--crops", "ten", "--flip"), ("--flip", "ten")),
                (("--flip", "--resize", "none"), ("--resize cover",)),
                (("--buckets", "32x32,48x32,32x32"), ("32x32 stands twice",)),
                (("--buckets", "32x32", "--resize", "none", "-o", "t.bin"), ("--resize cover",)),
                (("--buckets", "32x32,", "-o", "t.bin"), ("--buckets '32x32,'",)),
                (("--buckets", "32x", "-o", "t.bin"), ("--buckets '32x'",)),
                (("--buckets", "0x32", "-o", "t.bin"), ("--buckets '0x32'",)),
                (("--buckets", ",".join(["32x32"] * 65), "-o", "t.bin"), ("1 to 64",)),
                (("--buckets", "32x32,30x32", "-o", "t.bin"), ("30x32", "multiples of 4"))):
            with self.subTest(options=options):
                done = self.run_encode("t.npy", *options)
                self.assertFails(done, USAGE, *words)


if __name__ == "__main__":
    unittest.main()
