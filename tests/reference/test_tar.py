"""Our tar reader against archives that Python's tarfile writes, whole and damaged."""
import ctypes
import io
import random
import tarfile
import unittest

from native import LIB, Error


class Member(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


LIB.tar_count.restype = ctypes.c_size_t
LIB.tar_member.restype = ctypes.POINTER(Member)


def parse(data):
    """(status, message, [(name, bytes)])."""
    tar, error = ctypes.c_void_p(), Error()
    copy = ctypes.create_string_buffer(data, len(data))  # a block of exactly this size
    status = LIB.tar_parse(b"x.tar", copy, ctypes.c_size_t(len(data)), ctypes.byref(tar),
                           ctypes.byref(error))
    if status:
        return status, error.message, None
    members = [LIB.tar_member(tar, ctypes.c_size_t(i)).contents for i in range(LIB.tar_count(tar))]
    found = [(m.name.decode(errors="replace"), ctypes.string_at(m.data, m.size)) for m in members]
    LIB.tar_close(tar)
    return status, b"", found


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


class Tar(unittest.TestCase):
    def test_formats(self):
        for form, files in [(tarfile.USTAR_FORMAT, FILES), (tarfile.GNU_FORMAT, FILES + LONG),
                            (tarfile.PAX_FORMAT, FILES + LONG)]:
            self.assertEqual(parse(archive(form, files)), (0, b"", files))

    def test_truncated_anywhere(self):
        files = [("a", b"x" * 600)] + LONG
        data = archive(tarfile.PAX_FORMAT, files)
        end = len(data.rstrip(b"\0"))
        for size in range(0, end, 37):
            status, message, found = parse(data[:size])
            if status == 0:  # cut between two files, or in the padding after one
                self.assertEqual(found, files[:len(found)])
            else:
                self.assertEqual(status, 11)
                self.assertIn(b"x.tar", message)

    def test_a_name_without_its_file(self):
        for form, kind in (tarfile.PAX_FORMAT, b"x"), (tarfile.GNU_FORMAT, b"L"):
            data = archive(form, LONG)
            self.assertEqual(data[512 + 156:][:1], kind)  # after the folder
            for size in (1400, 1536):
                status, message, _ = parse(data[:size])
                self.assertEqual((status, message),
                                 (11, b"x.tar: the archive ends before a file that it names"))

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

        cases = [(put(124, b"77777777777\0"), b"beyond the end"),
                 (put(124, b"12x45678901\0"), b"wrong size"),
                 (put(124, b"\xff" * 12), b"wrong size"),
                 (put(124, b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7), b"beyond the end"),
                 (put(156, b"S"), b"sparse"), (put(156, b"M"), b"divided")]
        for change, message in cases:
            status, found, _ = parse(header(change))
            self.assertEqual((status, message in found), (11, True), found)
        whole[520] ^= 1
        self.assertIn(b"wrong checksum in the header at byte 512", parse(bytes(whole))[1])

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
