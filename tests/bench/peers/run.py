#!/usr/bin/python3
"""vqct beside ONNX Runtime and PyTorch: the same network, weights, pictures' size and threads.

    run.py BUILD PEERS [PRESET...] [--threads 2] [--batches 1,8] [--rounds 5]

BUILD is vqct's build directory, PEERS a directory with node_modules/onnxruntime-node; the models
(default: vqct-small and vqct-f16) and their ONNX forms are put there. The three take turns in every
round, with a pause in between in which threads that spin for work give up, and the least time of all
rounds counts. The peers run the network alone in fp32; vqct also turns bytes into numbers and vectors
into tokens and back. `share` is what vqct does of what the processor can (tests/bench/peak.c),
operations counted as plain convolutions do them: minimal filtering saves some of them. Prints a
Markdown table of each preset.
"""
import argparse
import ctypes
import json
import os
import struct
import subprocess
import sys
import time
import warnings

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "reference"))
import torch_vqct  # noqa: E402

SIDE = 256  # pixels
PAUSE = 0.3  # seconds


def read_model(path):
    """Configuration and network of a model file in fp32."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        start, state = file.tell(), {}
        config = json.loads(next(text for text in header.pop("__metadata__").values()
                                 if text.startswith("{")))
        network = torch_vqct.Network(config)
        for name in network.state_dict():
            entry = header[name]
            assert entry["dtype"] == "F32", name
            file.seek(start + entry["data_offsets"][0])
            size = entry["data_offsets"][1] - entry["data_offsets"][0]
            array = np.frombuffer(file.read(size), "<f4").reshape(entry["shape"])
            state[name] = torch.from_numpy(array.copy())
    network.load_state_dict(state)
    return config, network.eval().requires_grad_(False)


class Half(torch.nn.Module):
    """encode or decode as a module of its own, for export."""

    def __init__(self, network, name):
        super().__init__()
        self.network, self.name = network, name

    def forward(self, x):
        return getattr(self.network, self.name)(x)


class OnnxRuntime:
    name = "ONNX Runtime 1.30"

    def __init__(self, network, peers, threads, shapes):
        self.files = {}
        for operation in ("encode", "decode"):
            self.files[operation] = os.path.join(peers, f"{operation}.onnx")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(Half(network, operation), torch.zeros(1, *shapes[operation]),
                                  self.files[operation], opset_version=13, input_names=["x"],
                                  output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
        self.process = subprocess.Popen(
            ["node", os.path.join(HERE, "ort.js"), str(threads)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NODE_PATH": os.path.join(peers, "node_modules")})

    def run(self, operation, shape):
        self.process.stdin.write(" ".join(map(str, (self.files[operation], *shape))) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline()) / 1e3

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class PyTorch:
    name = f"PyTorch {torch.__version__.split('a')[0]}, channels last"

    def __init__(self, network, threads):
        torch.set_num_threads(threads)
        self.network = network.to(memory_format=torch.channels_last)

    def run(self, operation, shape):
        x = torch.randn(shape).to(memory_format=torch.channels_last)
        start = time.perf_counter()
        getattr(self.network, operation)(x)
        return time.perf_counter() - start


class Vqct:
    name = "vqct"

    def __init__(self, build, model, threads, facts):
        self.lib = ctypes.CDLL(os.path.join(build, "libvqct.so"))
        self.model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(self.lib.vqct_model_open(model.encode(), ctypes.byref(self.model), None))
        self.check(self.lib.vqct_session_new(self.model, threads, ctypes.byref(self.session), None))
        self.planes, self.grid = facts["planes"], SIDE // facts["downsampling"]
        self.tokens = {}

    @staticmethod
    def check(status):
        if status:
            raise RuntimeError(f"vqct: status {status}")

    def run(self, operation, shape):
        images = shape[0]
        pixels = np.random.default_rng(1).integers(0, 256, (images, SIDE, SIDE, 3), dtype=np.uint8)
        if images not in self.tokens:
            self.tokens[images] = np.zeros((images, self.planes, self.grid, self.grid), np.uint32)
            self.call("encode", pixels, self.tokens[images], SIDE)
        tokens = self.tokens[images]
        start = time.perf_counter()
        if operation == "encode":
            self.call("encode", pixels, tokens, SIDE)
        else:
            self.call("decode", tokens, pixels, self.grid)
        return time.perf_counter() - start

    def call(self, operation, given, result, side):
        rows = [(ctypes.c_void_p * len(array))(*(row.ctypes.data for row in array))
                for array in (given, result)]
        self.check(getattr(self.lib, f"vqct_{operation}")(
            self.session, rows[0], ctypes.c_size_t(len(given)), side, side, rows[1], None))


def measure(peers, shapes, batches, rounds):
    """{(operation, batch): [least seconds of each peer]}"""
    times = {(operation, batch): [[] for _ in peers] for operation in shapes for batch in batches}
    for turn in range(rounds + 1):  # the first warms up
        for (operation, batch), runs in times.items():
            for peer, found in zip(peers, runs):
                time.sleep(PAUSE)
                seconds = peer.run(operation, (batch, *shapes[operation]))
                if turn:
                    found.append(seconds)
    return {case: [min(found) for found in runs] for case, runs in times.items()}


def compare(preset, peak, options):
    """Measures a preset and prints its table."""
    program = os.path.join(options.build, "vqct")
    model = os.path.join(options.peers, f"{preset}.safetensors")
    subprocess.run([program, "init", "--preset", preset, "--seed", "1", "-o", model], check=True)
    facts = json.loads(subprocess.check_output([program, "inspect", "--json", model]))
    config, network = read_model(model)
    grid = SIDE // facts["downsampling"]
    halves = 1 if config["quantizer"] == "plain" else 2
    shapes = {"encode": (config["image_channels"], SIDE, SIDE),
              "decode": (halves * config["code_dimension"], grid, grid)}
    ort = OnnxRuntime(network, options.peers, options.threads, shapes)
    peers = [Vqct(options.build, model, options.threads, facts), ort, PyTorch(network, options.threads)]
    batches = [int(batch) for batch in options.batches.split(",")]
    with torch.no_grad():
        results = measure(peers, shapes, batches, options.rounds)
    ort.close()
    print(f"{preset}, {SIDE}x{SIDE}, fp32, {options.threads} threads, milliseconds a batch, least of "
          f"{options.rounds} rounds; these threads' peak: {peak:.0f} GFLOP/s\n")
    print("| | batch | " + " | ".join(peer.name for peer in peers) + " | to ONNX Runtime | to "
          "PyTorch | share |")
    print("|---|---|" + "---|" * (len(peers) + 3))
    for (operation, batch), seconds in results.items():
        rate = batch * facts[f"{operation}_flops"] / seconds[0] / 1e9
        print(f"| {operation} | {batch} | " + " | ".join(f"{1e3 * s:.0f}" for s in seconds) + " | " +
              " | ".join(f"{s / seconds[0]:.2f}x" for s in seconds[1:]) + f" | {rate / peak:.2f} |")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("peers")
    parser.add_argument("presets", nargs="*", default=["vqct-small", "vqct-f16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    peak = os.path.join(options.build, "tests", "bench", "peak")
    peak = float(subprocess.check_output([peak, str(options.threads)]))
    for preset in options.presets:
        compare(preset, peak, options)


if __name__ == "__main__":
    main()
