#!/usr/bin/python3
"""Training steps of the generator (pixels, LPIPS, codebook loss, backward pass, Adam) beside PyTorch.

    VQCT_BUILD=build/release tests/bench/train_step.py [--threads 2] [--rounds 5] [--network NAME]

Two processes, one with the library and one with PyTorch (fp32, the faster of both memory layouts),
hold the same network and batch and take steps in turn, so that both meet the same load of the
machine. Prints the median time of a step, their ratio and each process's peak memory as a Markdown
table.
"""
import argparse
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))

CASES = {"small": (8, 128), "f16": (1, 256)}  # batch, side


def architecture(name):
    from torch_vqct import F8_SMALL, F16
    return F8_SMALL if name == "small" else F16


def serve_steps(step):
    """Takes a step for every line of standard input, and answers with its seconds."""
    for line in sys.stdin:
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


def weights_of_lpips():
    from torch_lpips import random_weights
    return random_weights("squeeze", 5)


def serve_library(name, threads):
    import numpy as np
    from native import LIB, Team, write_safetensors
    from test_train_step import CORRECTED, FREE, NEVER, Ours, settings
    batch, side = CASES[name]
    config = architecture(name)
    lpips = ctypes.c_void_p()
    with tempfile.TemporaryDirectory() as folder, Team(threads) as team:
        path = os.path.join(folder, "lpips.safetensors")
        write_safetensors(path, {key: t.numpy() for key, t in weights_of_lpips().items()})
        LIB.perceptual_open(path.encode(), ctypes.byref(lpips), None)
        trainer = Ours(config, settings(FREE, CORRECTED, NEVER), None, lpips, team, folder)
        import torch
        x = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (batch, 3, side, side)))
        serve_steps(lambda: trainer.step([x.float()]))


def serve_torch(name, threads, layout):
    import torch
    import torch.nn.functional as F
    from torch_lpips import lpips
    from torch_vqct import Network, halves
    torch.set_num_threads(threads)
    batch, side = CASES[name]
    config, weights = architecture(name), weights_of_lpips()
    kind = torch.channels_last if layout == "last" else torch.contiguous_format
    network = Network(config).to(memory_format=kind)
    d = config["code_dimension"]
    codes = torch.nn.Parameter(torch.randn(config["adjectives"] + config["nouns"], d) * 0.1)
    adam = torch.optim.Adam([*network.parameters(), codes], lr=1e-3, betas=(0.5, 0.9))
    x = (torch.rand(batch, 3, side, side) * 2 - 1).contiguous(memory_format=kind)

    def step():
        z = network.encode(x)
        parts = []
        for half, (first, count, _) in enumerate(halves(config)):
            part = z[:, half * d:(half + 1) * d].permute(0, 2, 3, 1).reshape(-1, d)
            table = codes[first:first + count]
            with torch.no_grad():
                distance = (table ** 2).sum(1) - 2 * part @ table.T
                chosen = distance.argmin(1)
            parts.append(table[chosen])
        shape = (z.shape[0], z.shape[2], z.shape[3], d)
        zq = torch.cat([p.reshape(shape).permute(0, 3, 1, 2) for p in parts], 1)
        y = network.decode(z + (zq - z).detach())
        loss = (x - y).abs().mean() + lpips("squeeze", weights, x, y).mean() + \
            0.5 * F.mse_loss(z, zq.detach()) + 2 * F.mse_loss(zq, z.detach())
        adam.zero_grad()
        loss.backward()
        adam.step()

    serve_steps(step)


def start(*arguments):
    return subprocess.Popen([sys.executable, os.path.abspath(__file__), *arguments],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measure(name, threads, rounds):
    """(seconds of the library's steps, PyTorch's best layout, MiB of both)."""
    makers = [("library", ["--serve", "library"]), ("PyTorch", ["--serve", "torch-first"]),
              ("PyTorch, channels last", ["--serve", "torch-last"])]
    peers = [(label, start("--network", name, "--threads", str(threads), *more))
             for label, more in makers]
    times = {label: [] for label, _ in peers}
    for round_number in range(rounds + 1):  # the first one warms up
        for label, process in peers:
            process.stdin.write("\n")
            process.stdin.flush()
            seconds = float(process.stdout.readline())
            if round_number:
                times[label].append(seconds)
    memory = {}
    for label, process in peers:
        process.stdin.close()
        memory[label] = float(process.stdout.readline())
        process.wait()
    return {label: (statistics.median(times[label]), memory[label]) for label in times}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network", choices=CASES)
    parser.add_argument("--serve", choices=("library", "torch-first", "torch-last"))
    chosen = parser.parse_args()
    if chosen.serve == "library":
        return serve_library(chosen.network, chosen.threads)
    if chosen.serve:
        return serve_torch(chosen.network, chosen.threads, chosen.serve[len("torch-"):])
    print("| network | batch | images/s, vqct | PyTorch | ratio | peak MiB, vqct | PyTorch |")
    print("|---|---|---|---|---|---|---|")
    for name in [chosen.network] if chosen.network else CASES:
        found = measure(name, chosen.threads, chosen.rounds)
        ours = found.pop("library")
        best = min(found, key=lambda label: found[label][0])
        batch, side = CASES[name]
        print(f"| {name} | {batch} x {side} x {side} | {batch / ours[0]:.2f} "
              f"| {batch / found[best][0]:.2f} ({best}) | {found[best][0] / ours[0]:.2f} "
              f"| {ours[1]:.0f} | {found[best][1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
