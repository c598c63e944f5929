"""Backward passes, losses and the optimizer of the trainer against PyTorch in double precision."""
import ctypes
import os
import tempfile
import unittest

import numpy as np
import torch
import torch.nn.functional as F

import torch_lpips
from native import DOUBLES, FLOATS, LIB, Error, ParameterList, Team, doubles, floats, nhwc
from native import relative, write_safetensors
from torch_patchgan import BATCH_NORM, GROUP_NORM, patchgan

# Sums of some thousand fp32 products: errors of about 1e-6 of the largest value; ten times that.
TOLERANCE = 1e-5


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).float().double()


class NormPass(ctypes.Structure):
    _fields_ = [("x", FLOATS), ("sums", DOUBLES), ("squares", DOUBLES), ("gamma", FLOATS),
                ("beta", FLOATS), ("images", ctypes.c_size_t), ("positions", ctypes.c_size_t),
                ("channels", ctypes.c_size_t), ("groups", ctypes.c_size_t),
                ("swish", ctypes.c_bool), ("reduction", ctypes.c_void_p)]


class Norm(unittest.TestCase):
    def check(self, images, height, width, channels, groups, swish, residual):
        x = (normal(1, images, channels, height, width) * 2 + 1).float().double().requires_grad_()
        gamma = normal(2, channels).requires_grad_()
        beta = normal(3, channels).requires_grad_()
        da = normal(4, images, channels, height, width)
        y = F.group_norm(x, groups, gamma, beta, eps=1e-6)
        (F.silu(y) if swish else y).backward(da)
        ours_x, ours_da = nhwc(x), nhwc(da)
        values = ours_x.astype(np.float64).reshape(images, -1, groups, channels // groups)
        sums = np.ascontiguousarray(values.sum((1, 3)))
        squares = np.ascontiguousarray((values ** 2).sum((1, 3)))
        vectors = [t.detach().numpy().astype(np.float32) for t in (gamma, beta)]
        added = nhwc(normal(5, images, channels, height, width))
        dx, dgamma, dbeta = added * np.nan, np.ones(channels, np.float32), np.ones(channels,
                                                                                  np.float32)
        step = NormPass(floats(ours_x), doubles(sums), doubles(squares), floats(vectors[0]),
                        floats(vectors[1]), images, height * width, channels, groups, swish, None)
        with Team() as team:
            status = LIB.group_norm_backward(ctypes.byref(step), floats(ours_da),
                                             floats(added) if residual else None, floats(dx),
                                             floats(dgamma), floats(dbeta), team)
        self.assertEqual(status, 0)
        theirs = nhwc(x.grad) + (added if residual else 0)
        self.assertLess(relative(dx, theirs), TOLERANCE)
        self.assertLess(relative(dgamma - 1, gamma.grad.numpy()), TOLERANCE)
        self.assertLess(relative(dbeta - 1, beta.grad.numpy()), TOLERANCE)

    def test_shapes(self):
        for case in [(2, 9, 13, 16, 4, True, False), (1, 16, 16, 24, 8, False, True),
                     (3, 1, 5, 6, 6, True, True), (1, 40, 37, 32, 32, True, False)]:
            with self.subTest(case=case):
                self.check(*case)


class Attention(unittest.TestCase):
    def test_gradients(self):
        for images, positions, channels in [(2, 37, 12), (1, 300, 16), (1, 1, 4)]:
            with self.subTest(positions=positions):
                q, k, v = (normal(i, images, positions, channels).requires_grad_()
                           for i in range(3))
                dy = normal(9, images, positions, channels)
                scores = q @ k.transpose(1, 2) * channels ** -0.5
                (scores.softmax(-1) @ v).backward(dy)
                arrays = [np.ascontiguousarray(t.detach().numpy(), np.float32)
                          for t in (q, k, v, dy)]
                results = [np.empty_like(arrays[0]) for _ in range(3)]
                with Team() as team:
                    status = LIB.attention_backward(
                        *map(floats, arrays), ctypes.c_size_t(images), ctypes.c_size_t(positions),
                        ctypes.c_size_t(channels), *map(floats, results), team)
                self.assertEqual(status, 0)
                for ours, theirs in zip(results, (q, k, v)):
                    self.assertLess(relative(ours, theirs.grad.numpy()), TOLERANCE)


class MaxPool(ctypes.Structure):
    _fields_ = [("kernel", ctypes.c_int), ("ceiling", ctypes.c_bool), ("images", ctypes.c_int),
                ("height", ctypes.c_int), ("width", ctypes.c_int), ("channels", ctypes.c_int)]


class Pooling(unittest.TestCase):
    def test_every_small_size(self):
        for kernel, ceiling in [(3, True), (2, False), (3, False)]:
            for height in range(kernel, 10):
                width = 19 - height
                x = normal(height, 2, 5, height, width).requires_grad_()
                y = F.max_pool2d(x, kernel, 2, ceil_mode=ceiling)
                dy = normal(7, *y.shape)
                y.backward(dy)
                pool = MaxPool(kernel, ceiling, 2, height, width, 5)
                with self.subTest(kernel=kernel, ceiling=ceiling, height=height), Team() as team:
                    for size, out in ((height, y.shape[2]), (width, y.shape[3])):
                        self.assertEqual(
                            LIB.max_pool_output_size(ctypes.byref(pool), size), out)
                    ours_x, ours_y = nhwc(x), np.empty(nhwc(y).shape, np.float32)
                    LIB.max_pool_forward(ctypes.byref(pool), floats(ours_x), floats(ours_y), team)
                    self.assertEqual(relative(ours_y, nhwc(y)), 0)
                    dx = np.empty_like(ours_x)
                    LIB.max_pool_backward(ctypes.byref(pool), floats(ours_x), floats(nhwc(dy)),
                                          floats(dx), team)
                    self.assertLess(relative(dx, nhwc(x.grad)), 1e-6)


class Lpips(unittest.TestCase):
    def check(self, network, images, height, width, rename=str):
        weights = torch_lpips.random_weights(network, 5)
        x = normal(1, images, 3, height, width).clamp(-1, 1)
        y = (x + 0.5 * normal(2, images, 3, height, width)).clamp(-1, 1)
        x, y = x.float().double(), y.float().double().requires_grad_()
        distance = torch_lpips.lpips(network, weights, x, y)
        (distance.mean() * 0.7).backward()
        error, lpips = Error(), ctypes.c_void_p()
        loss, ours = ctypes.c_double(), np.empty(images)
        before = nhwc(normal(3, images, 3, height, width)) * 1e-3
        dy = before.copy()
        with tempfile.TemporaryDirectory() as folder, Team() as team:
            path = os.path.join(folder, "lpips.safetensors")
            write_safetensors(path, {rename(name): t.numpy() for name, t in weights.items()})
            self.assertEqual(LIB.perceptual_open(path.encode(), ctypes.byref(lpips),
                                                 ctypes.byref(error)), 0, error.message)
            arguments = (lpips, floats(nhwc(x)), floats(nhwc(y)), images, height, width)
            self.assertEqual(LIB.perceptual_distance(*arguments, doubles(ours), team,
                                                     ctypes.byref(error)), 0, error.message)
            self.assertEqual(LIB.perceptual_loss(*arguments, ctypes.c_float(0.7),
                                                 ctypes.byref(loss), floats(dy), team,
                                                 ctypes.byref(error)), 0, error.message)
            LIB.perceptual_free(lpips)
        self.assertLess(relative(ours, distance.detach().numpy()), TOLERANCE)
        self.assertLess(abs(loss.value / distance.mean().item() - 1), TOLERANCE)
        # A relu or a maximum that lies within rounding of its kink may go the other way.
        self.assertLess(relative(dy - before, nhwc(y.grad)), 1e-4)

    def test_squeeze(self):
        self.check("squeeze", 2, 64, 50)

    def test_vgg(self):
        self.check("vgg", 1, 32, 40)

    def test_names_of_the_package(self):
        """The lpips package cuts torchvision's layers into slices: their first layers are these."""
        for network, first in (("squeeze", [0, 2, 5, 8, 10, 11, 12]), ("vgg", [0, 4, 9, 16, 23])):
            def rename(name):
                parts = name.split(".")
                if parts[0] != "features":
                    return name
                return ".".join([f"net.slice{sum(f <= int(parts[1]) for f in first)}", *parts[1:]])
            with self.subTest(network=network):
                self.check(network, 1, 32, 40, rename)

    def test_other_networks_are_refused_with_a_way_to_make_the_file(self):
        error, lpips = Error(), ctypes.c_void_p()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "heads.safetensors")
            write_safetensors(path, {"lin0.model.1.weight": np.zeros((1, 64, 1, 1), np.float32)})
            self.assertEqual(LIB.perceptual_open(path.encode(), ctypes.byref(lpips),
                                                 ctypes.byref(error)), 5)
            self.assertIn(b"net.slice1.0.weight", error.message)
            self.assertIn(b"docs/training.md", error.message)
            write_safetensors(path, {"net.slice1.0.weight": np.zeros((64, 3, 11, 11), np.float32)})
            self.assertEqual(LIB.perceptual_open(path.encode(), ctypes.byref(lpips),
                                                 ctypes.byref(error)), 5)
            self.assertIn(b"weights of AlexNet", error.message)

    def test_too_small(self):
        weights = torch_lpips.random_weights("squeeze", 5)
        error, lpips, ours = Error(), ctypes.c_void_p(), np.empty(1)
        x = np.zeros((1, 4, 2, 3), np.float32)
        with tempfile.TemporaryDirectory() as folder, Team() as team:
            path = os.path.join(folder, "lpips.safetensors")
            write_safetensors(path, {name: t.numpy() for name, t in weights.items()})
            LIB.perceptual_open(path.encode(), ctypes.byref(lpips), None)
            status = LIB.perceptual_distance(lpips, floats(x), floats(x), 1, 4, 2, doubles(ours),
                                             team, ctypes.byref(error))
            LIB.perceptual_free(lpips)
        self.assertEqual(status, 2)
        self.assertIn(b"2 x 4 pixels", error.message)

    def test_damaged_files(self):
        whole = {name: t.numpy() for name, t in torch_lpips.random_weights("squeeze", 5).items()}
        missing = {name: array for name, array in whole.items() if name != "lin6.model.1.weight"}
        shape = dict(whole, **{"features.9.expand3x3.bias": np.zeros(191, np.float32)})
        value = dict(whole, **{"features.0.bias": np.full(64, np.nan, np.float32)})
        for tensors, status, message in [(missing, 5, b"lin6.model.1.weight"),
                                         (shape, 5, b"features.9.expand3x3.bias"),
                                         (value, 12, b"features.0.bias")]:
            with self.subTest(message=message), tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "lpips.safetensors")
                write_safetensors(path, tensors)
                error, lpips = Error(), ctypes.c_void_p()
                self.assertEqual(LIB.perceptual_open(path.encode(), ctypes.byref(lpips),
                                                     ctypes.byref(error)), status)
                self.assertIn(message, error.message)
                self.assertIsNone(lpips.value)


class Settings(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("image_channels", "channels", "layers", "norm")]


class Kept(ctypes.Structure):
    _fields_ = [("convolved", FLOATS), ("active", FLOATS), ("sums", DOUBLES),
                ("squares", DOUBLES), ("height", ctypes.c_int), ("width", ctypes.c_int)]


class Pass(ctypes.Structure):
    _fields_ = [("images", ctypes.c_int), ("height", ctypes.c_int), ("width", ctypes.c_int),
                ("x", FLOATS), ("kept", Kept * 7), ("logit", FLOATS), ("logits", ctypes.c_size_t)]


LIB.discriminator_parameters.restype = ctypes.POINTER(ParameterList)
LIB.loss_hinge.restype = ctypes.c_double


class Discriminator(unittest.TestCase):
    def check(self, image_channels, channels, layers, norm, images, height, width):
        theirs = patchgan(image_channels, channels, layers, norm).double()
        d, error = ctypes.c_void_p(), Error()
        settings = Settings(image_channels, channels, layers, norm)
        self.assertEqual(LIB.discriminator_new(ctypes.byref(settings), ctypes.byref(d), None), 0)
        listed = LIB.discriminator_parameters(d).contents
        block = np.zeros(listed.total, np.float32)
        LIB.parameters_initialize(ctypes.byref(listed), ctypes.c_uint64(3), floats(block))
        block += 0.05 * np.random.default_rng(1).standard_normal(block.size).astype(np.float32)
        parameters = {p.name.decode(): (p.offset, p.count, list(p.shape)[:p.dims])
                      for p in listed}
        state = dict(theirs.named_parameters())
        self.assertEqual(set(state), set(parameters))
        for name, (offset, count, shape) in parameters.items():
            self.assertEqual(list(state[name].shape), shape, name)
            state[name].data = torch.from_numpy(
                block[offset:offset + count].reshape(shape).astype(np.float64))
        x = normal(1, images, image_channels, height, width).requires_grad_()
        logits = theirs.main(x)
        loss = F.relu(1 + logits).mean()
        loss.backward()
        gradients = np.zeros_like(block)
        ours_x = nhwc(x)
        dx = np.empty_like(ours_x)
        with Team() as team:
            self.assertEqual(LIB.discriminator_load(d, floats(block), None, None), 0)
            kept = Pass()
            self.assertEqual(LIB.discriminator_forward(d, floats(ours_x), images, height, width,
                                                       None, ctypes.byref(kept), team,
                                                       ctypes.byref(error)), 0, error.message)
            self.assertEqual(kept.logits, logits.numel())
            found = np.ctypeslib.as_array(kept.logit, (kept.logits,)).copy()
            self.assertLess(relative(found, nhwc(logits).ravel()), TOLERANCE)
            dlogit = np.empty(kept.logits, np.float32)
            value = LIB.loss_hinge(1, kept.logit, ctypes.c_size_t(kept.logits), ctypes.c_float(1),
                                   floats(dlogit))
            self.assertLess(abs(value - loss.item()), TOLERANCE)
            self.assertEqual(LIB.discriminator_backward(d, ctypes.byref(kept), floats(dlogit),
                                                        floats(gradients), floats(dx), None, team,
                                                        None), 0)
        LIB.discriminator_free(d)
        self.assertLess(relative(dx, nhwc(x.grad)), 1e-4)
        for name, (offset, count, shape) in parameters.items():
            self.assertLess(relative(gradients[offset:offset + count].reshape(shape),
                                     state[name].grad.numpy()), 1e-4, name)

    def test_shapes(self):
        for case in [(3, 8, 3, BATCH_NORM, 2, 40, 33), (1, 6, 2, BATCH_NORM, 1, 24, 24),
                     (3, 4, 4, BATCH_NORM, 3, 64, 64), (3, 12, 3, GROUP_NORM, 3, 40, 33),
                     (3, 6, 2, GROUP_NORM, 2, 24, 24)]:
            with self.subTest(case=case):
                self.check(*case)


class OptimizerSettings(ctypes.Structure):
    _fields_ = [("learning_rate", ctypes.c_double), ("final_learning_rate", ctypes.c_double),
                ("warmup_steps", ctypes.c_uint64), ("decay_steps", ctypes.c_uint64),
                ("beta1", ctypes.c_double), ("beta2", ctypes.c_double),
                ("epsilon", ctypes.c_double), ("clip_norm", ctypes.c_double),
                ("average_decay", ctypes.c_double)]


class OptimizerState(ctypes.Structure):
    _fields_ = [("settings", OptimizerSettings), ("count", ctypes.c_size_t),
                ("steps", ctypes.c_uint64), ("parameters", FLOATS), ("gradients", FLOATS),
                ("mean", FLOATS), ("square", FLOATS), ("average", FLOATS)]


class Optimizer(unittest.TestCase):
    COUNT = 40000  # more than one block of the work

    def test_steps(self):
        settings = OptimizerSettings(1e-2, 1e-3, 3, 12, 0.5, 0.9, 1e-8, 150, 0.5)
        ours, norm = OptimizerState(), ctypes.c_double()
        self.assertEqual(LIB.optimizer_init(ctypes.byref(ours), ctypes.byref(settings),
                                            ctypes.c_size_t(self.COUNT), None), 0)
        view = {name: np.ctypeslib.as_array(getattr(ours, name), (self.COUNT,))
                for name in ("parameters", "gradients", "average")}
        start = normal(1, self.COUNT)
        view["parameters"][:] = start.numpy()
        LIB.optimizer_start_average(ctypes.byref(ours))
        parameter = start.clone().requires_grad_()
        average = start.clone()
        adam = torch.optim.Adam([parameter], lr=1, betas=(0.5, 0.9), eps=1e-8)
        with Team() as team:
            for step in range(15):
                gradient = normal(100 + step, self.COUNT) * (1 if step % 2 else 0.5)
                view["gradients"][:] = gradient.numpy()
                parameter.grad = gradient.clone()
                total = torch.nn.utils.clip_grad_norm_([parameter], 150).item()
                if step < 3:
                    rate = 1e-2 * (step + 1) / 3
                else:
                    part = min((step - 3) / 9, 1)
                    rate = 1e-3 + 9e-3 * 0.5 * (1 + np.cos(np.pi * part))
                adam.param_groups[0]["lr"] = rate
                adam.step()
                decay = min(0.5, (1 + step) / (10 + step))
                average = decay * average + (1 - decay) * parameter.detach()
                self.assertEqual(LIB.optimizer_step(ctypes.byref(ours), ctypes.byref(norm), team,
                                                    None), 0)
                self.assertLess(abs(norm.value / total - 1), 1e-6)
            self.assertEqual(np.abs(view["gradients"]).max(), 0)
            self.assertLess(relative(view["parameters"], parameter.detach().numpy()), 1e-6)
            self.assertLess(relative(view["average"], average.numpy()), 1e-6)
            before = view["parameters"].copy()
            view["gradients"][777] = np.nan
            self.assertEqual(LIB.optimizer_step(ctypes.byref(ours), ctypes.byref(norm), team,
                                                None), 12)
            self.assertTrue((before == view["parameters"]).all())
        LIB.optimizer_free(ctypes.byref(ours))


class Pixels(unittest.TestCase):
    def test_losses(self):
        x, y = normal(1, 50000), normal(2, 50000).requires_grad_()
        with torch.no_grad():
            y[::7] = x[::7]
        for kind, function in enumerate((F.l1_loss, F.mse_loss)):
            y.grad = None
            theirs = function(y, x)
            (theirs * 0.3).backward()
            loss, dy = ctypes.c_double(), np.ones(50000, np.float32)
            arrays = [t.detach().numpy().astype(np.float32) for t in (x, y)]
            with Team() as team:
                self.assertEqual(LIB.loss_pixels(kind, *map(floats, arrays),
                                                 ctypes.c_size_t(50000), ctypes.c_float(0.3),
                                                 ctypes.byref(loss), floats(dy), team), 0)
            self.assertLess(abs(loss.value / theirs.item() - 1), 1e-6)
            # dy was 1, so a gradient of 6e-6 keeps the error of rounding to 1: 6e-8.
            self.assertLess(np.abs(dy - 1 - y.grad.numpy()).max(), 1e-7)


if __name__ == "__main__":
    unittest.main()
