"""Pictures against Pillow: files in and out, resizing, PSNR and SSIM."""
import ctypes
import io
import itertools
import os
import struct
import unittest
import zlib

import numpy as np
from PIL import Image, ImageOps

LIB = ctypes.CDLL(os.path.join(os.environ["VQCT_BUILD"], "libvqct-internal.so"))
BASELINE = 0
COVER, CONTAIN, NONE = 0, 1, 2


class Picture(ctypes.Structure):
    _fields_ = [("pixels", ctypes.POINTER(ctypes.c_uint8)), ("width", ctypes.c_uint32),
                ("height", ctypes.c_uint32), ("channels", ctypes.c_uint32)]


class Limits(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint64), ("pixels", ctypes.c_uint64),
                ("side", ctypes.c_uint32), ("chunk_bytes", ctypes.c_uint32),
                ("scans", ctypes.c_uint32)]


class Header(ctypes.Structure):
    _fields_ = [("format", ctypes.c_int), ("width", ctypes.c_uint32), ("height", ctypes.c_uint32)]


class File(ctypes.Structure):
    _fields_ = [("data", ctypes.POINTER(ctypes.c_uint8)), ("size", ctypes.c_size_t)]


class Target(ctypes.Structure):
    _fields_ = [("full_width", ctypes.c_uint64), ("full_height", ctypes.c_uint64),
                ("left", ctypes.c_uint64), ("top", ctypes.c_uint64),
                ("width", ctypes.c_uint32), ("height", ctypes.c_uint32)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


LIMITS = Limits(64 << 20, 64 << 20, 32768, 8 << 20, 100)
FREE = ctypes.CDLL(None).free
FREE.argtypes = [ctypes.c_void_p]


def call(function, *arguments):
    error = Error()
    if function(*arguments, ctypes.byref(error)):
        raise ValueError(error.message.decode())


def picture_of(array):
    """A picture that borrows the array, which must be kept: H, W or H, W, 3 bytes."""
    assert array.dtype == np.uint8 and array.flags.c_contiguous
    channels = 1 if array.ndim == 2 else array.shape[2]
    return Picture(array.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)), array.shape[1],
                   array.shape[0], channels)


def array_of(picture):
    shape = (picture.height, picture.width) + ((3,) if picture.channels == 3 else ())
    array = np.ctypeslib.as_array(picture.pixels, shape).copy()
    LIB.vqct_image_free(ctypes.byref(picture))
    return array


def decode(data):
    picture = Picture()
    call(LIB.vqct_image_decode, data, ctypes.c_size_t(len(data)), ctypes.byref(LIMITS),
         ctypes.byref(picture))
    return array_of(picture)


def encode(function, array, *arguments):
    file = File()
    call(function, ctypes.byref(picture_of(array)), *arguments, ctypes.byref(file))
    data = ctypes.string_at(file.data, file.size)
    FREE(file.data)
    return data


def resize(array, mode, width, height):
    result = Picture()
    call(LIB.vqct_image_resize, ctypes.byref(picture_of(array)), mode, width, height,
         ctypes.byref(result))
    return array_of(result)


def open_with_pillow(data):
    return Image.open(io.BytesIO(data))


def photograph(rng, height, width, channels=3):
    """Smooth shapes with some noise: what a codec and a filter are made for."""
    y, x = np.mgrid[0:height, 0:width]
    shape = (height, width, channels)
    waves = [np.sin(x / rng.uniform(3, 40) + y / rng.uniform(3, 40) + c) for c in range(channels)]
    array = 128 + 90 * np.stack(waves, axis=2) + rng.normal(0, 12, shape)
    array = array.clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(array[:, :, 0] if channels == 1 else array)


# ---- PNG files of every kind, written here byte by byte --------------------------------------

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), COLOUR: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16),
          COLOUR_ALPHA: (8, 16)}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
         (1, 0, 2, 1))  # first row, first column, row step, column step


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filtered(row, above, step, kind):
    """A row of bytes under one of PNG's five filters, its number in front."""
    out = bytearray([kind])
    for i, value in enumerate(row):
        a = row[i - step] if i >= step else 0
        b = above[i]
        c = above[i - step] if i >= step else 0
        guess = (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]
        out.append((value - guess) & 255)
    return bytes(out)


def packed_rows(samples, depth, step):
    """Rows of an H, W, samples array as filtered bytes; filters take turns."""
    data, above = b"", None
    for y, row in enumerate(samples):
        flat = row.reshape(-1)
        if depth == 16:
            packed = flat.astype(">u2").tobytes()
        elif depth == 8:
            packed = flat.astype(np.uint8).tobytes()
        else:
            bits = (flat[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            packed = np.packbits(bits.astype(np.uint8).reshape(-1)).tobytes()
        above = above if above is not None else bytes(len(packed))
        data += filtered(packed, above, step, y % 5)
        above = packed
    return data


def png_file(samples, colour, depth, interlaced=False, palette=None, transparency=None, extra=b""):
    height, width, count = samples.shape
    step = max(1, count * depth // 8)
    if interlaced:
        passes = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7]
        data = b"".join(packed_rows(part, depth, step) for part in passes if part.size)
    else:
        data = packed_rows(samples, depth, step)
    data = zlib.compress(data)
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    body += extra
    if palette is not None:
        body += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if transparency is not None:
        body += chunk(b"tRNS", transparency)
    for at in range(0, len(data), 97):
        body += chunk(b"IDAT", data[at:at + 97])
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def over_white(colour, alpha):
    """Exact rounding of colour * alpha / 255 + 255 * (255 - alpha) / 255."""
    sum_255 = colour.astype(int) * alpha + 255 * (255 - alpha)
    return ((2 * sum_255 + 255) // 510).astype(np.uint8)


def to_eight_bits(samples, depth):
    return samples >> 8 if depth == 16 else samples * (255 // ((1 << depth) - 1))


class Png(unittest.TestCase):
    def check(self, data, expected, label):
        with self.subTest(label):
            got = decode(data)
            self.assertEqual(got.shape, expected.shape)
            np.testing.assert_array_equal(got, expected)

    def kinds(self):
        for colour in DEPTHS:
            for depth in DEPTHS[colour]:
                for interlaced in (False, True):
                    yield colour, depth, interlaced

    def test_every_colour_type_and_depth(self):
        rng = np.random.default_rng(1)
        for (colour, depth, interlaced), (height, width) in itertools.product(
                self.kinds(), [(13, 21), (1, 1), (2, 9), (40, 3)]):
            samples = rng.integers(0, 1 << depth, (height, width, SAMPLES[colour]))
            palette = rng.integers(0, 256, (1 << depth, 3)) if colour == PALETTE else None
            data = png_file(samples, colour, depth, interlaced, palette)
            label = (colour, depth, interlaced, height, width)
            if colour == PALETTE:
                expected = palette[samples[:, :, 0]].astype(np.uint8)
            else:
                eight = to_eight_bits(samples, depth)
                shown = eight[:, :, :3] if colour in (COLOUR, COLOUR_ALPHA) else \
                    eight[:, :, :1].repeat(3, axis=2)
                alpha = eight[:, :, -1:] if colour in (GREY_ALPHA, COLOUR_ALPHA) else 255
                expected = over_white(shown, alpha)
            self.check(data, expected, label)
            # Pillow opens 16-bit grey as numbers, which it clips to 255 instead of scaling.
            if not (colour == GREY and depth == 16):
                rgba = open_with_pillow(data).convert("RGBA")
                white = Image.new("RGBA", rgba.size, "white")
                pillow = Image.alpha_composite(white, rgba).convert("RGB")
                np.testing.assert_array_equal(expected, np.asarray(pillow), str(label))

    def test_transparent_colours(self):
        rng = np.random.default_rng(2)
        for colour, depth, interlaced in self.kinds():
            if colour in (GREY_ALPHA, COLOUR_ALPHA):
                continue
            top = min(1 << depth, 4)  # few values, so that some are the transparent one
            samples = rng.integers(0, top, (9, 14, SAMPLES[colour]))
            if depth == 16:
                samples = samples * 257 + 4  # two that differ in the lower byte only
                samples[::2] += 1
            palette = None
            if colour == PALETTE:
                palette = rng.integers(0, 256, (top, 3))
                alphas = rng.integers(0, 256, top // 2)
                transparency = bytes(alphas.tolist())
                alpha = np.append(alphas, np.full(top - len(alphas), 255))[samples]
                shown = palette[samples[:, :, 0]]
            else:
                key = samples[4, 5]
                transparency = struct.pack(f">{len(key)}H", *key)
                alpha = np.where((samples == key).all(axis=2, keepdims=True), 0, 255)
                shown = np.broadcast_to(to_eight_bits(samples, depth), (9, 14, 3))
            data = png_file(samples, colour, depth, interlaced, palette, transparency)
            self.check(data, over_white(shown, alpha), (colour, depth, interlaced))

    def test_alpha_rounds_as_pillow_does_for_every_pair(self):
        grey, alpha = np.meshgrid(np.arange(256), np.arange(256))
        data = png_file(np.stack([grey, alpha], axis=2), GREY_ALPHA, 8)
        rgba = open_with_pillow(data).convert("RGBA")
        pillow = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
        self.check(data, np.asarray(pillow), "all pairs")

    def test_gamma_and_other_chunks_change_nothing(self):
        rng = np.random.default_rng(3)
        samples = rng.integers(0, 256, (8, 8, 3))
        extra = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sBIT", b"\5\6\5") + \
            chunk(b"tEXt", b"Comment\0none") + chunk(b"prIv", b"unknown") + \
            chunk(b"iCCP", b"broken\0\0nothing that inflates")
        data = png_file(samples, COLOUR, 8, extra=extra) + b"trailing bytes"
        self.check(data, samples.astype(np.uint8), "chunks")

    def test_palette_shorter_than_its_indices(self):
        samples = np.arange(16).reshape(4, 4, 1)
        palette = np.full((3, 3), 77)
        expected = np.where(samples < 3, 77, 0).repeat(3, axis=2).astype(np.uint8)
        self.check(png_file(samples, PALETTE, 4, palette=palette), expected, "black")


# ---- JPEG ------------------------------------------------------------------------------------

def jpeg_file(array, mode, **options):
    file = io.BytesIO()
    Image.fromarray(array, mode).save(file, "JPEG", **options)
    return file.getvalue()


def exif(orientation, big_endian):
    order, mark = (">", b"MM\0*") if big_endian else ("<", b"II*\0")
    body = mark + struct.pack(order + "IH", 8, 2)
    body += struct.pack(order + "HHIHH", 0x0100, 3, 1, 99, 0)  # image width
    body += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + body + bytes(4)


def with_adobe_segment(data, transform):
    """The file with Adobe's segment, that tells the colour model, in place of JFIF's or its own."""
    segments, at = b"", 2
    while data[at + 1] != 0xda:
        end = at + 2 + int.from_bytes(data[at + 2:at + 4], "big")
        if data[at + 1] not in (0xe0, 0xee):
            segments += data[at:end]
        at = end
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
    return data[:2] + adobe + segments + data[at:]


class Jpeg(unittest.TestCase):
    def check(self, data, label):
        with self.subTest(label):
            expected = ImageOps.exif_transpose(open_with_pillow(data)).convert("RGB")
            np.testing.assert_array_equal(decode(data), np.asarray(expected))

    def test_colour_models(self):
        rng = np.random.default_rng(4)
        for height, width in [(37, 53), (8, 8), (1, 1), (64, 17)]:
            for progressive in (False, True):
                size = (height, width, progressive)
                options = {"progressive": progressive, "quality": 80}
                grey = photograph(rng, height, width, 1)
                colour = photograph(rng, height, width, 3)
                inks = photograph(rng, height, width, 4)
                self.check(jpeg_file(grey, "L", **options), ("grey",) + size)
                for sampling in (0, 1, 2):
                    self.check(jpeg_file(colour, "RGB", subsampling=sampling, **options),
                               ("colour", sampling) + size)
                plain = jpeg_file(colour, "RGB", subsampling=0, **options)
                self.check(with_adobe_segment(plain, 0), ("RGB",) + size)
                self.check(with_adobe_segment(plain, 1), ("YCbCr",) + size)
                printed = jpeg_file(inks, "CMYK", **options)
                self.check(printed, ("inks",) + size)
                self.check(with_adobe_segment(printed, 0), ("CMYK",) + size)
                self.check(with_adobe_segment(printed, 2), ("YCCK",) + size)

    def test_orientations(self):
        rng = np.random.default_rng(5)
        pictures = [("RGB", photograph(rng, 19, 30, 3)), ("L", photograph(rng, 19, 30, 1)),
                    ("CMYK", photograph(rng, 19, 30, 4))]
        for (mode, array), orientation, big_endian in itertools.product(
                pictures, range(1, 9), (False, True)):
            data = jpeg_file(array, mode, exif=exif(orientation, big_endian))
            self.check(data, (mode, orientation, big_endian))
            header = Header()
            call(LIB.vqct_image_probe, data, ctypes.c_size_t(len(data)), ctypes.byref(LIMITS),
                 ctypes.byref(header))
            expected = (19, 30) if orientation >= 5 else (30, 19)
            self.assertEqual((header.width, header.height), expected)

    def test_orientations_of_png(self):
        """In a chunk eXIf before the pixels or behind them, as Pillow turns it."""
        rng = np.random.default_rng(15)
        for channels, orientation, early in itertools.product((3, 4), range(1, 9), (False, True)):
            array = photograph(rng, 19, 30, channels)
            array[..., 3:] = 255
            file = io.BytesIO()
            Image.fromarray(array).save(file, "PNG")
            data = file.getvalue()
            at = 33 if early else len(data) - 12  # behind IHDR, or before IEND
            data = data[:at] + chunk(b"eXIf", exif(orientation, early)[6:]) + data[at:]
            header = Header()
            call(LIB.vqct_image_probe, data, ctypes.c_size_t(len(data)), ctypes.byref(LIMITS),
                 ctypes.byref(header))
            theirs = Image.open(io.BytesIO(data))
            theirs.load()  # which finds the late chunk
            theirs = ImageOps.exif_transpose(theirs).convert("RGB")
            self.assertEqual((header.width, header.height), theirs.size)
            np.testing.assert_array_equal(decode(data), np.asarray(theirs))

    def test_segments_without_a_length(self):
        """Comments and application data of length 0 or 1 hold nothing, as libjpeg has it."""
        data = jpeg_file(photograph(np.random.default_rng(16), 20, 20), "RGB")
        for marker, length in itertools.product((0xfe, 0xe5, 0xe1), (0, 1)):
            self.check(data[:2] + bytes([0xff, marker, 0, length]) + data[2:], (marker, length))

    def test_only_the_first_picture_is_read(self):
        rng = np.random.default_rng(6)
        first = jpeg_file(photograph(rng, 20, 20), "RGB")
        self.check(first + jpeg_file(photograph(rng, 50, 50), "RGB"), "two pictures")


class Encoding(unittest.TestCase):
    def test_png(self):
        rng = np.random.default_rng(7)
        for shape in [(31, 45, 3), (31, 45), (1, 1, 3), (200, 300, 3)]:
            array = rng.integers(0, 256, shape, dtype=np.uint8)
            data = encode(LIB.vqct_image_encode_png, array)
            np.testing.assert_array_equal(np.asarray(open_with_pillow(data)), array)

    def test_jpeg_is_pillows_for_every_quality(self):
        rng = np.random.default_rng(8)
        for channels, mode in ((1, "L"), (3, "RGB")):
            array = photograph(rng, 45, 61, channels)
            for quality in range(1, 101):
                data = encode(LIB.vqct_image_encode_jpeg, array, quality)
                options = {"subsampling": 2 if quality < 90 else 0} if channels == 3 else {}
                pillow = jpeg_file(array, mode, quality=quality, **options)
                np.testing.assert_array_equal(
                    np.asarray(open_with_pillow(data)), np.asarray(open_with_pillow(pillow)),
                    f"{mode}, quality {quality}")


# ---- resizing --------------------------------------------------------------------------------

def pillow_cover(image, width, height):
    """torchvision's Resize to the short side and CenterCrop, for any target shape."""
    if width * image.height >= height * image.width:
        whole = (width, int(image.height * width / image.width))
    else:
        whole = (int(image.width * height / image.height), height)
    left, top = round((whole[0] - width) / 2), round((whole[1] - height) / 2)
    return image.resize(whole, Image.BICUBIC).crop((left, top, left + width, top + height))


SHAPES = [(480, 640), (333, 500), (500, 333), (256, 256), (257, 255), (64, 1000), (7, 5), (1, 1),
          (1, 300), (1200, 900)]
TARGETS = [(256, 256), (128, 64), (33, 71), (1, 1), (300, 256), (512, 512)]


class Resizing(unittest.TestCase):
    """The arithmetic is Pillow's, so the pixels are equal, not only near."""

    def pictures(self, seed):
        rng = np.random.default_rng(seed)
        for (height, width), channels in itertools.product(SHAPES, (1, 3)):
            noise = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
            hard = (noise > 127).astype(np.uint8) * 255  # where a filter overshoots most
            for array in (noise, hard):
                yield np.ascontiguousarray(array[:, :, 0] if channels == 1 else array)

    def test_cover(self):
        for array in self.pictures(9):
            for width, height in TARGETS:
                got = resize(array, COVER, width, height)
                expected = np.asarray(pillow_cover(Image.fromarray(array), width, height))
                np.testing.assert_array_equal(got, expected, f"{array.shape} {width} {height}")

    def test_contain(self):
        for array in self.pictures(10):
            for width, height in TARGETS:
                # Pillow cannot resize to 0 pixels, to which it rounds a very thin picture.
                if min(width * array.shape[0] / array.shape[1],
                       height * array.shape[1] / array.shape[0]) < 1:
                    continue
                got = resize(array, CONTAIN, width, height)
                image = Image.fromarray(array)
                expected = np.asarray(ImageOps.contain(image, (width, height), Image.BICUBIC))
                np.testing.assert_array_equal(got, expected, f"{array.shape} {width} {height}")

    def test_instruction_sets_agree(self):
        rng = np.random.default_rng(11)
        best = LIB.cpu_best_isa()
        for array in (photograph(rng, 123, 321, 1), photograph(rng, 321, 123, 3)):
            height, width = array.shape[:2]
            for full in [(40, 50), (width, 17), (29, height), (700, 600)]:
                target = Target(*full, full[0] // 4, full[1] // 3, full[0] // 2, full[1] // 2)
                whole = Image.fromarray(array).resize(full, Image.BICUBIC)
                expected = np.asarray(whole.crop((target.left, target.top,
                                                  target.left + target.width,
                                                  target.top + target.height)))
                for isa in range(BASELINE, best + 1):
                    result = Picture()
                    call(LIB.image_resample, ctypes.byref(picture_of(array)),
                         ctypes.byref(target), isa, ctypes.byref(result))
                    np.testing.assert_array_equal(array_of(result), expected, f"{full} {isa}")


# ---- metrics ---------------------------------------------------------------------------------

def reference_ssim(a, b):
    """Every window at once, in two dimensions, as the paper writes it."""
    x = np.exp(-np.arange(-5, 6) ** 2 / (2 * 1.5 ** 2))
    window = np.outer(x, x) / np.outer(x, x).sum()

    def mean(values):
        views = np.lib.stride_tricks.sliding_window_view(values, (11, 11))
        return (views * window).sum(axis=(2, 3))

    scores = []
    for c in range(a.shape[2]):
        p, q = a[:, :, c].astype(float), b[:, :, c].astype(float)
        mp, mq = mean(p), mean(q)
        vp, vq, covariance = mean(p * p) - mp * mp, mean(q * q) - mq * mq, mean(p * q) - mp * mq
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        scores.append(((2 * mp * mq + c1) * (2 * covariance + c2) /
                       ((mp * mp + mq * mq + c1) * (vp + vq + c2))).mean())
    return np.mean(scores)


class Metrics(unittest.TestCase):
    def measure(self, function, a, b):
        value = ctypes.c_double()
        call(function, ctypes.byref(picture_of(a)), ctypes.byref(picture_of(b)),
             ctypes.byref(value))
        return value.value

    def test_against_numpy(self):
        rng = np.random.default_rng(12)
        for height, width, channels in [(40, 52, 3), (11, 11, 3), (25, 30, 1), (64, 11, 3)]:
            a = photograph(rng, height, width, channels)
            for noise in (0, 1, 10, 100):
                b = (a + rng.normal(0, noise, a.shape)).clip(0, 255).astype(np.uint8)
                label = f"{a.shape}, noise {noise}"
                square = ((a.astype(float) - b) ** 2).mean()
                psnr = 10 * np.log10(255 ** 2 / square) if square else np.inf
                # Both sum the same doubles in another order: some 1e-16 of each times the count.
                self.assertEqual(round(self.measure(LIB.vqct_image_psnr, a, b), 10),
                                 round(psnr, 10), label)
                stacked = [array.reshape(height, width, channels) for array in (a, b)]
                self.assertAlmostEqual(self.measure(LIB.vqct_image_ssim, a, b),
                                       reference_ssim(*stacked), 11, label)


if __name__ == "__main__":
    unittest.main()
