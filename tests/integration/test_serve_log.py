"""What the log says of requests, at which level, and that nobody has to read it."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import tty
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

JSON, RAW = "application/json", "application/octet-stream"
BROKEN = json.dumps({"images": [{"data": "AAAA"}] * 2}).encode()
NONE = json.dumps({"images": []}).encode()

# Path, body and type (or None), then what the line has: status, level, problem, model, pictures.
REQUESTS = [
    ("/v1/encode?size=16", "png", RAW, 200, "info", None, "tiny", 1),
    ("/v1/encode?size=16", b"no picture", RAW, 422, "warning", "bad-image", "tiny", 1),
    ("/v1/encode?size=0", "png", RAW, 400, "warning", "bad-parameter", "tiny", None),
    ("/v1/encode?model=other", "png", RAW, 404, "warning", "unknown-model", None, None),
    ("/v1/encode", b'{"images": ["AAAA"], "model": "other"}', JSON, 404, "warning", "unknown-model", None, None),
    ("/v1/encode", NONE, JSON, 400, "warning", "bad-body", "tiny", None),
    ("/v1/encode", BROKEN, JSON, 200, "info", None, "tiny", 2),
    ("/v1/decode?grid=1,1", b"\xff\xff\xff\xff", RAW, 422, "warning", "bad-tokens", "tiny", 1),
    ("/v1/nothing", None, None, 404, "warning", "not-found", None, None),
    ("/v1/model", None, None, 200, "debug", None, "tiny", None),
    ("/v1/models", None, None, 200, "debug", None, None, None),
    ("/v1/statistics", None, None, 200, "debug", None, None, None),
    ("/v1/codebook", None, None, 200, "debug", None, "tiny", None),
    ("/v1/codebook/usage", None, None, 200, "debug", None, "tiny", None),
    ("/v2/health/ready", None, None, 200, "debug", None, None, None),
    ("/v1/statistics?what=1", None, None, 400, "warning", "bad-parameter", None, None),
    ("/", None, None, 200, "info", None, None, None),
]
LEVELS = ["debug", "info", "warning", "error", "off"]


class Lines(serving.ModelCase):
    def lines(self, *options):
        """The lines of the requests above, and of two of the second port."""
        with serving.Server(self.model, *options) as server:
            for path, body, kind, status, *_ in REQUESTS:
                body = self.png if body == "png" else body
                answer = server.post(path, body, kind) if body else server.get(path)
                self.assertEqual(answer.status, status, path)
            for path in ("/readyz", "/nothing"):
                server.get(path, admin=True)
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(serving.PATIENCE)
            return [line for line in server.log() if line["event"] == "request"]

    def test_each(self):
        *lines, ready, nothing = self.lines("--access-log", "debug")
        self.assertEqual([(line["status"], line["level"], line.get("problem"), line.get("model"),
                           line.get("pictures")) for line in lines],
                         [tuple(rest) for _, _, _, *rest in REQUESTS])
        self.assertEqual((ready["level"], ready["status"]), ("debug", 200))
        self.assertEqual((nothing["level"], nothing["problem"]), ("debug", "not-found"))

    def test_levels(self):
        every = [level for _, _, _, _, level, *_ in REQUESTS] + ["debug"] * 2
        for options, least in [([], "info"), (["--log-level", "debug"], "debug"),
                               (["--log-level", "debug", "--access-log", "info"], "info"),
                               (["--access-log", "warning"], "warning"),
                               (["--access-log", "error"], "error"), (["--access-log", "off"], "off")]:
            with self.subTest(options=options):
                self.assertEqual([line["level"] for line in self.lines(*options)],
                                 [level for level in every
                                  if LEVELS.index(level) >= LEVELS.index(least)])


class Reader(serving.ModelCase):
    """A pipe or a terminal takes no more when nobody reads it, and the server goes on."""

    def run_server(self, write):
        process = subprocess.Popen([serving.VQCT, "serve", "--model", self.model, "--listen",
                                    "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
                                    "--drain-delay", "0", "--access-log", "debug"], stderr=write)
        os.close(write)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def check(self, process, log):
        ready = json.loads(next(line for line in log if b'"ready"' in line))
        connection = http.client.HTTPConnection("127.0.0.1", ready["port"], timeout=serving.PATIENCE)
        for _ in range(2000):  # 600 KB of lines: more than what is in between and the server keep
            connection.request("GET", "/v1/model")
            self.assertEqual(connection.getresponse().read()[:1], b"{")
        connection.close()
        connection = http.client.HTTPConnection("127.0.0.1", ready["admin_port"])
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        self.assertGreater(int(re.search(r"^vqct_log_lines_lost_total (\d+)", text, re.M)[1]), 0)
        lines, said = [], threading.Event()

        def read():
            try:
                for line in log:
                    lines.append(json.loads(line))
                    if lines[-1]["event"] == "log":
                        said.set()
            except OSError:  # a terminal's other end is closed
                pass
        reader = threading.Thread(target=read)
        reader.start()
        self.assertTrue(said.wait(serving.PATIENCE))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(serving.PATIENCE), 0)
        reader.join()
        written = sum(line["event"] == "request" for line in lines)
        lost = sum(line["lines"] for line in lines if line["event"] == "log")
        self.assertEqual(written + lost, 2001)

    def test_a_pipe(self):
        read, write = os.pipe()
        process = self.run_server(write)
        with open(read, "rb") as log:
            self.check(process, log)

    def test_a_terminal(self):
        read, write = os.openpty()
        tty.setraw(write)
        process = self.run_server(write)
        with open(read, "rb") as log:
            self.check(process, log)


if __name__ == "__main__":
    unittest.main()
