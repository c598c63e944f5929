"""Shards against archives that Python's tarfile and GNU tar write, whole and damaged."""
import bz2
import ctypes
import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
import unittest

from native import LIB, Error


class Bytes(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("owned", ctypes.c_void_p)]


for name in "shard_name", "shard_damage":
    getattr(LIB, name).restype = ctypes.c_char_p
for name in "shard_count", "shard_size":
    getattr(LIB, name).restype = ctypes.c_size_t
LIB.free.argtypes = [ctypes.c_void_p]
LIBARCHIVE = ctypes.create_string_buffer(1024)  # struct libarchive, which is smaller
assert LIB.libarchive_load(LIBARCHIVE, None) == 0
LIMIT = 1 << 20


def listed(shard):
    """The files of an open shard as [(name, bytes, or the status of what cannot be read)]."""
    found, error = [], Error()
    for i in map(ctypes.c_size_t, range(LIB.shard_count(shard))):
        part = Bytes()
        status = 0 if LIB.shard_kind(shard, i) == 0 else None
        if status == 0:
            status = LIB.shard_read(shard, i, ctypes.c_uint64(LIMIT), ctypes.byref(part),
                                    ctypes.byref(error))
        found.append((LIB.shard_name(shard, i).decode(errors="surrogateescape"),
                      status or ctypes.string_at(part.data, part.size) if status is not None else None))
        LIB.free(part.owned)
    return found


def parse(data):
    """(status, what is wrong, [(name, bytes)]): status 0 and a damage where files come before it."""
    shard, error = ctypes.c_void_p(), Error()
    copy = ctypes.create_string_buffer(data, len(data))  # a block of exactly this size
    status = LIB.shard_parse(b"x.tar", copy, ctypes.c_size_t(len(data)), LIBARCHIVE,
                             ctypes.byref(shard), ctypes.byref(error))
    if status:
        return status, error.message, None
    result = 0, LIB.shard_damage(shard) or b"", listed(shard)
    LIB.shard_close(shard)
    return result


def open_file(path):
    shard, error = ctypes.c_void_p(), Error()
    status = LIB.shard_open(path.encode(), LIBARCHIVE, None, ctypes.byref(shard), ctypes.byref(error))
    if status:
        return status, error.message, None
    result = 0, LIB.shard_damage(shard) or b"", listed(shard)
    LIB.shard_close(shard)
    return result


def archive(form, files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "a.jpg"
        tar.addfile(link)
    return stream.getvalue()


FILES = [("a.jpg", b"x" * 1000), ("empty", b""), ("folder/" + "d" * 90 + "/" + "n" * 60, b"y" * 512),
         ("z.png", b"z")]
LONG = [("p" * 300 + ".jpg", b"1234"), ("é.png", b"5")]


def tar(*arguments, **options):
    subprocess.run(["tar", *arguments], check=True, **options)


class Shard(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_formats(self):
        link = [("link", None)]
        for form, files in [(tarfile.USTAR_FORMAT, FILES), (tarfile.GNU_FORMAT, FILES + LONG),
                            (tarfile.PAX_FORMAT, FILES + LONG)]:
            self.assertEqual(parse(archive(form, files)), (0, b"", files + link))

    def test_dialects_of_gnu_tar(self):
        """Names, hard links and sparse files as GNU tar writes them, in each of its formats."""
        source = self.path("source")
        os.mkdir(source)
        with open(f"{source}/a.png", "wb") as file:
            file.write(bytes(range(256)) * 5)
        os.link(f"{source}/a.png", f"{source}/b.png")
        holes = bytearray(300000)
        with open(f"{source}/c.png", "wb") as file:
            for at in (0, 70000, 299000):
                file.seek(at)
                file.write(b"x" * 1000)
                holes[at:at + 1000] = b"x" * 1000
        with open(os.path.join(os.fsencode(source), b"\xe8.png"), "wb") as file:
            file.write(b"latin")
        names = ["a.png", "b.png", "c.png", os.fsdecode(b"\xe8.png")]
        expected = [(names[0], bytes(range(256)) * 5), (names[1], bytes(range(256)) * 5),
                    (names[2], bytes(holes)), (names[3], b"latin")]
        for form in "v7", "oldgnu", "gnu", "ustar", "posix":
            sparse = ["--sparse"] if form in ("oldgnu", "gnu", "posix") else []
            tar("-C", source, f"--format={form}", *sparse, "-cf", self.path("x.tar"), *names)
            self.assertEqual(open_file(self.path("x.tar")), (0, b"", expected), form)
        for version in "0.0", "0.1", "1.0":
            tar("-C", source, "--format=posix", "--sparse", f"--sparse-version={version}", "-cf",
                self.path("x.tar"), *names)
            self.assertEqual(open_file(self.path("x.tar")), (0, b"", expected), version)

    def test_sizes_of_pax(self):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as made:
            info = tarfile.TarInfo("a.png")
            info.size, info.pax_headers = 5, {"size": "5"}
            made.addfile(info, io.BytesIO(b"12345"))
        self.assertEqual(parse(stream.getvalue()), (0, b"", [("a.png", b"12345")]))

    def test_compressed(self):
        data = archive(tarfile.PAX_FORMAT, FILES)
        expected = 0, b"", FILES + [("link", None)]
        forms = {"gz": gzip.compress(data), "bz2": bz2.compress(data), "xz": lzma.compress(data)}
        for command in "zstd", "lz4":
            if shutil.which(command):
                forms[command] = subprocess.run([command, "-c"], input=data, check=True,
                                                capture_output=True).stdout
        for form, packed in forms.items():
            with open(self.path("x.tar." + form), "wb") as file:
                file.write(packed)
            self.assertEqual(open_file(self.path("x.tar." + form)), expected, form)
            left = os.listdir(self.folder)
            self.assertEqual([name for name in left if name.startswith("vqct-")], [])
        big = archive(tarfile.PAX_FORMAT, [("a", os.urandom(50000)), ("b", os.urandom(50000))])
        with open(self.path("cut.tar.gz"), "wb") as file:
            file.write(gzip.compress(big)[:80000])
        status, message, files = open_file(self.path("cut.tar.gz"))
        self.assertEqual((status, [name for name, _ in files]), (0, ["a"]))
        self.assertIn(b"truncated gzip", message)

    def test_a_bomb_is_bounded(self):
        with gzip.open(self.path("bomb.tar.gz"), "wb") as file:
            for _ in range(80):
                file.write(bytes(1 << 20))
        status, message, _ = open_file(self.path("bomb.tar.gz"))
        self.assertEqual((status, b"100 times" in message), (9, True), message)

    def test_truncated_anywhere(self):
        """The whole files before the cut stay, and the archive is told to be damaged."""
        files = [("a", b"x" * 600)] + LONG
        data = archive(tarfile.PAX_FORMAT, files)
        end = len(data.rstrip(b"\0"))
        counts = set()
        for size in range(0, end + 400, 37):
            status, message, found = parse(data[:size])
            self.assertIn(b"x.tar: ", message)
            if status:
                self.assertEqual(status, 11)
            else:
                self.assertEqual(found, (files + [("link", None)])[:len(found)])
                counts.add(len(found))
        self.assertEqual(counts, {1, 2, 3, 4})
        self.assertEqual(parse(data)[1], b"")

    def test_a_size_is_checked_before_anything_is_read(self):
        """A sparse file of a terabyte, which takes a few hundred bytes."""
        with open(self.path("huge.png"), "wb") as file:
            file.truncate(1 << 40)
        tar("-C", self.folder, "--sparse", "-cf", self.path("x.tar"), "huge.png")
        self.assertEqual(open_file(self.path("x.tar")), (0, b"", [("huge.png", 9)]))

    def test_links(self):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as made:
            def add(name, kind=tarfile.REGTYPE, data=b"", target=""):
                info = tarfile.TarInfo(name)
                info.type, info.size, info.linkname = kind, len(data), target
                made.addfile(info, io.BytesIO(data))
            add("early", tarfile.LNKTYPE, target="a")  # before what it names
            add("a", data=b"first")
            add("one", tarfile.LNKTYPE, target="a")
            add("two", tarfile.LNKTYPE, target="one")
            add("a", data=b"second")
            add("three", tarfile.LNKTYPE, target="a")
            add("self", tarfile.LNKTYPE, target="self")
        expected = [("early", 11), ("a", b"first"), ("one", b"first"), ("two", b"first"),
                    ("a", b"second"), ("three", b"second"), ("self", 11)]
        self.assertEqual(parse(stream.getvalue()), (0, b"", expected))

    def test_hostile_headers(self):
        whole = bytearray(archive(tarfile.USTAR_FORMAT, [("a", b"x" * 600)]))

        def header(change):
            data = bytearray(whole)
            at = 512  # of the file, after the folder
            change(data, at)
            data[at + 148:at + 156] = b" " * 8
            data[at + 148:at + 156] = b"%06o\0 " % sum(data[at:at + 512])
            return bytes(data)

        def put(offset, value):
            return lambda data, at: data.__setitem__(
                slice(at + offset, at + offset + len(value)), value)

        for value in b"77777777777\0", b"\xff" * 12, b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7:
            status, message, _ = parse(header(put(124, value)))
            self.assertEqual((status, b"x.tar: " in message), (11, True), message)
        whole[520] ^= 1
        self.assertIn(b"at byte 512", parse(bytes(whole))[1])
        for bytes_ in b"", b"not a tar archive" * 100, bytes(100):
            status, message, _ = parse(bytes_)
            self.assertEqual((status, b"x.tar: " in message), (11, True), message)

    def test_flipped_bits_never_crash(self):
        data = archive(tarfile.PAX_FORMAT, LONG)
        generator = random.Random(1)
        for _ in range(3000):
            damaged = bytearray(data)
            for _ in range(generator.randint(1, 4)):
                damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
            status, message, found = parse(bytes(damaged))
            self.assertIn(status, (0, 11))


if __name__ == "__main__":
    unittest.main()
