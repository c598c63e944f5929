#!/usr/bin/python3
"""This tree beside one of its past revisions, built beside it: encoding, decoding and training steps.

    before.py BUILD REVISION [--threads 2] [--batches 1,8] [--rounds 5] [--seconds 1] [--steps 4] [MODEL...]

BUILD is this tree's build directory. MODEL is a file that both can read, or the name of a preset
(default: those of TRAINING). Both versions take turns in every round and the least time of all
rounds counts. `ratio` is the past's time by the present's. `share` is what the present does of what
the processor can (tests/bench/peak.c), operations counted as plain convolutions do them: minimal
filtering saves some, so the share may exceed 1. Training: `--steps` of each preset of TRAINING a round
(0: none) on the photographs of tests/data, without LPIPS and discriminator; its operations are not counted.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRAINING = {"vqct-f8-small": (8, 128), "vqct-f16": (1, 256)}  # preset to batch and side
MODELS = list(TRAINING)


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


def train(vqct, preset, options, folder):
    """Milliseconds of the fastest step of a short run, and its peak memory in bytes."""
    batch, side = TRAINING[preset]
    out = os.path.join(folder, "run")
    child = subprocess.Popen(
        [vqct, "train", "-o", out, "--data", os.path.join(ROOT, "tests", "data"), "--preset", preset,
         "--codes", "free", "--batch", str(batch), "--crop", str(side), "--steps", str(options.steps),
         "--log-every", "1", "--discriminator-start", "-1", "--threads", str(options.threads),
         "--held-out", "1", "--validate-every", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, child.args)
    with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
        rates = [line["images_per_second"] for line in map(json.loads, file) if "images_per_second" in line]
    shutil.rmtree(out)
    return 1000 * batch / max(rates), usage.ru_maxrss * 1024


def measure_training(programs, preset, options, folder):
    """Least milliseconds of a step and most memory, of each program."""
    runs = {name: [] for name in programs}
    for _ in range(options.rounds):
        for name, vqct in programs.items():
            runs[name].append(train(vqct, preset, options, folder))
    return {name: (min(ms for ms, _ in found), max(size for _, size in found)) for name, found in runs.items()}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build")
    parser.add_argument("revision")
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--steps", type=int, default=4)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the other tree is removed then, too
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
            for preset in TRAINING if options.steps else ():
                found = measure_training(programs, preset, options, folder)
                (before, before_bytes), (now, now_bytes) = found["before"], found["now"]
                print(f"| {preset} training step | {TRAINING[preset][0]} | {before:.1f} | {now:.1f} "
                      f"| {before / now:.2f} | | {before_bytes >> 20} {now_bytes >> 20} |", flush=True)
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=False)


if __name__ == "__main__":
    main()
