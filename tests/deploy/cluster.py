"""Three replicas on loopback ports behind HAProxy, watched by a real Prometheus with our rules."""
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import serving  # noqa: E402

PROMETHEUS = os.path.join(ROOT, "deploy", "prometheus")
DRAIN_DELAY = 1.5  # seconds; HAProxy asks for readiness every 0.2 s


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def end(replica):
    """Kills a replica that still runs, and forgets its log."""
    replica.process.kill()
    replica.process.wait()
    replica.log_file.close()


class Child:
    """A program that runs until the end of the test."""

    def __init__(self, argv, log_path, environment=None):
        self.log_path = log_path
        with open(log_path, "wb") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log,
                                            env=dict(os.environ, **(environment or {})))

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def wait_for(self, port, path):
        """Until it answers a request; fails with its log where it ends first."""
        def ready():
            if self.process.poll() is not None:
                with open(self.log_path, errors="replace") as log:
                    raise AssertionError(f"it ended:\n{log.read()[-3000:]}")
            return answers(port, path)
        serving.wait_until(ready, f"an answer to {path}")


class Balancer(Child):
    def __init__(self, folder, replicas):
        self.port = free_port()
        ports = {f"{name}_{i}": str(port) for i, replica in enumerate(replicas) for name, port in
                 (("PORT", replica.port), ("ADMIN_PORT", replica.admin_port))}
        super().__init__(["haproxy", "-db", "-f", os.path.join(HERE, "haproxy.cfg")],
                         os.path.join(folder, "haproxy.log"),
                         {"FRONT_PORT": str(self.port), **ports})
        self.wait_for(self.port, "/v1/model")


class Prometheus(Child):
    """Runs deploy/prometheus/prometheus.yaml as it is, but for the targets, which are ports here,
    and the intervals, which are a second so that the test need not take minutes."""

    def __init__(self, folder, replicas):
        self.port = free_port()
        with open(os.path.join(PROMETHEUS, "prometheus.yaml")) as file:
            config = yaml.safe_load(file)
        with open(os.path.join(PROMETHEUS, "rules.yaml")) as file:
            rules = yaml.safe_load(file)
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        targets = [f"127.0.0.1:{replica.admin_port}" for replica in replicas]
        for scrape in config["scrape_configs"]:
            del scrape["dns_sd_configs"]
            scrape.update(scrape_interval="1s", static_configs=[{"targets": targets}])
        for group in rules["groups"]:
            group["interval"] = "1s"
        for name, content in (("prometheus.yaml", config), ("rules.yaml", rules)):
            with open(os.path.join(folder, name), "w") as file:
                yaml.safe_dump(content, file)
        super().__init__(
            ["prometheus", f"--config.file={folder}/prometheus.yaml", "--log.level=warn",
             f"--storage.tsdb.path={folder}/prometheus",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            os.path.join(folder, "prometheus.log"), {"GOMAXPROCS": "1"})
        self.wait_for(self.port, "/-/ready")

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=20) as reply:
            return json.load(reply)["data"]

    def query(self, expression, at=None):
        """[(labels, value)] of an expression, now or at a time since 1970."""
        data = self.ask("query", query=expression, time=at or time.time())
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def value(self, expression, at=None):
        """The value of an expression with one result; None where there is none yet."""
        found = self.query(expression, at)
        assert len(found) <= 1, (expression, found)
        return found[0][1] if found else None


class Sent:
    """What came of one request."""

    def __init__(self, start, end, status, replica):
        self.start, self.end, self.status, self.replica = start, end, status, replica

    def __repr__(self):
        return f"{self.status} from {self.replica}, {self.start:.3f} to {self.end:.3f}"


class Load:
    """Clients that each send one request after the other through the balancer, on connections that
    they keep. A request that failed is sent once more after a pause, as a client would; both are
    written down."""

    def __init__(self, port, clients, size=96):
        self.port, self.path = port, f"/v1/encode?size={size}"
        self.pictures = [serving.photo(seed=seed) for seed in range(16)]
        self.sent, self.retries = [], []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(serving.PATIENCE)

    def ask(self, link, body):
        link.request("POST", self.path, body, {"Content-Type": "image/jpeg"})

    def send(self, link, body):
        start, status, replica = time.monotonic(), 0, None
        try:
            self.ask(link, body)
            reply = link.getresponse()
            reply.read()
            status, replica = reply.status, reply.headers["X-Replica"]
        except (OSError, http.client.HTTPException):
            link.close()
        return Sent(start, time.monotonic(), status, replica)

    def run(self, client):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=serving.PATIENCE)
        for turn in range(100000):
            if self.stopping.is_set():
                break
            body = self.pictures[(turn + 5 * client) % len(self.pictures)]
            sent = self.send(link, body)
            self.sent.append(sent)
            if sent.status != 200:
                time.sleep(0.1)
                self.retries.append(self.send(link, body))
        link.close()

    def wait_for(self, count):
        """Until that many more requests were answered."""
        before = len(self.sent)
        serving.wait_until(lambda: len(self.sent) >= before + count, f"{count} more answers")

    def failed(self):
        return [sent for sent in self.sent if sent.status != 200]
