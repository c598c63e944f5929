"""The networks of diffusers' VQModel and of LlamaGen's VQ tokenizer in PyTorch, with the module
names of each, written from their description; and VQCT's graph convolution. The residual blocks
are those of taming, under other names."""
import torch
import torch.nn.functional as F
from torch import nn


def norm(channels):
    return nn.GroupNorm(32, channels, eps=1e-6)


class Residual(nn.Module):
    def __init__(self, into, out, shortcut):
        super().__init__()
        self.norm1, self.norm2 = norm(into), norm(out)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = shortcut if into != out else None
        if into != out:
            setattr(self, shortcut, nn.Conv2d(into, out, 1))

    def forward(self, x):
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return h + (getattr(self, self.shortcut)(x) if self.shortcut else x)


class LinearAttention(nn.Module):
    """One head, over rows of positions, with linear layers (diffusers)."""

    names = ("group_norm", "to_q", "to_k", "to_v", "to_out")

    def __init__(self, channels):
        super().__init__()
        for name, layer in zip(self.names, [norm(channels)] + [
                nn.Linear(channels, channels) for _ in range(4)]):
            setattr(self, name, nn.ModuleList([layer]) if name == "to_out" else layer)

    def forward(self, x):
        images, channels, height, width = x.shape
        group_norm, q, k, v, out = (getattr(self, name) for name in self.names)
        out = out[0] if isinstance(out, nn.ModuleList) else out
        rows = group_norm(x).reshape(images, channels, -1).transpose(1, 2)
        weights = torch.softmax(q(rows) @ k(rows).transpose(1, 2) / channels ** 0.5, dim=-1)
        return x + out(weights @ v(rows)).transpose(1, 2).reshape(x.shape)


class OldLinearAttention(LinearAttention):
    """The names before diffusers 0.15."""

    names = ("group_norm", "query", "key", "value", "proj_attn")


class ConvAttention(nn.Module):
    """One head with 1x1 convolutions (LlamaGen)."""

    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1)
                                                 for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))
        weights = torch.softmax(torch.einsum("bci,bcj->bij", q, k) * x.shape[1] ** -0.5, dim=2)
        return x + self.proj_out(torch.einsum("bij,bcj->bci", weights, v).reshape(x.shape))


class Resampled(nn.Module):
    def __init__(self, channels, down):
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1, padding=0 if down else 1)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.down else F.interpolate(x, scale_factor=2))


class Level(nn.Module):
    """One level under the family's names; a sampler that is a list is diffusers'."""

    def __init__(self, names, into, out, blocks, attention, down, last):
        super().__init__()
        residual, attentions, sampler, shortcut, kind = names
        self.parts = [residual, attentions, sampler if not last else None]
        setattr(self, residual, nn.ModuleList([Residual(into if j == 0 else out, out, shortcut)
                                               for j in range(blocks)]))
        setattr(self, attentions, nn.ModuleList([kind(out) for _ in range(blocks)]
                                                if attention else []))
        if not last:
            layer = Resampled(out, down)
            setattr(self, sampler, nn.ModuleList([layer]) if sampler.endswith("s") else layer)

    def forward(self, x):
        residual, attentions, sampler = self.parts
        for j, block in enumerate(getattr(self, residual)):
            x = block(x)
            if getattr(self, attentions):
                x = getattr(self, attentions)[j](x)
        layer = getattr(self, sampler) if sampler else []
        for each in layer if isinstance(layer, nn.ModuleList) or not sampler else [layer]:
            x = each(x)
        return x


class Half(nn.Module):
    """Encoder or decoder. `levels` is the name of the list of levels, which the decoder counts
    from its own start, the lowest resolution."""

    def __init__(self, config, down, levels, names, middle, norm_out):
        super().__init__()
        widths = [config["channels"] * m for m in config["multipliers"]]
        attention = config["attention"]
        blocks = config["encoder_blocks"]
        if not down:
            widths, attention, blocks = widths[::-1], attention[::-1], config["decoder_blocks"]
        into = config["channels"] if down else widths[0]
        self.order = [levels, norm_out, down]
        self.conv_in = nn.Conv2d(config["image_channels"] if down else config["z_channels"], into,
                                 3, padding=1)
        stack = nn.ModuleList()
        for i, out in enumerate(widths):
            stack.append(Level(names, into, out, blocks, attention[i], down, i == len(widths) - 1))
            into = out
        setattr(self, levels, stack)
        self.middle_name, module = middle(widths[-1] if down else widths[0])
        setattr(self, self.middle_name, module)
        setattr(self, norm_out, norm(into))
        self.conv_out = nn.Conv2d(into, config["z_channels"] if down else config["image_channels"],
                                  3, padding=1)

    def middle(self, x):
        module = getattr(self, self.middle_name)
        layers = module if isinstance(module, nn.ModuleList) else [
            module.resnets[0], *module.attentions, module.resnets[1]]
        for layer in layers:
            x = layer(x)
        return x

    def forward(self, x):
        levels, norm_out, down = self.order
        x = self.conv_in(x)
        x = x if down else self.middle(x)
        for level in getattr(self, levels):
            x = level(x)
        x = self.middle(x) if down else x
        return self.conv_out(F.silu(getattr(self, norm_out)(x)))


class VQModel(nn.Module):
    def __init__(self, config, levels, names, middle, norm_out):
        super().__init__()
        d, z = config["code_dimension"], config["z_channels"]
        self.encoder = Half(config, True, levels[0], names[0], middle, norm_out)
        self.decoder = Half(config, False, levels[1], names[1], middle, norm_out)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(z, d, 1), nn.Conv2d(d, z, 1)
        self.quantize = nn.Module()
        self.quantize.embedding = nn.Embedding(config["nouns"], d)

    def encode(self, x):
        return self.quant_conv(self.encoder(x))

    def decode(self, zq):
        return self.decoder(self.post_quant_conv(zq))


def diffusers(config, attention=LinearAttention):
    def middle(channels):
        module = nn.Module()
        module.resnets = nn.ModuleList([Residual(channels, channels, "") for _ in range(2)])
        module.attentions = nn.ModuleList([attention(channels)]
                                          if config["middle_attention"] else [])
        return "mid_block", module

    names = [("resnets", "attentions", sampler, "conv_shortcut", attention)
             for sampler in ("downsamplers", "upsamplers")]
    return VQModel(config, ("down_blocks", "up_blocks"), names, middle, "conv_norm_out")


def llamagen(config):
    def middle(channels):
        return "mid", nn.ModuleList([Residual(channels, channels, ""), ConvAttention(channels),
                                     Residual(channels, channels, "")])

    names = [("res", "attn", sampler, "nin_shortcut", ConvAttention)
             for sampler in ("downsample", "upsample")]
    model = VQModel(config, ("conv_blocks", "conv_blocks"), names, middle, "norm_out")
    model.quantize.register_buffer("codebook_used", torch.zeros(64))
    return model


class GraphConvolutions(nn.Module):
    """E = S relu(S X W1^T + b1) W2^T + b2 with the names of PyTorch Geometric's GCNConv."""

    def __init__(self, inputs, d):
        super().__init__()
        for name, into in (("conv1", inputs), ("conv2", d)):
            layer = nn.Module()
            layer.lin = nn.Linear(into, d, bias=False)
            layer.bias = nn.Parameter(0.1 * torch.randn(d))
            setattr(self, name, layer)

    def forward(self, x, edges):
        a = torch.eye(len(x), dtype=torch.float64)
        for i, j, weight in edges:
            a[i, j] += weight
            a[j, i] += weight
        scale = a.sum(1) ** -0.5
        s = scale[:, None] * a * scale[None, :]
        h = torch.relu(s @ x.double() @ self.conv1.lin.weight.double().T + self.conv1.bias)
        return s @ h @ self.conv2.lin.weight.double().T + self.conv2.bias


def randomize(module, seed):
    """Every weight, norms too, differs from its neutral value."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.GroupNorm):
                part.weight.copy_(1 + 0.2 * torch.randn(part.weight.shape))
                part.bias.copy_(0.2 * torch.randn(part.bias.shape))
    return module.eval().requires_grad_(False)
