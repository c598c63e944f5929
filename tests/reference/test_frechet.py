"""The Frechet distance against numpy, and the features it is measured on against PyTorch."""
import ctypes
import os
import tempfile
import unittest

import numpy as np
import torch

import torch_lpips
from frechet import covariance, frechet
from native import DOUBLES, LIB, Error, Team, floats, nhwc, write_safetensors
from torch_inception import Inception


class Moments(ctypes.Structure):
    _fields_ = [("dimension", ctypes.c_size_t), ("count", ctypes.c_uint64), ("mean", DOUBLES),
                ("scatter", DOUBLES)]


def our_frechet(x, y, team):
    sets, error, distance = [Moments(), Moments()], Error(), ctypes.c_double()
    for moments, vectors in zip(sets, (x, y)):
        assert LIB.moments_init(ctypes.byref(moments), ctypes.c_size_t(x.shape[1]), None) == 0
        for vector in vectors.astype(np.float32):
            LIB.moments_add(ctypes.byref(moments), floats(vector))
    status = LIB.frechet_distance(ctypes.byref(sets[0]), ctypes.byref(sets[1]),
                                  team.contents.pool, ctypes.byref(distance), ctypes.byref(error))
    for moments in sets:
        LIB.moments_free(ctypes.byref(moments))
    return status, distance.value


class Distance(unittest.TestCase):
    def test_against_the_definition(self):
        draw = np.random.default_rng(1)
        for dimension, first, second in ((1, 9, 5), (3, 400, 300), (64, 500, 90), (64, 40, 500),
                                         (64, 500, 40), (50, 2, 3), (200, 1000, 1000)):
            with self.subTest(dimension=dimension, vectors=(first, second)):
                mix = draw.standard_normal((dimension, dimension)) / dimension ** 0.5
                x = draw.standard_normal((first, dimension)) @ mix + 5
                y = draw.standard_normal((second, dimension)) * 1.5 + draw.random(dimension) + 5
                x, y = x.astype(np.float32).astype(float), y.astype(np.float32).astype(float)
                with Team() as team:
                    status, ours = our_frechet(x, y, team)
                self.assertEqual(status, 0)
                # Eigenvalues that are 0 come out as 1e-16 of the largest, on either side; their
                # square roots are 1e-8 of its root, and there are up to `dimension` of them.
                self.assertAlmostEqual(ours, frechet(x, y), delta=1e-7 * np.trace(covariance(y)))

    def test_known_values(self):
        draw = np.random.default_rng(2)
        x = draw.standard_normal((300, 20)).astype(np.float32)
        scaled = (2 * x).astype(np.float32)
        trace = np.trace(covariance(x.astype(float)))
        mean = x.astype(float).mean(0)
        with Team() as team:
            self.assertAlmostEqual(our_frechet(x, x, team)[1], 0, delta=1e-10 * trace)
            # (2 - 1)^2 of the covariance's trace, and of the mean.
            self.assertAlmostEqual(our_frechet(x, scaled, team)[1], trace + mean @ mean,
                                   delta=1e-9 * trace)
            constant = np.full((5, 20), 3, np.float32)
            self.assertAlmostEqual(our_frechet(constant, constant + 1, team)[1], 20, delta=1e-9)

    def test_features_that_hardly_vary(self):
        """Some are constant, and the scales of the others are far apart."""
        draw = np.random.default_rng(3)
        scales = 10.0 ** np.arange(-6, 6)
        scales[3] = 0
        x = (draw.standard_normal((100, 12)) * scales + 1).astype(np.float32).astype(float)
        y = (draw.standard_normal((100, 12)) * scales).astype(np.float32).astype(float)
        with Team() as team:
            self.assertAlmostEqual(our_frechet(x, y, team)[1], frechet(x, y),
                                   delta=1e-7 * np.trace(covariance(y)))  # as above

    def test_threads(self):
        draw = np.random.default_rng(4)
        x, y = draw.random((70, 100)), draw.random((120, 100))
        results = []
        for threads in (1, 2, 3):
            with Team(threads) as team:
                results.append(our_frechet(x, y, team))
        self.assertEqual(results[0], results[1])
        self.assertEqual(results[0], results[2])

    def test_bad_sets(self):
        with Team() as team:
            self.assertEqual(our_frechet(np.ones((1, 4)), np.ones((5, 4)), team)[0], 2)
            self.assertEqual(our_frechet(np.ones((5, 4)), np.full((5, 4), np.nan), team)[0], 12)


class Features(unittest.TestCase):
    def ours(self, weights, x, y, more=None):
        """(measure, features of x, features of y)"""
        network, error = ctypes.c_void_p(), Error()
        LIB.features_measure.restype = ctypes.c_char_p
        LIB.features_dimension.restype = ctypes.c_size_t
        with tempfile.TemporaryDirectory() as folder, Team() as team:
            path = os.path.join(folder, "features.safetensors")
            write_safetensors(path, {**{name: t.numpy() for name, t in weights.items()},
                                     **(more or {})})
            status = LIB.features_open(path.encode(), ctypes.byref(network), ctypes.byref(error))
            self.assertEqual(status, 0, error.message)
            values = np.empty((2, LIB.features_dimension(network)), np.float32)
            status = LIB.features_of_pair(network, floats(nhwc(x)), floats(nhwc(y)), x.shape[2],
                                          x.shape[3], floats(values), team, ctypes.byref(error))
            self.assertEqual(status, 0, error.message)
            measure = LIB.features_measure(network).decode()
            LIB.features_free(network)
        return measure, values

    def pictures(self, height, width):
        generator = torch.Generator().manual_seed(height)
        return torch.rand(2, 3, height, width, generator=generator) * 2 - 1

    def assertClose(self, ours, theirs):
        # Some dozen layers of fp32 sums, each with errors of 1e-6 of its largest value.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * np.abs(theirs).max())

    def test_networks_of_lpips(self):
        for network, name in (("squeeze", "SqueezeNet 1.1"), ("vgg", "VGG16")):
            with self.subTest(network=network):
                weights = torch_lpips.random_weights(network, 5)
                both = self.pictures(48, 64)
                theirs = torch_lpips.features(network, weights, both.double())[-1].mean((2, 3))
                heads = [name for name in weights if name.startswith("lin")]
                for head in heads:
                    del weights[head]
                measure, values = self.ours(weights, both[:1], both[1:])
                self.assertEqual(measure, f"Frechet distance, {name} pool")
                self.assertClose(values, theirs.numpy())

    def test_inception(self):
        network = Inception(seed=6)
        for height, width in ((40, 64), (299, 299), (320, 500)):
            with self.subTest(height=height, width=width):
                both = self.pictures(height, width)
                with torch.no_grad():
                    theirs = network.pool(both).numpy()
                network.random = None  # the weights of the first run stay
                measure, values = self.ours(network.weights, both[:1], both[1:])
                self.assertEqual(measure, "FID")
                self.assertClose(values, theirs)
        measure, _ = self.ours(network.weights, both[:1], both[1:],
                               {"fc.bias": np.zeros(1000, np.float32)})
        self.assertIn("torchvision", measure)

    def test_bad_files(self):
        network = Inception(seed=6)
        with torch.no_grad():
            network.pool(self.pictures(16, 16))
        whole = {name: t.numpy() for name, t in network.weights.items()}
        name = "Mixed_6c.branch7x7dbl_4.bn.running_var"
        for tensor, value, status in (
                (name, None, 5), (name, whole[name][:-1], 5), (name, whole[name] * np.nan, 12),
                (name, whole[name] - 9, 5), ("Conv2d_1a_3x3.conv.weight", None, 5)):
            damaged = {k: v for k, v in whole.items() if k != tensor}
            if value is not None:
                damaged[tensor] = np.ascontiguousarray(value)
            opened, error = ctypes.c_void_p(), Error()
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "damaged.safetensors")
                write_safetensors(path, damaged)
                self.assertEqual(LIB.features_open(path.encode(), ctypes.byref(opened),
                                                   ctypes.byref(error)), status, error.message)
            self.assertIsNone(opened.value)
            wanted = tensor if tensor == name else "features.0.weight"
            self.assertIn(wanted.encode(), error.message)


if __name__ == "__main__":
    unittest.main()
