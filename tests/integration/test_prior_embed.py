"""`vqct prior embed`: a prior's words through a small CLIP, against the same in Python."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/reference"))

import clip_folder  # noqa: E402
from safetensors_file import read_safetensors, write_prior  # noqa: E402

VQCT = os.path.join(ROOT, os.environ.get("VQCT_BUILD", "build/release"), "vqct")
ADJECTIVES = ["red", "small", "café"]
NOUNS = ["dog", "house", "red"]


def plain_prior(path, adjectives=ADJECTIVES, nouns=NOUNS):
    words, first = len(adjectives) + len(nouns), len(adjectives)
    write_prior(path, adjectives, nouns, np.ones((words, 3)), [[0, first, 5], [1, first + 1, 2]],
                range(words, 0, -1), json.dumps({"captions": 7, "embeddings": "glove.txt"}))


class Embed(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.clip, self.prior, self.out = (os.path.join(self.folder, name)
                                           for name in ("tiny-clip", "prior", "out"))
        os.mkdir(self.clip)
        self.merges = clip_folder.learn_merges(["photo", "object", "house", "dog", "red"] * 2, 25)
        self.numbers = clip_folder.vocabulary(self.merges)
        clip_folder.write_tokenizer(self.clip, self.merges)
        self.weights = clip_folder.random_weights(len(self.numbers), positions=32)
        clip_folder.write_model(self.clip, self.weights, {"num_attention_heads": 4})
        plain_prior(self.prior)

    def embed(self, *arguments):
        done = subprocess.run([VQCT, "prior", "embed", *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def features(self, texts):
        return np.array([clip_folder.features(clip_folder.encode(text, self.numbers, self.merges),
                                              self.weights, 4, padded=32) for text in texts])

    def check(self, adjective, noun):
        texts = [adjective.replace("{}", word) for word in ADJECTIVES] \
            + [noun.replace("{}", word) for word in NOUNS]
        before, _ = read_safetensors(self.prior)
        after, texts_after = read_safetensors(self.out)
        # fp32 through three layers, as the encoder's own test
        np.testing.assert_allclose(after["embeddings"], self.features(texts), rtol=0, atol=1e-4)
        for name in ("words.text", "words.part", "words.count", "edges"):
            np.testing.assert_array_equal(before[name], after[name])
        provenance = json.loads(texts_after["provenance"])
        self.assertEqual((provenance["captions"], provenance["embeddings"], provenance["prompts"]),
                         (7, "tiny-clip", [adjective, noun]))
        self.assertIn("CLIP", provenance["embeddings_made_by"])

    def test_the_prompts_of_the_paper(self):
        code, out, error = self.embed(self.prior, "--clip", self.clip, "-o", self.out)
        self.assertEqual((code, error), (0, ""))
        self.assertRegex(out, r"^6 words, 20 numbers each, in [0-9.]+ s\n$")
        self.check("a photo of {} object", "a photo of {}")

    def test_other_prompts_and_threads(self):
        code, _, error = self.embed(self.prior, "-c", self.clip, "-o", self.out, "--threads", "3",
                                    "--adjective-prompt", "{}!", "--noun-prompt", "the {} here")
        self.assertEqual((code, error), (0, ""))
        self.check("{}!", "the {} here")

    def test_many_words_come_out_in_their_places(self):
        adjectives = [f"a{i}" for i in range(100)]
        plain_prior(self.prior, adjectives, ["dog", "house"])
        self.assertEqual(self.embed(self.prior, "-c", self.clip, "-o", self.out)[0], 0)
        want = self.features([f"a photo of {word} object" for word in adjectives]
                             + ["a photo of dog", "a photo of house"])
        np.testing.assert_allclose(read_safetensors(self.out)[0]["embeddings"], want, rtol=0, atol=1e-4)

    def test_wrong_input(self):
        good = [self.prior, "--clip", self.clip, "--output", self.out]
        long = os.path.join(self.folder, "long")
        plain_prior(long, nouns=["dog", "house", "x" * 250])
        for arguments, code, message in (
                ([], 2, "PRIOR"),
                ([self.prior, "--clip", self.clip], 2,
                 "--clip FOLDER and --output FILE are needed"),
                ([*good, "--noun-prompt", "a dog"], 2, "the prompt 'a dog' needs {} once"),
                ([*good, "--noun-prompt", "{} {}"], 2, "the prompt '{} {}' needs {} once"),
                ([*good, "--noun-prompt", "{}" + "x" * 600], 9, "a prompt of over 512 bytes"),
                ([long, *good[1:]], 9, "tokens of at most 32"),
                ([self.out, *good[1:]], 3, "out"),
                ([self.prior, "--clip", self.folder, "-o", self.out], 3, "vocab.json"),
                ([self.clip + "/model.safetensors", *good[1:]], 5, "model.safetensors"),
                ([self.prior, "--clip", self.clip, "-o", self.folder + "/no/where"], 7, "no/where")):
            with self.subTest(message=message):
                got = self.embed(*arguments)
                self.assertEqual(got[0], code, got)
                self.assertIn(message, got[2])
                self.assertEqual(got[2].count("\n"), 1)
                self.assertFalse(os.path.exists(self.out))


if __name__ == "__main__":
    unittest.main()
