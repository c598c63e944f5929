"""Whole steps of training against PyTorch in double precision: every loss, every gradient and every
updated weight of generator, transfer and discriminator."""
import ctypes
import json
import os
import struct
import tempfile
import unittest

import numpy as np
import torch
import torch.nn.functional as F

import torch_lpips
from native import FLOATS, LIB, Error, ParameterList, Team, floats, nhwc, relative, write_safetensors
from native_network import Config
from safetensors_file import read_safetensors
from test_gcn import random_graph
from test_train_layers import OptimizerSettings, Settings, normal
from torch_patchgan import BATCH_NORM, GROUP_NORM, patchgan
from torch_vqct import F8_SMALL, SMALL_F16, TINY, Network, code_values, quantize

torch.set_num_threads(1)  # the tensors are small; waiting threads would only be in the way

GCN, MLP, FIXED, FREE, SIMVQ, EMA = range(6)
RELEASED, CORRECTED = 0, 1
STRAIGHT, ROTATION, DIVEQ = range(3)
REAL, MADE = range(2)
NEVER = 2 ** 64 - 1


class CodebookLoss(ctypes.Structure):
    _fields_ = [("beta", ctypes.c_double), ("placement", ctypes.c_int)]


class Estimator(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("noise", ctypes.c_double), ("seed", ctypes.c_uint64)]


class Ema(ctypes.Structure):
    _fields_ = [("decay", ctypes.c_double), ("threshold", ctypes.c_double),
                ("seed", ctypes.c_uint64)]


class Adversary(ctypes.Structure):
    _fields_ = [("start", ctypes.c_uint64), ("weight", ctypes.c_double),
                ("adaptive", ctypes.c_bool), ("gap", ctypes.c_double),
                ("lecam_weight", ctypes.c_double), ("augment", ctypes.c_bool)]


class TrainerSettings(ctypes.Structure):
    _fields_ = [("codes", ctypes.c_int), ("standardize", ctypes.c_bool),
                ("dropout", ctypes.c_double), ("codebook", CodebookLoss),
                ("codebook_weight", ctypes.c_double), ("coverage_weight", ctypes.c_double),
                ("estimator", Estimator),
                ("pixel", ctypes.c_int), ("pixel_weight", ctypes.c_double),
                ("perceptual_weight", ctypes.c_double), ("detail_weight", ctypes.c_double),
                ("anchor_weight", ctypes.c_double),
                ("adversary", Adversary),
                ("discriminator", Settings), ("generator_optimizer", OptimizerSettings),
                ("discriminator_optimizer", OptimizerSettings), ("ema", Ema),
                ("seed", ctypes.c_uint64)]


LOSSES = ("pixel", "perceptual", "detail", "codebook", "coverage", "anchor", "generator",
          "discriminator", "adaptive_weight", "logit_gap", "gradient_norm", "discriminator_norm")


class Losses(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in LOSSES]


class Extra(ctypes.Structure):
    _fields_ = [("best_of", ctypes.c_char * 64), ("best", ctypes.c_double),
                ("new_discriminator", ctypes.c_bool), ("new_average", ctypes.c_bool)]


def settings(codes, beta, adversarial_start, codebook_weight=1.0, coverage_weight=0.0, clip=0.0, seed=3,
             detail_weight=0.0, estimator=STRAIGHT, norm=BATCH_NORM, **game):
    adam = OptimizerSettings(1e-3, 0, 0, 0, 0.5, 0.9, 1e-8, clip, 0.9)
    judge = OptimizerSettings(5e-4, 0, 0, 0, 0.5, 0.9, 1e-8, 0, 0)
    return TrainerSettings(codes, True, 0, CodebookLoss(0.25, beta), codebook_weight, coverage_weight,
                           Estimator(estimator, 0, seed), 0, 1.5, 0.7,
                           detail_weight, 0,
                           Adversary(adversarial_start, 0.8, **{"adaptive": True, **game}),
                           Settings(3, 6, 2, norm), adam, judge, Ema(0.9, 0.05, 7), seed)


class Ours:
    """A trainer of the library."""

    def __init__(self, config, chosen, graph, lpips, team, folder):
        self.config, self.error, self.folder = Config(), Error(), folder
        text = json.dumps(config).encode()
        self.check(LIB.model_config_parse(text, ctypes.c_size_t(len(text)),
                                          ctypes.byref(self.config), ctypes.byref(self.error)))
        self.handle, self.losses, self.chosen = ctypes.c_void_p(), Losses(), chosen
        pool = team.contents.pool
        self.check(LIB.trainer_new(ctypes.byref(self.config), ctypes.byref(chosen),
                                   ctypes.byref(graph.prior) if graph else None, lpips, None,
                                   ctypes.c_void_p(pool), ctypes.byref(self.handle),
                                   ctypes.byref(self.error)))
        self.list = ParameterList()
        self.check(LIB.network_parameters(ctypes.byref(self.config), ctypes.byref(self.list),
                                           None))
        self.names = {p.name.decode(): (p.offset, p.count, list(p.shape)[:p.dims])
                      for p in self.list}

    def check(self, status):
        if status:
            raise RuntimeError(self.error.message.decode())

    def state(self):
        path = os.path.join(self.folder, "state.safetensors")
        self.check(LIB.checkpoint_save(path.encode(), self.handle, ctypes.byref(Extra(b"PSNR", 1.5)),
                                       ctypes.byref(self.error)))
        return read_safetensors(path)[0]

    def step(self, batches):
        for part, x in enumerate(batches):
            x = nhwc(x)
            images, height, width, _ = x.shape
            self.check(LIB.trainer_accumulate(self.handle, floats(x), images, height, width, part,
                                              len(batches), ctypes.byref(self.losses),
                                              ctypes.byref(self.error)))
        self.check(LIB.trainer_update(self.handle, ctypes.byref(self.losses),
                                      ctypes.byref(self.error)))
        return {name: getattr(self.losses, name) for name in LOSSES}

    def close(self):
        LIB.trainer_free(self.handle)
        LIB.parameter_list_free(ctypes.byref(self.list))


def estimate(kind, d, z, zq):
    """What the decoder reads, after the papers of the estimators (DiVeQ without its noise)."""
    read = []
    for v, e in zip(z.split(d, 1), zq.split(d, 1)):
        if kind == STRAIGHT:
            read.append(v + (e - v).detach())
        elif kind == ROTATION:
            e = e.detach()
            length, chosen = v.norm(dim=1, keepdim=True).detach(), e.norm(dim=1, keepdim=True)
            unit, target = v.detach() / length, e / chosen
            r = F.normalize(unit + target, dim=1)
            turned = v - 2 * (v * r).sum(1, keepdim=True) * r + \
                2 * (v * unit).sum(1, keepdim=True) * target
            read.append(chosen / length * turned)
        else:
            error = (e - v).norm(dim=1, keepdim=True)
            read.append(v + error * ((e - v) / error).detach())
    return torch.cat(read, 1)


class Activation(ctypes.Structure):
    _fields_ = [("data", FLOATS)] + \
        [(name, ctypes.c_int) for name in ("images", "height", "width", "channels")] + \
        [("sums", ctypes.c_void_p), ("squares", ctypes.c_void_p)]


class Augmentation(ctypes.Structure):
    _fields_ = [("seed", ctypes.c_uint64), ("number", ctypes.c_uint64)]


def augment(x, seed, number, team):
    """x as the library shows it to the discriminator, by where it says that each number comes from
    (its own tests are in C): pictures of nothing show the brightness, pictures of numbers the place."""
    def show(pictures):
        shown = np.empty_like(pictures)
        images, height, width, channels = pictures.shape
        LIB.augment_pictures(ctypes.byref(Augmentation(seed, number)),
                             ctypes.byref(Activation(floats(pictures), images, height, width, channels)),
                             floats(shown), team)
        return shown

    flat = x.permute(0, 2, 3, 1)
    light = show(np.zeros(flat.shape, np.float32))
    place = np.arange(light.size, dtype=np.float32).reshape(light.shape) + 1
    origin = np.rint(np.where(light != 0, show(place) - light, 0)).astype(np.int64)
    shown = torch.cat([torch.zeros(1), flat.reshape(-1)])[torch.from_numpy(origin)]
    return (shown + torch.from_numpy(light)).permute(0, 3, 1, 2)


class Theirs:
    """The same trainer in PyTorch, after the description of the method."""

    def __init__(self, config, chosen, graph, weights, state, names, team):
        self.team = team
        self.config, self.chosen, self.lpips = config, chosen, weights
        self.network = Network(config).double()
        block = state["generator.parameters"]
        for name, parameter in self.network.named_parameters():
            offset, count, shape = names[name]
            parameter.data = torch.from_numpy(
                block[offset:offset + count].reshape(shape).astype(np.float64))
        total = max(offset + count for offset, count, _ in names.values())
        d, rest = config["code_dimension"], torch.from_numpy(block[total:].astype(np.float64))
        self.rest = rest.clone().requires_grad_()
        self.graph = graph
        if graph:
            x = torch.from_numpy(graph.x.astype(np.float64))
            self.x = (x - x.mean(0)) / x.var(0, unbiased=False).sqrt()
            self.s = graph.normalized()
        self.order = [(self.network.get_parameter(name), offset, count)
                      for name, (offset, count, _) in names.items()]
        self.total = total
        adam = chosen.generator_optimizer
        self.adam = torch.optim.Adam([*self.network.parameters(), self.rest], lr=1e-3,
                                     betas=(0.5, 0.9), eps=1e-8)
        if "discriminator.parameters" in state:
            self.judge = patchgan(3, 6, 2, chosen.discriminator.norm).double()
            offset = 0
            for parameter in self.judge.parameters():
                flat = state["discriminator.parameters"][offset:offset + parameter.numel()]
                parameter.data = torch.from_numpy(flat.reshape(parameter.shape).astype(np.float64))
                offset += parameter.numel()
            self.judge_adam = torch.optim.Adam(self.judge.parameters(), lr=5e-4, betas=(0.5, 0.9),
                                               eps=1e-8)
        self.steps, self.clip = 0, adam.clip_norm
        self.judged = [0.0, 0.0, 0]  # average logits of real and made pictures, over so many batches

    def load(self, state):
        """Takes over the weights and the state of both optimizers."""
        def place(adam, name, parameters):
            for parameter, offset, count in parameters:
                flat = [torch.from_numpy(state[f"{name}.{part}"][offset:offset + count]
                                         .reshape(parameter.shape).astype(np.float64))
                        for part in ("parameters", "mean", "square")]
                parameter.data = flat[0]
                adam.state[parameter] = {"step": torch.tensor(float(self.steps)),
                                         "exp_avg": flat[1], "exp_avg_sq": flat[2]}

        rest = (self.rest, self.total, self.rest.numel())
        place(self.adam, "generator", [*self.order, rest])
        if self.steps > self.chosen.adversary.start:
            offsets = np.cumsum([0] + [p.numel() for p in self.judge.parameters()])
            place(self.judge_adam, "discriminator",
                  [(p, o, p.numel()) for p, o in zip(self.judge.parameters(), offsets)])

    def codebook(self):
        d = self.config["code_dimension"]
        if not self.graph:
            return self.rest.reshape(-1, d)
        inputs = self.x.shape[1]
        sizes = [d * inputs, d, d * d, d]
        w1, b1, w2, b2 = torch.split(self.rest, sizes)
        hidden = F.relu(self.s @ self.x @ w1.reshape(d, inputs).T + b1)
        return self.s @ hidden @ w2.reshape(d, d).T + b2

    def coverage(self, codes, z, d):
        """Of each code the squared distance to the nearest vector."""
        adjectives, total = self.config["adjectives"], 0
        for chosen, half in ((codes[:adjectives], slice(0, d)), (codes[adjectives:], slice(d, 2 * d))):
            vectors = z[:, half].permute(0, 2, 3, 1).reshape(-1, d)
            total = total + torch.cdist(chosen, vectors).min(1)[0].square().mean() / d
        return total

    @staticmethod
    def detail(x, y):
        """Of each window of 8 x 8 pixels, how far its differences' deviation is off."""
        def deviation(window):
            squares = torch.cat([window.diff(dim=axis).square().flatten(1) for axis in (2, 3)], 1)
            return (squares.mean(1) + (2 / 255) ** 2).sqrt()

        windows = [(deviation(b) - deviation(a)).abs() for row_x, row_y in zip(x.split(8, 2), y.split(8, 2))
                   for a, b in zip(row_x.split(8, 3), row_y.split(8, 3))]
        return torch.cat(windows).mean()

    def show(self, pictures, side, part, parts):
        if not self.chosen.adversary.augment:
            return pictures
        return augment(pictures, self.chosen.seed, 2 * (self.steps * parts + part) + side, self.team)

    def judge_both(self, x, y):
        """The discriminator's loss, and how far it places real pictures above made ones."""
        game, logits = self.chosen.adversary, (self.judge.main(x), self.judge.main(y))
        gap = (logits[0].mean() - logits[1].mean()).item()
        decay = min(0.99, self.judged[2] / (10 + self.judged[2]))
        self.judged = [decay * old + (1 - decay) * new.mean().item()
                       for old, new in zip(self.judged, logits)] + [self.judged[2] + 1]
        loss = 0.5 * (F.relu(1 - logits[0]).mean() + F.relu(1 + logits[1]).mean())
        loss = loss + game.lecam_weight * ((logits[0] - self.judged[1]).relu().square().mean() +
                                           (self.judged[0] - logits[1]).relu().square().mean())
        return loss * (0 if 0 < game.gap < gap else 1), gap

    def step(self, batches):
        losses, parts = dict.fromkeys(LOSSES, 0.0), len(batches)
        adversarial = self.steps >= self.chosen.adversary.start
        d, beta = self.config["code_dimension"], self.chosen.codebook.beta
        self.adam.zero_grad()
        if adversarial:
            self.judge_adam.zero_grad()
        for part, x in enumerate(batches):
            codes = self.codebook()
            z = self.network.encode(x)
            tokens, _, _ = quantize(self.config, codes.detach(), z.detach())
            zq = code_values(self.config, codes, tokens)
            y = self.network.decode(estimate(self.chosen.estimator.kind, d, z, zq))
            pixel = (x - y).abs().mean()
            perceptual = torch_lpips.lpips("squeeze", self.lpips, x, y).mean()
            released = self.chosen.codebook.placement == RELEASED
            left, right = (1, beta) if released else (beta, 1)
            codebook = 0
            for half in (slice(0, d), slice(d, 2 * d)):
                codebook = codebook + left * F.mse_loss(z[:, half], zq[:, half].detach()) + \
                    right * F.mse_loss(zq[:, half], z[:, half].detach())
            reconstruction = self.chosen.pixel_weight * pixel + \
                self.chosen.perceptual_weight * perceptual
            if self.chosen.detail_weight:
                detail = self.detail(x, y)
                reconstruction = reconstruction + self.chosen.detail_weight * detail
                losses["detail"] += detail.item() / parts
            total = reconstruction + self.chosen.codebook_weight * codebook
            if self.chosen.coverage_weight:
                coverage = self.coverage(codes, z.detach(), d)
                total = total + self.chosen.coverage_weight * coverage
                losses["coverage"] += coverage.item() / parts
            if adversarial:
                g = -self.judge.main(self.show(y, MADE, part, parts)).mean()
                last = self.network.decoder.conv_out.weight
                norms = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm()
                         for loss in (reconstruction, g)]
                weight = torch.tensor(self.chosen.adversary.weight)
                if self.chosen.adversary.adaptive:
                    weight = weight * (norms[0] / (norms[1] + 1e-4)).clamp(0, 1e4).detach()
                judged, gap = self.judge_both(self.show(x, REAL, part, parts),
                                              self.show(y.detach(), MADE, part, parts))
                gradients = torch.autograd.grad(judged / parts, list(self.judge.parameters()))
                losses["logit_gap"] += gap / parts
                for parameter, gradient in zip(self.judge.parameters(), gradients):
                    parameter.grad = gradient if parameter.grad is None else \
                        parameter.grad + gradient
                kept = [p.grad.clone() for p in self.judge.parameters()]
                total = total + weight * g
                losses["generator"] += g.item() / parts
                losses["discriminator"] += judged.item() / parts
                losses["adaptive_weight"] += weight.item() / parts
            (total / parts).backward()
            if adversarial:  # the generator's loss must not move the discriminator
                for parameter, gradient in zip(self.judge.parameters(), kept):
                    parameter.grad = gradient
            for name, loss in (("pixel", pixel), ("perceptual", perceptual),
                               ("codebook", codebook)):
                losses[name] += loss.item() / parts
        every = [*self.network.parameters(), self.rest]
        losses["gradient_norm"] = torch.nn.utils.clip_grad_norm_(
            every, self.clip or float("inf")).item()
        self.adam.step()
        if adversarial:
            losses["discriminator_norm"] = torch.nn.utils.clip_grad_norm_(
                self.judge.parameters(), float("inf")).item()
            self.judge_adam.step()
        self.steps += 1
        return losses


# A vector within rounding of the border between two codes may choose the other one, and an activation
# may fall on the other side of a kink (relu, LeakyReLU, a maximum, |x|); then gradients differ by
# percents. So each case runs on several batches: the best must agree to rounding, and the median
# nearly so. A wrong gradient would be wrong in all of them.
BATCHES = 5


class Step(unittest.TestCase):
    def check(self, config, codes, beta, start, parts, clip=0.0, **others):
        graph = random_graph(config["adjectives"], config["nouns"], 10, 60, 2) \
            if codes == GCN else None
        chosen = settings(codes, beta, start, clip=clip, **others)
        weights = torch_lpips.random_weights("squeeze", 5)
        lpips, errors = ctypes.c_void_p(), []
        with tempfile.TemporaryDirectory() as folder, Team() as team:
            path = os.path.join(folder, "lpips.safetensors")
            write_safetensors(path, {name: t.numpy() for name, t in weights.items()})
            self.assertEqual(LIB.perceptual_open(path.encode(), ctypes.byref(lpips), None), 0)
            for seed in range(BATCHES):
                ours = Ours(config, chosen, graph, lpips, team, folder)
                theirs = Theirs(config, chosen, graph, weights, ours.state(), ours.names, team)
                errors.append(self.run_steps(ours, theirs, parts, seed))
                ours.close()
            LIB.perceptual_free(lpips)
        errors = np.array(errors)
        best = errors.min(0)
        # Adam divides by the gradient's own size: where that is nothing but rounding, such as for a
        # bias before a norm, a weight goes its own way. Hence a share of the weights.
        for value, limit, what in zip(best, (2e-5, 1e-4, 0.01) * 2,
                                      ("losses", "gradients", "weights") * 2):
            self.assertLess(value, limit, (what, errors))
        self.assertLess(np.median(errors, 0)[[0, 1, 3, 4]].max(), 5e-4, errors)

    def run_steps(self, ours, theirs, parts, seed):
        """Of two steps each, both begun from the library's weights and moments: the error of the
        losses, of the gradients, and the share of weights that differ."""
        errors = []
        for step in range(2):
            batches = [normal(1000 * seed + 100 * step + part, 2, 3, 48, 40)
                       .clamp(-1, 1).float().double() for part in range(parts)]
            theirs.load(ours.state())
            mine, torchs = ours.step(batches), theirs.step(batches)
            errors.append(max(abs(mine[name] - torchs[name]) / max(0.1, abs(torchs[name]))
                              for name in LOSSES))
            errors += self.compare(ours.state(), theirs, ours.names)
        return errors

    def compare(self, state, theirs, names):
        """(error of the gradients, share of weights that differ), of both networks."""
        def gradient(parameter, adam):
            return adam.state[parameter]["exp_avg"].numpy()

        def value(parameter, adam):
            return parameter.detach().numpy()

        groups = [slice(o, o + c) for o, c, _ in names.values()] + [slice(theirs.total, None)]
        expected = self.generator_only(theirs, gradient)
        gradients, differs = [], []
        for where in groups:
            # Compared with the largest of its own tensor; where that is nothing but rounding (a bias
            # before a norm), with the largest of all.
            scale = max(np.abs(expected[where]).max(), 1e-2 * np.abs(expected).max())
            gradients.append(np.abs(state["generator.mean"][where] - expected[where]).max() / scale)
        # The first steps of Adam are about as long as the learning rate, 1e-3 and 5e-4.
        values = self.generator_only(theirs, value)
        differs.append(np.mean(np.abs(state["generator.parameters"] - values) > 1e-6))
        if theirs.steps > theirs.chosen.adversary.start:
            parameters = list(theirs.judge.parameters())
            expected = np.concatenate([gradient(p, theirs.judge_adam).ravel() for p in parameters])
            gradients.append(relative(state["discriminator.mean"], expected))
            values = np.concatenate([p.detach().numpy().ravel() for p in parameters])
            differs.append(np.mean(np.abs(state["discriminator.parameters"] - values) > 1e-6))
        return [max(gradients), max(differs)]

    @staticmethod
    def generator_only(theirs, of):
        generator = np.zeros(theirs.total + theirs.rest.numel())
        for parameter, offset, count in theirs.order:
            generator[offset:offset + count] = of(parameter, theirs.adam).ravel()
        generator[theirs.total:] = of(theirs.rest, theirs.adam)
        return generator

    def test_finite_differences(self):
        """The slope of the losses along the decoder's gradient is the gradient's length. (The encoder's
        gradient goes straight through the choice of codes and is no derivative.)"""
        weights, lpips = torch_lpips.random_weights("squeeze", 5), ctypes.c_void_p()
        x = normal(9, 2, 3, 48, 40).clamp(-1, 1)
        with tempfile.TemporaryDirectory() as folder, Team() as team:
            path = os.path.join(folder, "lpips.safetensors")
            write_safetensors(path, {name: t.numpy() for name, t in weights.items()})
            LIB.perceptual_open(path.encode(), ctypes.byref(lpips), None)
            ours = Ours(TINY, settings(FREE, CORRECTED, NEVER), None, lpips, team, folder)
            ours.state()
            with open(os.path.join(folder, "state.safetensors"), "rb") as file:
                start = file.read()
            ours.step([x])
            gradient = ours.state()["generator.mean"].astype(np.float64) / 0.5  # 1 - beta1
            first = ours.names["post_quant_conv.weight"][0]
            last = sum(ours.names["decoder.conv_out.bias"][:2])
            along = np.zeros_like(gradient)
            along[first:last] = gradient[first:last]
            length = np.linalg.norm(along)
            header = struct.unpack("<Q", start[:8])[0]
            entry = json.loads(start[8:8 + header])["generator.parameters"]["data_offsets"]
            begin, end = 8 + header + entry[0], 8 + header + entry[1]
            values = np.frombuffer(start[begin:end], "<f4").astype(np.float64)
            total = []
            for sign in (1, -1):
                moved = (values + sign * 2e-4 * along / length).astype("<f4")
                name = os.path.join(folder, "moved.safetensors")
                with open(name, "wb") as file:
                    file.write(start[:begin] + moved.tobytes() + start[end:])
                ours.check(LIB.checkpoint_load(name.encode(), ours.handle, ctypes.byref(Extra()),
                                               ctypes.byref(ours.error)))
                losses = ours.step([x])
                total.append(1.5 * losses["pixel"] + 0.7 * losses["perceptual"])
            # Random weights bend the losses sharply: ten times this step is off by a tenth, half of it
            # shows the rounding of the losses. Either stays within hundredths here.
            self.assertLess(abs((total[0] - total[1]) / 4e-4 / length - 1), 0.04)
            ours.close()
            LIB.perceptual_free(lpips)

    def test_graph_released(self):
        self.check(dict(TINY, adjective_k=2), GCN, RELEASED, NEVER, 1)

    def test_graph_adversarial_accumulated(self):
        self.check(TINY, GCN, CORRECTED, 0, 2, clip=0.5)

    def test_free_adversarial_later(self):
        self.check(dict(TINY, middle_attention=False), FREE, RELEASED, 1, 1)

    def test_a_restrained_discriminator(self):
        self.check(TINY, GCN, CORRECTED, 0, 2, norm=GROUP_NORM, lecam_weight=0.3,
                   augment=True)

    def test_a_fixed_weight_and_a_gap(self):
        """A gap of either sign: in some batches it learns, in others it does not."""
        self.check(TINY, FREE, CORRECTED, 0, 2, adaptive=False, gap=0.01)

    def test_coverage(self):
        self.check(TINY, GCN, CORRECTED, NEVER, 2, estimator=DIVEQ, codebook_weight=0.0,
                   coverage_weight=0.8)

    def test_detail(self):
        self.check(TINY, FREE, CORRECTED, 0, 2, detail_weight=0.9)

    def test_rotation(self):
        self.check(dict(TINY, adjective_k=2), GCN, CORRECTED, NEVER, 1, estimator=ROTATION)

    def test_diveq(self):
        self.check(dict(TINY, adjective_k=2), GCN, CORRECTED, 0, 2, estimator=DIVEQ,
                   codebook_weight=0.0)

    def test_small_preset(self):
        self.check(dict(F8_SMALL, channels=16, adjectives=12, nouns=30), GCN, CORRECTED, 0, 1)

    def test_spatial_norm(self):
        """The codes reach the decoder by each of its norms too."""
        self.check(dict(TINY, spatial_norm=True), GCN, RELEASED, 1, 2)

    def test_space_to_depth(self):
        config = dict(SMALL_F16, channels=8, multipliers=[2, 3, 4], decoder_multipliers=[2, 4, 3],
                      attention=[False] * 3, adjectives=12, nouns=30)
        self.check(config, GCN, CORRECTED, 0, 1)


if __name__ == "__main__":
    unittest.main()
