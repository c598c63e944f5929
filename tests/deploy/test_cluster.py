"""Three replicas behind a balancer under load: the recording rules against the replicas' own
statistics, every panel of the dashboards, a replica that is told to stop and one that is killed."""
import contextlib
import json
import math
import os
import signal
import sys
import tempfile
import time
import unittest

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import dashboards  # noqa: E402
from cluster import serving  # noqa: E402

ADJECTIVES, NOUNS = serving.TINY["adjectives"], serving.TINY["nouns"]
QUEUE_IMAGES = 16  # that a replica takes on
PARTS = {"adjective": slice(0, ADJECTIVES), "noun": slice(ADJECTIVES, ADJECTIVES + NOUNS)}


def record_training(path):
    """Writes into a model file that its training counted each code as often as the others."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        begin, end = json.loads(file.read(size))["codebook.training_counts"]["data_offsets"]
        file.seek(8 + size + begin)
        file.write(np.full((end - begin) // 8, 1000, "<u8").tobytes())


def perplexity(counts):
    """exp of the entropy in nats."""
    share = counts[counts > 0] / counts.sum()
    return math.exp(-(share * np.log(share)).sum())


class Cluster(unittest.TestCase):
    """The tests run in the order of their names: each leaves the cluster to the next."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.model = os.path.join(cls.folder.name, "model.safetensors")
        serving.make_model(cls.model)
        record_training(cls.model)
        cls.replicas = []
        for _ in range(3):
            replica = serving.Server(cls.model, "--threads", "1", "--queue-images",
                                     str(QUEUE_IMAGES),
                                     drain_delay=f"{cluster.DRAIN_DELAY}s")
            cls.addClassCleanup(cluster.end, replica)
            cls.replicas.append(replica)
        cls.balancer = cluster.Balancer(cls.folder.name, cls.replicas)
        cls.addClassCleanup(cls.balancer.stop)
        cls.prometheus = cluster.Prometheus(cls.folder.name, cls.replicas)
        cls.addClassCleanup(cls.prometheus.stop)

    def wait_for(self, expected):
        """The first time at which each expression has the value that is expected of it: a scrape
        that a busy machine made too late leaves a replica out of one evaluation."""
        reached = []

        def arrived():
            now = time.time()
            reached[:] = [now]
            return all(self.prometheus.value(expression, now) == value
                       for expression, value in expected.items())
        serving.wait_until(arrived, str(expected))
        return reached[0]

    def own_counts(self):
        """The replicas' own counts of every code since they started: a row each."""
        return np.array([replica.get("/v1/codebook/usage").json()["counts"]
                         for replica in self.replicas])

    def test_1_rules_agree_with_the_replicas(self):
        with cluster.Load(self.balancer.port, clients=6) as load:
            load.wait_for(120)
        self.assertEqual(load.failed(), [])
        own = self.own_counts()
        total = own.sum(axis=0)
        self.assertTrue((own.sum(axis=1) > 0).all(), "each replica took a part")
        dead = sum(np.count_nonzero(total[codes] == 0) for codes in PARTS.values())
        # the rules of a group are evaluated one after another: each must have come
        at = self.wait_for({"sum(vqct:codebook_tokens:1h)": total.sum(),
                            "sum(vqct:codebook_dead_codes:1h)": dead,
                            "count(vqct:codebook_usage:ratio_1h)": len(PARTS),
                            "count(vqct:codebook_perplexity:1h)": len(PARTS),
                            "sum(vqct_images_total)": len(load.sent)})

        def value(expression):
            return self.prometheus.value(expression, at)
        self.assertEqual(value('sum(vqct_http_requests_total{route="/v1/encode",code="200"})'),
                         len(load.sent))
        self.assertEqual(value("vqct:request_errors:ratio_5m or vector(0)"), 0)
        for part, codes in PARTS.items():
            of = f'{{job="vqct",part_of_speech="{part}"}}'
            counts = total[codes]
            by_token = {int(labels["token"]) - codes.start: count for labels, count in
                        self.prometheus.query(f"vqct:code_tokens:1h{of}", at)}
            self.assertEqual(by_token, {i: n for i, n in enumerate(counts) if n})
            used = np.count_nonzero(counts)
            self.assertEqual(value(f"vqct:codebook_tokens:1h{of}"), counts.sum())
            self.assertEqual(value(f"vqct:codebook_dead_codes:1h{of}"), len(counts) - used)
            self.assertEqual(value(f"vqct:codebook_usage:ratio_1h{of}"), used / len(counts))
            # both in fp64; entropy of a few terms
            self.assertAlmostEqual(value(f"vqct:codebook_perplexity:1h{of}"), perplexity(counts),
                                   delta=1e-9)

    def overload_one(self):
        """Holds all that one replica takes on by requests whose bodies do not come."""
        replica = self.replicas[2]
        with contextlib.ExitStack() as held:
            for _ in range(QUEUE_IMAGES):
                link = held.enter_context(replica.connect())
                link.sendall(b"POST /v1/encode HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            serving.wait_until(
                lambda: replica.metric("vqct_requests_in_flight") >= QUEUE_IMAGES, "a full queue")
            self.assertEqual(replica.post("/v1/encode", serving.photo()).status, 429)

    def test_2_every_panel_has_an_answer(self):
        self.overload_one()
        picture = serving.photo()
        for replica in self.replicas:
            self.assertEqual(replica.post("/v1/reconstruct?size=64", picture).status, 200)
        # Two scrapes that know of the refusals, for rates: the series begins with the first of them.
        refusals = 'rate(vqct_http_requests_total{code="429"}[1m])'
        serving.wait_until(lambda: self.prometheus.query(refusals), "a rate")
        self.wait_for({"sum(up)": 6})
        for dashboard in dashboards.load_all():
            for panel, expression in dashboards.queries(dashboard):
                with self.subTest(dashboard=dashboard["title"], panel=panel):
                    found = self.prometheus.query(dashboards.fill_in(expression))
                    self.assertTrue(found, expression)
                    self.assertFalse(all(math.isnan(value) for _, value in found), expression)

    def test_3_told_to_stop_under_load_no_request_fails(self):
        leaving = self.replicas[0]
        with cluster.Load(self.balancer.port, clients=6) as load:
            load.wait_for(20)
            told = time.monotonic()
            leaving.process.send_signal(signal.SIGTERM)
            self.assertEqual(leaving.process.wait(serving.PATIENCE), 0)
            left = time.monotonic()
            load.wait_for(20)
        self.assertEqual(load.failed(), [])
        self.assertGreaterEqual(left - told, cluster.DRAIN_DELAY)
        self.assertIn("replica-0", {sent.replica for sent in load.sent if sent.start < told})
        self.assertEqual({sent.replica for sent in load.sent if sent.start > left},
                         {"replica-1", "replica-2"})

    def test_4_killed_under_load_only_requests_in_flight_fail(self):
        victim = self.replicas[1]
        with cluster.Load(self.balancer.port, clients=6) as load:
            load.wait_for(20)
            before = time.monotonic()
            victim.process.kill()
            victim.process.wait()
            after = time.monotonic()
            load.wait_for(30)
        failed = load.failed()
        self.assertTrue(1 <= len(failed) <= 6, failed)
        for sent in failed:
            # HAProxy says 502, or closes as the replica did where it had used the connection before
            self.assertIn((sent.status, sent.replica), [(502, "replica-1"), (0, None)])
            self.assertTrue(sent.start < after and sent.end > before, sent)
        self.assertEqual([sent.status for sent in load.retries], [200] * len(failed))
        down = f'up{{instance="127.0.0.1:{victim.admin_port}"}} == 0'
        serving.wait_until(lambda: self.prometheus.query(down), "Prometheus to miss the replica")


if __name__ == "__main__":
    unittest.main()
