"""python/examples/transformer.py in short: tiles of photographs, a tiny model, a few seconds."""
import contextlib
import io
import math
import os
import subprocess
import sys
import unittest
from unittest import mock
from xml.etree import ElementTree

import numpy as np
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
sys.path.insert(0, os.path.join(ROOT, "python"))
sys.path.insert(0, os.path.join(ROOT, "python", "examples"))
from serving import BUILD, VQCT, ModelCase, Server  # noqa: E402

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["VQCT_LIBRARY"] = os.path.join(BUILD, "libvqct.so")
import torch  # noqa: E402
import transformer  # noqa: E402
import vqct  # noqa: E402

torch.set_num_threads(1)

EXAMPLE = os.path.join(ROOT, "python", "examples", "transformer.py")
SMALL = ("--every", "60", "--batch", "32", "--width", "32", "--depth", "2", "--heads", "2",
         "--learning-rate", "0.003")
ADJECTIVES, NOUNS, OFFSET = 12, 20, 5  # of the tiny model, and above its three labels


def example(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "python")}
    return subprocess.run([sys.executable, EXAMPLE, *arguments], env=environment, check=False,
                          capture_output=True, text=True)


def cut_tiles(folder):
    """Tiles of 16 x 16 pixels of the sample photographs at half their size, in a folder for each."""
    for name in ("chelsea", "coffee", "rocket"):
        os.makedirs(os.path.join(folder, name))
        with Image.open(os.path.join(ROOT, "tests", "data", name + ".jpg")) as image:
            picture = image.resize((image.width // 2, image.height // 2))
        for y in range(0, picture.height - 15, 16):
            for x in range(0, picture.width - 15, 16):
                picture.crop((x, y, x + 16, y + 16)).save(os.path.join(folder, name, f"{y}-{x}.png"))


class Example(ModelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.photos = os.path.join(cls.folder.name, "photos")
        cut_tiles(cls.photos)
        cls.tokens = os.path.join(cls.folder.name, "tokens.idx")
        cls.encode(cls.tokens, "--layout", "interleaved", "--offset", str(OFFSET))
        cls.run_folder = os.path.join(cls.folder.name, "run")
        cls.trained = example("train", cls.tokens, cls.model, "--output", cls.run_folder, "--steps", "120", *SMALL)
        assert cls.trained.returncode == 0, cls.trained.stderr

    @classmethod
    def encode(cls, path, *options):
        subprocess.run([VQCT, "encode", cls.model, cls.photos, "-o", path, "--size", "16", "--labels", "folder",
                        *options], check=True, capture_output=True)

    def restored(self):
        return transformer.restored(os.path.join(self.run_folder, "checkpoint.pt"))

    def state(self, folder):
        return torch.load(os.path.join(folder, "checkpoint.pt"))["state"]

    def test_held_out_tokens_cost_less_than_their_frequencies(self):
        kept = self.state(self.run_folder)
        step, _, held = kept["curve"][-1]
        self.assertEqual(step, 120)
        self.assertAlmostEqual(kept["bits"]["uniform"], (math.log2(ADJECTIVES) + math.log2(NOUNS)) / 2)
        self.assertLess(kept["bits"]["unigram"], kept["bits"]["uniform"])
        self.assertLess(held, kept["bits"]["unigram"] - 0.1)

    def test_held_out_pictures_are_in_no_batch(self):
        tokens = vqct.tokens(self.tokens)
        learn, hold = ({tokens.pictures[i]["image"] for i in part} for part in transformer.split(tokens))
        self.assertFalse(learn & hold)
        self.assertEqual(len(learn) + len(hold), len(tokens))
        self.assertGreater(len(hold), 5)

    def test_the_label_counts(self):
        tokens = vqct.tokens(self.tokens)
        sequences = torch.stack(list(tokens.torch(sequences=True)))
        classes, model = torch.from_numpy(tokens.classes), self.restored()
        right = transformer.held_out_bits(model, classes, sequences)
        wrong = transformer.held_out_bits(model, (classes + 1) % 3, sequences)
        self.assertLess(right, wrong - 0.01)

    def test_a_token_knows_those_before_it_alone(self):
        model = self.restored().eval()
        rows = torch.randint(OFFSET, OFFSET + ADJECTIVES, (2, model.length))
        changed = rows.clone()
        changed[:, 17:] = OFFSET + ADJECTIVES
        with torch.no_grad():
            whole, other = model.hidden(rows), model.hidden(changed)
            pasts = [[] for _ in model.blocks]
            single = torch.cat([model.hidden(rows[:, i:i + 1], i, pasts) for i in range(model.length)], 1)
        torch.testing.assert_close(whole[:, :17], other[:, :17], rtol=0, atol=1e-5)
        self.assertGreater((whole[:, 17:] - other[:, 17:]).abs().max().item(), 1e-3)
        torch.testing.assert_close(single, whole, rtol=0, atol=1e-4)

    def test_a_run_that_goes_on_is_the_run_that_was_not_cut(self):
        def train(folder):
            with contextlib.redirect_stdout(io.StringIO()):
                transformer.train(transformer.parse(["train", self.tokens, self.model, "--output", folder,
                                                     *SMALL, "--steps", "10", "--every", "5"]))

        once, twice = self.path("once"), self.path("twice")
        train(once)
        with mock.patch.object(transformer.figures, "draw_curve", side_effect=KeyboardInterrupt), \
                self.assertRaises(KeyboardInterrupt):
            train(twice)  # ends after its first checkpoint
        self.assertEqual(self.state(twice)["step"], 5)
        train(twice)
        self.assertEqual(self.state(once)["curve"], self.state(twice)["curve"])
        ElementTree.parse(os.path.join(twice, "curve.svg"))

    def test_what_was_best_on_what_is_held_out_is_kept(self):
        folder = self.path("risen")
        with mock.patch.object(transformer, "held_out_bits", side_effect=[3.0, 1.0, 2.0]), \
                contextlib.redirect_stdout(io.StringIO()):
            transformer.train(transformer.parse(["train", self.tokens, self.model, "--output", folder,
                                                 *SMALL, "--steps", "6", "--every", "2"]))
        steps = [torch.load(os.path.join(folder, name))["state"]["step"] for name in ("best.pt", "checkpoint.pt")]
        self.assertEqual(steps, [4, 6])

    def test_samples_are_pictures_of_the_service(self):
        found = self.restored().sample(torch.tensor([0, 1, 2]), torch.Generator().manual_seed(1), 2.0, 1.0, 5).numpy()
        self.assertEqual(found.shape, (3, 32))
        adjectives, nouns = found[:, 0::2] - OFFSET, found[:, 1::2] - OFFSET - ADJECTIVES
        self.assertTrue(0 <= adjectives.min() and adjectives.max() < ADJECTIVES)
        self.assertTrue(0 <= nouns.min() and nouns.max() < NOUNS)
        sheet = self.path("sheet.png")
        with Server(self.model) as server:
            done = example("sample", self.run_folder, "--url", f"http://127.0.0.1:{server.port}", "--output", sheet,
                           "--each", "2", "--labels", "rocket,chelsea", "--beside", self.tokens, "--real", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        with Image.open(sheet) as image:
            self.assertEqual(image.size, (3 * 18, 2 * 18))
            shown = np.asarray(image.convert("RGB"))
        # The last column is of held-out pictures: what the codec itself makes of one.
        tokens = vqct.tokens(self.tokens)
        held = [i for i in transformer.split(tokens)[1] if tokens.labels[tokens.classes[i]] == "chelsea"]
        with vqct.Model(self.model, threads=1) as codec:
            np.testing.assert_array_equal(shown[18:34, 36:52], codec.decode(tokens[held[0]]))

    def test_what_does_not_fit_is_told(self):
        for name, options, word in (("planes.idx", ("--offset", "5"), "--layout interleaved"),
                                    ("low.idx", ("--layout", "interleaved", "--offset", "3"), "above")):
            self.encode(self.path(name), *options)
            done = example("train", self.path(name), self.model, "--output", self.path("none"))
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
