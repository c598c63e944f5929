#!/usr/bin/python3
"""A small transformer over image tokens, conditioned on the label: docs/transformer.md.

    vqct encode MODEL photos/ -o tokens.idx --size 64 --labels folder --layout interleaved --offset 32
    transformer.py train tokens.idx MODEL --output run
    transformer.py sample run --url http://127.0.0.1:8080 --output sheet.png

Rows of the one table: labels from 0 on, after them that of no label, codes from --offset on, adjectives before nouns;
to what is learnt of a code a projection of its vector is added. A sequence is a label, then adjective and noun of each
position in turn. N sequences, T tokens of a picture, D width.
"""
import argparse
import math
import os
import time
import zlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import figures
import vqct


class Block(nn.Module):
    """Attention to what stands before, then two layers; both are added to their input."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.drop = heads, nn.Dropout(dropout)
        self.before, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        up, down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.layers = nn.Sequential(nn.LayerNorm(width), up, nn.GELU(), down)

    def forward(self, x, past=None):
        """x: N,T,D. past: keys and values of earlier calls, to which this one's are appended."""
        n, t, d = x.shape
        q, k, v = (part.view(n, t, self.heads, d // self.heads).transpose(1, 2)
                   for part in self.qkv(self.before(x)).chunk(3, -1))
        if past is not None:
            past[:] = k, v = [torch.cat(pair, 2) for pair in zip(past, (k, v))] if past else [k, v]
        scores = q @ k.transpose(2, 3) / math.sqrt(d // self.heads)
        ahead = torch.ones(t, k.shape[2], dtype=torch.bool).triu(k.shape[2] - t + 1)
        seen = self.drop(scores.masked_fill(ahead, -math.inf).softmax(-1)) @ v
        x = x + self.drop(self.out(seen.transpose(1, 2).reshape(n, t, d)))
        return x + self.drop(self.layers(x))


class Transformer(nn.Module):
    def __init__(self, facts, width, depth, heads, dropout, code_dimension):
        """facts: see facts_of(). The code vectors are zero until they are set."""
        super().__init__()
        self.facts, self.planes = facts, facts["planes"]
        self.table = nn.Embedding(sum(self.planes[-1]), width)
        self.register_buffer("vectors", torch.zeros(sum(self.planes[-1]), code_dimension))
        self.project = nn.Linear(code_dimension, width, bias=False)
        self.row, self.column, self.plane = (nn.Embedding(n, width) for n in (*facts["grid"], len(self.planes)))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(dropout)
        self.length = math.prod(facts["grid"]) * len(self.planes)
        for embedding in (self.table, self.row, self.column, self.plane, self.project):
            nn.init.normal_(embedding.weight, std=0.02)

    def hidden(self, x, first=0, pasts=None):
        """N,T,D after the rows x (N,T), of which the first stands before token `first`."""
        place, planes, columns = torch.arange(first, first + x.shape[1]), len(self.planes), self.column.num_embeddings
        x = self.drop(self.table(x) + self.project(self.vectors[x]) + self.plane(place % planes) +
                      self.row(place // planes // columns) + self.column(place // planes % columns))
        for i, block in enumerate(self.blocks):
            x = block(x, pasts[i] if pasts else None)
        return self.norm(x)

    def logits(self, hidden, plane):
        """Of the codes of one plane alone: adjectives at adjective places, nouns at noun places."""
        first, count = self.planes[plane]
        return hidden @ (self.table.weight + self.project(self.vectors))[first:first + count].T

    def loss(self, labels, tokens):
        """Nats a token of tokens N,T after labels N."""
        hidden = self.hidden(torch.cat([labels[:, None], tokens[:, :-1]], 1))
        planes = len(self.planes)
        return sum(F.cross_entropy(self.logits(hidden[:, plane::planes], plane).flatten(0, 1),
                                   tokens[:, plane::planes].flatten() - self.planes[plane][0])
                   for plane in range(planes)) / planes

    @torch.no_grad()
    def sample(self, labels, generator, guidance=1.0, temperature=1.0, top_k=0):
        """Tokens N,T for labels N; guidance goes from what no label gives (0) through what the label gives (1)."""
        self.eval()
        rows = torch.cat([labels, torch.full_like(labels, self.facts["no_label"])])[:, None]
        pasts, found = [[] for _ in self.blocks], []
        for place in range(self.length):
            plane = place % len(self.planes)
            given, free = self.logits(self.hidden(rows, place, pasts)[:, -1], plane).chunk(2)
            logits = (free + guidance * (given - free)) / temperature
            if top_k:
                logits[logits < logits.topk(min(top_k, logits.shape[1])).values[:, -1:]] = -math.inf
            row = torch.multinomial(logits.softmax(-1), 1, generator=generator) + self.planes[plane][0]
            found.append(row)
            rows = torch.cat([row, row])
        return torch.cat(found, 1)


def facts_of(tokens):
    """What the table's rows are, from the set's side file; SystemExit where it does not fit."""
    layout, labels = tokens.about.get("layout", {}), tokens.labels
    offset, grids = layout.get("offset", 0), {tuple(one["grid"]) for one in tokens.pictures}
    if layout.get("order") != "interleaved" or {"begin", "end", "row_end"} & set(layout) or len(grids) != 1:
        raise SystemExit("transformer.py: encode with --layout interleaved and one --size, without marks")
    if not 0 < len(labels) < offset:
        raise SystemExit(f"transformer.py: {len(labels)} labels: encode with --labels, --offset above their number")
    return {"labels": labels, "no_label": len(labels), "grid": grids.pop(), "offset": offset,
            "planes": [(offset + plane["first"], plane["count"]) for plane in tokens.about["planes"]]}


def split(tokens, every=10):
    """Indices to learn from and those held out: of about every tenth picture, by its name, the first view."""
    held = np.array([zlib.crc32(one["image"].encode()) % every == 0 for one in tokens.pictures])
    first = np.array([one.get("view", 0) == 0 for one in tokens.pictures])
    return np.flatnonzero(~held), np.flatnonzero(held & first)


def unigram_bits(facts, learnt, held):
    """Bits a token of `held` (N,T) where each plane has the frequencies of `learnt`, one added to each."""
    counts = np.bincount(learnt.flatten(), minlength=sum(facts["planes"][-1])) + 1.0
    for first, count in facts["planes"]:
        counts[first:first + count] /= counts[first:first + count].sum()
    return float(-np.log2(counts[held]).mean())


@torch.no_grad()
def held_out_bits(model, labels, sequences):
    model.eval()
    parts = zip(labels.split(64), sequences.split(64))
    return sum(model.loss(*part).item() * len(part[0]) for part in parts) / len(labels) / math.log(2)


def train(options):
    os.makedirs(options.output, exist_ok=True)
    tokens = vqct.tokens(options.tokens)
    facts, (learn, hold) = facts_of(tokens), split(tokens)
    if not len(learn) or not len(hold):
        raise SystemExit(f"transformer.py: {len(learn)} sequences to learn from, {len(hold)} held out")
    dataset, classes = tokens.torch(sequences=True), torch.from_numpy(tokens.classes)
    learnt, held = (torch.stack([dataset[i] for i in part]) for part in (learn, hold))
    bits = {"uniform": float(np.mean([math.log2(count) for _, count in facts["planes"]])),
            "unigram": unigram_bits(facts, learnt.numpy(), held.numpy())}
    with vqct.Model(options.model, threads=1) as codec:
        vectors = torch.tensor(codec.codebook)
    if len(vectors) != sum(count for _, count in facts["planes"]):
        raise SystemExit(f"transformer.py: {options.model}: not the model of {options.tokens}")
    shape = dict(facts=facts, width=options.width, depth=options.depth, heads=options.heads, dropout=options.dropout,
                 code_dimension=vectors.shape[1])
    torch.manual_seed(options.seed)
    model = Transformer(**shape)
    model.vectors[facts["offset"]:] = (vectors - vectors.mean(0)) / vectors.std()
    matrices = {one for one in model.blocks.parameters() if one.dim() == 2}
    groups = [{"params": [one for one in model.parameters() if (one in matrices) == decayed],
               "weight_decay": decayed * options.weight_decay} for decayed in (True, False)]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    path, state = os.path.join(options.output, "checkpoint.pt"), {"step": 0, "seconds": 0.0, "curve": [], "bits": bits}
    if os.path.exists(path):
        saved = torch.load(path)
        state = saved["state"]
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    print(f"{len(learn)} sequences, {len(hold)} held out, uniform {bits['uniform']:.3f}, "
          f"unigram {bits['unigram']:.3f} bits a token", flush=True)
    begun, recent = time.monotonic() - state["seconds"], []
    for step in range(state["step"], options.steps):
        torch.manual_seed(options.seed + 1 + step)  # so that a run that goes on is the run that was not cut
        chosen = torch.randint(len(learn), (options.batch,))
        dropped = torch.rand(options.batch) < options.label_dropout
        labels = classes[learn[chosen]].masked_fill(dropped, facts["no_label"])
        done = step / options.steps
        for group in optimizer.param_groups:  # up over a tenth of the steps, down to a twentieth in a half cosine
            group["lr"] = options.learning_rate * min(1, 10 * done + 0.01) * (0.525 + 0.475 * math.cos(math.pi * done))
        model.train()
        loss = model.loss(labels, learnt[chosen])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(loss.item() / math.log(2))
        if (step + 1) % options.every == 0 or step + 1 == options.steps:
            state["seconds"] = time.monotonic() - begun
            point = (step + 1, float(np.mean(recent)), held_out_bits(model, classes[hold], held))
            state.update(step=step + 1, curve=state["curve"] + [point])
            recent.clear()
            saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state, "shape": shape}
            for name in ["best.pt"] * (point[2] == min(one[2] for one in state["curve"])) + ["checkpoint.pt"]:
                torch.save(saved, path + ".part")
                os.replace(path + ".part", os.path.join(options.output, name))
            figures.draw_curve(state, os.path.join(options.output, "curve.svg"))
            print("step %d: %.3f bits a token, held out %.3f" % point, flush=True)


def restored(path):
    saved = torch.load(path)
    model = Transformer(**saved["shape"])
    model.load_state_dict(saved["model"])
    return model


def sample(options):
    model = restored(os.path.join(options.run, "best.pt"))
    facts, names = model.facts, options.labels.split(",") if options.labels else model.facts["labels"]
    if set(names) - set(facts["labels"]):
        raise SystemExit(f"transformer.py: no label {set(names) - set(facts['labels'])}, but {facts['labels']}")
    labels = torch.tensor([facts["labels"].index(name) for name in names]).repeat_interleave(options.each)
    found = model.sample(labels, torch.Generator().manual_seed(options.seed), options.guidance,
                         options.temperature, options.top_k).numpy() - facts["offset"]
    client = vqct.Client(options.url)
    made = client.decode(found.reshape(len(found), *facts["grid"], -1).transpose(0, 3, 1, 2))  # N,P,h,w
    rows = [made[i:i + options.each] for i in range(0, len(made), options.each)]
    if options.beside:  # held-out pictures as the codec has them, after the samples
        tokens = vqct.tokens(options.beside)
        hold, classes = split(tokens)[1], tokens.classes
        for row, name in zip(rows, names):
            chosen = [tokens[i] for i in hold if tokens.labels[classes[i]] == name][:options.real]
            row += client.decode(np.stack(chosen)) if chosen else []
    figures.save_sheet(rows, options.output)


OPTIONS = {  # of each command, with what they are where they are not given; a type for what has to be
    "train": {"tokens": str, "model": str, "--output": "run", "--steps": 4000, "--every": 200, "--batch": 32,
              "--width": 192, "--depth": 6, "--heads": 6, "--dropout": 0.1, "--label-dropout": 0.1,
              "--weight-decay": 0.1, "--learning-rate": 1e-3, "--seed": 1, "--threads": 1},
    "sample": {"run": str, "--url": "http://127.0.0.1:8080", "--output": "sheet.png", "--labels": "", "--each": 8,
               "--guidance": 1.5, "--temperature": 1.0, "--top-k": 0, "--beside": "", "--real": 2, "--seed": 1,
               "--threads": 1}}


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, options in OPTIONS.items():
        command = commands.add_parser(name)
        command.set_defaults(call=globals()[name])
        for option, value in options.items():
            command.add_argument(option, **({} if value is str else dict(type=type(value), default=value, help="%(default)r")))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    settings = parse()
    torch.set_num_threads(settings.threads)
    settings.call(settings)
