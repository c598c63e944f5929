"""The Python package against the command, numpy, Pillow, PyTorch and a running service."""
import http.server
import io
import os
import pathlib
import pickle
import random
import re
import subprocess
import sys
import threading
import unittest

import numpy as np
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
sys.path.insert(0, os.path.join(ROOT, "python"))
from serving import BUILD, VQCT, ModelCase, Server, make_model, photo  # noqa: E402

os.environ["VQCT_LIBRARY"] = os.path.join(BUILD, "libvqct.so")
import vqct  # noqa: E402


def run(*arguments):
    subprocess.run([VQCT, *arguments], check=True, capture_output=True)


class Encode(ModelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.photos = os.path.join(cls.folder.name, "photos")
        os.mkdir(cls.photos)
        for seed in range(5):
            with open(os.path.join(cls.photos, f"{seed}.png"), "wb") as file:
                file.write(photo(70 + seed, 50, seed, "PNG"))
        cls.names = sorted(os.path.join(cls.photos, name) for name in os.listdir(cls.photos))
        cls.array = os.path.join(cls.folder.name, "tokens.npy")
        run("encode", cls.model, cls.photos, "-o", cls.array, "--size", "32")
        cls.python = vqct.Model(cls.model, threads=1)
        cls.addClassCleanup(cls.python.close)

    def test_paths_bytes_pillow_and_arrays_give_the_command_s_tokens(self):
        expected = np.load(self.array)
        data = [pathlib.Path(name).read_bytes() for name in self.names]
        pillow = [Image.open(name) for name in self.names]
        arrays = [np.asarray(image.convert("RGB")) for image in pillow]
        webp = [self.path(f"{i}.webp") for i in range(len(pillow))]
        for image, name in zip(pillow, webp):
            image.save(name, lossless=True)
        for images in (self.names, data, pillow, arrays, webp):
            tokens = self.python.encode(images, size=32)
            self.assertEqual(tokens.dtype, expected.dtype)
            np.testing.assert_array_equal(tokens, expected)

    def test_a_batch_is_its_pictures(self):
        batch = np.random.default_rng(3).integers(0, 256, (3, 16, 20, 3), dtype=np.uint8)
        tokens = self.python.encode(batch)
        self.assertEqual(tokens.shape, (3, 2, 4, 5))
        for i in range(3):
            np.testing.assert_array_equal(self.python.encode(batch[i]), tokens[i:i + 1])
            np.testing.assert_array_equal(self.python.encode(batch[i][None]), tokens[i:i + 1])
        # A view that is not contiguous is the same picture.
        np.testing.assert_array_equal(self.python.encode(batch[:, ::-1][:, ::-1]), tokens)

    def test_what_is_over_a_multiple_is_cropped_as_the_command_crops(self):
        batch = np.random.default_rng(4).integers(0, 256, (2, 19, 22, 3), dtype=np.uint8)
        path = self.path("odd.png")
        Image.fromarray(batch[0]).save(path)
        run("encode", self.model, path, "-o", self.path("odd.bin"), "--resize", "none")
        expected = np.fromfile(self.path("odd.bin"), "<u2").reshape(1, 2, 4, 5)
        np.testing.assert_array_equal(self.python.encode(batch)[:1], expected)
        np.testing.assert_array_equal(self.python.encode(batch[0]), expected)

    def test_decode_gives_the_command_s_pictures(self):
        tokens = np.load(self.array)
        run("decode", self.model, self.array, "-o", self.path("pictures"))
        folder = self.path("pictures")
        expected = np.stack([np.asarray(Image.open(os.path.join(folder, name)))
                             for name in sorted(os.listdir(folder))])
        for kind in (np.uint16, np.int64):
            np.testing.assert_array_equal(self.python.decode(tokens.astype(kind)), expected)
        np.testing.assert_array_equal(self.python.decode(tokens[0]), expected[0])

    def test_facts(self):
        info = self.python.info
        self.assertEqual([(p.name, p.first, p.count) for p in info.planes],
                         [("adjective", 0, 12), ("noun", 12, 20)])
        self.assertEqual((info.downsampling, info.codes, info.channels), (4, 32, 3))
        self.assertEqual(info.architecture["adjectives"], 12)
        self.assertEqual(self.python.codebook.shape, (32, info.code_dimension))
        self.assertFalse(self.python.codebook.flags.writeable)
        self.assertEqual(len(self.python.words), 32)
        # The rows stand in the file as they are.
        self.assertIn(self.python.codebook.tobytes(), pathlib.Path(self.model).read_bytes())

    def test_threads_share_a_model(self):
        expected, results = np.load(self.array), [None] * 8

        def work(i):
            results[i] = [self.python.encode(self.names, size=32) for _ in range(5)]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            for tokens in result:
                np.testing.assert_array_equal(tokens, expected)

    def test_faults_are_named(self):
        grid = np.zeros((1, 2, 2, 2), np.int64)
        for kind, word, call in (
                (vqct.ReadError, "nothing.jpg", lambda: self.python.encode("nothing.jpg")),
                (vqct.ImageError, "", lambda: self.python.encode(b"no picture")),
                (vqct.InvalidError, "float64", lambda: self.python.encode(np.zeros((8, 8, 3)))),
                (vqct.InvalidError, "size", lambda: self.python.encode(self.names)),
                (vqct.InvalidError, "no pictures", lambda: self.python.encode([])),
                (vqct.InvalidError, "channels",
                 lambda: self.python.encode(np.zeros((1, 8, 8, 4), np.uint8))),
                (vqct.InvalidError, "size", lambda: self.python.encode(self.names, size=70000)),
                (vqct.TokensError, "", lambda: self.python.decode(grid - 1)),
                (vqct.TokensError, "", lambda: self.python.decode(grid + 2**32)),
                (vqct.TokensError, "", lambda: self.python.decode(grid)),
                (vqct.InvalidError, "shape", lambda: self.python.decode(grid[0, 0])),
                (vqct.InvalidError, "float32", lambda: self.python.decode(grid.astype("f4"))),
                (vqct.ReadError, "no-such", lambda: vqct.Model("no-such")),
                (vqct.ModelError, "", lambda: vqct.Model(self.names[0]))):
            with self.subTest(kind=kind, word=word), self.assertRaisesRegex(kind, word):
                call()

    def test_a_closed_model_refuses(self):
        model = vqct.Model(self.model)
        model.close()
        model.close()
        with self.assertRaisesRegex(vqct.InvalidError, "closed"):
            model.encode(self.names, size=32)


class TokenSets(ModelCase):
    def files(self, *names):
        folder = self.path("mixed")
        os.makedirs(folder, exist_ok=True)
        for i, name in enumerate(names):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(photo(16 + 8 * i, 24, i, "PNG") if i != 1 else b"no picture")
        return folder

    def encode(self, output, *options):
        side = self.path(re.sub(r"(\.tokens)?\.\w+$", ".jsonl", output))
        if os.path.exists(side):  # perhaps of another format, which the command would not take it from
            os.remove(side)
        subprocess.run([VQCT, "encode", self.model, self.files("a.png", "b.png", "c.png"), "-o",
                        self.path(output), *options], capture_output=True)
        return self.path(output)

    def test_npy_and_bin(self):
        array = self.encode("set.npy", "--size", "16")
        tokens = vqct.tokens(array)
        np.testing.assert_array_equal(np.stack(list(tokens)), np.load(array))
        self.assertEqual([os.path.basename(one["image"]) for one in tokens.pictures],
                         ["a.png", "c.png"])
        self.assertEqual(tokens.about["downsampling"], 4)
        plain = vqct.tokens(self.encode("set.bin", "--resize", "none"))
        self.assertEqual([one.shape for one in plain], [(2, 6, 4), (2, 6, 8)])
        everything = np.fromfile(self.path("set.bin"), "<u2")
        np.testing.assert_array_equal(np.concatenate([one.ravel() for one in plain]), everything)
        self.assertEqual([one.shape for one in plain[1:]], [(2, 6, 8)])

    def test_labels(self):
        path = self.encode("set.bin", "--size", "16", "--labels", "folder")
        tokens = vqct.tokens(path)
        self.assertEqual(tokens.labels, ["mixed"])
        self.assertEqual(tokens.classes.tolist(), [0] * len(tokens))
        plain = vqct.tokens(self.encode("plain.bin", "--size", "16"))
        self.assertEqual(plain.labels, [])
        with self.assertRaisesRegex(vqct.TokensError, "--labels"):
            plain.classes

    def test_layouts_are_undone(self):
        plain = [one.copy() for one in vqct.tokens(self.encode("set.bin", "--resize", "none"))]
        for name in ("set.tokens.jsonl", "set.tar", "set.mds", "set.idx", "set.ds", "set.bin"):
            for options in (("--layout", "interleaved", "--labels", "folder"), ("--layout", "interleaved"), ("--offset", "65000" if name == "set.mds" else "70000", "--end", "5"),
                            ("--layout", "interleaved", "--begin", "99", "--row-end", "98")):
                found = vqct.tokens(self.encode(name, "--resize", "none", *options))
                for mine, theirs in zip(found, plain, strict=True):
                    np.testing.assert_array_equal(mine, theirs)
        # The last of them: adjective, noun, adjective, noun, ..., each row ended.
        sequence = found.sequence(0)
        self.assertEqual((sequence[0], len(sequence)), (99, 1 + 6 * (2 * 4 + 1)))
        np.testing.assert_array_equal(sequence[1:10],
                                      [*plain[0][:, 0].T.ravel(), 98])
        np.testing.assert_array_equal(found.torch(sequences=True)[0].numpy(), sequence)

    def test_buckets(self):
        """A file of each size; items stay in the order of the pictures."""
        options = "--buckets", "32x16,16x16,16x32", "--flip"
        expected = [one.copy() for one in vqct.tokens(self.encode("sized.tokens.jsonl", *options))]
        self.assertEqual({one.shape for one in expected}, {(2, 4, 4), (2, 8, 4)})
        for name in ("sized.npy", "sized.bin", "sized.idx", "sized.ds"):
            found = vqct.tokens(self.encode(name, *options))
            self.assertFalse(os.path.exists(self.path(name)))
            for mine, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(mine, theirs)
        side = self.path("sized.jsonl")
        with open(side) as file:
            text = file.read()
        for bad, kind in (('"../../16x16"', vqct.TokensError), ('"8x8"', vqct.ReadError),
                          ("7", vqct.TokensError)):
            with open(side, "w") as file:
                file.write(text.replace('"16x16"', bad, 1))
            with self.assertRaisesRegex(kind, "sized"):
                vqct.tokens(self.path("sized.ds"))

    def test_a_layout_that_is_none(self):
        path = self.encode("set.bin", "--resize", "none", "--offset", "3")
        side = self.path("set.jsonl")
        with open(side) as file:
            text = file.read()
        for bad in ('"offset": -3', '"offset": "3"', '"offset": 3, "order": "spiral"'):
            with open(side, "w") as file:
                file.write(text.replace('"offset": 3', bad, 1))
            with self.assertRaisesRegex(vqct.TokensError, "layout"):
                vqct.tokens(path)

    def test_a_dataset_of_torch(self):
        import torch
        tokens = vqct.tokens(self.encode("set.npy", "--size", "16"))
        batch = next(iter(torch.utils.data.DataLoader(tokens.torch(), batch_size=2)))
        self.assertEqual(batch.dtype, torch.int64)
        np.testing.assert_array_equal(batch.numpy(), np.stack(list(tokens)))
        # As workers get it that are no forks:
        again = pickle.loads(pickle.dumps(tokens.torch(sequences=True)))
        np.testing.assert_array_equal(again[1].numpy(), tokens.sequence(1))

    def test_files_that_say_more_than_they_hold(self):
        path = self.encode("cut.bin", "--resize", "none")
        for _ in range(2):  # the second leaves no whole number
            os.truncate(path, os.path.getsize(path) - 1)
            with self.assertRaisesRegex(vqct.TokensError, "c.png"):
                vqct.tokens(path)
        for name, part in (("set.tokens.jsonl", "set.tokens.jsonl"), ("set.tar", "set-000000.tar"),
                           ("set.mds", "set.mds/shard.00000.mds")):
            path = self.encode(name, "--resize", "none")
            os.truncate(self.path(part), 200)
            with self.assertRaisesRegex(vqct.TokensError, "set"):
                list(vqct.tokens(path))
            os.remove(self.path(part))
            with self.assertRaisesRegex(vqct.ReadError, part):
                list(vqct.tokens(path))
        with self.assertRaisesRegex(vqct.ReadError, "nothing.npy: the .jsonl beside it .*nothing.jsonl"):
            vqct.tokens(self.path("nothing.npy"))

    def test_lines_of_numbers_that_cannot_be(self):
        path, side = self.encode("n.tokens.jsonl", "--size", "16"), self.path("n.jsonl")
        with open(path) as file:
            first, rest = file.read().split('"tokens": [', 1)
        number, rest = rest.split(",", 1)
        with open(side) as file:
            lines = file.read()
        for bad in ("-8", "70000", "1.5", "true", '"3"', "[3]", "18446744073709551616"):
            longer = len(bad) - len(number)
            with open(path, "w") as file:
                file.write(f'{first}"tokens": [{bad},{rest}')
            with open(side, "w") as file:
                file.write(re.sub(r'"bytes": (\d+)', lambda m: f'"bytes": {int(m[1]) + longer}', lines, count=1))
            with self.subTest(bad=bad), self.assertRaisesRegex(vqct.TokensError, "n.tokens.jsonl"):
                vqct.tokens(path)[0]

    def test_an_index_that_tells_of_other_numbers(self):
        """Of Megatron-LM: sequences at byte 18, documents at 26, two lengths at 34, places at 42,
        documents at 58 (three); of datatrove: two ends."""
        for name, part, wrong in (("i.idx", "i.idx", (0, 9, 17, 18, 26, 34, 38, 42, 50, 58, 66, 74)),
                                  ("i.ds", "i.ds.index", (0, 8))):
            path = self.encode(name, "--size", "16")
            whole = [one.copy() for one in vqct.tokens(path)]
            with open(self.path(part), "rb") as file:
                index = file.read()
            damaged = [index[:at] + bytes([index[at] + 100]) + index[at + 1:] for at in wrong]
            for bad in (*damaged, index[:-8], index[:-1], index + bytes(8), index[:12]):
                with open(self.path(part), "wb") as file:
                    file.write(bad)
                with self.subTest(part=part, bad=bad), self.assertRaisesRegex(vqct.TokensError, part):
                    vqct.tokens(path)
            os.remove(self.path(part))
            with self.assertRaisesRegex(vqct.ReadError, part):
                vqct.tokens(path)
            with open(self.path(part), "wb") as file:
                file.write(index)
            for mine, theirs in zip(vqct.tokens(path), whole, strict=True):
                np.testing.assert_array_equal(mine, theirs)

    def test_side_files_that_describe_no_set(self):
        path = self.encode("odd.mds", "--size", "16", "--labels", "folder")
        for part, old, new in (("odd.jsonl", '"tokens": "uint16"', '"tokens": ["uint16"]'),
                               ("odd.jsonl", '"planes": [', '"planes": [], "x": ['),
                               ("odd.jsonl", '"labels": [', '"labels": 3, "x": ['),
                               ("odd.jsonl", '{"tokens"', '{"layout": {"order": "planes", "offset": 65536}, "tokens"'),
                               ("odd.jsonl", '{"image"', "[" * 100000 + '{"image"'),
                               ("odd.jsonl", '{"pictures": 2', '{"pictures": 1'),
                               ("odd.jsonl", '"passed_over"', '"passed"'),
                               ("odd.mds/index.json", '"samples": 2', '"samples": -1'),
                               ("odd.mds/index.json", '"shard.00000.mds"', '"../odd.mds/shard.00000.mds"'),
                               ("odd.mds/index.json", '"shard.00000.mds"', "0")):
            with open(self.path(part), encoding="utf-8") as file:
                text = file.read()
            self.assertIn(old, text)
            with open(self.path(part), "w", encoding="utf-8") as file:
                file.write(text.replace(old, new, 1))
            with self.subTest(new=new[:60]), self.assertRaisesRegex(vqct.TokensError, part):
                vqct.tokens(path)
            with open(self.path(part), "w", encoding="utf-8") as file:
                file.write(text)
        self.assertEqual(len(vqct.tokens(path)), 2)

    def test_damage_is_an_error_of_the_package(self):
        """Or it is not seen; but nothing else is raised, whichever bytes are others."""
        chance = random.Random(1)
        for name, part in (("d.npy", "d.npy"), ("d.idx", "d.bin"), ("d.idx", "d.idx"), ("d.ds", "d.ds.index"),
                           ("d.tokens.jsonl", "d.tokens.jsonl"),
                           ("d.tar", "d-000000.tar"), ("d.mds", "d.mds/shard.00000.mds"),
                           ("d.mds", "d.mds/index.json"), ("d.mds", "d.jsonl"), ("d.tar", "d.jsonl")):
            path = self.encode(name, "--size", "16", "--layout", "interleaved", "--offset", "9")
            with open(self.path(part), "rb") as file:
                whole = file.read()
            for _ in range(60):
                damaged = bytearray(whole[:chance.choice((len(whole), chance.randrange(len(whole))))])
                for _ in range(min(len(damaged), chance.randint(0, 3))):
                    damaged[chance.randrange(min(len(damaged), chance.choice((100, 600, 5000))))] = \
                        chance.choice((0, 32, 45, 48, 57, 91, 93, 123, 255, chance.randrange(256)))
                with open(self.path(part), "wb") as file:
                    file.write(damaged)
                try:
                    list(vqct.tokens(path))
                except vqct.Error:
                    pass

    def test_arrays_that_are_damaged(self):
        path = self.encode("hurt.npy", "--size", "16")
        with open(path, "rb") as file:
            whole = file.read()
        for old, new in ((b"{'descr'", b"('descr'"), (b"False", b"Fa(se"), (b"(2, 2", b"(2, -"),
                         (b"<u2", b"<u9"), (b"\x93NUMPY", b"\x93NUMBY"), (b"'shape'", b"'shade'"),
                         (whole[300:], b""), (whole, b""), (b"<u2", b"|O8")):
            with open(path, "wb") as file:
                file.write(whole.replace(old, new, 1))
            with self.subTest(new=new), self.assertRaisesRegex(vqct.TokensError, "hurt.npy: not a whole array"):
                vqct.tokens(path)
        with open(path, "wb") as file:
            file.write(whole.replace(b"<u2", b"<i2", 1))
        with self.assertRaisesRegex(vqct.TokensError, "hurt.npy: not an array of uint16"):
            vqct.tokens(path)


class Client(ModelCase):
    options = ()

    def test_there_and_back(self):
        client = vqct.Client(f"http://127.0.0.1:{self.server.port}")
        files = [photo(40, 30, seed, "PNG") for seed in range(3)]
        with vqct.Model(self.model) as model:
            expected = model.encode(files, size=(24, 32))
            tokens = client.encode(files, size=(24, 32))
            np.testing.assert_array_equal(tokens, expected)
            pictures = [np.asarray(Image.open(io.BytesIO(file))) for file in client.decode(tokens)]
            np.testing.assert_array_equal(np.stack(pictures), model.decode(tokens))
        np.testing.assert_array_equal(client.encode(files[0], size=(24, 32)), expected[:1])
        self.assertEqual(len(client.decode(tokens[0])), 1)
        self.assertEqual(client.model()["model"]["checksum"], model.info.checksum)
        self.assertEqual([one["name"] for one in client.codebook()["codebooks"]],
                         ["adjective", "noun"])

    def test_a_part_of_a_picture(self):
        client = vqct.Client(f"http://127.0.0.1:{self.server.port}")
        files, parts = [photo(40, 30, seed, "PNG") for seed in range(2)], []
        for file in files:
            part = io.BytesIO()
            Image.open(io.BytesIO(file)).crop((6, 2, 36, 26)).save(part, "PNG")
            parts.append(part.getvalue())
        np.testing.assert_array_equal(client.encode(files, size=32, crop=(6, 2, 30, 24)),
                                      client.encode(parts, size=32))
        wide = photo(48, 32, 5, "PNG")
        left = client.encode(wide, size=32, focus=(0, 0.5))
        np.testing.assert_array_equal(left, client.encode(wide, size=32, crop=(0, 0, 32, 32)))
        self.assertTrue((left != client.encode(wide, size=32)).any())
        for fault in ({"crop": (6, 2, 300, 24)}, {"crop": (-1, 0, 8, 8)}, {"focus": (0, 1.5)},
                      {"focus": (1e-12, float("nan"))}, {"focus": (0.5,)}):
            with self.assertRaises(vqct.InvalidError):
                client.encode(files[0], size=32, **fault)

    def test_models_and_urgency(self):
        other = self.path("other.safetensors")
        make_model(other, seed=8)
        files = [photo(40, 30, seed, "PNG") for seed in range(2)]
        with Server(None, "--model", f"one={self.model}", "--model", f"two={other}") as server:
            client = vqct.Client(f"http://127.0.0.1:{server.port}")
            for name, path in (("one", self.model), ("two", other)):
                with vqct.Model(path) as model:
                    tokens = client.encode(files, size=32, model=name, priority=7)
                    np.testing.assert_array_equal(tokens, model.encode(files, size=32))
                    pictures = [np.asarray(Image.open(io.BytesIO(file)))
                                for file in client.decode(tokens, model=name, priority=0)]
                    np.testing.assert_array_equal(np.stack(pictures), model.decode(tokens))
                    self.assertEqual(client.model(name)["model"]["checksum"], model.info.checksum)
                self.assertEqual(client.codebook(name)["codebooks"][0]["windows"]["process"]["tokens"],
                                 tokens[:, 0].size)
                for operation, urgency in (("encode", 7), ("decode", 0)):
                    self.assertEqual(server.metric(
                        f'vqct_queue_duration_seconds_count{{operation="{operation}",'
                        f'model="{name}",urgency="{urgency}"}}'), 2)
            self.assertEqual([one["name"] for one in client.models()], ["one", "two"])
            with self.assertRaises(vqct.InvalidError) as caught:
                client.encode(files, model="three")
            self.assertEqual(caught.exception.http_status, 404)
            with self.assertRaises(vqct.InvalidError):
                client.encode(files, priority=8)

    def test_tokens_that_are_none(self):
        client = vqct.Client(f"http://127.0.0.1:{self.server.port}")
        tokens = client.encode([photo(40, 30, seed, "PNG") for seed in range(2)], size=32)
        tokens[1, 0, 0, 0] = 60000
        for bad, words in ((tokens, "422: picture 1: token 0 .* is 60000"), (tokens[:, :1], "422: ")):
            with self.assertRaisesRegex(vqct.TokensError, words) as caught:
                client.decode(bad)
            self.assertEqual(caught.exception.http_status, 422)
            self.assertEqual(caught.exception.problem["type"], "urn:vqct:problem:bad-tokens")

    def test_problems(self):
        client = vqct.Client(f"http://127.0.0.1:{self.server.port}")
        with self.assertRaises(vqct.ImageError) as caught:
            client.encode(b"no picture")
        self.assertEqual(caught.exception.http_status, 422)
        self.assertTrue(caught.exception.problem["type"].startswith("urn:vqct:problem:"))
        with self.assertRaises(vqct.InvalidError):
            client.encode(self.png, size=33)
        with self.assertRaises(vqct.InvalidError):
            vqct.Client("ftp://127.0.0.1")


class Retries(unittest.TestCase):
    """Against a server that is busy at first, or whose first answer ends too early."""

    def serve(self, refusals, retry_after, cut=False):
        seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.headers["Authorization"])
                busy = len(seen) <= refusals
                self.send_response(429 if busy else 200)
                if busy:
                    self.send_header("Retry-After", retry_after)
                body = b'{"title":"busy"}' if busy else b'{"name":"x"}'
                self.send_header("Content-Length", str(len(body) + (cut and len(seen) == 1)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}", seen

    def test_a_busy_service_is_asked_again(self):
        url, seen = self.serve(2, "0")
        self.assertEqual(vqct.Client(url, key="secret").model(), {"name": "x"})
        self.assertEqual(seen, ["Bearer secret"] * 3)

    def test_an_answer_that_is_cut_off_is_asked_for_again(self):
        url, seen = self.serve(0, "0", cut=True)
        self.assertEqual(vqct.Client(url).model(), {"name": "x"})
        self.assertEqual(len(seen), 2)

    def test_no_longer_than_the_timeout(self):
        url, seen = self.serve(9, "30")
        with self.assertRaises(vqct.UnavailableError) as caught:
            vqct.Client(url, timeout=5).model()
        self.assertEqual((len(seen), caught.exception.http_status), (1, 429))

    def test_nobody_there(self):
        with self.assertRaises(vqct.UnavailableError):
            vqct.Client("http://127.0.0.1:9", timeout=0.5).model()


if __name__ == "__main__":
    unittest.main()
