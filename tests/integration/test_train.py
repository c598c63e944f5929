"""`vqct train` as a user runs it: going on after a kill, stopping, damaged pictures, wrong options."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import urllib.request
import xml.etree.ElementTree

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reference"))
from safetensors_file import read_safetensors, write_prior, write_safetensors  # noqa: E402
from torch_lpips import random_weights  # noqa: E402

VQCT = os.path.join(os.environ["VQCT_BUILD"], "vqct")


def random_prior(path, adjectives=12, nouns=20, dimension=6):
    draw = np.random.default_rng(1)
    edges = sorted({(int(draw.integers(adjectives)), adjectives + int(draw.integers(nouns)))
                    for _ in range(40)})
    write_prior(path, [f"a{i}" for i in range(adjectives)], [f"n{i}" for i in range(nouns)],
                draw.standard_normal((adjectives + nouns, dimension)),
                [(a, n, 1 + a) for a, n in edges])


def write_pictures(folder, count=12):
    draw = np.random.default_rng(2)
    os.makedirs(folder)
    for i in range(count):
        size = (int(draw.integers(40, 90)), int(draw.integers(40, 90)))
        small = draw.integers(0, 255, (5, 5, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize(size, Image.BICUBIC)
        picture.save(f"{folder}/{i}.{'png' if i % 3 else 'jpg'}")


class Train(unittest.TestCase):
    STEPS = 8

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.data, cls.prior = f"{cls.folder.name}/data", f"{cls.folder.name}/prior.safetensors"
        write_pictures(cls.data)
        random_prior(cls.prior)
        done = cls.train("whole", "--threads", "2")  # all others take one: it must not matter
        assert done.returncode == 0, done.stdout
        cls.whole = cls.state("whole")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def command(cls, run, *more):
        return [VQCT, "train", "-o", f"{cls.folder.name}/{run}", "--data", cls.data, "--prior",
                cls.prior, "--preset", "vqct-tiny", "--crop", "32", "--batch", "2", "--accumulate",
                "2", "--steps", str(cls.STEPS), "--discriminator-start", "2",
                "--discriminator-channels", "4", "--discriminator-layers", "2",
                "--discriminator-normalize", "group", "--lecam-weight", "0.1", "--discriminator-augment", "--average-decay", "0.9",
                "--cosine", "--learning-rate", "1e-3", "--late-start", "5", "--late-crop",
                "40", "--late-batch", "1", "--log-every", "1", "--checkpoint-every", "1",
                "--validate-every", "4", "--validation-size", "40", "--held-out", "3", "--threads",
                "1", "--perceptual-weight", "0", *more]

    @classmethod
    def train(cls, run, *more):
        return subprocess.run(cls.command(run, *more), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=600)

    @classmethod
    def state(cls, run, name="last"):
        """(texts, bytes of each tensor) of a checkpoint."""
        arrays, texts = read_safetensors(f"{cls.folder.name}/{run}/{name}.safetensors")
        return texts, {name: array.tobytes() for name, array in arrays.items()}

    def floats(self, run, name):
        return np.frombuffer(self.state(run)[1][name], np.float32)

    def assertSameState(self, run):
        metadata, tensors = self.state(run)
        self.assertEqual(metadata, self.whole[0])
        for name, data in self.whole[1].items():
            self.assertEqual(tensors[name], data, name)

    def metrics(self, run):
        with open(f"{self.folder.name}/{run}/metrics.jsonl") as file:
            return [json.loads(line) for line in file]

    def start(self, run, *more):
        return subprocess.Popen(self.command(run, *more), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def stop(self, run, sign, after):
        """Starts a run and sends a signal once the checkpoint of step `after` is there. Where the
        run was faster than the signal, once more."""
        path = f"{self.folder.name}/{run}/last.safetensors"
        for _ in range(50):
            shutil.rmtree(f"{self.folder.name}/{run}", ignore_errors=True)
            process = self.start(run)
            while process.poll() is None:
                if os.path.exists(path) and int(read_safetensors(path)[1]["step"]) >= after:
                    break
                time.sleep(0.001)
            process.send_signal(sign)
            output = process.communicate(timeout=600)[0]
            if int(self.state(run)[0]["step"]) < self.STEPS:
                return process.returncode
        self.fail(f"{run} always ends before the signal: {output}")

    def test_goes_on_after_a_kill(self):
        for number, after in enumerate((1, 3, 6)):
            run = f"killed{number}"
            self.assertEqual(self.stop(run, signal.SIGKILL, after), -signal.SIGKILL)
            leftover = f"{self.folder.name}/{run}/.last.safetensors.{number + 1}.1f.tmp"
            with open(leftover, "w"):  # as a kill in the midst of a write leaves it
                pass
            done = self.train(run, "--resume")
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertSameState(run)
            self.assertFalse(os.path.exists(leftover))
            lines = [line["step"] for line in self.metrics(run) if "validation" not in line]
            self.assertEqual(lines, list(range(1, self.STEPS + 1)))

    def test_stops_when_asked(self):
        self.assertEqual(self.stop("stopped", signal.SIGTERM, 2), 0)
        # Without any other option: those that it was begun with are kept in the folder.
        done = subprocess.run([VQCT, "train", "--resume", "-o", f"{self.folder.name}/stopped"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertSameState("stopped")

    def test_stops_at_a_step(self):
        """The rate falls to the last step of the whole run, not to the one where a stage stops."""
        done = self.train("until", "--until", "3")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.state("until")[0]["step"], "3")
        done = self.train("until", "--resume", "--until", "2")  # which is past
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.state("until")[0]["step"], "3")
        done = self.train("until", "--resume")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertSameState("until")

    def test_held_out_pictures_are_listed(self):
        """Training does not see them: with them damaged it gives the same weights."""
        with open(f"{self.folder.name}/whole/held-out.txt") as file:
            names = [os.path.basename(line) for line in file.read().splitlines()]
        self.assertEqual(len(set(names)), 3)
        with tempfile.TemporaryDirectory() as kept:
            for name in names:
                shutil.copy(f"{self.data}/{name}", kept)
                os.truncate(f"{self.data}/{name}", 20)
            done = self.train("unseen")
            shutil.copytree(kept, self.data, dirs_exist_ok=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.state("unseen")[1]["generator.parameters"],
                         self.whole[1]["generator.parameters"])

    def test_stages(self):
        """A discriminator that a later stage brings, and one that it leaves behind."""
        stages = [("--discriminator-start", "-1", "--steps", "3"), ("--resume",)]
        for options in stages:
            done = self.train("stages", "--no-cosine", "--discriminator-start", "3", *options)
            self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("no discriminator", done.stdout)
        straight = self.train("straight", "--no-cosine", "--discriminator-start", "3")
        self.assertEqual(straight.returncode, 0, straight.stdout)
        self.assertEqual(self.state("stages"), self.state("straight"))
        self.assertEqual(self.state("stages")[0]["discriminator_steps"], "5")

        done = self.train("stages", "--no-cosine", "--discriminator-start", "-1", "--steps", "9",
                          "--resume")
        self.assertEqual(done.returncode, 0, done.stdout)
        metadata, tensors = self.state("stages")
        self.assertEqual((metadata["step"], metadata["discriminator_steps"]), ("9", "0"))
        self.assertNotIn("discriminator.parameters", tensors)

    def test_a_discriminator_that_only_learns(self):
        for run, options in (("alone", ["--discriminator-start", "-1"]),
                             ("watched", ["--discriminator-weight", "0"])):
            done = self.train(run, "--steps", "4", *options)
            self.assertEqual(done.returncode, 0, done.stdout)
        alone, watched = self.state("alone"), self.state("watched")
        self.assertEqual(alone[1]["generator.parameters"], watched[1]["generator.parameters"])
        self.assertEqual(watched[0]["discriminator_steps"], "2")

    def test_average_of_a_later_stage(self):
        done = self.train("average", "--steps", "3", "--average-decay", "0")
        self.assertEqual(done.returncode, 0, done.stdout)
        before = self.floats("average", "generator.parameters")
        done = self.train("average", "--steps", "4", "--resume", "--average-decay", "0.9")
        self.assertEqual(done.returncode, 0, done.stdout)
        after = self.floats("average", "generator.parameters")
        # optimizer.h: the decay grows as (1 + steps) / (10 + steps), here of three steps.
        expected = before + (1 - 4 / 13) * (after - before)
        np.testing.assert_allclose(self.floats("average", "generator.average"), expected,
                                   rtol=0, atol=2e-7)  # a few roundings of values up to 1

    def test_best_of_another_measure(self):
        """LPIPS is not compared with PSNR: the first validation by it is the best so far."""
        weights = {name: t.numpy() for name, t in random_weights("squeeze", 1).items()}
        path = f"{self.folder.name}/squeeze.safetensors"
        write_safetensors(path, weights)
        self.train("measure", "--steps", "2")
        self.assertEqual(self.state("measure", "best")[0]["best_of"], "PSNR of 64 pictures of 40 pixels")
        self.train("measure", "--steps", "3", "--resume", "--perceptual", path,
                   "--perceptual-weight", "1", "--late-start", "-1", "--crop", "40")
        best = self.state("measure", "best")[0]
        self.assertEqual((best["step"], best["best_of"]), ("3", "LPIPS of 64 pictures of 40 pixels"))
        self.assertGreater(float.fromhex(best["best"]), 0)

    def test_a_lost_discriminator(self):
        """It had taken steps, so a file without it is damaged."""
        self.train("lost")
        metadata, tensors = self.state("lost")
        write_safetensors(f"{self.folder.name}/lost/last.safetensors",
                      {name: np.frombuffer(data, np.float32) for name, data in tensors.items()
                       if name != "discriminator.parameters"}, metadata)
        done = self.train("lost", "--resume", "--steps", "9")
        self.assertEqual(done.returncode, 5, done.stdout)
        self.assertIn("no tensor discriminator.parameters", done.stdout)

    def test_average_logits(self):
        """LeCam goes on from those of the checkpoint, which must be numbers."""
        self.train("logits", "--steps", "4")
        metadata, tensors = self.state("logits")
        real, made, batches = metadata["judged"].split()
        self.assertNotEqual(float.fromhex(real), float.fromhex(made))
        self.assertEqual(batches, "4")  # two steps of two batches
        for judged, status in ((f"nan {made} 4", 5), ("0x1p2", 5), (f"0x1p9 {made} 4", 0)):
            write_safetensors(f"{self.folder.name}/logits/last.safetensors",
                              {name: np.frombuffer(data, np.float32)
                               for name, data in tensors.items()}, {**metadata, "judged": judged})
            done = self.train("logits", "--resume")
            self.assertEqual(done.returncode, status, done.stdout)
            if status:
                self.assertIn(f"judged is '{judged}'", done.stdout)
        self.assertNotEqual(self.state("logits")[1]["discriminator.parameters"],
                            self.whole[1]["discriminator.parameters"])

    def test_a_discriminator_too_far_ahead(self):
        """It does not learn, and the generator goes on against what it is."""
        self.train("ahead", "--discriminator-gap", "1e-9", "--lecam-weight", "0",
                   "--discriminator-rate", "0.01", "--learning-rate", "1e-12")
        judged = [line for line in self.metrics("ahead") if line.get("generator")]
        self.assertTrue(judged)
        for line in judged:
            learned = line["discriminator_norm"] > 0
            self.assertTrue(learned if line["logit_gap"] < 0 else True, line)
        self.assertIn(0, [line["discriminator_norm"] for line in judged])

    def test_order_is_the_seeds(self):
        done = self.train("threads", "--loader-threads", "5", "--threads", "3")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertSameState("threads")
        self.train("seed", "--seed", "1")
        self.assertNotEqual(self.state("seed")[1]["generator.parameters"],
                            self.whole[1]["generator.parameters"])

    def test_folder(self):
        names = set(os.listdir(f"{self.folder.name}/whole"))
        self.assertEqual(names, {"config.json", "held-out.txt", "metrics.jsonl", "last.safetensors",
                                 "best.safetensors", "model.safetensors", "reconstructions.png",
                                 "curves.svg"})
        with Image.open(f"{self.folder.name}/whole/reconstructions.png") as sheet:
            self.assertEqual(sheet.size, (3 * 44 - 4, 2 * 44 - 4))
        validation = [line["validation"] for line in self.metrics("whole") if "validation" in line]
        self.assertEqual(len(validation), 2)
        self.assertEqual(validation[0]["pictures"], 3)
        self.assertEqual(validation[0]["window"], 300)
        inspect = subprocess.run([VQCT, "inspect", f"{self.folder.name}/whole/model.safetensors"],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(inspect.returncode, 0, inspect.stdout)

    def test_curves(self):
        """Every quantity that the metrics have is drawn, where its values say."""
        root = xml.etree.ElementTree.parse(f"{self.folder.name}/whole/curves.svg").getroot()
        svg = "{http://www.w3.org/2000/svg}"
        legends = [[span.text for span in text] for text in root.iter(svg + "text") if len(text)]
        two = ["adjectives", "nouns"]
        self.assertEqual(legends, 2 * [["training"]] + [two, two] +
                         [["generator", "discriminator"], ["validation"], ["validation"], two])
        lines = [line for line in self.metrics("whole") if "validation" not in line]
        drawn = [[tuple(map(float, point.split(","))) for point in line.get("points").split()]
                 for line in root.iter(svg + "polyline")]
        self.assertEqual(len(drawn), sum(map(len, legends)))
        boxes = [[float(box.get(side)) for side in ("x", "y", "width", "height")]
                 for box in root.iter(svg + "rect") if box.get("x")]
        for curve, panel, keys in ((drawn[0], 0, ["pixel"]),
                                   (drawn[3], 2, ["adjective_usage", "noun_usage"])):
            left, top, width, height = boxes[panel]
            most = max(line[key] for line in lines for key in keys)
            least = min(line[key] for line in lines for key in keys)
            expected = [(left + width * line["step"] / self.STEPS,
                         top + height * (most - line[keys[-1]]) / (most - least)) for line in lines]
            np.testing.assert_allclose(curve, expected, rtol=0, atol=0.051)  # tenths are written

    def test_curves_have_ticks_and_no_panel_of_a_loss_that_is_off(self):
        done = self.train("quiet", "--discriminator-start", "-1")
        self.assertEqual(done.returncode, 0, done.stdout)
        root = xml.etree.ElementTree.parse(f"{self.folder.name}/quiet/curves.svg").getroot()
        svg = "{http://www.w3.org/2000/svg}"
        texts = [text.text for text in root.iter(svg + "text") if not len(text)]
        self.assertNotIn("adversarial losses", texts)
        self.assertIn("codebook loss", texts)
        boxes = [[float(box.get(side)) for side in ("x", "y", "width", "height")]
                 for box in root.iter(svg + "rect") if box.get("x")]
        ticks = [[float(line.get(end)) for end in ("x1", "y1", "x2", "y2")]
                 for line in root.iter(svg + "line")]
        for left, top, width, height in boxes:
            across = [t for t in ticks if t[0] == left and t[2] == left + width and
                      top <= t[1] == t[3] <= top + height]
            along = [t for t in ticks if t[1] == top + height and t[0] == t[2] and
                     left <= t[0] <= left + width]
            self.assertGreaterEqual(len(across), 2)
            self.assertEqual(len(along), 1 + self.STEPS // 2)  # 0, 2, 4, 6, 8
        self.assertLessEqual({"0", "2", "4", "6", "8"}, set(texts))

    def test_counts_of_the_model(self):
        """All twelve pictures: three of validation and nine of training, as `encode` sees them."""
        model = f"{self.folder.name}/whole/model.safetensors"
        counts = read_safetensors(model)[0]["codebook.training_counts"].astype(int)
        tokens = f"{self.folder.name}/tokens.npy"
        done = subprocess.run([VQCT, "encode", model, self.data, "--size", "40", "-o", tokens],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        encoded = np.bincount(np.load(tokens).ravel(), minlength=len(counts))
        self.assertEqual(counts.sum(), 12 * 3 * 100)  # pictures, planes, positions
        # The model holds fp16: a few vectors near a border choose the other code.
        self.assertLess(np.abs(counts - encoded).sum(), 0.02 * counts.sum())

    def test_damaged_pictures_are_named(self):
        data = f"{self.folder.name}/damaged"
        write_pictures(data)
        with open(f"{data}/1.png", "r+b") as file:
            file.truncate(200)
        with open(f"{data}/empty.jpg", "wb"):
            pass
        shard = f"{self.folder.name}/shard.tar"
        with tarfile.open(shard, "w") as tar:
            for name in ("2.png", "3.jpg", "1.png"):
                tar.add(f"{data}/{name}", name)
        done = self.train("with-damaged", "--data", data, "--data", shard)
        self.assertEqual(done.returncode, 0, done.stdout)
        names = ("damaged/1.png", "damaged/empty.jpg", "shard.tar:1.png")
        for name in names:
            self.assertLessEqual(done.stdout.count(name), 2, done.stdout)  # training, validation
            self.assertGreaterEqual(done.stdout.count(name), 1, done.stdout)
        with open(f"{self.folder.name}/with-damaged/held-out.txt") as file:
            held_out = file.read()
        trained = [name for name in names if name not in held_out]
        last = [line for line in self.metrics("with-damaged") if "validation" not in line][-1]
        self.assertEqual(last["bad_pictures"], len(trained))
        self.assertRegex(done.stdout, rf"(?m)^step 8 .*  {len(trained)} bad pictures$")

    def test_validation_without_a_good_picture_says_so(self):
        bad = f"{self.folder.name}/bad.jpg"
        with open(f"{self.data}/0.jpg", "rb") as file:
            whole = file.read()
        with open(bad, "wb") as file:
            file.write(whole[:len(whole) // 2])
        done = self.train("nothing-good", "--validation", bad)
        self.assertEqual(done.returncode, 0, done.stdout)
        for step in (4, 8):
            self.assertIn(f"step {step}: 0 of 1 pictures of validation are good, so it says nothing",
                          done.stdout)
        self.assertFalse([line for line in self.metrics("nothing-good") if "validation" in line])

    def test_going_on_says_where(self):
        done = self.train("said", "--until", "3")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("goes on from", done.stdout)
        done = self.train("said", "--resume", "--until", "4")
        self.assertIn("goes on from step 3 of 8", done.stdout)

    def tensors(self, path):
        return read_safetensors(f"{self.folder.name}/{path}.safetensors")[0]

    def begin_from(self, run, *more):
        """One step that moves nothing, so that the checkpoint is what the run begins with."""
        model = f"{self.folder.name}/whole/model.safetensors"
        done = self.train(run, "--from", model, "--steps", "1", "--validate-every", "0",
                          "--learning-rate", "1e-12", "--discriminator-start", "-1", *more)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout, self.tensors(f"{run}/model")

    def check_weights(self, model):
        """Those of the network, which are rounded to fp16 again, and to Adam's step of 1e-12."""
        whole = self.tensors("whole/model")
        names = [name for name in whole if not name.startswith("codebook")]
        self.assertGreater(len(names), 20)
        for name in names:
            self.assertLessEqual(abs(model[name].astype(float) - whole[name]).max(), 1e-11, name)

    def test_begins_with_a_model(self):
        """Codes that are trained themselves are the model's, and bear its words."""
        whole = self.tensors("whole/model")
        for codes in ("free", "ema"):
            said, model = self.begin_from(f"from-{codes}", "--codes", codes)
            self.assertIn("; 32 of its 32 codes\n", said)
            self.check_weights(model)
            if codes == "free":
                np.testing.assert_allclose(model["codebook.weight"], whole["codebook.weight"],
                                           rtol=0, atol=1e-11)
            np.testing.assert_array_equal(model["codebook.words"], whole["codebook.words"])

    def test_begins_with_a_model_and_fits_the_transfer(self):
        """The model's own prior: its graph convolution can give its codes again."""
        whole = self.tensors("whole/model")["codebook.weight"].astype(float)
        said, model = self.begin_from("from-gcn")
        self.assertRegex(said, r"begins with (\d+) of \1 weights of .*; 32 of its 32 codes, fitted")
        self.check_weights(model)
        off = (model["codebook.weight"] - whole) ** 2
        self.assertLess(off.sum() / (whole ** 2).sum(), 0.01)
        self.begin_from("from-gcn-again", "--threads", "2")
        self.assertEqual(self.state("from-gcn"), self.state("from-gcn-again"))

    def test_begins_with_a_model_of_other_words(self):
        """A prior of half its words, and some that it does not have, in another order."""
        draw = np.random.default_rng(3)
        path = f"{self.folder.name}/other.safetensors"
        adjectives, nouns = ["a9", "new", "a3"], ["n19", "n2", "newer", "n7", "n0"]
        write_prior(path, adjectives, nouns, draw.standard_normal((8, 6)), [(0, 3, 1), (2, 4, 2)])
        said, model = self.begin_from("from-other", "--prior", path, "--codes", "free")
        self.assertIn("; 6 of its 8 codes\n", said)
        self.check_weights(model)
        whole = self.tensors("whole/model")["codebook.weight"]
        rows = {"a9": 9, "a3": 3, "n19": 31, "n2": 14, "n7": 19, "n0": 12}
        for i, word in enumerate(adjectives + nouns):
            if word in rows:
                np.testing.assert_allclose(model["codebook.weight"][i], whole[rows[word]], rtol=0,
                                           atol=1e-11)

    def test_a_run_that_goes_on_does_not_begin_again(self):
        self.begin_from("from-on", "--codes", "free")
        done = self.train("from-on", "--resume", "--steps", "2", "--learning-rate", "0.01")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("begins with", done.stdout)
        np.testing.assert_array_equal(self.tensors("from-on/model")["codebook.words"],
                                      self.tensors("whole/model")["codebook.words"])

    def test_models_without_a_prior_and_files_that_are_none(self):
        done = subprocess.run([VQCT, "train", "-o", f"{self.folder.name}/from-none", "--data", self.data,
                               "--held-out", "3", "--codes", "free", "--steps", "1", "--crop", "32",
                               "--validation-size", "40", "--perceptual-weight", "0", "--from",
                               f"{self.folder.name}/whole/model.safetensors", "--batch", "2"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)  # without a prior: the model's words
        np.testing.assert_array_equal(self.tensors("from-none/model")["codebook.words"],
                                      self.tensors("whole/model")["codebook.words"])
        for path, code, message in ((f"{self.folder.name}/none.safetensors", 3, "none.safetensors"),
                                    (self.prior, 5, "prior.safetensors")):
            done = self.train("from-wrong", "--from", path)
            self.assertEqual(done.returncode, code, done.stdout)
            self.assertIn(message, done.stdout)

    def test_all_pictures_held_out(self):
        done = self.train("all-held-out", "--held-out", "12")
        self.assertEqual(done.returncode, 11, done.stdout)
        self.assertIn("there are 12: none is left to train on; lower --held-out", done.stdout)

    def test_stops_at_nan(self):
        done = self.train("nan", "--steps", "2")
        self.assertEqual(done.returncode, 0, done.stdout)
        kept = self.state("nan")
        weights = {name: t.numpy() for name, t in random_weights("squeeze", 1).items()}
        weights["features.12.squeeze.weight"] *= 1e38
        path = f"{self.folder.name}/lpips.safetensors"
        write_safetensors(path, weights)
        done = self.train("nan", "--steps", "4", "--resume", "--perceptual", path, "--crop", "64",
                          "--perceptual-weight", "1")
        self.assertEqual(done.returncode, 12, done.stdout)
        self.assertIn("step 2: the perceptual loss is not finite", done.stdout)
        self.assertEqual(self.state("nan"), kept)

    def test_every_kind_of_codes(self):
        for kind in ("mlp", "fixed", "free", "simvq", "ema"):
            with self.subTest(kind=kind):
                done = self.train(kind, "--codes", kind, "--steps", "2", "--no-cosine")
                self.assertEqual(done.returncode, 0, done.stdout)
                done = self.train(kind, "--codes", kind, "--steps", "4", "--resume", "--no-cosine")
                self.assertEqual(done.returncode, 0, done.stdout)
                straight = self.train(kind + "4", "--codes", kind, "--steps", "4", "--no-cosine")
                self.assertEqual(straight.returncode, 0, straight.stdout)
                self.assertEqual(self.state(kind)[1], self.state(kind + "4")[1])

    def test_metrics_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = self.start("port", "--metrics-port", str(port), "--steps", "1000000")
        page = ""
        while process.poll() is None and "vqct_train_validation" not in page:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
                    page = reply.read().decode()
            except OSError:  # not there yet
                pass
            time.sleep(0.02)
        process.terminate()
        output = process.communicate(timeout=600)[0]
        self.assertEqual(process.returncode, 0, output)
        for line in ("vqct_train_steps 1000000", "vqct_train_bad_pictures 0", 'vqct_train_codebook_usage_ratio{codebook="noun"} 0.',
                     'vqct_train_loss{loss="pixel"} 0.',
                     'vqct_train_validation{measure="psnr_decibels"}'):
            self.assertIn(line, page)

    def test_one_run_in_a_folder(self):
        first = self.start("shared", "--steps", "1000000", "--checkpoint-every", "1")
        for line in first.stdout:
            if line.startswith("step 2 "):  # so there is a checkpoint
                break
        second = self.train("shared", "--resume")
        first.terminate()
        output = first.communicate(timeout=600)[0]
        self.assertEqual(first.returncode, 0, output)
        self.assertEqual(second.returncode, 7, second.stdout)
        self.assertIn("shared: another process is training here", second.stdout)
        steps = [line["step"] for line in self.metrics("shared") if "validation" not in line]
        self.assertEqual(steps, list(range(1, len(steps) + 1)))

    def test_a_wrong_stage_leaves_the_options(self):
        """What a run cannot begin with is not what it goes on with."""
        self.assertEqual(self.train("kept", "--until", "2").returncode, 0)
        with open(f"{self.folder.name}/kept/config.json") as file:
            before = file.read()
        for more, code in ((["--crop", "33"], 2), (["--codes", "mlp"], 5), (["--seed", "x"], 2),
                           (["--data", f"{self.folder.name}/nothing"], 3)):
            done = self.train("kept", "--resume", *more)
            self.assertEqual(done.returncode, code, done.stdout)
        with open(f"{self.folder.name}/kept/config.json") as file:
            self.assertEqual(file.read(), before)

    def test_options_are_kept_to_the_last_digit(self):
        """Computed ones too, such as a third, whose 16 digits --resume needs."""
        done = self.train("digits", "--learning-rate", repr(1e-3 / 3), "--until", "1")
        self.assertEqual(done.returncode, 0, done.stdout)
        with open(f"{self.folder.name}/digits/config.json") as file:
            text = file.read()
        self.assertEqual(json.loads(text)["learning-rate"], 1e-3 / 3)
        self.assertIn('"average-decay": 0.9,', text)

    def test_other_pictures_held_out(self):
        """The best validation of the former ones is then no measure."""
        data, checkpoint = f"{self.folder.name}/growing", f"{self.folder.name}/grown/last.safetensors"
        shutil.copytree(self.data, data)
        self.train("grown", "--data", data, "--steps", "2")
        metadata, tensors = self.state("grown")
        write_safetensors(checkpoint, {name: np.frombuffer(data, np.float32)
                                       for name, data in tensors.items()},
                          {**metadata, "best": "-0x1p+10"})  # a PSNR of 1024 dB
        done = self.train("grown", "--data", data, "--steps", "3", "--resume")
        self.assertNotIn("held out", done.stdout)
        self.assertEqual(float.fromhex(self.state("grown")[0]["best"]), -1024)
        shutil.copy(f"{data}/1.png", f"{data}/another.png")
        done = self.train("grown", "--data", data, "--steps", "4", "--resume")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("other pictures are held out than before", done.stdout)
        self.assertGreater(float.fromhex(self.state("grown")[0]["best"]), -100)

    def test_a_discriminator_without_fault_is_shown(self):
        """Its loss is then exactly 0."""
        done = self.train("sure", "--steps", "80", "--accumulate", "1", "--discriminator-start", "0",
                          "--discriminator-normalize", "batch", "--lecam-weight", "0",
                          "--no-discriminator-augment",
                          "--discriminator-rate", "0.05", "--learning-rate", "1e-12", "--no-cosine",
                          "--validate-every", "0", "--checkpoint-every", "0", "--late-start", "-1")
        self.assertEqual(done.returncode, 0, done.stdout)
        sure = [line["step"] for line in self.metrics("sure") if line.get("discriminator") == 0]
        self.assertTrue(sure)
        for step in sure:
            self.assertRegex(done.stdout, rf"(?m)^step {step} of .* G \S+  D 0\.000 ")

    def test_one_part_of_speech(self):
        for parts, codes in (("adjectives", 12), ("nouns", 20)):
            done = self.train(parts, "--parts", parts, "--steps", "2")
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("code_usage", self.metrics(parts)[-1]["validation"])
            inspect = subprocess.run([VQCT, "inspect", "--json",
                                      f"{self.folder.name}/{parts}/model.safetensors"],
                                     stdout=subprocess.PIPE, text=True)
            book = json.loads(inspect.stdout)["codebooks"][0]
            self.assertEqual((book["count"], book["words"][0]), (codes, parts[0] + "0"))

    def test_wrong_options(self):
        missing = f"{self.folder.name}/nothing"
        empty = f"{self.folder.name}/empty"
        os.makedirs(empty, exist_ok=True)
        for more, code, message in [
                (["--data", missing], 3, "nothing"),
                (["--data", empty, "--held-out", "999"], 11, "held out"),
                (["--crop", "33"], 2, "multiples of 4"),
                (["--crop-max", "0.4"], 2, "crop-min 0.5 is above crop-max 0.4"),
                (["--discriminator-layers", "5"], 2, "too many layers"),
                (["--codes", "ema", "--coverage-weight", "1"], 2, "coverage-weight 1 draws codes"),
                (["--codes", "fixed", "--coverage-weight", "1"], 2, "coverage-weight 1 draws codes"),
                (["--late-crop", "16", "--discriminator-layers", "3"], 2, "16 x 16 pixels"),
                (["--late-start", "9007199254740992"], 2, "more than 2^53 pictures"),
                (["--prior", missing], 3, "nothing"),
                (["--prior", f"{self.data}/1.png"], 5, "1.png"),
                (["--perceptual", self.prior, "--perceptual-weight", "1"], 5, "features.0.weight"),
                (["--preset", "none"], 2, "none"),
                (["--steps", "0"], 2, "steps"),
                (["--codes", "best"], 2, "codes"),
                (["--resume"], 3, "wrong/")]:
            done = self.train("wrong", *more)
            self.assertEqual(done.returncode, code, (more, done.stdout))
            self.assertIn(message, done.stdout)
            self.assertEqual(len(done.stdout.strip().splitlines()), 1, done.stdout)
        done = self.train("whole")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--resume", done.stdout)
        done = self.train("whole", "--resume", "--preset", "vqct-f8-small", "--config",
                          f"{self.folder.name}/whole/config.json")
        self.assertEqual(done.returncode, 5, done.stdout)


if __name__ == "__main__":
    unittest.main()
