"""Restarts behind HAProxy, which keeps connections to the replicas in pools: no answer is lost. The
environment variable RESTARTS says how many restarts there are."""
import os
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
from cluster import serving  # noqa: E402

RESTARTS = int(os.environ.get("RESTARTS", "12"))


class Questions(cluster.Load):
    """Requests that cost little, so that a connection is nearly always in use, and that a balancer
    sends only once."""
    png = serving.photo(32, 32, form="PNG")

    def ask(self, link, body):
        link.request("POST", "/v1/encode?size=32", self.png, {"Content-Type": "image/png"})


class Draining(unittest.TestCase):
    def start(self, i):
        """The replica of that number, on the same ports each time."""
        port, admin_port = self.ports[i]
        replica = serving.Server(self.model, "--threads", "1", "--listen", f"127.0.0.1:{port}",
                                 "--admin-listen", f"127.0.0.1:{admin_port}",
                                 drain_delay="0.1s")  # less than the balancer needs to see it
        self.addCleanup(cluster.end, replica)
        return replica

    def test_restarts_lose_no_answer(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.model = os.path.join(folder.name, "model.safetensors")
        serving.make_model(self.model)
        self.ports = [(cluster.free_port(), cluster.free_port()) for _ in range(3)]
        replicas = [self.start(i) for i in range(3)]
        balancer = cluster.Balancer(folder.name, replicas)
        self.addCleanup(balancer.stop)
        with Questions(balancer.port, clients=8) as load:
            for turn in range(RESTARTS):
                load.wait_for(100)
                i = turn % 3
                replicas[i].process.send_signal(signal.SIGTERM)
                self.assertEqual(replicas[i].process.wait(serving.PATIENCE), 0)
                replicas[i] = self.start(i)
                name, since = f"replica-{i}", len(load.sent)
                serving.wait_until(lambda: any(sent.replica == name for sent in load.sent[since:]),
                                   "the replica to be back")
        self.assertEqual(load.failed(), [])
        print(f"{len(load.sent)} answers over {RESTARTS} restarts, none lost")


if __name__ == "__main__":
    unittest.main()
