"""Character references against Python's html module."""
import ctypes
import html
import html.entities
import unittest

from native import LIB

LIB.entities_decode.restype = ctypes.c_size_t


def decode(text):
    data = text.encode()
    buffer = ctypes.create_string_buffer(data, len(data))
    length = LIB.entities_decode(buffer, ctypes.c_size_t(len(data)))
    assert length <= len(data)
    return buffer.raw[:length].decode()


class Entities(unittest.TestCase):
    def test_names_of_html_4(self):
        names = [*html.entities.name2codepoint, "apos"]
        self.assertEqual(len(names), 253)
        for name in names:
            text = f"a &{name}; b"
            self.assertEqual(decode(text), html.unescape(text), name)

    def test_numbers(self):
        for point in [*range(0x20, 0x7f), *range(0xa0, 0x800, 7), 0x2019, 0xd7ff, 0xe000, 0xffff,
                      0x10000, 0x1f600, 0x10ffff]:
            for text in (f"&#{point};", f"&#x{point:x};", f"&#X{point:06X};x"):
                self.assertEqual(decode(text), text.replace(text.rstrip("x"), chr(point)), text)
        for point in range(0x80, 0xa0):
            expected = html.unescape(f"&#{point};")
            self.assertEqual(decode(f"&#{point};"), " " if expected < "\xa0" else expected)

    def test_no_printable_character_is_a_blank(self):
        for text in ("&#0;", "&#10;", "&#x7f;", "&#xd800;", "&#1114112;", "&#99999999999999999999999;",
                     "&nosuch;"):
            self.assertEqual(decode(f"a{text}b"), "a b", text)

    def test_what_is_no_reference_stays(self):
        for text in ("", "&", "&;", "a & b; c", "&amp", "R&B;", "&#;", "&#x;", "&#xg;", "&#12a;", "&é;",
                     "&1a;", "&" + "a" * 40 + ";", "&&;"):
            self.assertEqual(decode(text), text)

    def test_escaped_twice(self):
        self.assertEqual(decode("&amp;amp; &amp;#39; &amp;eacute;"), "& ' é")
        self.assertEqual(decode("&amp;amp;amp;"), "&amp;")


if __name__ == "__main__":
    unittest.main()
