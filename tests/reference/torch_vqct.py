"""The taming encoder and decoder and the quantizers in PyTorch, written from their description.

A configuration is a dict with the keys of the model file's configuration. Module names follow
taming-transformers, so that state_dict() has the names of the parameter list.
"""
import torch
import torch.nn.functional as F
from torch import nn

TINY = {
    "name": "test", "quantizer": "vqct", "image_channels": 3, "channels": 8,
    "multipliers": [1, 2, 2], "attention": [False, False, True], "middle_attention": True,
    "encoder_blocks": 1, "decoder_blocks": 2, "z_channels": 12, "code_dimension": 8,
    "adjective_k": 1, "groups": 4, "l2_normalize": False, "adjectives": 12, "nouns": 20,
}
F16 = {
    **TINY, "name": "vqct-f16", "channels": 128, "multipliers": [1, 1, 2, 2, 4],
    "attention": [False, False, False, False, True], "encoder_blocks": 2, "decoder_blocks": 3,
    "z_channels": 256, "code_dimension": 256, "groups": 32, "adjectives": 1471, "nouns": 4736,
}
F8_SMALL = {
    **TINY, "name": "vqct-f8-small", "channels": 32, "multipliers": [1, 2, 2, 4],
    "attention": [False] * 4, "middle_attention": False, "encoder_blocks": 1, "decoder_blocks": 2,
    "z_channels": 64, "code_dimension": 8, "groups": 8, "adjectives": 900, "nouns": 2900,
}
SMALL = {
    **F8_SMALL, "name": "vqct-small", "multipliers": [2, 3, 5], "attention": [False] * 3,
    "space_to_depth": True,
}
SMALL_F16 = {
    **SMALL, "name": "vqct-small-f16", "multipliers": [2, 3, 4, 4], "attention": [False] * 4,
    "decoder_multipliers": [2, 4, 5, 5], "upsample_changes_channels": True,
}


def group_norm(config, channels):
    return nn.GroupNorm(config["groups"], channels, eps=1e-6)


def pixel_channels(config):
    return config["image_channels"] * (4 if config.get("space_to_depth") else 1)


class Residual(nn.Module):
    def __init__(self, config, into, out):
        super().__init__()
        self.norm1 = group_norm(config, into)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1)
        self.norm2 = group_norm(config, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        if into != out:
            self.nin_shortcut = nn.Conv2d(into, out, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    def __init__(self, config, channels):
        super().__init__()
        self.norm = group_norm(config, channels)
        for name in ("q", "k", "v", "proj_out"):
            setattr(self, name, nn.Conv2d(channels, channels, 1))

    def forward(self, x):
        normed = self.norm(x)
        q, k, v = (layer(normed).flatten(2) for layer in (self.q, self.k, self.v))
        weights = torch.softmax(q.transpose(1, 2) @ k * x.shape[1] ** -0.5, dim=2)
        return x + self.proj_out((v @ weights.transpose(1, 2)).reshape(x.shape))


class Sampler(nn.Module):
    """downsample or upsample, told apart by their padding."""

    def __init__(self, into, out, down):
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(into, out, 3, stride=2 if down else 1,
                              padding=0 if down else 1)

    def forward(self, x):
        if self.down:
            return self.conv(F.pad(x, (0, 1, 0, 1)))
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    def __init__(self, config, level, blocks, into, out, sampler, sampled):
        super().__init__()
        self.block = nn.ModuleList([Residual(config, into if j == 0 else out, out)
                                    for j in range(blocks)])
        self.attn = nn.ModuleList([Attention(config, out) for _ in range(blocks)]
                                  if config["attention"][level] else [])
        if sampler:
            setattr(self, sampler, Sampler(out, sampled, sampler == "downsample"))
        self.sampler = sampler

    def forward(self, x):
        for j, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[j](x)
        return getattr(self, self.sampler)(x) if self.sampler else x


class Middle(nn.Module):
    def __init__(self, config, channels):
        super().__init__()
        self.block_1 = Residual(config, channels, channels)
        if config["middle_attention"]:
            self.attn_1 = Attention(config, channels)
        self.block_2 = Residual(config, channels, channels)

    def forward(self, x):
        x = self.block_1(x)
        return self.block_2(self.attn_1(x) if hasattr(self, "attn_1") else x)


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        channels = [config["channels"] * m for m in config["multipliers"]]
        blocks = config.get("encoder_level_blocks", [config["encoder_blocks"]] * len(channels))
        self.squares = config.get("space_to_depth", False)
        into = channels[0] if self.squares else config["channels"]
        self.conv_in = nn.Conv2d(pixel_channels(config), into, 3, padding=1)
        self.down = nn.ModuleList()
        for level, out in enumerate(channels):
            last = level == len(channels) - 1
            self.down.append(Level(config, level, blocks[level], into, out,
                                   None if last else "downsample", out))
            into = out
        self.mid = Middle(config, into)
        self.norm_out = group_norm(config, into)
        self.conv_out = nn.Conv2d(into, config["z_channels"], 3, padding=1)

    def forward(self, x):
        x = self.conv_in(F.pixel_unshuffle(x, 2) if self.squares else x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        channels = [config["channels"] * m
                    for m in config.get("decoder_multipliers", config["multipliers"])]
        blocks = config.get("decoder_level_blocks", [config["decoder_blocks"]] * len(channels))
        self.squares = config.get("space_to_depth", False)
        into = channels[-1]
        self.conv_in = nn.Conv2d(config["z_channels"], into, 3, padding=1)
        self.mid = Middle(config, into)
        levels = {}
        for level in reversed(range(len(channels))):
            changes = level and config.get("upsample_changes_channels", False)
            sampled = channels[level - 1 if changes else level]
            levels[level] = Level(config, level, blocks[level], into, channels[level],
                                  "upsample" if level else None, sampled)
            into = sampled
        self.up = nn.ModuleList([levels[level] for level in range(len(channels))])
        self.norm_out = group_norm(config, into)
        self.conv_out = nn.Conv2d(into, pixel_channels(config), 3, padding=1)

    def forward(self, z):
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        x = self.conv_out(F.silu(self.norm_out(x)))
        return F.pixel_shuffle(x, 2) if self.squares else x


class SpatialNorm(nn.Module):
    """A group norm scaled and shifted by what two 1x1 convolutions make of the codes, which `given`
    holds, upsampled to the size of x."""

    def __init__(self, norm, given, channels):
        super().__init__()
        self.given = given
        self.norm_layer = norm
        self.conv_y = nn.Conv2d(channels, norm.num_channels, 1)
        self.conv_b = nn.Conv2d(channels, norm.num_channels, 1)

    def forward(self, x):
        codes = F.interpolate(self.given[0], size=x.shape[-2:], mode="nearest")
        return self.norm_layer(x) * self.conv_y(codes) + self.conv_b(codes)


def put_spatial_norms(decoder, channels):
    """Puts spatial norms in the place of the decoder's norms; what they read goes into the list of
    one that is returned."""
    given = [None]
    for part in list(decoder.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(part, name, SpatialNorm(child, given, channels))
    return given


class Network(nn.Module):
    """Encoder, decoder and the 1x1 convolutions between them and the quantizer."""

    def __init__(self, config):
        super().__init__()
        halves = 2 if config["quantizer"] == "vqct" else 1
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(config["z_channels"], halves * config["code_dimension"], 1)
        self.post_quant_conv = nn.Conv2d(halves * config["code_dimension"], config["z_channels"], 1)
        self.given = put_spatial_norms(self.decoder, halves * config["code_dimension"]) \
            if config.get("spatial_norm") else [None]

    def encode(self, x):
        return self.quant_conv(self.encoder(x))

    def decode(self, zq):
        self.given[0] = zq
        return self.decoder(self.post_quant_conv(zq))


def random_network(config, seed):
    """A network whose every weight, norms too, differs from its neutral value."""
    torch.manual_seed(seed)
    network = Network(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.2 * torch.randn(parameter.shape))
            elif "norm" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape))
    return network.eval().requires_grad_(False)


def halves(config):
    """(first row, rows, tokens chosen) of each codebook."""
    if config["quantizer"] == "plain":
        return [(0, config["nouns"], 1)]
    return [(0, config["adjectives"], config["adjective_k"]),
            (config["adjectives"], config["nouns"], 1)]


def quantize(config, codebook, z):
    """z N,Z,h,w and the codebook's rows to tokens N,P,h,w, the codes' values N,Z,h,w, and how far
    the last code chosen is from the best one not chosen, N,P,h,w, all in double precision."""
    d = config["code_dimension"]
    tokens, values, gaps = [], [], []
    for half, (first, count, k) in enumerate(halves(config)):
        part = z[:, half * d:(half + 1) * d].double().permute(0, 2, 3, 1)
        codes = codebook[first:first + count].double()
        if config["l2_normalize"]:
            part, codes = F.normalize(part, dim=-1), F.normalize(codes, dim=-1)
        flat = part.reshape(-1, d)
        distances = torch.stack([((row - codes) ** 2).sum(1) for row in flat])
        ordered, order = torch.sort(distances, dim=1, stable=True)
        shape = part.shape[:3]
        for j in range(k):
            tokens.append(first + order[:, j].reshape(shape))
            gap = ordered[:, j + 1] - ordered[:, j]
            if j:
                gap = torch.minimum(gap, ordered[:, j] - ordered[:, j - 1])
            gaps.append(gap.reshape(shape))
        values.append(codes[order[:, :k]].mean(1).reshape(*shape, d).permute(0, 3, 1, 2))
    return torch.stack(tokens, 1), torch.cat(values, 1), torch.stack(gaps, 1)


def code_values(config, codebook, tokens):
    """Tokens N,P,h,w to the values that the decoder reads, N,Z,h,w."""
    codes = F.normalize(codebook, dim=-1) if config["l2_normalize"] else codebook
    parts, plane = [], 0
    for _, _, k in halves(config):
        chosen = codes[tokens[:, plane:plane + k]].mean(1)
        parts.append(chosen.permute(0, 3, 1, 2))
        plane += k
    return torch.cat(parts, 1)
