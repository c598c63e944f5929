#!/usr/bin/python3
"""The service under load, beside `vqct bench` of the same model in the same minutes.

    VQCT_BUILD=build/release tests/bench/serve.py [--model FILE] [--seconds N] [--requests N] [--before VQCT]

Sends the JPEG photographs of tests/data from this machine, so the client's own work (about a
hundredth of a processor) counts against the server. Prints one table: throughput with 16 requests
always waiting, latencies with requests at even and at random times, how long /livez takes meanwhile,
resident memory over many requests, and what the cache does: nothing but hits, and pictures of which
some come often (Zipf's law). Random arrivals come in bunches and have to queue: beside
them stands what they would see at a server that takes exactly the time of one image alone for each,
one after another, without any other delay (M/D/1). Without --model, a vqct-f8-small of random
weights is measured, which computes exactly as a trained one does.

With --before, the program of a past revision, only that is measured, beside this one: both serve at
once, and take turns under load. Both must be able to read the model; without --model the past one
makes it.
"""
import argparse
import glob
import json
import os
import subprocess
import tempfile
import threading
import time

import numpy as np

import load
import queueing
import serving

IN_FLIGHT = 16


def encode_requests(query):
    requests = []
    for path in sorted(glob.glob(os.path.join(load.ROOT, "tests/data/*.jpg"))):
        with open(path, "rb") as file:
            requests.append(load.post("/v1/encode" + query, "image/jpeg", file.read()))
    return requests


def watch_livez(server, stop, times):
    with server.connect(admin=True) as link:
        while not stop.is_set():
            begun = time.perf_counter()
            link.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert serving.read_answer(link).status == 200
            times.append(time.perf_counter() - begun)
            time.sleep(0.01)


def bench(model):
    """Pictures a second of `vqct bench`, at its best batch, and seconds for a picture alone."""
    out = subprocess.check_output([serving.VQCT, "bench", model, "--batch", "1,8", "--threads",
                                   str(len(os.sched_getaffinity(0))), "--json"], text=True)
    rows = [row for row in map(json.loads, out.splitlines()) if row["operation"] == "encode"]
    return (max(row["images_per_second"] for row in rows),
            next(row["median_ms"] / 1e3 for row in rows if row["batch"] == 1))


def processor_seconds():
    """(of all programs since the machine started, of this one and those that it has run)"""
    with open("/proc/stat") as file:
        user, nice, system = map(int, file.readline().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])


def percentiles(times, alone):
    p50, p99 = np.quantile(times, 0.5), np.quantile(times, 0.99)
    return f"{p50 * 1e3:.1f}, {p99 * 1e3:.1f} ms = {p50 / alone:.2f}, {p99 / alone:.2f} x alone"


def measure_saturated(server, seconds):
    """(images a second, seconds of each /livez meanwhile)"""
    client = load.Load(server.port, encode_requests(""))
    client.saturate(IN_FLIGHT, seconds=2)
    stop, livez = threading.Event(), []
    watcher = threading.Thread(target=watch_livez, args=(server, stop, livez))
    watcher.start()
    answers, took = client.saturate(IN_FLIGHT, seconds=seconds)
    stop.set()
    watcher.join()
    return len(answers) / took, livez


def measure_paced(server, rate, seconds, alone):
    client, count = load.Load(server.port, encode_requests("")), int(rate * seconds)
    even, at_random = np.arange(count) / rate, queueing.random_arrivals(rate, count)
    one_server = queueing.Replica(batch=0, picture=alone, batch_max=1, queue=count)
    return [(f"60% load, {what}, p50 and p99 of {len(times)}", percentiles(times, alone), aim)
            for what, times, aim in (
                ("even times", [t for t, _ in client.paced(even)], "p99 at most 3 x"),
                ("random times", [t for t, _ in client.paced(at_random)], "p99 at most 3 x"),
                ("those random times in theory (M/D/1)",
                 queueing.simulate(one_server, at_random)[0], ""))]


def measure_memory(server, count):
    client = load.Load(server.port, encode_requests("?size=64"))
    client.saturate(IN_FLIGHT, count=500)
    before = server.resident_bytes()
    answers, took = client.saturate(IN_FLIGHT, count=count)
    after = server.resident_bytes()
    return [(f"resident memory over {len(answers)} requests of size=64",
             f"{before / 2**20:.1f} to {after / 2**20:.1f} MiB = {after / before - 1:+.1%}",
             "within 5%"),
            ("those requests", f"{len(answers) / took:.0f} a second", "")]


def cache_figures(server):
    return np.array([server.metric(f"vqct_cache_{name}_total") for name in ("hits", "misses")] +
                    [server.metric("process_cpu_seconds_total")])


def measure_hits(server, seconds):
    """Photographs that are all in the cache."""
    client = load.Load(server.port, encode_requests(""))
    client.saturate(1, count=len(client.requests))
    before = cache_figures(server)
    answers, took = client.saturate(IN_FLIGHT, seconds=seconds)
    hits, misses, cpu = cache_figures(server) - before
    assert misses == 0 and hits == len(answers), (hits, misses)
    alone = client.saturate(1, count=200)[0]
    return [(f"all from the cache, {IN_FLIGHT} in flight",
             f"{len(answers) / took:.0f} images/s, {cpu / hits * 1e3:.2f} ms of a processor each", ""),
            ("one after another, all from the cache, median",
             f"{np.median([t for t, _ in alone]) * 1e3:.2f} ms", "")]


def measure_popular(model, pictures=1000, count=4000):
    """Pictures that come as often as Zipf's law with exponent 1 has it, with room for a tenth."""
    photo = serving.photo(form="PNG")
    every = [load.post("/v1/encode?size=64", "image/png", photo + b"%d" % i)  # behind its end
             for i in range(pictures)]
    with serving.Server(model, cache="64M") as server:
        load.Load(server.port, every[:1]).saturate(1, count=1)
        one = int(server.metric("vqct_cache_bytes"))
    often = 1 / np.arange(1, pictures + 1)
    drawn = np.random.default_rng(1).choice(pictures, count, p=often / often.sum())
    with serving.Server(model, cache=str(one * pictures // 10)) as server:
        answers, took = load.Load(server.port, [every[i] for i in drawn]).saturate(IN_FLIGHT, count=count)
        hits, misses, cpu = cache_figures(server)
    return [(f"{count} requests for {pictures} pictures of 64 x 64 after Zipf, room for a tenth",
             f"{hits / (hits + misses):.1%} hits, {len(answers) / took:.0f} images/s, "
             f"{cpu / count * 1e3:.2f} ms of a processor each", "")]


def measure_cache(model, seconds):
    with serving.Server(model, cache="64M") as server:
        rows = measure_hits(server, seconds)
    return rows + measure_popular(model)


def measure_beside(before, model, seconds, rounds=5):
    """Each figure of both programs, and the median of its ratios over the rounds, present by past."""
    figures = {"saturated, images/s": [], "one after another, images/s": [], "/livez meanwhile, longest ms": []}
    with serving.Server(model) as now, serving.Server(model, cache=None, program=before) as past:
        for _ in range(rounds):
            row = []
            for server in past, now:
                rate, livez = measure_saturated(server, seconds / rounds)
                answers, took = load.Load(server.port, encode_requests("")).saturate(1, seconds=seconds / rounds)
                row.append((rate, len(answers) / took, max(livez) * 1e3))
            for pairs, pair in zip(figures.values(), zip(*row)):
                pairs.append(pair)
    return [(what, "{:.1f} before, {:.1f} now".format(*np.median(pairs, axis=0)),
             f"{np.median([new / old for old, new in pairs]):.3f} x") for what, pairs in figures.items()]


def measure(model, seconds, count):
    before, alone_before = bench(model)
    begun = time.perf_counter()
    with serving.Server(model) as server:
        ready = time.perf_counter() - begun
        rate, livez = measure_saturated(server, seconds)
        after, alone_after = bench(model)
        alone = (alone_before + alone_after) / 2
        return [
            ("start to ready", f"{ready:.3f} s", "under 1 s"),
            ("`vqct bench`, before and after", f"{before:.1f}, {after:.1f} images/s", ""),
            ("one image alone, `vqct bench`", f"{alone * 1e3:.1f} ms", ""),
            (f"saturated, {IN_FLIGHT} in flight",
             f"{rate:.1f} images/s = {2 * rate / (before + after):.1%} of `vqct bench`",
             "at least 95%"),
            (f"/livez meanwhile, longest of {len(livez)}", f"{max(livez) * 1e3:.1f} ms",
             "within 50 ms"),
            *measure_paced(server, 0.6 * rate, 2 * seconds, alone),
            *measure_memory(server, count),
            *measure_cache(model, seconds)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--before", metavar="VQCT")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model
        if not model or not os.path.exists(model):
            model = os.path.join(folder, "vqct-f8-small.safetensors")
            subprocess.run([arguments.before or serving.VQCT, "init", "--preset", "vqct-f8-small", "--output", model],
                           check=True, stdout=subprocess.DEVNULL)
        begun, (all_before, own_before) = time.perf_counter(), processor_seconds()
        if arguments.before:
            rows = measure_beside(arguments.before, model, arguments.seconds)
        else:
            rows = measure(model, arguments.seconds, arguments.requests)
        took, (all_after, own_after) = time.perf_counter() - begun, processor_seconds()
        others = (all_after - all_before - (own_after - own_before)) / took
        print(f"model {os.path.basename(model)}, {len(os.sched_getaffinity(0))} processors, of which "
              f"other programs used {others:.2f}\n")
    print(f"| what | measured | {'ratio' if arguments.before else 'aim'} |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
