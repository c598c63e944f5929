#!/usr/bin/python3
"""The service under load, beside `vqct bench` of the same model in the same minutes.

    VQCT_BUILD=build/release tests/bench/serve.py [--model FILE] [--seconds N] [--requests N]

Sends the JPEG photographs of tests/data from this machine, so the client's own work (about a
hundredth of a core) counts against the server. Prints one table: throughput with 16 requests always
waiting, latencies with requests at even and at random times, how long /livez takes meanwhile, and
resident memory over many requests. Without --model, a vqct-f8-small of random weights is measured,
which computes exactly as a trained one does.
"""
import argparse
import glob
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/integration"))
import serving  # noqa: E402

IN_FLIGHT = 16


class Client:
    """One kept connection."""

    def __init__(self, port):
        self.link = socket.create_connection(("127.0.0.1", port), 120)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request):
        """Seconds until the whole answer is there."""
        begun = time.perf_counter()
        self.link.sendall(request)
        answer = serving.read_answer(self.link)
        if answer is None or answer.status != 200:
            raise SystemExit(f"answered {answer and answer.body}")
        return time.perf_counter() - begun


def encode_requests(query):
    files = sorted(glob.glob(os.path.join(ROOT, "tests/data/*.jpg")))
    requests = []
    for path in files:
        with open(path, "rb") as file:
            data = file.read()
        requests.append(f"POST /v1/encode{query} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
                        f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return requests


def saturate(port, requests, seconds=None, count=None):
    """(answers, seconds) with IN_FLIGHT requests always waiting."""
    begun, done, lock = time.perf_counter(), [0], threading.Lock()
    stop = begun + seconds if seconds else float("inf")

    def work(number):
        client, i = Client(port), number
        while time.perf_counter() < stop and (count is None or done[0] < count):
            client.ask(requests[i % len(requests)])
            i += 1
            with lock:
                done[0] += 1
    threads = [threading.Thread(target=work, args=(n,)) for n in range(IN_FLIGHT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done[0], time.perf_counter() - begun


def paced(port, requests, rate, seconds, at_random):
    """Latencies of requests sent at a rate whatever is answered, from when each was due."""
    clock, moments, generator = 0.0, [], random.Random(1)
    while clock < seconds:
        moments.append(clock)
        clock += generator.expovariate(rate) if at_random else 1 / rate
    times, idle, lock = [], [], threading.Lock()
    begun = time.perf_counter()

    def send(i, due):
        with lock:
            client = idle.pop() if idle else None
        client = client or Client(port)
        client.ask(requests[i % len(requests)])
        with lock:
            idle.append(client)
            times.append(time.perf_counter() - begun - due)
    threads = []
    for i, due in enumerate(moments):
        time.sleep(max(0, begun + due - time.perf_counter()))
        threads.append(threading.Thread(target=send, args=(i, due)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return sorted(times)


def watch_livez(port, stop, times):
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    client = Client(port)
    while not stop.is_set():
        times.append(client.ask(request))
        time.sleep(0.01)


def bench(model):
    """Pictures a second of `vqct bench`, at its best batch, and seconds for a picture alone."""
    out = subprocess.check_output([serving.VQCT, "bench", model, "--batch", "1,8", "--threads",
                                   str(len(os.sched_getaffinity(0))), "--json"], text=True)
    rows = [row for row in map(json.loads, out.splitlines()) if row["operation"] == "encode"]
    return (max(row["images_per_second"] for row in rows),
            next(row["median_ms"] / 1e3 for row in rows if row["batch"] == 1))


def quantile(times, q):
    return times[min(len(times) - 1, int(q * len(times)))]


def measure(model, seconds, count):
    rows = []
    rate_before, single = bench(model)
    begun = time.perf_counter()
    with serving.Server(model) as server:
        rows.append(("start to ready", f"{time.perf_counter() - begun:.3f} s", "under 1 s"))
        requests = encode_requests("")
        saturate(server.port, requests, seconds=2)
        stop, livez = threading.Event(), []
        watcher = threading.Thread(target=watch_livez, args=(server.admin_port, stop, livez))
        watcher.start()
        answers, took = saturate(server.port, requests, seconds=seconds)
        stop.set()
        watcher.join()
        rate_after, single_after = bench(model)
        library, rate = (rate_before + rate_after) / 2, answers / took
        single = (single + single_after) / 2
        rows += [
            ("vqct bench, before and after", f"{rate_before:.2f}, {rate_after:.2f} images/s", ""),
            ("one image alone, vqct bench", f"{single * 1e3:.1f} ms", ""),
            ("saturated", f"{rate:.2f} images/s = {rate / library:.1%} of vqct bench",
             "at least 95%"),
            (f"/livez meanwhile, longest of {len(livez)}", f"{max(livez) * 1e3:.1f} ms",
             "within 50 ms")]
        for at_random in (False, True):
            times = paced(server.port, requests, 0.6 * rate, 2 * seconds, at_random)
            p50, p99 = quantile(times, 0.5), quantile(times, 0.99)
            rows.append((f"60% load, {'random' if at_random else 'even'} times, p50 and p99 of "
                         f"{len(times)}", f"{p50 * 1e3:.1f}, {p99 * 1e3:.1f} ms ="
                         f" {p50 / single:.2f}, {p99 / single:.2f} x alone", "p99 at most 3 x"))
        small = encode_requests("?size=64")
        saturate(server.port, small, count=500)
        before = server.resident_bytes()
        answers, took = saturate(server.port, small, count=count)
        after = server.resident_bytes()
        rows.append((f"resident memory over {answers} requests of size=64",
                     f"{before / 2**20:.1f} to {after / 2**20:.1f} MiB = {after / before - 1:+.1%}",
                     "within 5%"))
        rows.append(("those requests", f"{answers / took:.0f} a second", ""))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--requests", type=int, default=10000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model
        if not model or not os.path.exists(model):
            model = os.path.join(folder, "vqct-f8-small.safetensors")
            subprocess.run([serving.VQCT, "init", "--preset", "vqct-f8-small", "--output", model],
                           check=True, stdout=subprocess.DEVNULL)
        rows = measure(model, arguments.seconds, arguments.requests)
        print(f"model {os.path.basename(model)}, {len(os.sched_getaffinity(0))} processors\n")
    print("| what | measured | aim |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
