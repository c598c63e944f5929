"""A picture becomes the same numbers in training, evaluation, the commands and the service."""
import ctypes
import io
import os
import re
import subprocess
import sys
import tempfile
import unittest

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import native_network  # noqa: E402
import serving  # noqa: E402
from native import LIB, Error, floats  # noqa: E402
from test_train_data import LoaderSettings, REPORT, SIDE  # noqa: E402

BYTES = ctypes.POINTER(ctypes.c_uint8)
LIB.fit_bytes.restype = ctypes.c_bool
LIB.fit_size.restype = ctypes.c_uint64


class Point(ctypes.Structure):
    _fields_ = [("given", ctypes.c_bool), ("x", ctypes.c_double), ("y", ctypes.c_double)]


class Fit(ctypes.Structure):
    _fields_ = [("resize", ctypes.c_int), ("width", ctypes.c_uint32), ("height", ctypes.c_uint32),
                ("factor", ctypes.c_uint32), ("channels", ctypes.c_uint32),
                ("crop", ctypes.c_uint32 * 4),  # left, top, width, height
                ("focus", Point)]


class Image_(ctypes.Structure):
    _fields_ = [("pixels", BYTES), ("width", ctypes.c_uint32), ("height", ctypes.c_uint32),
                ("channels", ctypes.c_uint32)]


def numbers_of(pixels):
    return pixels.astype(np.float32) / np.float32(127.5) - 1


class Seam(unittest.TestCase):
    """One picture of 64 x 64 random colours, whose luma often lies near a half."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        colours = np.random.default_rng(11).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        self.picture = Image.fromarray(colours)
        self.path = os.path.join(self.folder, "data", "a.png")
        os.mkdir(os.path.dirname(self.path))
        self.picture.save(self.path)
        self.picture.save(os.path.join(self.folder, "data", "b.png"))

    def trained(self, channels):
        """The whole picture as the training loader gives it."""
        pictures, loader, error = ctypes.c_void_p(), ctypes.c_void_p(), Error()
        paths = (ctypes.c_char_p * 1)(os.path.dirname(self.path).encode())
        self.assertEqual(LIB.pictures_open(paths, ctypes.c_size_t(1), 0, None,
                                           ctypes.byref(pictures),
                                           ctypes.byref(error)), 0, error.message)
        settings = LoaderSettings(pictures=pictures, held_out=1, crop_min=1, crop_max=1,
                                  channels=channels, threads=1, ahead=1, side=SIDE(lambda *_: 64),
                                  report=REPORT(lambda *_: None), share=1, ranks=1)
        self.assertEqual(LIB.loader_new(ctypes.byref(settings), ctypes.c_uint64(0),
                                        ctypes.byref(loader), ctypes.byref(error)), 0, error.message)
        found = np.empty((64, 64, channels), np.float32)
        self.assertEqual(LIB.loader_next(loader, floats(found), ctypes.byref(error)), 0, error.message)
        LIB.loader_free(loader)
        LIB.pictures_close(pictures)
        return found

    def test_all_that_see_a_picture_see_the_same(self):
        for channels, mode in (1, "L"), (3, "RGB"):
            expected = np.asarray(self.picture.convert(mode)).reshape(64, 64, channels)
            np.testing.assert_array_equal(self.trained(channels), numbers_of(expected))
            model = os.path.join(self.folder, f"model{channels}")
            serving.make_model(model, image_channels=channels)
            session = native_network.Session(model, 1)
            tokens = session.encode(np.ascontiguousarray(expected[None]), 2, 4)[0]
            made = session.decode(tokens[None], channels, 4)[0]
            session.close()
            output = os.path.join(self.folder, "tokens.npy")
            run = subprocess.run([serving.VQCT, "encode", model, self.path, "--resize", "cover",
                                  "--size", "64", "-o", output], capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
            np.testing.assert_array_equal(np.load(output)[0], tokens)
            with open(self.path, "rb") as file, serving.Server(model) as server:
                data = file.read()
                image, = server.post("/v1/encode?size=64", data).json()["images"]
                answer = server.post("/v1/reconstruct?size=64", data)
            np.testing.assert_array_equal(np.array(image["tokens"]).reshape(tokens.shape), tokens)
            served = np.asarray(Image.open(io.BytesIO(answer.body))).reshape(made.shape)
            np.testing.assert_array_equal(served, made)
            mse = np.mean((expected.astype(float) - made) ** 2)
            run = subprocess.run([serving.VQCT, "eval", model, self.path, "--size", "64"],
                                 capture_output=True, text=True)
            psnr = float(re.search(r"^\| (\d+\.\d+) \|", run.stdout, re.M)[1])
            self.assertAlmostEqual(psnr, 10 * np.log10(255 ** 2 / mse), delta=0.006)  # two digits

    def test_numbers_become_bytes(self):
        """Rounded to nearest; what is out of range is clipped; NaN and infinity are told."""
        cases = np.concatenate([np.linspace(-1.2, 1.2, 100001), [0, -1, 1, -1e30, 7]]).astype(np.float32)
        exact = np.clip((cases.astype(np.float64) + 1) * 127.5, 0, 255)
        made = np.empty(cases.size, np.uint8)
        count = ctypes.c_size_t(cases.size)
        self.assertTrue(LIB.fit_bytes(floats(cases), count, made.ctypes.data_as(BYTES)))
        # A product and a sum up to 256 are rounded to 24 bits: together to less than 2^-15.
        self.assertLess(np.abs(made - exact).max(), 0.5 + 2 ** -15)
        self.assertEqual(list(made[-5:]), [128, 0, 255, 0, 255])  # 127.5 goes up
        for bad in np.nan, np.inf, -np.inf:
            one = np.float32([bad])
            self.assertFalse(LIB.fit_bytes(floats(one), ctypes.c_size_t(1), made.ctypes.data_as(BYTES)))

    def test_sizes_are_known_before(self):
        """fit_size foretells what is left, for every way to resize."""
        for width, height in (64, 64), (37, 91), (300, 7), (7, 300), (3, 3):
            path = os.path.join(self.folder, "size.png")
            Image.new("RGB", (width, height)).save(path)
            for resize, size in (0, 32), (1, 32), (1, 50), (2, 0):
                fit = Fit(resize, size, size, 4, 3)
                told = LIB.fit_size(ctypes.byref(fit), width, height)
                how = ["cover", "contain", "none"][resize]
                model = os.path.join(self.folder, "model")
                if not os.path.exists(model):
                    serving.make_model(model)
                output = os.path.join(self.folder, "size.bin")
                run = subprocess.run([serving.VQCT, "encode", model, path, "--resize", how, "-o", output,
                                      *(["--size", str(size)] if size else [])],
                                     capture_output=True, text=True)
                tokens = os.path.getsize(output) // 2 // 2  # two planes of uint16
                self.assertEqual(told, 16 * tokens, (width, height, how, size, run.stderr))

    def fitted(self, array, fit):
        image, error = Image_(), Error()
        file = io.BytesIO()
        Image.fromarray(array).save(file, "PNG")
        data = file.getvalue()
        limits = (ctypes.c_uint64 * 4)(1 << 30, 1 << 27, 32768 | 8 << 52, 100)
        self.assertEqual(LIB.vqct_image_decode(data, ctypes.c_size_t(len(data)), limits,
                                               ctypes.byref(image), ctypes.byref(error)), 0)
        told = LIB.fit_size(ctypes.byref(fit), image.width, image.height)
        self.assertEqual(LIB.fit_picture(ctypes.byref(fit), ctypes.byref(image),
                                         ctypes.byref(error)), 0, error.message)
        self.assertEqual(told, image.width * image.height)
        made = np.ctypeslib.as_array(image.pixels, (image.height, image.width, 3)).copy()
        LIB.vqct_image_free(ctypes.byref(image))
        return made

    def test_a_crop_is_a_picture_of_its_own(self):
        """As Pillow's crop; every way to resize then sees no more than that."""
        rng = np.random.default_rng(21)
        array = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
        for left, top, width, height in ((0, 0, 70, 50), (69, 49, 1, 1), (3, 7, 20, 40),
                                         (10, 0, 60, 1), (0, 20, 33, 30)):
            part = Image.fromarray(array).crop((left, top, left + width, top + height))
            for resize, size in (0, 32), (1, 32), (2, 0):
                fit = Fit(resize, size, size, 1, 3, (left, top, width, height))
                np.testing.assert_array_equal(
                    self.fitted(array, fit),
                    self.fitted(np.asarray(part), Fit(resize, size, size, 1, 3)))
        for box in ((0, 0, 71, 50), (1, 0, 70, 50), (0, 1, 1, 50), (70, 0, 1, 1), (0, 0, 1, 0),
                    (2 ** 32 - 1, 0, 2, 1), (1, 0, 2 ** 32 - 1, 1)):
            self.assertFalse(LIB.fit_box_inside((ctypes.c_uint32 * 4)(*box), 70, 50) & 1, box)

    def test_focus_moves_the_window(self):
        rng = np.random.default_rng(22)
        for height, width in (40, 90), (90, 40), (50, 50), (64, 200):
            array = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            short = min(height, width)
            scaled = Image.fromarray(array).resize((width * 32 // short, height * 32 // short),
                                                   Image.BICUBIC)
            for x, y in (0, 0), (1, 1), (0.5, 0.5), (0.3, 0.8), (0.62, 0.1):
                left, top = (min(max(round(at * side - 16), 0), side - 32)
                             for at, side in zip((x, y), scaled.size))
                fit = Fit(0, 32, 32, 1, 3, (0, 0, 0, 0), (True, x, y))
                np.testing.assert_array_equal(
                    self.fitted(array, fit),
                    np.asarray(scaled.crop((left, top, left + 32, top + 32))))
            np.testing.assert_array_equal(
                self.fitted(array, Fit(0, 32, 32, 1, 3, (0, 0, 0, 0), (True, 0.5, 0.5))),
                self.fitted(array, Fit(0, 32, 32, 1, 3)))

    def test_large_jpegs_are_reduced_as_they_are_decoded(self):
        """As Pillow's draft does, bit for bit; and near what the whole picture gives."""
        rng = np.random.default_rng(5)
        small = Image.fromarray(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8))
        for width, height, size, reduction in ((8000, 6000, 256, 8), (8000, 6000, 800, 2),
                                               (8000, 6000, 2000, 1), (6000, 5000, 256, 1)):
            whole = small.resize((width, height), Image.BICUBIC)
            stream = io.BytesIO()
            whole.save(stream, "JPEG", quality=90)
            data, image, error = stream.getvalue(), Image_(), Error()
            limits = (ctypes.c_uint64 * 4)(1 << 30, 1 << 27, 32768 | 8 << 52, 100)
            fit, file = Fit(0, size, size, 8, 3), ctypes.create_string_buffer(256)
            self.assertEqual(LIB.image_file_read(data, ctypes.c_size_t(len(data)), limits, file,
                                                 ctypes.byref(error)), 0, error.message)
            self.assertEqual(LIB.fit_decode(ctypes.byref(fit), file, ctypes.byref(image),
                                            ctypes.byref(error)), 0, error.message)
            ours = np.ctypeslib.as_array(image.pixels, (image.height, image.width, 3)).copy()
            LIB.vqct_image_free(ctypes.byref(image))

            def cut(picture):
                short = min(picture.size)
                wide, high = (picture.width * size // short, picture.height * size // short)
                scaled = picture.resize((wide, high), Image.BICUBIC)
                left, top = round((wide - size) / 2), round((high - size) / 2)
                return np.asarray(scaled.crop((left, top, left + size, top + size)), int)

            theirs = Image.open(io.BytesIO(data))
            theirs.draft("RGB", (width // reduction, height // reduction))
            self.assertEqual(theirs.size, (-(-width // reduction), -(-height // reduction)))
            np.testing.assert_array_equal(ours, cut(theirs))
            away = np.abs(ours - cut(Image.open(io.BytesIO(data)))).mean()
            # Grey levels, on average, of noise in full contrast: 0.9 at most was seen.
            self.assertLess(away, 1 if reduction > 1 else 1e-9)

    def test_nobody_else_converts(self):
        """The scale between bytes and the network's numbers stands in one file."""
        root = serving.ROOT
        found = subprocess.run(["grep", "-rlE", r"127\.5|\b19595|0\.299F", f"{root}/core",
                                f"{root}/command", f"{root}/server", "--include=*.[ch]"],
                               capture_output=True, text=True).stdout.split()
        self.assertEqual(found, [f"{root}/core/image/fit.c"])


if __name__ == "__main__":
    unittest.main()
