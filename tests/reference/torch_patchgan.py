"""PatchGAN in PyTorch, after taming-transformers' NLayerDiscriminator, with either norm."""
import math

from torch import nn

BATCH_NORM, GROUP_NORM = 0, 1


def patchgan(image_channels, channels, layers, norm=BATCH_NORM):
    modules = [nn.Conv2d(image_channels, channels, 4, 2, 1), nn.LeakyReLU(0.2)]
    width = channels
    for index in range(1, layers + 1):
        wider = channels * min(2 ** index, 8)
        modules += [nn.Conv2d(width, wider, 4, 2 if index < layers else 1, 1, bias=False),
                    nn.BatchNorm2d(wider) if norm == BATCH_NORM else
                    nn.GroupNorm(math.gcd(32, wider), wider, eps=1e-6), nn.LeakyReLU(0.2)]
        width = wider
    modules.append(nn.Conv2d(width, 1, 4, 1, 1))
    model = nn.Module()
    model.main = nn.Sequential(*modules)
    model.forward = lambda x: model.main(x)
    return model
