"""LPIPS in PyTorch, after the published description, with weights from a dictionary."""
import torch
import torch.nn.functional as F

SHIFT = torch.tensor([-.030, -.088, -.188]).view(1, 3, 1, 1)
SCALE = torch.tensor([.458, .448, .450]).view(1, 3, 1, 1)
FIRES = {3: (64, 16, 64), 4: (128, 16, 64), 6: (128, 32, 128), 7: (256, 32, 128),
         9: (256, 48, 192), 10: (384, 48, 192), 11: (384, 64, 256), 12: (512, 64, 256)}
VGG = [(3, 64), (64, 64), None, (64, 128), (128, 128), None, (128, 256), (256, 256), (256, 256),
       None, (256, 512), (512, 512), (512, 512), None, (512, 512), (512, 512), (512, 512)]
VGG_TAPS = {3: 64, 8: 128, 15: 256, 22: 512, 29: 512}


def random_weights(network, seed):
    """Weights of the right shapes that keep activations at a size near 1."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}

    def convolution(name, out, inputs, kernel):
        deviation = (2 / (inputs * kernel * kernel)) ** 0.5
        weights[name + ".weight"] = torch.randn(out, inputs, kernel, kernel,
                                                generator=generator) * deviation
        weights[name + ".bias"] = torch.randn(out, generator=generator) * 0.1

    if network == "squeeze":
        convolution("features.0", 64, 3, 3)
        for index, (inputs, squeeze, expand) in FIRES.items():
            convolution(f"features.{index}.squeeze", squeeze, inputs, 1)
            convolution(f"features.{index}.expand1x1", expand, squeeze, 1)
            convolution(f"features.{index}.expand3x3", expand, squeeze, 3)
        heads = [64, 128, 256, 384, 384, 512, 512]
    else:
        index = 0
        for layer in VGG:
            if layer:
                convolution(f"features.{index}", layer[1], layer[0], 3)
            index += 2 if layer else 1
        heads = list(VGG_TAPS.values())
    for index, channels in enumerate(heads):
        weights[f"lin{index}.model.1.weight"] = torch.rand(1, channels, 1, 1, generator=generator)
    return weights


def features(network, weights, x):
    """The activations that are compared, shallow to deep."""
    x = (x - SHIFT.to(x)) / SCALE.to(x)
    found = []

    def convolve(name, value, **options):
        return F.relu(F.conv2d(value, weights[name + ".weight"].to(x), weights[name + ".bias"].to(x),
                               **options))

    if network == "squeeze":
        x = convolve("features.0", x, stride=2)
        found.append(x)
        for index in range(2, 13):
            if index in (2, 5, 8):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            elif index in FIRES:
                s = convolve(f"features.{index}.squeeze", x)
                x = torch.cat([convolve(f"features.{index}.expand1x1", s),
                               convolve(f"features.{index}.expand3x3", s, padding=1)], 1)
            if index in (4, 7, 9, 10, 11, 12):
                found.append(x)
    else:
        index = 0
        for layer in VGG:
            x = convolve(f"features.{index}", x, padding=1) if layer else F.max_pool2d(x, 2)
            index += 2 if layer else 1
            if index - 1 in VGG_TAPS and layer:
                found.append(x)
    return found


def lpips(network, weights, x, y):
    """The distance of each pair."""
    total = 0
    pairs = zip(features(network, weights, x), features(network, weights, y))
    for index, (a, b) in enumerate(pairs):
        a = a / (a.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)
        b = b / (b.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)
        head = weights[f"lin{index}.model.1.weight"].to(x)
        total = total + (head * (a - b) ** 2).sum(1).mean((1, 2))
    return total
