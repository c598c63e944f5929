"""What a key may ask for in a second: refusals, what is left, whose it is in log and metrics."""
import hashlib
import os
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

KEYS = {"alice": "alice's \"key\"", "bob": "bob", "carol": ""}  # its text: its name
NPY = "application/x-npy"


def items(header):
    """{name: {parameter: value}} of a list of strings with parameters, as both headers are."""
    found = {}
    for item in header.split(", "):
        name, *parameters = item.split(";")
        found[name.strip('"')] = dict(one.split("=") for one in parameters)
    return found


class Rates(serving.ModelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = cls.path(cls, "keys")
        with open(cls.keys, "w") as file:
            for key, name in KEYS.items():
                file.write(f"{hashlib.sha256(key.encode()).hexdigest()} {name}\n")

    def serve(self, *options):
        return serving.Server(self.model, "--api-keys", self.keys, *options)

    def ask(self, server, key, query="?size=32", body=None, **headers):
        return server.post(f"/v1/encode{query}", body or self.png, "image/png",
                           Authorization=f"Bearer {key}", **headers)

    def test_requests(self):
        """Five at once, of which each counts, whatever comes of it."""
        with self.serve("--key-rate", "2") as server:
            one = (b"POST /v1/encode HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                   b"Authorization: Bearer alice\r\nContent-Length: 1\r\n\r\nx")
            statuses = []
            with server.connect() as link:
                link.sendall(one * 5)
                data = b""
                while len(statuses) < 5:
                    data += link.recv(65536)
                    statuses = [int(code) for code in re.findall(rb"HTTP/1.1 (\d+)", data)]
            self.assertEqual(statuses, [422, 422, 429, 429, 429])
            self.assertEqual(data.count(b"\r\nRetry-After: 1\r\n"), 3)
            self.assertEqual(data.count(b'\r\nRateLimit-Policy: "requests";q=2;w=1\r\n'), 5)
            self.assertEqual([int(left) for left in re.findall(rb'"requests";r=(\d+);t=\d', data)],
                             [1, 0, 0, 0, 0])
            self.assertIn(b'"detail":"2 requests a second are allowed"', data)
            # Neither another key nor what computes nothing is held up.
            self.assertEqual(self.ask(server, "bob").status, 200)
            self.assertEqual(server.get("/v1/model", {"Authorization": "Bearer alice"}).status, 200)

    def test_pixels(self):
        """A picture of 64 seconds' worth leaves a debt of 63."""
        with self.serve("--key-pixel-rate", "1024") as server:
            answer = self.ask(server, "alice", "?size=256", Accept=NPY)
            self.assertEqual(answer.status, 200)
            self.assertEqual(items(answer.headers["ratelimit-policy"]),
                             {"pixels": {"q": "1024", "w": "1", "qu": '"pixels"'}})
            left = items(answer.headers["ratelimit"])["pixels"]
            self.assertEqual(left["r"], "0")
            self.assertTrue(1 < int(left["t"]) <= 64, left)
            refused = self.ask(server, "alice", "?size=32")
            self.assertEqual((refused.status, refused.problem()), (429, "rate-limited"))
            self.assertTrue(0 < int(refused.headers["retry-after"]) <= int(left["t"]), refused.headers)
            self.assertEqual(items(refused.headers["ratelimit"])["pixels"]["r"], "0")
            body = b'{"inputs":[]}'
            inferred = server.request("POST", "/v2/models/tiny.encode/infer", body,
                                      {"X-API-Key": "alice", "Content-Type": "application/json"})
            self.assertEqual(inferred.status, 429)
            self.assertIn("1024 pixels a second", inferred.json()["error"])
            for key in ("bob", "carol"):
                self.assertEqual(self.ask(server, key).status, 200)

            # By name in metrics, where a name has nothing that needs escaping, and in the log.
            for name, code, count in (("alice's _key_", 200, 1), ("alice's _key_", 429, 2), ("bob", 200, 1),
                                      ("", 200, 1)):
                self.assertEqual(server.metric(
                    f'vqct_key_requests_total{{key="{name}",code="{code}"}}'), count, (name, code))
            self.assertEqual(server.metric('vqct_key_pixels_total{key="alice\'s _key_"}'), 65536)
            self.assertEqual(server.metric('vqct_key_pixels_total{key="bob"}'), 1024)
            self.assertEqual(server.metric("vqct_queue_images"), 0)
            logged = [(line.get("key"), line["status"]) for line in server.log()
                      if line["event"] == "request"]
            self.assertEqual(logged, [(KEYS["alice"], 200), (KEYS["alice"], 429), (KEYS["alice"], 429),
                                      ("bob", 200), (None, 200)])

            # Keys that are read again begin anew.
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("reload", 2)
            self.assertEqual(self.ask(server, "alice").status, 200)

    def test_pictures_of_one_request_count_together(self):
        with self.serve("--key-rate", "1000", "--key-pixel-rate", "100000") as server:
            files = [serving.photo(seed=seed, form="PNG") for seed in range(3)] + [b"no picture"]
            body = b"".join(b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
                            + file + b"\r\n" for file in files) + b"--b--\r\n"
            answer = server.post("/v1/reconstruct?size=64", body, "multipart/form-data; boundary=b",
                                 Authorization="Bearer bob", Accept="application/json")
            self.assertEqual((answer.status, answer.json()["failed"]), (200, 1))
            self.assertEqual(server.metric('vqct_key_pixels_total{key="bob"}'), 3 * 64 * 64)
            self.assertEqual(set(items(answer.headers["ratelimit"])), {"requests", "pixels"})

    def test_nothing_is_said_where_nothing_is_limited(self):
        with self.serve() as server:
            answer = self.ask(server, "alice")
            self.assertEqual(answer.status, 200)
            self.assertFalse([name for name in answer.headers if name.startswith("ratelimit")])
            self.assertEqual(server.metric('vqct_key_pixels_total{key="alice\'s _key_"}'), 1024)

    def test_limits_without_keys_are_refused(self):
        for option in ("--key-rate", "--key-pixel-rate"):
            done = subprocess.run([serving.VQCT, "serve", "--model", self.model, option, "5"],
                                  capture_output=True, text=True)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(f"{option[2:]} limits each of the api-keys, and there are none", done.stderr)


if __name__ == "__main__":
    unittest.main()
