"""Word vectors from files that Python writes: GloVe and word2vec text, npy, safetensors, JSON."""
import ctypes
import gzip
import json
import os
import shutil
import tempfile
import unittest

import numpy as np

from native import FLOATS, LIB, Error, write_safetensors

SIZE = ctypes.c_size_t
WANTED = ["red", "dog", "café", "café", "x-ray", "unicorn"]  # a wanted word twice is one word


class Words(ctypes.Structure):
    _fields_ = [("count", ctypes.c_uint32), ("text", ctypes.c_char_p), ("used", SIZE),
                ("size", SIZE), ("offset", ctypes.c_void_p), ("offset_capacity", ctypes.c_uint32),
                ("slot", ctypes.c_void_p), ("slots", ctypes.c_uint32)]


PROGRESS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_double)


class Source(ctypes.Structure):
    _fields_ = [("path", ctypes.c_char_p), ("words_path", ctypes.c_char_p),
                ("progress", PROGRESS), ("argument", ctypes.c_void_p)]


class Embeddings(ctypes.Structure):
    _fields_ = [("dimension", SIZE), ("vectors", FLOATS), ("found", ctypes.POINTER(ctypes.c_bool)),
                ("rows", ctypes.c_uint64), ("missing", SIZE), ("duplicates", SIZE),
                ("not_finite", SIZE), ("spaced", SIZE)]


LIB.vqct_status_name.restype = ctypes.c_char_p


class Loaded(Exception):
    """A file that was refused: (status name, message)."""


def load(path, words_path=None, wanted=WANTED, progress=None):
    """({word: vector}, counts) of the wanted words."""
    words, result, error = Words(), Embeddings(), Error()
    number = ctypes.c_uint32()
    for word in wanted:
        text = word.encode()
        assert LIB.word_table_add(ctypes.byref(words), text, SIZE(len(text)),
                                  ctypes.byref(number))
    source = Source(path.encode(), words_path.encode() if words_path else None,
                    PROGRESS(progress or 0), None)
    status = LIB.embeddings_load(ctypes.byref(source), ctypes.byref(words), ctypes.byref(result),
                                 ctypes.byref(error))
    unique = list(dict.fromkeys(wanted))
    found = {}
    if status == 0:
        table = np.ctypeslib.as_array(result.vectors, (len(unique), result.dimension)).copy()
        found = {word: table[i] for i, word in enumerate(unique) if result.found[i]}
        for i, word in enumerate(unique):
            if word not in found:
                assert not table[i].any()
    counts = {name: getattr(result, name)
              for name in ("rows", "missing", "duplicates", "not_finite", "spaced")}
    LIB.embeddings_free(ctypes.byref(result))
    LIB.word_table_free(ctypes.byref(words))
    if status:
        raise Loaded(LIB.vqct_status_name(status).decode(), error.message.decode(errors="replace"))
    return found, counts


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "vectors")
        self.list = os.path.join(self.folder, "words.txt")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def write(self, content, path=None):
        with open(path or self.path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path or self.path

    def refused(self, status, message, content=None, words=None):
        if content is not None:
            self.write(content)
        words_path = self.write(words, self.list) if words is not None else None
        with self.assertRaises(Loaded) as caught:
            load(self.path, words_path)
        self.assertEqual(caught.exception.args[0], status)
        self.assertEqual(caught.exception.args[1].replace(self.folder + "/", ""), message)


class Text(Files):
    def test_forms(self):
        rows = [("the", "0.1 -2 3e-2"), ("red", "1 2 3"), ("x-ray", "-0.5 +.5 1e1"),
                ("café", "7 8 9"), ("Red", "0 0 0")]
        body = "".join(f"{word} {numbers}\n" for word, numbers in rows)
        for content in (body, "5 3\n" + body, body.replace(" ", "\t"), body.replace("\n", " \n"),
                        body.replace("\n", "\r\n"), body[:-1], body + "\n\n",
                        gzip.compress(body.encode()), gzip.compress(b"5 3\n" + body.encode())):
            with self.subTest(content=content[:20]):
                found, counts = load(self.write(content))
                self.assertEqual({word: list(vector) for word, vector in found.items()},
                                 {"red": [1, 2, 3], "x-ray": [-0.5, 0.5, 10], "café": [7, 8, 9]})
                self.assertEqual(counts, {"rows": 5, "missing": 2, "duplicates": 0,
                                          "not_finite": 0, "spaced": 0})

    def test_fasttext(self):
        """.vec: two counts, a blank at the end of each row, and words that are blanks alone."""
        found, counts = load(self.write("5 2\nred 1 2 \n 3 4 \nx-ray 5 6 \n\u00a0 7 8 \ncafé 9 9 \n"))
        self.assertEqual({word: list(vector) for word, vector in found.items()},
                         {"red": [1, 2], "x-ray": [5, 6], "café": [9, 9]})
        self.assertEqual((counts["rows"], counts["missing"]), (5, 2))

    def test_a_byte_order_mark_is_no_part_of_the_first_word(self):
        mark = b"\xef\xbb\xbf"
        for content in (mark + b"red 1 2\ndog 3 4\n", mark + b"2 2\nred 1 2\ndog 3 4\n",
                        gzip.compress(mark + b"red 1 2\ndog 3 4\n"),
                        mark + b'{"dimensions": 2, "vectors": {"red": [1, 2], "dog": [3, 4]}}'):
            found, _ = load(self.write(content))
            self.assertEqual({word: list(vector) for word, vector in found.items()},
                             {"red": [1, 2], "dog": [3, 4]})
        np.save(self.path + ".npy", np.array([[1, 2], [3, 4]], np.float32))
        found, _ = load(self.path + ".npy", self.write(mark + b"red\ndog\n", self.list))
        self.assertEqual(set(found), {"red", "dog"})
        self.refused("DATA", "vectors: is UTF-16; text must be UTF-8", "red 1 2\n".encode("utf-16"))

    def test_numbers_are_the_nearest_floats(self):
        draw = np.random.default_rng(0)
        table = draw.standard_normal((40, 50)) * 10.0 ** draw.integers(-12, 12, (40, 50))
        words = [f"w{i}" for i in range(40)]
        self.write("".join(word + " " + " ".join(map(repr, row.tolist())) + "\n"
                           for word, row in zip(words, table)))
        found, _ = load(self.path, wanted=words)
        np.testing.assert_array_equal([found[word] for word in words], table.astype(np.float32))

    def test_rows_that_are_passed_over(self):
        found, counts = load(self.write(
            "the 1 2\n. . . 3 4\nat name@domain.com 5 6\nred 1 nan\ndog 1 2\ndog 3 4\n"
            "x-ray -inf 1\nx-ray 1 2\ncafé 1e99 1\nthe 7 8\n"))
        self.assertEqual({word: list(vector) for word, vector in found.items()},
                         {"dog": [1, 2], "x-ray": [1, 2]})
        self.assertEqual(counts, {"rows": 10, "missing": 3, "duplicates": 1, "not_finite": 3,
                                  "spaced": 2})

    def test_bad_files(self):
        for content, status, message in (
                (b"", "DATA", "vectors: is empty"),
                (b"\n\n", "DATA", "vectors: vectors of 0 numbers: from 1 to 65536 are possible"),
                (b"word\n", "DATA", "vectors:1: vectors of 0 numbers: from 1 to 65536 are possible"),
                (b"a 1 2\nb 1\n", "DATA",
                 "vectors:2: 1 numbers, where the rows before have 2"),
                (b"a 1 2\nb 1 2 3\n", "DATA",
                 "vectors:2: 3 numbers, where the rows before have 2"),
                (b"a 1 2\nb\n", "DATA", "vectors:2: 0 numbers, where the rows before have 2"),
                (b"a 1 2\nred 1 0x2\n", "DATA", "vectors:2: number 2 is '0x2'"),
                (b"a 1 2\nred \xff\x01 2\n", "DATA", "vectors:2: number 1 is '\ufffd?'"),
                (b"3 2\na 1 2\nb 3 4\n", "DATA",
                 "vectors: 2 rows, where its first line says 3"),
                (b"3 99999999\n", "DATA",
                 "vectors:1: vectors of 99999999 numbers: from 1 to 65536 are possible"),
                (b"a" * (1 << 22) + b"b 1 2\n", "LIMIT",
                 "vectors:1: a line of over 4194304 bytes"),
                (gzip.compress(b"red 1 2 3\n" * 90)[:-9], "READ",
                 "vectors: the gzip data end too early")):
            with self.subTest(content=content[:20]):
                self.refused(status, message, content)
        rows = np.random.default_rng(0).standard_normal((9000, 3))
        content = "".join(f"w{i} {a} {b} {c}\n" for i, (a, b, c) in enumerate(rows)).encode()
        self.write(gzip.compress(content)[:-1000])
        with self.assertRaisesRegex(Loaded, r"vectors:8\d\d\d: the gzip data end too early"):
            load(self.path)

    def test_progress_rises_to_the_end(self):
        shares = []
        self.write("".join(f"w{i} 1 2 3\n" for i in range(50000)))
        load(self.path, progress=lambda _, share: shares.append(share))
        self.assertEqual(len(shares), 50000 // 4096)
        self.assertEqual(shares, sorted(shares))
        self.assertTrue(0 < shares[0] < shares[-1] <= 1)

    def test_missing_file_and_useless_list(self):
        self.refused("READ", "vectors: No such file or directory")
        self.refused("INVALID", "vectors: holds its words itself, a list of words is not wanted",
                     b"red 1 2\n", "red\n")


class Binary(Files):
    """word2vec's .bin, written here as its C program (newline behind each row) and gensim (none) do."""

    def binary(self, table, newline=b"", rows=None):
        dimension = len(next(iter(table.values())))
        return (f"{len(table) if rows is None else rows} {dimension}\n".encode() +
                b"".join(word.encode() + b" " + np.asarray(row, "<f4").tobytes() + newline
                         for word, row in table.items()))

    def test_both_writers(self):
        draw = np.random.default_rng(5)
        words = [f"word_{i}" for i in range(700)]
        table = {word: draw.standard_normal(300).astype(np.float32) for word in words}
        for content in (self.binary(table), self.binary(table, b"\n"),
                        gzip.compress(self.binary(table))):
            found, counts = load(self.write(content), wanted=words[::-1] + ["absent"])
            self.assertEqual((counts["rows"], counts["missing"]), (700, 1))
            for word in words:
                np.testing.assert_array_equal(found[word], table[word])

    def test_rows_that_are_passed_over(self):
        found, counts = load(self.write(self.binary(
            {"red": [1, np.nan, 3], "dog": [1e-30, 2, 3], "the": [0, 0, 0], "x-ray": [np.inf, 0, 0]})))
        self.assertEqual(list(found), ["dog"])
        self.assertEqual(counts["not_finite"], 2)

    def test_bad_files(self):
        table = {"red": [1.5, -2, 3e9], "dog": [4, 5, 6]}
        whole = self.binary(table)
        self.refused("DATA", "vectors: the file ends in row 2 of 2", whole[:-1])
        self.refused("DATA", "vectors: the file ends in row 2 of 2", whole[:-14])
        self.refused("DATA", "vectors: the file ends in row 3 of 3", self.binary(table, rows=3))
        self.refused("DATA", "vectors: more than the 1 rows that its first line tells",
                     self.binary(table, rows=1))
        self.refused("DATA", "vectors: there is a word of over 4096 bytes in row 2 of 2",
                     self.binary({"red": [1.5, 2, 3], "x" * 5000: [1, 2, 3]}))
        self.refused("DATA", "vectors:1: vectors of 70000 numbers: from 1 to 65536 are possible",
                     self.binary({"red": [0.1] * 70000}))
        for cut in range(len(whole)):
            with self.assertRaises(Loaded):
                load(self.write(whole[:cut]))


class Matrices(Files):
    WORDS = "the\nred\naerosol can\ndog\ncafé\n"

    def check(self, table):
        found, counts = load(self.path, self.write(self.WORDS, self.list))
        for word, row in (("red", 1), ("dog", 3), ("café", 4)):
            np.testing.assert_array_equal(found[word], table[row].astype(np.float32))
        self.assertEqual((len(found), counts["rows"], counts["missing"]), (3, 5, 2))

    def test_npy(self):
        for kind in (np.float16, np.float32, np.float64):
            table = np.random.default_rng(1).standard_normal((5, 7)).astype(kind)
            with open(self.path, "wb") as file:
                np.save(file, table)
            self.check(table)

    def test_safetensors(self):
        table = np.random.default_rng(1).standard_normal((5, 7)).astype(np.float32)
        for tensors in ({"anything": table}, {"embeddings": table, "other": table[:2]},
                        {"w": table, "bias": table[0]}):
            write_safetensors(self.path, tensors)
            self.check(table)

    def test_512_dimensions_of_a_text_encoder(self):
        """The shape of CLIP's features: 1,203 names, fp16."""
        names = [f"name{i}" for i in range(1203)]
        table = np.random.default_rng(2).standard_normal((1203, 512)).astype(np.float16)
        with open(self.path, "wb") as file:
            np.save(file, table)
        found, counts = load(self.path, self.write("\n".join(names), self.list), names[::-1])
        np.testing.assert_array_equal([found[name] for name in names], table.astype(np.float32))
        self.assertEqual(counts["missing"], 0)

    def test_bad_files(self):
        table = np.zeros((5, 7), np.float32)
        with open(self.path, "wb") as file:
            np.save(file, table)
        self.refused("INVALID", "vectors: a matrix needs a list of its words, one a line")
        self.refused("DATA", "words.txt: 4 words for the 5 rows of vectors", None, "a\nb\nc\nd\n")
        self.refused("DATA", "words.txt:6: more words than the 5 rows of vectors", None,
                     "a\nb\nc\nd\ne\nf\n")
        self.refused("READ", "words.txt: the gzip data end too early", None,
                     gzip.compress(self.WORDS.encode())[:-4])
        for array, text in ((table[0], "F32 [7]"), (table.astype(np.int32), "I32 [5, 7]"),
                            (table[None], "F32 [1, 5, 7]")):
            with open(self.path, "wb") as file:
                np.save(file, array)
            self.refused("DATA", f"vectors: {text} is not a matrix of floats", None, self.WORDS)
        with open(self.path, "wb") as file:
            np.save(file, table[:, :0])
        self.refused("DATA", "vectors: vectors of 0 numbers: from 1 to 65536 are possible", None,
                     self.WORDS)
        for tensors in ({"a": table, "b": table}, {"embeddings": table[0], "b": table},
                        {"a": table[0]}):
            write_safetensors(self.path, tensors)
            self.refused("DATA", "vectors: neither a matrix of floats 'embeddings' nor just one "
                         "such matrix", None, self.WORDS)
        table[3, 2] = np.nan
        with open(self.path, "wb") as file:
            np.save(file, table)
        found, counts = load(self.path, self.write(self.WORDS, self.list))
        self.assertEqual((sorted(found), counts["not_finite"]), (["café", "red"], 1))


class Json(Files):
    def document(self, **changes):
        vectors = {"the": [1, 2, 3, 9.5, 0], "red": [-1, 0.25, 3e-1, 9.5, 1], "café": [4, 5, 6, 1, 2]}
        document = {"precision": 8, "l2NormIndex": 3, "wordIndex": 4, "size": 3, "dimensions": 3,
                    "words": ["the", "red", "café"], "vectors": vectors,
                    "unkVector": [0, 0, 0, 0, -1]}
        document.update(changes)
        return json.dumps({key: value for key, value in document.items() if value is not None})

    def test_wink(self):
        plain = self.document()
        spaced = json.dumps(json.loads(plain), indent=3)
        unescaped = json.dumps(json.loads(plain), ensure_ascii=False)
        for content in (plain, spaced, unescaped, gzip.compress(plain.encode())):
            found, counts = load(self.write(content))
            self.assertEqual(sorted(found), ["café", "red"])
            np.testing.assert_array_equal(found["red"], np.float32([-1, 0.25, 0.3]))
            self.assertEqual((counts["rows"], counts["missing"]), (3, 3))

    def test_duplicates_and_infinities(self):
        content = self.document().replace('"red": [', '"red": [8, 8, 8], "dog": [1, 1, 1e999], '
                                          '"red": [')
        found, counts = load(self.write(content))
        self.assertEqual(found["red"].tolist(), [8, 8, 8])
        self.assertEqual((counts["duplicates"], counts["not_finite"], counts["missing"]), (1, 1, 3))

    def test_bad_files(self):
        for content, message in (
                (self.document(dimensions=None),
                 "expected \"dimensions\" before \"vectors\""),
                (self.document(vectors=None), "expected \"dimensions\" and \"vectors\""),
                (self.document(dimensions=0), "expected one number of dimensions"),
                (self.document(dimensions=70000), "expected one number of dimensions"),
                (self.document(dimensions="3"), "expected the number of dimensions"),
                (self.document(vectors=[]), "expected an object of vectors"),
                (self.document(vectors={"red": [1, 2]}), "'red' has 2 of 3 numbers: "),
                (self.document(vectors={"red": 7}), "expected an array of numbers"),
                (self.document(vectors={"red": [1, [2], 3]}), "expected a number"),
                (self.document(vectors={"the": [1, 2, 3], "red": ["1"]}), "expected a number"),
                (self.document()[:-1], "expected \",\" or \"}\""),
                (self.document() + "x", "expected the end of the file"),
                (self.document().replace("0.25", "NaN"), "expected a value"),
                ('{"dimensions": 3, "dimensions": 3}', "expected one number of dimensions")):
            with self.subTest(message=message):
                self.write(content)
                with self.assertRaises(Loaded) as caught:
                    load(self.path)
                self.assertEqual(caught.exception.args[0], "DATA")
                self.assertIn(message, caught.exception.args[1])


if __name__ == "__main__":
    unittest.main()
