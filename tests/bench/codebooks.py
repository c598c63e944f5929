#!/usr/bin/python3
"""Where codes come from, compared: one run of training for each kind and seed, all else the same.

    VQCT_BUILD=build/release tests/bench/codebooks.py --data PHOTOS... --test PHOTOS --prior FILE \\
        [--perceptual FILE] [--steps 3000] [--seeds 1 2] -o FOLDER [--svg CURVES.svg] [OPTION...]

Every kind gets the same network, seed, crops in the same order, losses and number of steps: those of
config/train/small.json but for the batch, the steps, and gradients straight through; k = 1. OPTIONs after -- go to
each `vqct train`. Prints a Markdown table, a seed's values after another's: usage and perplexity of the last
positions trained on, and PSNR, SSIM and LPIPS on the test pictures, of which none is trained on. A finished
run in FOLDER is not run again. --svg draws pixel loss, usage and perplexity over the steps.
"""
import argparse
import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VQCT = os.path.join(os.environ.get("VQCT_BUILD", "build/release"), "vqct")
# Name, colour of its curve, options. Of 512 choices a step a noun's share is 0.18; a code that
# nothing chooses falls from 1 to 0.05 in 300 steps, so that restarts take effect within the budget.
KINDS = [
    ("random codebook", "#d62728", ["--codes", "free"]),
    ("EMA, dead codes restarted", "#ff7f0e", ["--codes", "ema", "--ema-threshold", "0.05"]),
    ("SimVQ", "#9467bd", ["--codes", "simvq"]),
    ("VQCT without its graph (MLP)", "#1f77b4", ["--codes", "mlp"]),
    ("VQCT", "#2ca02c", ["--codes", "gcn"]),
]
COMMON = ["--config", os.path.join(ROOT, "config/train/small.json"), "--batch", "8",
          "--estimator", "straight", "--validate-every", "0", "--validation-pictures", "16"]
BOOKS = ("adjective", "noun")
WIDTH, HEIGHT = 300, 220


def rows_of(run):
    with open(f"{run}/metrics.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row for row in rows if "window" in row]


def train(name, options, seed, arguments):
    run = os.path.join(arguments.output, "".join(c if c.isalnum() else "-" for c in name) + f"-{seed}")
    if not os.path.exists(f"{run}/result.json"):
        perceptual = ["--perceptual", arguments.perceptual] if arguments.perceptual else []
        resume = ["--resume"] if os.path.exists(f"{run}/last.safetensors") else []
        data = [part for path in arguments.data for part in ("--data", path)]
        subprocess.run([VQCT, "train", "-o", run, "--prior", arguments.prior, "--steps",
                        str(arguments.steps), "--seed", str(seed), *data, *perceptual, *COMMON,
                        *options, *arguments.options, *resume], check=True)
        subprocess.run([VQCT, "eval", f"{run}/model.safetensors", arguments.test, "--json",
                        f"{run}/result.json", *perceptual], check=True)
    with open(f"{run}/result.json", encoding="utf-8") as file:
        return rows_of(run), json.load(file)


def each(runs, key, form):
    return ", ".join(f"{run[key]:{form}}" for run in runs)


def polyline(rows, key, top, left, colour):
    last = rows[-1]["step"]
    points = " ".join(f"{left + 40 + row['step'] / last * (WIDTH - 60):.1f},"
                      f"{HEIGHT - 30 - row[key] / top * (HEIGHT - 60):.1f}" for row in rows)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def draw(results, path):
    """How pixels come back and how both codebooks are used, a line for each kind."""
    panels = [("pixel", "pixel loss", None), *((f"{book}_usage", f"{book}s used", 1) for book in BOOKS),
              *((f"{book}_perplexity", f"perplexity of the {book}s", None) for book in BOOKS)]
    parts = []
    for i, (key, title, top) in enumerate(panels):
        left, top = i * WIDTH, top or max(row[key] for runs in results for rows, _ in runs for row in rows)
        digits = 2 if top < 1 else 0
        parts += [f'<text x="{left + 40}" y="20">{title}</text>',
                  f'<text x="{left + 36}" y="36" text-anchor="end">{top:.{digits}f}</text>',
                  f'<text x="{left + 36}" y="{HEIGHT - 28}" text-anchor="end">0</text>',
                  f'<text x="{left + WIDTH - 20}" y="{HEIGHT - 12}" text-anchor="end">step '
                  f'{results[0][0][0][-1]["step"]}</text>',
                  f'<path d="M{left + 40} 30V{HEIGHT - 30}H{left + WIDTH - 20}" fill="none" '
                  'stroke="#888"/>']
        parts += [polyline(rows, key, top, left, colour)
                  for runs, (_, colour, _) in zip(results, KINDS) for rows, _ in runs]
    for i, (name, colour, _) in enumerate(KINDS):
        x = 40 + i * 240
        parts.append(f'<text x="{x}" y="{HEIGHT + 16}" fill="{colour}">&#9632; {name}</text>')
    size = f'width="{len(panels) * WIDTH}" height="{HEIGHT + 30}"'
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" '
                   f'font-size="12"><rect {size} fill="white"/>{"".join(parts)}</svg>\n')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--prior", required=True)
    parser.add_argument("--perceptual")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--svg")
    parser.add_argument("options", nargs="*", metavar="OPTION")
    arguments = parser.parse_args()
    os.makedirs(arguments.output, exist_ok=True)
    seeds = [[train(name, options, seed, arguments) for name, _, options in KINDS]
             for seed in arguments.seeds]
    results = list(zip(*seeds))
    print("| codes | usage, adjectives | nouns | perplexity, adjectives | nouns | PSNR, dB | SSIM |"
          " LPIPS |\n|---|---|---|---|---|---|---|---|")
    for (name, _, _), runs in zip(KINDS, results):
        last, tests = [rows[-1] for rows, _ in runs], [test for _, test in runs]
        columns = [*(each(last, f"{book}_usage", ".1%") for book in BOOKS),
                   *(each(last, f"{book}_perplexity", ".0f") for book in BOOKS),
                   each(tests, "psnr", ".2f"), each(tests, "ssim", ".3f"),
                   each(tests, "lpips", ".3f") if arguments.perceptual else ""]
        print(f"| {name} | {' | '.join(columns)} |")
    if arguments.svg:
        draw(results, arguments.svg)


if __name__ == "__main__":
    main()
