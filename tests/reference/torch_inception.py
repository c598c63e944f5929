"""Inception v3 up to its pooled features in PyTorch, after the published description and the code
that FID is defined with, module by module; weights from a dictionary with torchvision's names."""
import torch
import torch.nn.functional as F


class Inception:
    """Run once with weights=None and a seed it makes random ones, of a size that keeps activations
    near 1, and keeps them in self.weights."""

    def __init__(self, weights=None, seed=1):
        self.weights = weights or {}
        self.random = None if weights else torch.Generator().manual_seed(seed)

    def draw(self, name, out, inputs, kernel):
        random = self.random
        deviation = (2 / (inputs * kernel[0] * kernel[1])) ** 0.5
        self.weights[name + ".conv.weight"] = torch.randn(out, inputs, *kernel,
                                                          generator=random) * deviation
        self.weights[name + ".bn.weight"] = 1 + 0.1 * torch.randn(out, generator=random)
        self.weights[name + ".bn.bias"] = 0.1 * torch.randn(out, generator=random)
        self.weights[name + ".bn.running_mean"] = 0.1 * torch.randn(out, generator=random)
        self.weights[name + ".bn.running_var"] = 0.5 + torch.rand(out, generator=random)

    def conv(self, name, x, out, kernel, stride=1, padding=0):
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        if self.random:
            self.draw(name, out, x.shape[1], kernel)
        w = {part: self.weights[f"{name}.{part}"].to(x) for part in (
            "conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")}
        x = F.conv2d(x, w["conv.weight"], stride=stride, padding=padding)
        x = F.batch_norm(x, w["bn.running_mean"], w["bn.running_var"], w["bn.weight"], w["bn.bias"],
                         eps=0.001)
        return F.relu(x)

    def mean(self, x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def block_a(self, n, x, pooled):
        one = self.conv(n + ".branch1x1", x, 64, 1)
        five = self.conv(n + ".branch5x5_1", x, 48, 1)
        five = self.conv(n + ".branch5x5_2", five, 64, 5, padding=2)
        three = self.conv(n + ".branch3x3dbl_1", x, 64, 1)
        three = self.conv(n + ".branch3x3dbl_2", three, 96, 3, padding=1)
        three = self.conv(n + ".branch3x3dbl_3", three, 96, 3, padding=1)
        pool = self.conv(n + ".branch_pool", self.mean(x), pooled, 1)
        return torch.cat([one, five, three, pool], 1)

    def block_b(self, n, x):
        three = self.conv(n + ".branch3x3", x, 384, 3, stride=2)
        double = self.conv(n + ".branch3x3dbl_1", x, 64, 1)
        double = self.conv(n + ".branch3x3dbl_2", double, 96, 3, padding=1)
        double = self.conv(n + ".branch3x3dbl_3", double, 96, 3, stride=2)
        return torch.cat([three, double, F.max_pool2d(x, 3, 2)], 1)

    def block_c(self, n, x, c):
        one = self.conv(n + ".branch1x1", x, 192, 1)
        seven = self.conv(n + ".branch7x7_1", x, c, 1)
        seven = self.conv(n + ".branch7x7_2", seven, c, (1, 7), padding=(0, 3))
        seven = self.conv(n + ".branch7x7_3", seven, 192, (7, 1), padding=(3, 0))
        double = self.conv(n + ".branch7x7dbl_1", x, c, 1)
        double = self.conv(n + ".branch7x7dbl_2", double, c, (7, 1), padding=(3, 0))
        double = self.conv(n + ".branch7x7dbl_3", double, c, (1, 7), padding=(0, 3))
        double = self.conv(n + ".branch7x7dbl_4", double, c, (7, 1), padding=(3, 0))
        double = self.conv(n + ".branch7x7dbl_5", double, 192, (1, 7), padding=(0, 3))
        pool = self.conv(n + ".branch_pool", self.mean(x), 192, 1)
        return torch.cat([one, seven, double, pool], 1)

    def block_d(self, n, x):
        three = self.conv(n + ".branch3x3_1", x, 192, 1)
        three = self.conv(n + ".branch3x3_2", three, 320, 3, stride=2)
        seven = self.conv(n + ".branch7x7x3_1", x, 192, 1)
        seven = self.conv(n + ".branch7x7x3_2", seven, 192, (1, 7), padding=(0, 3))
        seven = self.conv(n + ".branch7x7x3_3", seven, 192, (7, 1), padding=(3, 0))
        seven = self.conv(n + ".branch7x7x3_4", seven, 192, 3, stride=2)
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)

    def block_e(self, n, x, pool):
        one = self.conv(n + ".branch1x1", x, 320, 1)
        three = self.conv(n + ".branch3x3_1", x, 384, 1)
        three = torch.cat([self.conv(n + ".branch3x3_2a", three, 384, (1, 3), padding=(0, 1)),
                           self.conv(n + ".branch3x3_2b", three, 384, (3, 1), padding=(1, 0))], 1)
        double = self.conv(n + ".branch3x3dbl_1", x, 448, 1)
        double = self.conv(n + ".branch3x3dbl_2", double, 384, 3, padding=1)
        double = torch.cat([self.conv(n + ".branch3x3dbl_3a", double, 384, (1, 3), padding=(0, 1)),
                            self.conv(n + ".branch3x3dbl_3b", double, 384, (3, 1), padding=(1, 0))],
                           1)
        pool = self.conv(n + ".branch_pool", pool, 192, 1)
        return torch.cat([one, three, double, pool], 1)

    def pool(self, x):
        """N,2048 from pictures N,3,H,W in [-1,1]."""
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        x = self.conv("Conv2d_1a_3x3", x, 32, 3, stride=2)
        x = self.conv("Conv2d_2a_3x3", x, 32, 3)
        x = self.conv("Conv2d_2b_3x3", x, 64, 3, padding=1)
        x = F.max_pool2d(x, 3, 2)
        x = self.conv("Conv2d_3b_1x1", x, 80, 1)
        x = self.conv("Conv2d_4a_3x3", x, 192, 3)
        x = F.max_pool2d(x, 3, 2)
        for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = self.block_a(name, x, pooled)
        x = self.block_b("Mixed_6a", x)
        for name, c in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = self.block_c(name, x, c)
        x = self.block_d("Mixed_7a", x)
        x = self.block_e("Mixed_7b", x, self.mean(x))
        x = self.block_e("Mixed_7c", x, F.max_pool2d(x, 3, 1, 1))
        return x.mean((2, 3))
