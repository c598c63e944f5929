"""Small CLIP folders for tests: a byte-pair vocabulary laid out as the published one, and its
tokenizer and text transformer written down again in Python."""
import json
import os
import unicodedata

import torch
import torch.nn.functional as F

from safetensors_file import write_safetensors

torch.set_num_threads(1)  # everything here is small
START, END = "<|startoftext|>", "<|endoftext|>"
CLITICS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


def alphabet():
    """GPT-2's table from byte to character."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1),
            *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in kept]
    table = {byte: chr(byte) for byte in kept}
    table.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return table


def vocabulary(merges):
    """Token to number: the alphabet, the same at the end of a word, the merges, start and end."""
    kept = list(alphabet().values())
    tokens = kept + [c + "</w>" for c in kept] + [a + b for a, b in merges] + [START, END]
    return {token: number for number, token in enumerate(tokens)}


def learn_merges(words, count):
    """Byte pairs in the order of their frequency, as a vocabulary is made."""
    table, merges = alphabet(), []
    corpus = [[table[b] for b in word.encode()] for word in words]
    for symbols in corpus:
        symbols[-1] += "</w>"
    while len(merges) < count:
        pairs = {}
        for symbols in corpus:
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        corpus = [join(symbols, best) for symbols in corpus]
    return merges


def join(symbols, pair):
    result, i = [], 0
    while i < len(symbols):
        if tuple(symbols[i:i + 2]) == pair:
            result.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            result.append(symbols[i])
            i += 1
    return result


def split(text):
    """'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"""
    def kind(c):
        category = unicodedata.category(c)
        return "L" if category[0] == "L" else "N" if category[0] == "N" else \
            "S" if c.isspace() else "M"

    words, i = [], 0
    while i < len(text):
        clitic = next((c for c in CLITICS if text.startswith(c, i)), None)
        end = i + 1
        if clitic:
            end = i + len(clitic)
        elif kind(text[i]) in "LM":
            while end < len(text) and kind(text[end]) == kind(text[i]):
                end += 1
        if kind(text[i]) != "S":
            words.append(text[i:end])
        i = end
    return words


def encode(text, numbers, merges):
    ranks, table = {pair: i for i, pair in enumerate(merges)}, alphabet()
    tokens = [numbers[START]]
    for word in split(text.lower()):
        symbols = [table[b] for b in word.encode()]
        symbols[-1] += "</w>"
        while True:
            pairs = [pair for pair in zip(symbols, symbols[1:]) if pair in ranks]
            if not pairs:
                break
            symbols = join(symbols, min(pairs, key=ranks.get))
        tokens += [numbers[symbol] for symbol in symbols]
    return tokens + [numbers[END]]


def write_tokenizer(folder, merges, version="#version: 0.2\n"):
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as file:
        json.dump(vocabulary(merges), file)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
        file.write(version + "".join(f"{a} {b}\n" for a, b in merges))


def random_weights(tokens, width=32, hidden=80, layers=3, positions=24, dimension=20, seed=0):
    """Weights of a text model under Hugging Face's names."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape, scale=1.0, mean=0.0):
        return mean + scale * torch.randn(*shape, generator=generator)

    weights = {"text_model.embeddings.token_embedding.weight": draw(tokens, width),
               "text_model.embeddings.position_embedding.weight": draw(positions, width, scale=0.5),
               "text_model.final_layer_norm.weight": draw(width, scale=0.2, mean=1),
               "text_model.final_layer_norm.bias": draw(width, scale=0.2),
               "text_projection.weight": draw(dimension, width, scale=width ** -0.5)}
    for i in range(layers):
        prefix = f"text_model.encoder.layers.{i}."
        for name, outputs, inputs in (("self_attn.q_proj", width, width),
                                      ("self_attn.k_proj", width, width),
                                      ("self_attn.v_proj", width, width),
                                      ("self_attn.out_proj", width, width),
                                      ("mlp.fc1", hidden, width), ("mlp.fc2", width, hidden)):
            weights[prefix + name + ".weight"] = draw(outputs, inputs, scale=inputs ** -0.5)
            weights[prefix + name + ".bias"] = draw(outputs, scale=0.1)
        for name in ("layer_norm1", "layer_norm2"):
            weights[prefix + name + ".weight"] = draw(width, scale=0.2, mean=1)
            weights[prefix + name + ".bias"] = draw(width, scale=0.2)
    return weights


def write_model(folder, weights, config=None):
    write_safetensors(os.path.join(folder, "model.safetensors"),
                      {name: value.float().numpy() for name, value in weights.items()})
    if config is not None:
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(config, file)


def features(tokens, weights, heads, activation="quick_gelu", epsilon=1e-5, padded=24):
    """The projected state at the first end token, in double, padded as the real tokenizer pads."""
    w = {name: value.double() for name, value in weights.items()}
    end = len(tokens) - 1
    tokens = torch.tensor(tokens + [tokens[-1]] * (padded - len(tokens)))
    count, width = len(tokens), w["text_projection.weight"].shape[1]
    x = w["text_model.embeddings.token_embedding.weight"][tokens] \
        + w["text_model.embeddings.position_embedding.weight"][:count]
    mask = torch.full((count, count), float("-inf"), dtype=torch.float64).triu(1)

    def norm(x, name):
        return F.layer_norm(x, (width,), w[name + ".weight"], w[name + ".bias"], epsilon)

    def linear(x, name):
        return F.linear(x, w[name + ".weight"], w[name + ".bias"])

    layers = sum(name.endswith("layer_norm1.weight") for name in w)
    for i in range(layers):
        prefix = f"text_model.encoder.layers.{i}."
        h = norm(x, prefix + "layer_norm1")
        q, k, v = (linear(h, prefix + f"self_attn.{part}_proj").view(count, heads, -1).transpose(0, 1)
                   for part in "qkv")
        scores = q @ k.transpose(1, 2) * (width // heads) ** -0.5 + mask
        h = (scores.softmax(-1) @ v).transpose(0, 1).reshape(count, width)
        x = x + linear(h, prefix + "self_attn.out_proj")
        h = linear(norm(x, prefix + "layer_norm2"), prefix + "mlp.fc1")
        h = h * torch.sigmoid(1.702 * h) if activation == "quick_gelu" else F.gelu(h)
        x = x + linear(h, prefix + "mlp.fc2")
    x = norm(x, "text_model.final_layer_norm")
    return (x[end] @ w["text_projection.weight"].T).numpy()
