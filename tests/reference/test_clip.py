"""CLIP's tokenizer and text encoder against the same in Python, and against known token numbers."""
import ctypes
import json
import os
import random
import shutil
import tempfile
import unittest

import numpy as np

import clip_folder
from native import LIB, Error, Team, floats

SIZE = ctypes.c_size_t
LIB.vqct_status_name.restype = ctypes.c_char_p
LIB.clip_dimension.restype = SIZE

WORDS = ("a photo of the red dog object photograph house houses small smaller smallest white "
         "photo of an old dog a photo of the white house café naïve crème x-ray don't it's").split()
PROMPTS = ["a photo of a red object", "a photo of dog", "a photo of houses", "", "   ",
           "smallest white photographs!!!", "Don't it's we'll they've I'm you'd 'sup",
           "x-ray 42 3d 10,000.5", "café naïve crème brûlée", "ÉCOLE Ñandú ŒUVRE ßtraße",
           "tab\tnew\nline\u00a0space\u2003wide", "… “quoted” – dash €5 ½ x² 7th",
           "日本語 слово λόγος", "a" * 200, "!?'s'", "'''s", "🐶 dog"]


class Refused(Exception):
    pass


def refuse(status, error):
    raise Refused(LIB.vqct_status_name(status).decode(), error.message.decode(errors="replace"))


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()

    def tearDown(self):
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def refused(self, status, message, call, *arguments):
        with self.assertRaises(Refused) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.args[0], status)
        self.assertIn(message, caught.exception.args[1].replace(self.folder + "/", ""))


class Tokenizer(Folder):
    def encode(self, texts, most=300):
        handle, error, results = ctypes.c_void_p(), Error(), []
        status = LIB.bpe_open(self.path("vocab.json").encode(), self.path("merges.txt").encode(),
                              ctypes.byref(handle), ctypes.byref(error))
        if status:
            refuse(status, error)
        try:
            for text in texts:
                tokens, count = (ctypes.c_uint32 * (most + 1))(), SIZE()
                tokens[most] = 12345
                text = text if isinstance(text, bytes) else text.encode()
                status = LIB.bpe_encode(handle, text, tokens, SIZE(most), ctypes.byref(count),
                                        ctypes.byref(error))
                assert tokens[most] == 12345
                if status:
                    refuse(status, error)
                results.append(list(tokens[:count.value]))
        finally:
            LIB.bpe_close(handle)
        return results

    def test_known_numbers(self):
        """The published vocabulary, sparse: a merge has the number 512 + its rank. The ranks that
        count here are those of "the", "in", "to", "is", "at", "and", "of", "an", "world", "photo",
        "dog", "cat"; the pieces they are made of stand in the right order between them. Every
        other rank is taken by a pair of bytes that no text has."""
        ranks = {6: "th e</w>", 18: "i n</w>", 19: "t o</w>", 21: "i s</w>", 24: "a t</w>",
                 25: "an d</w>", 27: "o f</w>", 38: "a n</w>", 490: "wor ld</w>",
                 613: "pho to</w>", 1417: "do g</w>", 1856: "c at</w>",
                 1: "t h", 2: "a n", 11: "o r", 85: "h o", 117: "d o", 118: "w or",
                 150: "l d</w>", 330: "p ho"}
        unused = [chr(c) for c in range(0x100, 0x100 + 33)]  # control bytes and the space
        dummies = iter([f"{a} {b}" for a in unused for b in unused])
        more = iter([f"{a}{b} {c}" for a in unused for b in unused for c in unused])
        lines = [ranks.get(i) or next(dummies, None) or next(more) for i in range(1900)]
        clip_folder.write_tokenizer(self.folder, [tuple(line.split()) for line in lines])
        numbers = json.load(open(self.path("vocab.json")))
        start, end = numbers[clip_folder.START], numbers[clip_folder.END]
        for text, want in (("a photo of a cat", [320, 1125, 539, 320, 2368]),
                           ("A photo of a dog", [320, 1125, 539, 320, 1929]),
                           ("the cat is in the world!", [518, 2368, 533, 530, 518, 1002, 256]),
                           ("to an and at", [531, 550, 537, 536])):
            self.assertEqual(self.encode([text]), [[start, *want, end]])

    def test_against_the_same_in_python(self):
        for count in (0, 10, 60, 500):
            merges = clip_folder.learn_merges(WORDS, count)
            clip_folder.write_tokenizer(self.folder, merges)
            numbers = clip_folder.vocabulary(merges)
            draw = random.Random(count)
            texts = PROMPTS + ["".join(draw.choices("aeghoprt 'é.7\t", k=40)) for _ in range(200)]
            want = [clip_folder.encode(text, numbers, merges) for text in texts]
            self.assertEqual(self.encode(texts), want)

    def test_version_line_is_optional(self):
        merges = clip_folder.learn_merges(WORDS, 20)
        clip_folder.write_tokenizer(self.folder, merges, version="")
        self.assertEqual(self.encode(["photo"]),
                         [clip_folder.encode("photo", clip_folder.vocabulary(merges), merges)])

    def test_limits(self):
        clip_folder.write_tokenizer(self.folder, [])
        self.assertEqual(len(self.encode(["abc"], 5)[0]), 5)
        self.refused("LIMIT", "'abcd' has 6 tokens of at most 5", self.encode, ["abcd"], 5)
        self.refused("LIMIT", "has 2 tokens of at most 0", self.encode, [""], 0)
        self.refused("LIMIT", "a text of over 1024 bytes", self.encode, ["a" * 1025])
        self.refused("INVALID", "is not UTF-8", self.encode, [b"caf\xe9"])

    def test_bad_vocabularies(self):
        good = clip_folder.vocabulary([("a", "b")])
        full = len(good)

        def without(token):
            kept = [key for key in good if key != token]
            return json.dumps({key: i for i, key in enumerate(kept)})

        for text, message in (
                ("[]", "vocab.json:1: byte 2: expected an object of tokens"),
                ("{", "expected a key in quotes"),
                (json.dumps({**good, "a": "x"}), "expected the number of a token"),
                (json.dumps({**good, "a": -1}), "expected the number of a token"),
                (json.dumps({**good, "a": 1.5}), "expected the number of a token"),
                (json.dumps({**good, "a": 2**20}), "expected the number of a token"),
                (json.dumps({**good, "a": full}), f"{full} tokens, but number {full} is larger"),
                (json.dumps({**good, "a": 3}), "but number 3 is there twice"),
                (json.dumps(good)[:-1] + ', "a": 1}', "expected a token that was not there before"),
                (json.dumps({**good, "x\0y": full}), "expected a token without a zero byte"),
                (without("z"), "vocab.json: has no token for byte 0x7a"),
                (without("Ġ</w>"), "has no token for byte 0x20 at the end of a word"),
                (without(clip_folder.START), "has no token '<|startoftext|>'"),
                (without(clip_folder.END), "has no token '<|endoftext|>'")):
            with self.subTest(message=message):
                clip_folder.write_tokenizer(self.folder, [("a", "b")])
                with open(self.path("vocab.json"), "w") as file:
                    file.write(text)
                self.refused("DATA", message, self.encode, ["a"])
        os.remove(self.path("vocab.json"))
        self.refused("READ", "vocab.json: No such file or directory", self.encode, ["a"])

    def test_bad_merges(self):
        for text, message in (("a b\nab\n", "merges.txt:2: expected two tokens"),
                              ("a b\na b c\n", "merges.txt:2: expected two tokens"),
                              ("a " + "b" * 2000, "merges.txt:1: expected two tokens"),
                              ("#version: 0.2\naa b", "merges.txt:2: the vocabulary has no token "
                               "for the left part"),
                              ("a bb", "no token for the right part"),
                              ("a c", "no token for the result"), (" ab", "for the left part"),
                              ("a b\na b\n", "merges.txt: merges 'a' and 'b' twice")):
            with self.subTest(message=message):
                clip_folder.write_tokenizer(self.folder, [("a", "b")])
                with open(self.path("merges.txt"), "w") as file:
                    file.write(text)
                self.refused("DATA", message, self.encode, ["a"])


class Encoder(Folder):
    def make(self, heads=4, config=True, **sizes):
        self.merges = clip_folder.learn_merges(WORDS, 60)
        clip_folder.write_tokenizer(self.folder, self.merges)
        self.numbers = clip_folder.vocabulary(self.merges)
        self.weights = clip_folder.random_weights(len(self.numbers), **sizes)
        clip_folder.write_model(self.folder, self.weights,
                                {"text_config": {"num_attention_heads": heads}} if config else None)

    def embed(self, texts, threads=2):
        handle, error = ctypes.c_void_p(), Error()
        status = LIB.clip_open(self.folder.encode(), ctypes.byref(handle), ctypes.byref(error))
        if status:
            refuse(status, error)
        with Team(threads) as team:
            result = np.full((len(texts), LIB.clip_dimension(handle)), np.nan, np.float32)
            encoded = [text.encode() for text in texts]
            status = LIB.clip_embed(handle, (ctypes.c_char_p * len(texts))(*encoded),
                                    SIZE(len(texts)), floats(result), team, ctypes.byref(error))
            LIB.clip_close(handle)
        if status:
            refuse(status, error)
        return result

    def want(self, texts, heads=4, **options):
        return np.array([clip_folder.features(clip_folder.encode(text, self.numbers, self.merges),
                                              self.weights, heads, **options) for text in texts])

    TEXTS = [text for text in PROMPTS if len(text) < 24 and text.isascii()] + ["dog", "the dog"]

    def test_features(self):
        self.make()
        texts = [text for text in self.TEXTS
                 if len(clip_folder.encode(text, self.numbers, self.merges)) <= 24]
        self.assertGreater(len(texts), 6)
        np.testing.assert_allclose(self.embed(texts), self.want(texts), rtol=0, atol=1e-4)

    def test_other_configurations(self):
        texts = ["a photo of a red object", "dog"]
        self.make(width=128, config=False)  # 2 heads of 64
        np.testing.assert_allclose(self.embed(texts), self.want(texts, 2), rtol=0, atol=1e-4)
        self.make()
        for config, options in (
                ({"num_attention_heads": 8, "hidden_act": "quick_gelu"}, {"heads": 8}),
                ({"num_attention_heads": 8, "hidden_act": "gelu"},
                 {"heads": 8, "activation": "gelu"}),
                ({"text_config": {"num_attention_heads": 1, "layer_norm_eps": 0.01}},
                 {"heads": 1, "epsilon": 0.01})):
            clip_folder.write_model(self.folder, self.weights, config)
            np.testing.assert_allclose(self.embed(texts), self.want(texts, **options), rtol=0,
                                       atol=1e-4)

    def test_whole_models_and_half_precision(self):
        """Vision tensors are passed over; fp16 weights give the features of the rounded weights."""
        self.make()
        texts = ["a photo of a red object", "dog"]
        whole = {name: value.half() for name, value in self.weights.items()}
        self.weights = {name: value.float() for name, value in whole.items()}
        arrays = {name: value.numpy() for name, value in whole.items()}
        arrays["vision_model.post_layernorm.weight"] = np.ones(4, np.float16)
        header, offset = {}, 0
        for name, array in arrays.items():
            header[name] = {"dtype": "F16", "shape": list(array.shape),
                            "data_offsets": [offset, offset + array.nbytes]}
            offset += array.nbytes
        text = json.dumps(header).encode()
        with open(self.path("model.safetensors"), "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.writelines(array.tobytes() for array in arrays.values())
        np.testing.assert_allclose(self.embed(texts), self.want(texts), rtol=0, atol=1e-4)

    def test_alone_or_in_company(self):
        self.make()
        texts = [f"a photo of {word} {i}" for i, word in enumerate((WORDS * 9)[:150])]
        together = self.embed(texts, 3)
        for i in (0, 63, 64, 149):
            self.assertEqual(self.embed([texts[i]], 1)[0].tobytes(), together[i].tobytes())

    def test_bad_folders(self):
        self.make()
        name = "text_model.encoder.layers.1.mlp.fc2.bias"
        for change, status, message in (
                ({name: None}, "MODEL", f"model.safetensors: has no tensor '{name}'"),
                ({name: np.zeros(31)}, "MODEL", f"'{name}' is [31], where [32] is needed"),
                ({name: np.zeros((32, 1))}, "MODEL",
                 f"'{name}' is F32 [32, 1], where 1 dimensions of floats are needed"),
                ({name: np.full(32, np.inf)}, "NOT_FINITE",
                 f"'{name}' holds a number that is not finite"),
                ({"text_projection.weight": None}, "MODEL",
                 "has no tensor 'text_projection.weight'"),
                ({"text_model.embeddings.position_embedding.weight": np.zeros((513, 32))}, "MODEL",
                 "513 positions, 3 layers and dimension 20 are beyond any CLIP"),
                ({"text_model.embeddings.token_embedding.weight": np.zeros((9, 32))}, "MODEL",
                 f"vocab.json: {len(self.numbers)} tokens, but the model knows 9"),
                ({"text_model.final_layer_norm.weight": np.full(32, 3e38),
                  "text_projection.weight": np.ones((20, 32))}, "NOT_FINITE",
                 "the feature of 'dog' is not finite")):
            with self.subTest(message=message):
                arrays = {key: value.numpy() for key, value in self.weights.items()}
                arrays.update(change)
                clip_folder.write_safetensors(
                    self.path("model.safetensors"),
                    {key: np.asarray(value, np.float32) for key, value in arrays.items()
                     if value is not None})
                self.refused(status, message, self.embed, ["dog"])
        for config, message in (([], "config.json: is not an object"),
                                ({"num_attention_heads": 3}, "divides the width 32"),
                                ({"num_attention_heads": "8"}, "divides the width 32"),
                                ({"num_attention_heads": 4, "hidden_act": "relu"}, "hidden_act"),
                                ({"num_attention_heads": 4, "layer_norm_eps": 0}, "layer_norm_eps"),
                                ({}, "config.json must tell the number of heads")):
            clip_folder.write_model(self.folder, self.weights, config)
            self.refused("MODEL", message, self.embed, ["dog"])
        with open(self.path("config.json"), "w") as file:
            file.write("{\n\"a\" 1}")
        self.refused("MODEL", "config.json:2: ':' expected", self.embed, ["dog"])
        os.remove(self.path("model.safetensors"))
        self.refused("READ", "model.safetensors", self.embed, ["dog"])


if __name__ == "__main__":
    unittest.main()
