"""The stream of training crops, codes as moving averages, and checkpoints."""
import ctypes
import json
import os
import tempfile
import unittest

import numpy as np
from PIL import Image

from native import FLOATS, LIB, Error, Team, floats
from native_network import Config
from test_gcn import random_graph
from test_train_step import GCN, RELEASED, Ema, Extra, Ours, settings
from torch_vqct import TINY, halves

SIDE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64)
REPORT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)

LIB.pictures_name.restype = ctypes.c_char_p


class LoaderSettings(ctypes.Structure):
    _fields_ = [("pictures", ctypes.c_void_p), ("held_out", ctypes.c_size_t),
                ("seed", ctypes.c_uint64), ("crop_min", ctypes.c_double),
                ("crop_max", ctypes.c_double), ("flip", ctypes.c_bool),
                ("channels", ctypes.c_int), ("threads", ctypes.c_uint),
                ("ahead", ctypes.c_uint), ("side", SIDE), ("report", REPORT),
                ("context", ctypes.c_void_p), ("share", ctypes.c_uint64),
                ("ranks", ctypes.c_uint), ("rank", ctypes.c_uint)]


for name in ("pictures_count", "loader_bad", "loader_held_out"):
    getattr(LIB, name).restype = ctypes.c_size_t


class Loader(unittest.TestCase):
    COUNT, HELD = 12, 3

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        for i in range(cls.COUNT):  # told apart by their colour; a ramp shows place and mirroring
            ramp = np.linspace(0, 200, 48).astype(np.uint8)
            picture = np.zeros((40, 48, 3), np.uint8)
            picture[..., 0], picture[..., 1] = 20 * i, ramp
            Image.fromarray(picture).save(f"{cls.folder.name}/{i:02}.png")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def read(self, count, first=0, folder=None, sides=lambda n: 16, reports=None, **changes):
        """`count` samples as (picture's number, crop), and how many pictures were bad."""
        handle, pictures, error = ctypes.c_void_p(), ctypes.c_void_p(), Error()
        path = (folder or self.folder.name).encode()
        paths = (ctypes.c_char_p * 1)(path)
        self.assertEqual(LIB.pictures_open(paths, ctypes.c_size_t(1), 0, None,
                                           ctypes.byref(pictures), ctypes.byref(error)), 0, error.message)
        side = SIDE(lambda _, n: sides(n))
        report = REPORT(lambda _, message: reports.append(message) if reports is not None else None)
        values = dict(pictures=pictures, held_out=self.HELD, seed=5, crop_min=0.5, crop_max=1,
                      flip=True, channels=3, threads=2, ahead=5, side=side, report=report,
                      share=1, ranks=1, rank=0)
        chosen = LoaderSettings(**{**values, **changes})
        status = LIB.loader_new(ctypes.byref(chosen), ctypes.c_uint64(first), ctypes.byref(handle),
                                ctypes.byref(error))
        self.assertEqual(status, 0, error.message)
        samples = []
        for _ in range(count):
            picture = np.full(32 ** 2 * chosen.channels, np.nan, np.float32)
            status = LIB.loader_next(handle, floats(picture), ctypes.byref(error))
            if status:
                break
            known = picture[~np.isnan(picture)]
            size = int(round((known.size / chosen.channels) ** 0.5))
            crop = known.reshape(size, size, chosen.channels)
            samples.append((int(round((crop[..., 0].mean() + 1) * 127.5 / 20)), crop))
        held = [LIB.loader_held_out(handle, ctypes.c_size_t(i)) for i in range(chosen.held_out)]
        bad = LIB.loader_bad(handle)
        LIB.loader_free(handle)
        LIB.pictures_close(pictures)
        return (status, error.message) if status else (samples, held, bad)

    def assertSame(self, ours, theirs):
        self.assertEqual(len(ours), len(theirs))
        for (a, x), (b, y) in zip(ours, theirs):
            self.assertEqual(a, b)
            self.assertTrue((x == y).all())

    def test_every_epoch_has_every_picture_once(self):
        samples, held, _ = self.read(27)
        epochs = [[n for n, _ in samples[9 * e:9 * e + 9]] for e in range(3)]
        self.assertEqual(len(set(held)), 3)
        for epoch in epochs:
            self.assertEqual(sorted(epoch + held), list(range(self.COUNT)))
        self.assertNotEqual(epochs[0], epochs[1])

    def test_order_depends_on_the_seed_alone(self):
        samples, _, _ = self.read(30)
        for changes in (dict(threads=1), dict(threads=7), dict(ahead=1), dict(ahead=64)):
            self.assertSame(self.read(30, **changes)[0], samples)
        other = self.read(30, seed=6)[0]
        self.assertNotEqual([n for n, _ in other], [n for n, _ in samples])
        for first in (1, 9, 17):  # going on in the middle of an epoch
            self.assertSame(self.read(30 - first, first=first)[0], samples[first:])

    def test_processes_share_one_stream(self):
        whole, _, _ = self.read(24)
        for share, ranks in ((2, 2), (1, 3), (4, 2)):
            parts = [self.read(24 // ranks, share=share, ranks=ranks, rank=rank)[0]
                     for rank in range(ranks)]
            joined = []
            for group in range(24 // ranks // share):
                for part in parts:
                    joined += part[group * share:(group + 1) * share]
            self.assertSame(joined, whole)

    def test_crops(self):
        samples, _, _ = self.read(200, sides=lambda n: 24 if n >= 100 else 16)
        self.assertEqual({crop.shape for _, crop in samples[:100]}, {(16, 16, 3)})
        self.assertEqual({crop.shape for _, crop in samples[100:]}, {(24, 24, 3)})
        slopes = [(crop[:, -1, 1] - crop[:, 0, 1]).mean() for _, crop in samples[:100]]
        mirrored = sum(slope < 0 for slope in slopes)
        self.assertTrue(30 < mirrored < 70, mirrored)  # of 100 fair throws: 4 standard deviations
        # A square of 20 to 40 of the 48 columns, whose ramp rises by 200 of 255 grey levels.
        widths = np.abs(slopes) * 127.5 / 200 * 48
        self.assertTrue(17 < widths.min() < 22 and 35 < widths.max() < 41, widths)
        self.assertTrue(all((crop[:, :, 2] == -1).all() for _, crop in samples))
        small, _, _ = self.read(100, crop_max=0.75)  # 20 to 30 columns
        slopes = [(crop[:, -1, 1] - crop[:, 0, 1]).mean() for _, crop in small]
        widths = np.abs(slopes) * 127.5 / 200 * 48
        self.assertTrue(17 < widths.min() < 22 and 26 < widths.max() < 31, widths)
        large, _, _ = self.read(100, sides=lambda n: 32)  # nothing is enlarged
        slopes = [(crop[:, -1, 1] - crop[:, 0, 1]).mean() for _, crop in large]
        widths = np.abs(slopes) * 127.5 / 200 * 48
        self.assertTrue(28 < widths.min() < 33 and 35 < widths.max() < 41, widths)

    def test_grey(self):
        samples, _, _ = self.read(5, channels=1)
        colour, _, _ = self.read(5)
        for (_, grey), (_, crop) in zip(samples, colour):  # in 8 bits, as what is served is
            pixels = Image.fromarray(np.round((crop + 1) * 127.5).astype(np.uint8))
            expected = np.asarray(pixels.convert("L"), np.float32) / np.float32(127.5) - 1
            np.testing.assert_array_equal(grey[..., 0], expected)

    def test_damaged_pictures_are_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in os.listdir(self.folder.name):
                with open(f"{self.folder.name}/{name}", "rb") as file:
                    data = file.read()
                with open(f"{folder}/{name}", "wb") as file:
                    file.write(data[:60] if name in ("03.png", "07.png") else data)
            reports = []
            samples, _, bad = self.read(36, folder=folder, held_out=0, reports=reports)
            whole, _, _ = self.read(36, held_out=0)
            self.assertEqual((bad, len(reports)), (2, 2))
            self.assertEqual(sorted(message.split(b"/")[-1][:6] for message in reports),
                             [b"03.png", b"07.png"])
            for (a, x), (b, y) in zip(samples, whole):  # the others stay in their places
                if b in (3, 7):
                    self.assertNotIn(a, (3, 7))
                else:
                    self.assertTrue(a == b and (x == y).all())

    def test_nothing_but_damage(self):
        with tempfile.TemporaryDirectory() as folder:
            for i in range(3):
                with open(f"{folder}/{i}.jpg", "wb") as file:
                    file.write(b"\xff\xd8\xff nothing")
            status, message = self.read(1, folder=folder, held_out=0)
            self.assertEqual(status, 11)
            self.assertIn(b".jpg", message)


class Links(unittest.TestCase):
    def test_circles_of_links(self):
        """Each picture is listed once for each name that does not go in a circle."""
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(f"{folder}/top/sub")
            for name in ("top/0.png", "top/sub/1.png"):
                with open(f"{folder}/{name}", "w"):
                    pass
            for link, to in (("top/other", "sub"), ("top/self", "."), ("top/sub/up", ".."),
                             ("top/sub/far", folder), ("top/sub/there", "../sub"),
                             ("top/broken", "nowhere")):
                os.symlink(to, f"{folder}/{link}")
            handle, error = ctypes.c_void_p(), Error()
            paths = (ctypes.c_char_p * 1)(f"{folder}/top".encode())
            self.assertEqual(LIB.pictures_open(paths, ctypes.c_size_t(1), 0, None,
                                           ctypes.byref(handle),
                                               ctypes.byref(error)), 0, error.message)
            names = [LIB.pictures_name(handle, ctypes.c_size_t(i)).decode()
                     for i in range(LIB.pictures_count(handle))]
            LIB.pictures_close(handle)
            # "far" leads above the top, from where the only way on is a circle.
            self.assertEqual([os.path.relpath(name, f"{folder}/top") for name in names],
                             ["0.png", "other/1.png", "sub/1.png"])


class EmaCodebook(ctypes.Structure):
    _fields_ = [("settings", Ema), ("codes", ctypes.c_size_t), ("dimension", ctypes.c_size_t),
                ("count", FLOATS), ("sum", FLOATS), ("value", FLOATS)]


class MovingAverages(unittest.TestCase):
    """Codes of kind ema against the same rule in numpy."""
    T, STEPS = 24, 30

    def test_updates(self):
        config = dict(TINY, adjective_k=2)
        codes, d = config["adjectives"] + config["nouns"], config["code_dimension"]
        draw = np.random.default_rng(3)
        value = draw.standard_normal((codes, d)).astype(np.float32)
        count, total = np.zeros(codes, np.float32), np.zeros((codes, d), np.float32)
        book = EmaCodebook(Ema(0.9, 0.05, 7), codes, d, floats(count), floats(total),
                           floats(value))
        native, text = Config(), json.dumps(config).encode()
        quantizer = ctypes.create_string_buffer(1024)
        self.assertEqual(LIB.model_config_parse(text, ctypes.c_size_t(len(text)),
                                                ctypes.byref(native), None), 0)
        self.assertEqual(LIB.quantizer_init(quantizer, ctypes.byref(native), floats(value), None),
                         0)
        LIB.ema_codebook_start(ctypes.byref(book))
        restarted = 0
        with Team() as team:
            for step in range(self.STEPS):
                expected = [a.astype(np.float64) for a in (count, total)]
                z = draw.standard_normal((self.T, 2 * d)).astype(np.float32)
                tokens, added, chosen = [], np.zeros((codes, d)), np.zeros(codes)
                for half, (first, rows, k) in enumerate(halves(config)):
                    for _ in range(k):
                        tokens.append(first + draw.integers(0, rows // 2, self.T))
                        np.add.at(added, tokens[-1], z[:, half * d:(half + 1) * d])
                        np.add.at(chosen, tokens[-1], 1)
                planes = np.array(tokens, np.uint32)
                self.assertEqual(LIB.ema_codebook_update(
                    ctypes.byref(book), quantizer, floats(z),
                    planes.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32)),
                    ctypes.c_size_t(self.T), ctypes.c_uint64(step), None, team), 0)
                expected = [0.9 * expected[0] + 0.1 * chosen, 0.9 * expected[1] + 0.1 * added]
                dead = expected[0] < 0.05
                mean = expected[1] / np.maximum(expected[0], 1e-5)[:, None]
                self.assertLess(np.abs(value[~dead] - mean[~dead]).max(), 1e-4)
                self.assertLess(np.abs(count[~dead] - expected[0][~dead]).max(), 1e-6)
                for code in np.flatnonzero(dead):  # it is now one of the step's vectors
                    half = int(code >= config["adjectives"])
                    distance = np.abs(z[:, half * d:(half + 1) * d] - value[code]).max(1)
                    self.assertEqual((distance.min(), count[code]), (0, 1))
                    restarted += 1
        LIB.quantizer_free(quantizer)
        self.assertGreater(restarted, 0)


class Checkpoint(unittest.TestCase):
    def test_damaged(self):
        with tempfile.TemporaryDirectory() as folder, Team() as team:
            graph = random_graph(TINY["adjectives"], TINY["nouns"], 10, 60, 2)
            ours = Ours(TINY, settings(GCN, RELEASED, 0), graph, None, team, folder)
            ours.state()
            path, extra = os.path.join(folder, "state.safetensors"), Extra()
            with open(path, "rb") as file:
                whole = file.read()

            def load(data):
                with open(path + "2", "wb") as file:
                    file.write(data)
                status = LIB.checkpoint_load((path + "2").encode(), ours.handle,
                                             ctypes.byref(extra), ctypes.byref(ours.error))
                return status, ours.error.message

            self.assertEqual(load(whole)[0], 0)
            self.assertEqual(extra.best, 1.5)
            cases = [(whole[:len(whole) // 2], 5, b"state"), (b"", 5, b"state"),
                     (whole.replace(b'"codes":"0"', b'"codes":"1"'), 5, b"another architecture"),
                     (whole.replace(b"vqct-checkpoint-1", b"vqct-checkpoint-9"), 5,
                      b"not a checkpoint"),
                     (whole.replace(b"generator.mean", b"generator.moan"), 5, b"generator.mean"),
                     (whole.replace(b'"step":"0"', b'"step":"x"'), 5, b"step"),
                     (whole[:-4] + b"\0\0\xc0\x7f", 12, b"NaN")]
            for data, status, message in cases:
                found, text = load(data)
                self.assertEqual((found, message in text), (status, True), (message, text))
            ours.close()


if __name__ == "__main__":
    unittest.main()
