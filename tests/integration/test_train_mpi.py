"""Data-parallel training: two ranks with half the batch each against one with all of it."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import numpy as np

from test_train import VQCT, random_prior, read_safetensors, write_pictures


@unittest.skipUnless(shutil.which("mpirun") and os.path.exists(VQCT + "-mpi"),
                     "OpenMPI is not installed")
class Mpi(unittest.TestCase):
    STEPS = 4

    def train(self, run, ranks, batch, *more):
        mpirun = ["mpirun", "-n", str(ranks), "--oversubscribe", "--allow-run-as-root",
                  "--bind-to", "none", "--mca", "btl", "self,vader"] if ranks > 1 else []
        command = mpirun + [
            VQCT + "-mpi", "train", "-o", f"{self.folder}/{run}", "--data", f"{self.folder}/data",
            "--prior", f"{self.folder}/prior.safetensors", "--preset", "vqct-tiny", "--crop", "32",
            "--batch", str(batch), "--steps", str(self.STEPS), "--discriminator-start", "1",
            "--discriminator-channels", "4", "--discriminator-layers", "2", "--lecam-weight",
            "0.1", "--perceptual-weight", "0", "--learning-rate", "1e-3", "--log-every", "1", "--held-out", "2", "--threads", "1",
            "--validation-size", "32", "--late-start", "2", "--late-crop", "40", "--late-batch",
            str(batch // 2), *more]
        # What OpenMPI leaves allocated is not ours; what we do, the runs of one process show.
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=600, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        write_pictures(f"{self.folder}/data")
        random_prior(f"{self.folder}/prior.safetensors")

    def metrics(self, run):
        with open(f"{self.folder}/{run}/metrics.jsonl") as file:
            return [json.loads(line) for line in file]

    def moved(self, run, name):
        path = f"{self.folder}/{run}/last.safetensors"
        return read_safetensors(path)[0][name].astype(np.float64)

    def test_two_ranks_equal_one(self):
        for kind in ("gcn", "ema"):
            with self.subTest(codes=kind):
                for run, ranks, batch in (("one" + kind, 1, 4), ("two" + kind, 2, 2)):
                    done = self.train(run, ranks, batch, "--codes", kind)
                    self.assertEqual(done.returncode, 0, done.stdout)
                for name in ("generator.mean", "discriminator.mean"):
                    one, two = self.moved("one" + kind, name), self.moved("two" + kind, name)
                    self.assertLess(np.abs(one - two).max() / np.abs(one).max(), 1e-4, name)
                lines = [self.metrics(run + kind) for run in ("one", "two")]
                self.assertEqual(len(lines[0]), len(lines[1]))
                for one, two in zip(*lines):
                    self.assertEqual(one.get("window"), two.get("window"))
                    self.assertEqual(one.get("noun_usage"), two.get("noun_usage"))
                    if "pixel" in one:
                        self.assertAlmostEqual(one["pixel"], two["pixel"], delta=1e-4)
                        self.assertAlmostEqual(one["logit_gap"], two["logit_gap"], delta=1e-4)
                        self.assertAlmostEqual(one["adaptive_weight"], two["adaptive_weight"],
                                               delta=1e-3 * abs(one["adaptive_weight"]))

    def test_a_failed_rank_ends_all(self):
        done = self.train("failed", 2, 2, "--data", f"{self.folder}/nothing")
        self.assertEqual(done.returncode, 3, done.stdout)


if __name__ == "__main__":
    unittest.main()
