"""Convolutions, forward and backward, against PyTorch in double precision."""
import ctypes
import unittest

import numpy as np
import torch
import torch.nn.functional as F

from native import DOUBLES, FLOATS, LIB, Team, doubles, floats, nhwc, relative

# A sum of n products in fp32 is off by about sqrt(n) * 6e-8 of the typical size of the result, and
# a Winograd transform multiplies that by less than 10. All results here have size near 1.
TOLERANCE = 3e-5


class Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in
                ("in_channels", "out_channels", "kernel", "stride", "pad_before", "pad_after")]


class Input(ctypes.Structure):
    _fields_ = [("x", FLOATS), ("images", ctypes.c_int), ("height", ctypes.c_int),
                ("width", ctypes.c_int), ("scale", FLOATS), ("shift", FLOATS),
                ("swish", ctypes.c_bool), ("upsample", ctypes.c_bool)]


class Output(ctypes.Structure):
    _fields_ = [("y", FLOATS), ("residual", FLOATS), ("groups", ctypes.c_int),
                ("sums", DOUBLES), ("squares", DOUBLES), ("shortcut", ctypes.c_void_p)]


def nchw(array):
    return torch.from_numpy(array.astype(np.float64)).permute(0, 3, 1, 2)


# in, out, kernel, stride, pad before, pad after, images, height, width, norm, upsample, residual
CASES = [
    (3, 32, 3, 1, 1, 1, 2, 17, 22, False, False, False),   # conv_in
    (32, 3, 3, 1, 1, 1, 1, 20, 12, True, False, False),    # conv_out
    (32, 64, 3, 1, 1, 1, 2, 9, 33, True, False, False),
    (48, 48, 3, 1, 1, 1, 1, 16, 16, True, False, True),
    (20, 36, 3, 1, 1, 1, 2, 7, 5, True, False, True),      # no multiple of a vector
    (32, 32, 3, 1, 1, 1, 2, 6, 10, False, True, False),    # upsample
    (32, 40, 3, 2, 0, 1, 2, 15, 20, False, False, False),  # downsample
    (32, 32, 3, 2, 0, 1, 1, 64, 64, False, False, False),
    (16, 24, 4, 2, 1, 1, 2, 18, 14, False, False, False),  # PatchGAN
    (24, 1, 4, 1, 1, 1, 1, 9, 8, False, False, False),
    (40, 72, 1, 1, 0, 0, 2, 6, 7, True, False, True),      # 1x1
    (1, 8, 3, 1, 1, 1, 3, 1, 1, False, False, False),      # one pixel
    (2, 8, 3, 1, 1, 1, 1, 2, 3, True, True, False),
    (320, 288, 3, 1, 1, 1, 2, 8, 8, True, False, True),    # too wide for Winograd
    (264, 24, 3, 1, 1, 1, 2, 5, 7, True, True, False),     # likewise, after upsampling
    (24, 16, 3, 1, 2, 0, 2, 6, 5, False, True, False),     # upsampled, and padded unevenly
    (272, 16, 3, 1, 1, 1, 1, 5, 11, True, False, False),
    (64, 64, 3, 1, 1, 1, 1, 70, 66, True, False, True),    # several blocks of tiles
    (20, 36, 3, 1, 1, 1, 2, 66, 63, True, False, False),   # both gradients in one pass
    (32, 16, 3, 1, 1, 1, 2, 34, 31, True, True, False),
    (96, 72, 3, 1, 0, 1, 1, 46, 46, False, True, False),
    (32, 32, 3, 1, 1, 1, 9, 32, 32, False, False, False),
    (16, 64, 3, 1, 0, 2, 1, 95, 90, False, False, False),  # padded unevenly
]


class Convolution(unittest.TestCase):
    def setUp(self):
        team = Team(2)
        self.exec = team.__enter__()
        self.addCleanup(team.__exit__, None, None, None)

    def assertClose(self, ours, theirs, what):
        self.assertLess(relative(ours, theirs.detach().numpy()), TOLERANCE, what)

    def check(self, case):
        i, o, k, s, before, after, n, h, w, norm, upsample, residual = case
        generator = torch.Generator().manual_seed(hash(case) % 2**31)
        normal = lambda *shape: torch.randn(*shape, generator=generator).float().double()
        x = normal(n, i, h, w)
        weight = (normal(o, i, k, k) / (i * k * k) ** 0.5).float().double().requires_grad_()
        bias = normal(o).requires_grad_()
        scale, shift = normal(n, i) * 0.2 + 1, normal(n, i)
        scale, shift = scale.float().double(), shift.float().double()
        read = x
        if norm:
            read = F.silu(read * scale[:, :, None, None] + shift[:, :, None, None])
        if upsample:
            read = F.interpolate(read, scale_factor=2, mode="nearest")
        read = read.detach().requires_grad_()
        y = F.conv2d(F.pad(read, (before, after, before, after)), weight, bias, stride=s)
        r = normal(*y.shape)
        dy = normal(*y.shape)
        y.backward(dy)
        total = y + r if residual else y

        shape = Shape(i, o, k, s, before, after)
        weights = np.ascontiguousarray(weight.detach().numpy(), dtype=np.float32)
        biases = bias.detach().numpy().astype(np.float32)
        conv = ctypes.c_void_p()
        self.assertEqual(LIB.conv_new(ctypes.byref(shape), floats(weights), floats(biases),
                                      None, ctypes.byref(conv), None), 0)
        xs, rs, dys = nhwc(x), nhwc(r), nhwc(dy)
        scales, shifts = scale.numpy().astype(np.float32), shift.numpy().astype(np.float32)
        groups = o // 4 if o % 4 == 0 else 1
        sums, squares = np.zeros((n, groups)), np.zeros((n, groups))
        ys = np.full(rs.shape, np.nan, np.float32)
        given = Input(floats(xs), n, h, w, floats(scales) if norm else None,
                      floats(shifts) if norm else None, norm, upsample)
        wanted = Output(floats(ys), floats(rs) if residual else None, groups, doubles(sums),
                        doubles(squares))
        self.assertEqual(LIB.conv_forward(conv, ctypes.byref(given), ctypes.byref(wanted),
                                          self.exec), 0)
        LIB.conv_free(conv)
        self.assertClose(nchw(ys), total, "y")
        grouped = total.reshape(n, groups, -1)
        size = grouped.shape[2]
        self.assertLess(np.abs(sums - grouped.sum(2).detach().numpy()).max() / size, 1e-5, "sums")
        self.assertClose(squares, (grouped ** 2).sum(2), "squares")

        dxs = np.full((n, read.shape[2], read.shape[3], i), np.nan, np.float32)
        self.assertEqual(LIB.conv_backward_input(
            ctypes.byref(shape), floats(weights), floats(dys), n, read.shape[2], read.shape[3],
            floats(dxs), self.exec), 0)
        self.assertClose(nchw(dxs), read.grad, "dx")

        dweights = np.ones((o, i, k, k), np.float32)
        dbiases = np.ones(o, np.float32)
        self.assertEqual(LIB.conv_backward_weight(
            ctypes.byref(shape), ctypes.byref(given), floats(dys), floats(dweights),
            floats(dbiases), self.exec), 0)
        self.assertClose(dweights, weight.grad + 1, "dweight")
        self.assertClose(dbiases, bias.grad + 1, "dbias")

        narrow = 4 * F.avg_pool2d(read.grad, 2) if upsample else read.grad
        self.check_both(shape, weights, given, dys, nhwc(narrow), weight.grad, bias.grad)

    def check_both(self, shape, weights, given, dy, dx, dweight, dbias):
        """Both gradients at once; the same bits for every number of threads."""
        def run(team):
            xs, ws = np.full(dx.shape, np.nan, np.float32), np.ones(weights.shape, np.float32)
            bs = np.ones(shape.out_channels, np.float32)
            self.assertEqual(LIB.conv_backward(ctypes.byref(shape), floats(weights),
                                               ctypes.byref(given), floats(dy), floats(xs),
                                               floats(ws), floats(bs), team), 0)
            return xs, ws, bs

        both = run(self.exec)
        for ours, theirs in zip(both, (torch.from_numpy(dx), dweight + 1, dbias + 1)):
            self.assertClose(ours, theirs, "both gradients")
        for threads in (1, 3):
            with Team(threads) as team:
                for ours, again in zip(both, run(team)):
                    self.assertTrue(np.array_equal(ours, again), f"{threads} threads")

    def test_forward_and_gradients(self):
        for case in CASES:
            with self.subTest(case=case):
                self.check(case)


if __name__ == "__main__":
    unittest.main()
