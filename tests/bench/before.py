#!/usr/bin/python3
"""This tree beside one of its past revisions, built beside it: encoding and decoding.

    before.py BUILD REVISION [--threads 2] [--batches 1,8] [--rounds 5] [--seconds 1] [MODEL...]

BUILD is this tree's build directory. MODEL is a file or the name of a preset (default: the model that
ships, and the preset vqct-f16). Both versions take turns in every round and the least time of all
rounds counts. `ratio` is the past's time by the present's. `share` is what the present does of what
the processor can (tests/bench/peak.c), operations counted as plain convolutions do them: minimal
filtering saves some, so the share may exceed 1.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = [os.path.join(ROOT, "models", "vqct-small.safetensors"), "vqct-f16"]


def run(*argv, **options):
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **options)
    return done.stdout


def build(revision, tree):
    run("git", "-C", ROOT, "worktree", "add", "--detach", tree, revision)
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MAKELEVEL", "CI")}
    subprocess.run(["make", "-C", tree, f"-j{os.cpu_count()}", "build/release/vqct"], check=True,
                   env=environment, stdout=sys.stderr)
    return os.path.join(tree, "build", "release", "vqct")


def model_file(vqct, model, folder):
    if os.path.exists(model):
        return model
    path = os.path.join(folder, f"{model}.safetensors")
    run(vqct, "init", "--preset", model, "--seed", "1", "-o", path)
    return path


def measure(programs, model, options):
    """(operation, batch) to the least milliseconds, operations a second and memory of each."""
    cases = {}
    for _ in range(options.rounds):
        for name, vqct in programs.items():
            # A process a batch, since memory is counted for a process.
            for batch in options.batches.split(","):
                text = run(vqct, "bench", model, "-t", str(options.threads), "-b", batch,
                           "--seconds", str(options.seconds), "--json")
                for line in map(json.loads, text.splitlines()):
                    case = cases.setdefault((line["operation"], line["batch"]), {})
                    best = case.get(name)
                    if best is None or line["least_ms"] < best["least_ms"]:
                        case[name] = line
    return cases


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build")
    parser.add_argument("revision")
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    options = parser.parse_args()
    vqct = os.path.join(options.build, "vqct")
    peak = float(run(os.path.join(options.build, "tests", "bench", "peak"), str(options.threads)))
    print(f"peak of {options.threads} threads: {peak:.0f} GFLOP/s\n")
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "before")
        try:
            programs = {"before": build(options.revision, tree), "now": vqct}
            print(f"| | batch | {options.revision} ms | now ms | ratio | share | MiB, before and now |")
            print("|---|---|---|---|---|---|---|")
            for model in options.models:
                cases = measure(programs, model_file(vqct, model, folder), options)
                for (operation, batch), case in cases.items():
                    before, now = case["before"], case["now"]
                    rate = now["gflop_per_second"] * now["median_ms"] / now["least_ms"]
                    print(f"| {os.path.basename(model)} {operation} | {batch} "
                          f"| {before['least_ms']:.1f} | {now['least_ms']:.1f} "
                          f"| {before['least_ms'] / now['least_ms']:.2f} | {rate / peak:.2f} "
                          f"| {before['peak_bytes'] >> 20} {now['peak_bytes'] >> 20} |", flush=True)
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=False)


if __name__ == "__main__":
    main()
