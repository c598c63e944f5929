#!/usr/bin/python3
"""How long requests wait: a simulation of one replica's queue, and a measured load to hold it against.

    tests/bench/queueing.py size --rate 100 --objective 2.5 --picture 0.11 [--batch 0.02]
        how many replicas a request rate (of one picture each) and a latency objective need
    VQCT_BUILD=build/release tests/bench/queueing.py measure [--model MODEL]
        predicts and measures the latency of `vqct serve` at several loads, side by side

The replica: requests come at random (Poisson), wait in a queue of at most `queue` pictures, above
which they are refused, and one worker takes up to `batch_max` of those that wait; a batch of n
pictures takes batch + n * picture seconds.
"""
import argparse
import collections
import json
import os
import tempfile

import numpy as np

import load
import serving


class Replica(collections.namedtuple("Replica", "batch picture batch_max queue")):
    """batch, picture: seconds; batch_max, queue: pictures."""

    def seconds(self, pictures):
        return self.batch + pictures * self.picture

    def capacity(self):
        """Pictures a second with full batches."""
        return self.batch_max / self.seconds(self.batch_max)


def random_arrivals(rate, requests=20000, seed=1):
    """Seconds at which requests come that know nothing of each other."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, requests))


def simulate(replica, arrivals):
    """(latencies of the answered, share refused). The worker's turns are followed one by one: it
    takes what waits when it gets free, or the next request when none does. The queue's bound counts
    pictures from arrival to answer, as the server's admission does."""
    latencies, waiting, computing = [], collections.deque(), 0
    free, i = 0.0, 0
    requests = len(arrivals)
    while i < requests or waiting:
        if not waiting:
            waiting.append(arrivals[i])
            free, i, computing = max(free, arrivals[i]), i + 1, 0
        while i < requests and arrivals[i] <= free:
            if len(waiting) + computing < replica.queue:
                waiting.append(arrivals[i])
            i += 1
        computing = min(len(waiting), replica.batch_max)
        free += replica.seconds(computing)
        latencies += [free - waiting.popleft() for _ in range(computing)]
    return np.array(latencies), 1 - len(latencies) / requests


def replicas_for(replica, rate, objective, quantile):
    """The fewest replicas for which the quantile of latency meets the objective and at most one
    request in a thousand is refused; requests spread over replicas at random, so each sees a Poisson
    stream. A balancer that looks at connections does no worse."""
    count = int(np.ceil(rate / replica.capacity()))
    while True:
        latencies, refused = simulate(replica, random_arrivals(rate / count))
        if np.quantile(latencies, quantile) <= objective and refused <= 0.001:
            return count, latencies
        if rate / count < 0.01 * replica.capacity():
            raise SystemExit("no number of replicas meets this: one picture alone takes "
                             f"{replica.seconds(1):.3f} s")
        count += 1


def size(arguments):
    replica = Replica(arguments.batch, arguments.picture, arguments.batch_max, arguments.queue)
    count, latencies = replicas_for(replica, arguments.rate, arguments.objective,
                                    arguments.quantile)
    print(f"one replica computes up to {replica.capacity():.1f} pictures/s")
    print(f"{count} replicas at {arguments.rate / count / replica.capacity():.0%} of that: "
          f"half within {np.median(latencies):.3f} s, {arguments.quantile:.0%} within "
          f"{np.quantile(latencies, arguments.quantile):.3f} s")


# ---- measuring ----------------------------------------------------------------------------------

def request_of(path, pictures):
    boundary = "picture"
    parts = [(f'--{boundary}\r\nContent-Disposition: form-data; name="p"; filename="{i}.jpg"\r\n'
              "Content-Type: image/jpeg\r\n\r\n").encode() + picture + b"\r\n"
             for i, picture in enumerate(pictures)]
    return load.post(path, f"multipart/form-data; boundary={boundary}",
                     b"".join(parts) + f"--{boundary}--\r\n".encode())


def calibrate(port, path, pictures, batch_max):
    """The two times of a batch: a line through requests of 1 to batch_max pictures, one at a time."""
    counts = np.arange(1, batch_max + 1)
    typical = []
    for n in counts:
        client = load.Load(port, [request_of(path, pictures[:n])])
        answers, _ = client.saturate(1, count=12)
        typical.append(np.median([seconds for seconds, _ in answers]))
    if batch_max == 1:
        return 0.0, typical[0]
    picture, batch = np.polyfit(counts, typical, 1)
    return max(batch, 0.0), picture


class ComputeTime:
    """Mean seconds of the network for a picture since the last time that it was asked for, by the
    server's own metrics."""

    def __init__(self, server):
        self.server, self.seconds, self.pictures = server, 0.0, 0.0

    def mean(self):
        name = "vqct_compute_duration_seconds_%s{operation=\"encode\"}"
        seconds, pictures = (self.server.metric(name % part) for part in ("sum", "count"))
        mean = (seconds - self.seconds) / (pictures - self.pictures)
        self.seconds, self.pictures = seconds, pictures
        return mean


def measure(arguments):
    pictures = [serving.photo(256, 256, seed) for seed in range(8)]
    path = f"/v1/encode?size={arguments.pixels}"
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model
        if not model:
            model = os.path.join(folder, "model.safetensors")
            serving.subprocess.run([serving.VQCT, "init", "--preset", "vqct-f8-small", "-o", model],
                                   check=True)
        batch_max = arguments.threads  # the server's default for one worker
        with serving.Server(model, "--threads", str(arguments.threads), "--workers", "1") as server:
            compute = ComputeTime(server)
            calibrate(server.port, path, pictures, batch_max)  # warms up
            compute.mean()
            replica = Replica(*calibrate(server.port, path, pictures, batch_max), batch_max, 256)
            print(f"a batch of n takes {1e3 * replica.batch:.1f} + n * {1e3 * replica.picture:.1f} ms:"
                  f" at most {replica.capacity():.1f} pictures/s")
            idle = compute.mean()
            print("   load   rate/s  requests  picture ms | median s  predicted |   p95 s  predicted")
            for share in arguments.loads:
                rate = share * replica.capacity()
                arrivals = random_arrivals(rate, int(rate * arguments.seconds))
                requests = [load.post(path, "image/jpeg", picture) for picture in pictures]
                answers = load.Load(server.port, requests).paced(arrivals)
                found = [seconds for seconds, _ in answers]
                # What else runs on the machine makes pictures slower than they were one at a time.
                picture = replica.picture + compute.mean() - idle
                told, _ = simulate(replica._replace(picture=picture), arrivals)
                print(f"  {share:4.0%}  {rate:7.2f}  {len(found):8}  {1e3 * picture:10.1f} | {np.median(found):8.3f}  "
                      f"{np.median(told):9.3f} | {np.quantile(found, 0.95):7.3f}  "
                      f"{np.quantile(told, 0.95):9.3f}", flush=True)
    print(json.dumps({"processors": os.cpu_count(), "threads": arguments.threads,
                      "pixels": arguments.pixels, "seconds": arguments.seconds}))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("size")
    one.set_defaults(run=size)
    one.add_argument("--rate", type=float, required=True, help="requests a second")
    one.add_argument("--objective", type=float, required=True, help="seconds")
    one.add_argument("--quantile", type=float, default=0.99, help="share that must meet it")
    one.add_argument("--picture", type=float, required=True, help="seconds of one more picture")
    one.add_argument("--batch", type=float, default=0.0, help="seconds of a batch besides")
    one.add_argument("--batch-max", type=int, default=1, help="batch-images of the server")
    one.add_argument("--queue", type=int, default=256, help="queue-images of the server")
    two = commands.add_parser("measure")
    two.set_defaults(run=measure)
    two.add_argument("--model")
    two.add_argument("--threads", type=int, default=1, help="of the server; the clients need the rest")
    two.add_argument("--pixels", type=int, default=256)
    two.add_argument("--seconds", type=float, default=20, help="length of each load")
    two.add_argument("--loads", type=float, nargs="+", default=[0.3, 0.6, 0.8])
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
