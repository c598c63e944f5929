"""WebP against Pillow: files in, and what libwebp is kept from."""
import ctypes
import io
import itertools
import resource
import struct
import unittest

import numpy as np
from PIL import Image, ImageOps

from test_image import LIB, LIMITS, Header, call, decode, encode, exif, over_white, photograph


def webp_file(array, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "WEBP", **options)
    return file.getvalue()


def part(kind, body):
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def riff(*parts):
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def parts_of(data):
    """The chunks of a file as (kind, body)."""
    found, at = [], 12
    while at < len(data):
        size = int.from_bytes(data[at + 4:at + 8], "little")
        found.append((data[at:at + 4], data[at + 8:at + 8 + size]))
        at += 8 + size + size % 2
    return found


def u24(number):
    return number.to_bytes(3, "little")


def extended(flags, width, height):
    return part(b"VP8X", bytes([flags, 0, 0, 0]) + u24(width - 1) + u24(height - 1))


def frame(data, left, top, width, height):
    """A still file as a frame of an animation."""
    body = u24(left // 2) + u24(top // 2) + u24(width - 1) + u24(height - 1) + u24(100) + b"\0"
    chunks = [part(*found) for found in parts_of(data) if found[0] in (b"ALPH", b"VP8 ", b"VP8L")]
    return part(b"ANMF", body + b"".join(chunks))


def animation(width, height, *frames):
    return riff(extended(0x12, width, height), part(b"ANIM", bytes(6)), *frames)


def shown(data):
    """What Pillow shows of a file, over white and upright."""
    image = Image.open(io.BytesIO(data))
    array = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    return over_white(array[:, :, :3], array[:, :, 3:].astype(int))


def header_of(data):
    header = Header()
    call(LIB.vqct_image_probe, data, ctypes.c_size_t(len(data)), ctypes.byref(LIMITS),
         ctypes.byref(header))
    return header.width, header.height


class Reading(unittest.TestCase):
    def check(self, data, label):
        with self.subTest(label):
            expected = shown(data)
            got = decode(data)
            self.assertEqual(got.shape, expected.shape)
            np.testing.assert_array_equal(got, expected)
            self.assertEqual(header_of(data), expected.shape[1::-1])

    def pictures(self):
        """Photographs, few colours, one colour and noise, with and without transparency."""
        rng = np.random.default_rng(1)
        for height, width in [(37, 53), (1, 1), (8, 130), (120, 150)]:
            plain = photograph(rng, height, width)
            flat = rng.integers(0, 3, (height, width, 3), dtype=np.uint8) * 100
            for array in (plain, flat, np.full_like(plain, 77),
                          rng.integers(0, 256, plain.shape, dtype=np.uint8)):
                yield array
                alpha = rng.integers(0, 256, (height, width, 1), dtype=np.uint8)
                alpha[:height // 2] = 255
                yield np.concatenate([array, alpha], axis=2)

    def test_lossy_and_lossless(self):
        for i, array in enumerate(self.pictures()):
            for quality, method, lossless in itertools.product((1, 75), (0, 4, 6),
                                                               (False, True)):
                data = webp_file(array, quality=quality, method=method, lossless=lossless)
                self.check(data, (i, array.shape, quality, method, lossless))

    def test_orientations(self):
        array = photograph(np.random.default_rng(2), 19, 30)
        still = parts_of(webp_file(array, quality=80))[-1]
        for orientation, big_endian, marked in itertools.product(range(1, 9), (False, True),
                                                                 (False, True)):
            body = exif(orientation, big_endian)[0 if marked else 6:]
            data = riff(extended(0x08, 30, 19), part(*still), part(b"XXXX", b"odd"),
                        part(b"EXIF", body))
            self.check(data, (orientation, big_endian, marked))
            plain = riff(extended(0, 30, 19), part(*still), part(b"EXIF", body))
            np.testing.assert_array_equal(decode(plain), decode(riff(part(*still))))

    def test_an_animation_is_its_first_frame(self):
        rng = np.random.default_rng(3)
        frames = [Image.fromarray(photograph(rng, 40, 60)) for _ in range(4)]
        for lossless in (False, True):
            file = io.BytesIO()
            frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=lossless)
            self.check(file.getvalue(), ("whole", lossless))
        for channels, lossless in itertools.product((3, 4), (False, True)):
            small = webp_file(rng.integers(0, 256, (21, 33, channels), dtype=np.uint8),
                              lossless=lossless)
            data = animation(60, 40, frame(small, 10, 6, 33, 21), frame(small, 0, 0, 33, 21))
            self.check(data, ("a part of the canvas", channels, lossless))

    def test_ten_thousand_frames_cost_no_more_than_one(self):
        rng = np.random.default_rng(4)
        one = frame(webp_file(photograph(rng, 16, 16)), 0, 0, 16, 16)
        data = animation(16, 16, *[one] * 10000)
        np.testing.assert_array_equal(decode(data), decode(animation(16, 16, one)))

    def test_what_comes_behind_is_passed_over(self):
        data = webp_file(photograph(np.random.default_rng(5), 20, 20))
        np.testing.assert_array_equal(decode(data + b"RIFF or not"), shown(data))


class Writing(unittest.TestCase):
    def pictures(self):
        rng = np.random.default_rng(9)
        for shape in ((45, 61, 3), (45, 61), (1, 1, 3), (33, 8)):
            channels = 3 if len(shape) == 3 else 1
            yield photograph(rng, *shape[:2], channels).reshape(shape)

    def test_lossy_is_pillows_for_every_quality(self):
        for array in self.pictures():
            colours = array if array.ndim == 3 else array[:, :, None].repeat(3, axis=2)
            for quality in range(1, 101, 3):
                ours = encode(LIB.vqct_image_encode_webp, array, quality)
                np.testing.assert_array_equal(shown(ours), shown(webp_file(colours, quality=quality)),
                                              f"{array.shape}, quality {quality}")

    def test_lossless(self):
        for array in self.pictures():
            data = encode(LIB.vqct_image_encode_webp_lossless, array)
            self.assertEqual(data[12:16], b"VP8L")
            colours = array if array.ndim == 3 else array[:, :, None].repeat(3, axis=2)
            np.testing.assert_array_equal(shown(data), colours)
            np.testing.assert_array_equal(decode(data), colours)

    def test_sides_have_their_limit(self):
        self.assertEqual(shown(encode(LIB.vqct_image_encode_webp, np.zeros((1, 16383), np.uint8),
                                      90)).shape, (1, 16383, 3))
        for function, *more in ((LIB.vqct_image_encode_webp, 90), (LIB.vqct_image_encode_webp_lossless,)):
            with self.assertRaisesRegex(ValueError, "1 x 16384 cannot be WebP: sides are 1 to 16383"):
                encode(function, np.zeros((16384, 1), np.uint8), *more)


# ---- lossless files, written here bit by bit -------------------------------------------------

class Bits:
    def __init__(self):
        self.bits = []

    def put(self, value, count):
        self.bits += [value >> i & 1 for i in range(count)]

    def put_code(self, value, count):
        """A prefix code, whose first bit is its highest."""
        self.bits += [value >> i & 1 for i in range(count - 1, -1, -1)]

    def one_symbol(self, symbol=0):
        self.put(1, 1)  # spelt out
        self.put(0, 1)  # one
        self.put(0, 1)  # of one bit
        self.put(symbol, 1)

    def every_byte(self, alphabet):
        """A code of 8 bits for each of the first 256 symbols of an alphabet."""
        self.put(0, 1)
        order = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8]
        self.put(len(order) - 4, 4)
        for length in order:
            self.put(length in (0, 8), 3)
        self.put(0, 1)
        for symbol in range(alphabet):
            self.put(symbol < 256, 1)

    def file(self, alpha=False):
        body = np.packbits(np.array(self.bits, np.uint8), bitorder="little").tobytes()
        return body if alpha else riff(part(b"VP8L", body))


def many_groups(side, groups, alpha=False):
    """A black picture of squares of 4 x 4 pixels that use so many groups of codes."""
    bits = Bits()
    if not alpha:
        bits.put(0x2f, 8)
        bits.put(side - 1, 14)
        bits.put(side - 1, 14)
        bits.put(0, 4)
    bits.put(0, 1)  # no transform
    bits.put(0, 1)  # no cache of colours
    bits.put(1, 1)  # an entropy image
    bits.put(0, 3)  # of squares of 4 x 4
    bits.put(0, 1)
    bits.every_byte(256 + 24)
    bits.every_byte(256)
    for _ in range(3):
        bits.one_symbol()
    for i in range(((side + 3) // 4) ** 2):
        bits.put_code(i % groups & 255, 8)
        bits.put_code(i % groups >> 8, 8)
    for _ in range(5 * groups):
        bits.one_symbol()
    return bits.file(alpha)


class Bombs(unittest.TestCase):
    def refused(self, data, text):
        with self.assertRaises(ValueError) as caught:
            decode(data)
        self.assertIn(text, str(caught.exception))

    def test_groups_of_codes_are_counted_first(self):
        most = many_groups(256, 4096)
        np.testing.assert_array_equal(decode(most), shown(most))
        self.refused(many_groups(260, 4097), "4097 groups of codes, over the limit of 4096")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.refused(many_groups(1024, 65536), "65536 groups of codes")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        self.assertLess(grown, 128 << 10)  # KiB; libwebp's tables took 360 MiB

    def test_groups_of_transparency_are_counted_too(self):
        lossy = parts_of(webp_file(photograph(np.random.default_rng(6), 260, 260)))[-1]
        for groups, text in ((3, None), (4097, "4097 groups")):
            alpha = part(b"ALPH", b"\1" + many_groups(260, groups, alpha=True))
            still = riff(extended(0x10, 260, 260), alpha, part(*lossy))
            moving = animation(260, 260, frame(still, 0, 0, 260, 260))
            for data in (still, moving):
                if text:
                    self.refused(data, text)
                else:
                    self.assertTrue((decode(data) == 255).all())  # transparent all over

    def test_a_canvas_is_measured_before_its_pixels(self):
        small = webp_file(photograph(np.random.default_rng(7), 16, 16))
        chunk = part(*parts_of(small)[-1])
        self.refused(riff(extended(0, 1 << 24, 1 << 24), chunk), "over the limit of 32768 a side")
        self.refused(riff(extended(0, 20000, 20000), chunk), "over the limit of 67108864 pixels")
        self.refused(riff(extended(0, 17, 16), chunk), "two sizes")
        self.refused(animation(30000, 30000, frame(small, 0, 0, 16, 16)), "pixels")
        self.refused(animation(16, 16, frame(small, 2, 0, 16, 16)), "not on its canvas")
        self.refused(animation(64, 64, frame(small, 0, 0, 17, 16)), "two sizes")
        self.refused(animation(64, 64), "no pixels")
        self.refused(riff(extended(0, 16, 16), part(b"EXIF", b"")), "no pixels")
        self.refused(riff(part(b"JUNK", b"1234"), chunk), "begins with a chunk JUNK")
        self.refused(riff(part(b"VP8X", b"123")), "VP8X has 3 bytes")
        self.refused(riff(extended(2, 16, 16), part(b"ANMF", bytes(15))), "truncated")
        huge = b"ICCP" + struct.pack("<I", 9 << 20)
        self.refused(riff(extended(0, 16, 16), huge + bytes(9 << 20), chunk), "over the limit")

    def test_truncated_files_are_refused(self):
        rng = np.random.default_rng(8)
        for channels, lossless in itertools.product((3, 4), (False, True)):
            small = webp_file(photograph(rng, 17, 23, channels), lossless=lossless)
            for whole in (small, animation(30, 20, frame(small, 0, 0, 23, 17))):
                decode(whole)
                for size in range(len(whole)):
                    with self.assertRaises(ValueError, msg=f"{channels} {lossless} {size}"):
                        decode(whole[:size])
            kind, body = parts_of(small)[-1]
            for size in range(len(body) - 60, len(body) - 8):  # the chunks say that they are whole
                self.refused(riff(part(kind, body[:size])), "WebP")


if __name__ == "__main__":
    unittest.main()
