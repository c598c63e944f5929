"""Answers as newline-delimited JSON: a line a picture, as soon as it is done."""
import base64
import http.client
import json
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

JSON, LINES = "application/json", "application/x-ndjson"
# Of three pictures of one shape two are computed at once; the third waits for another.
PAIRED = ("--threads", "1", "--batch-images", "2", "--batch-delay", "10s")


def json_of(*files):
    return json.dumps({"images": [base64.b64encode(file).decode() for file in files]}).encode()


class LinesCase(serving.ModelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = [serving.photo(seed=seed, form="PNG") for seed in range(5)]

    def open(self, server, route, body, kind=JSON, **headers):
        """The answer of a request on a connection of its own, whose lines are still to come."""
        link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=serving.PATIENCE)
        self.addCleanup(link.close)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        link.request("POST", route, body, {"Content-Type": kind, "Accept": LINES, **named})
        return link, link.getresponse()


class Lines(LinesCase):
    options = ()

    def lines(self, route, body, kind=JSON):
        link, answer = self.open(self.server, route, body, kind)
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, LINES))
        found = [json.loads(line) for line in answer]
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        link.request("GET", "/v1/model")  # the connection goes on
        self.assertEqual(link.getresponse().status, 200)
        return found

    def test_what_json_says(self):
        """Every route, with a picture that fails, line by line what the JSON answer lists."""
        mixed = json_of(*self.files[:3], b"no picture", self.files[3])
        tokens = self.server.post("/v1/encode?size=32&encode=base64", json_of(*self.files), JSON).json()
        tokens["images"][2]["grid"] = [9, 9]
        for route, body in (("/v1/encode?size=32&words=true", mixed), ("/v1/reconstruct?size=48", mixed),
                            ("/v1/decode", json.dumps(tokens).encode())):
            whole = self.server.post(route, body, JSON, Accept=JSON).json()
            *found, last = self.lines(route, body)
            self.assertEqual(sorted(line["index"] for line in found), list(range(5)))
            images = [{name: value for name, value in line.items() if name != "index"}
                      for line in sorted(found, key=lambda line: line["index"])]
            self.assertEqual(images, whole.pop("images"))
            self.assertEqual(last, whole)
            self.assertEqual(last["failed"], 1)

    def test_one_picture(self):
        only, last = self.lines("/v1/encode?size=32", self.png, "image/png")
        whole = self.server.post("/v1/encode?size=32", self.png, "image/png").json()
        self.assertEqual(only, {"index": 0, **whole["images"][0]})
        self.assertEqual(last["failed"], 0)
        answer = self.server.post("/v1/encode", b"no picture", "image/png", Accept=LINES)
        self.assertEqual((answer.status, answer.problem()), (422, "bad-image"))

    def test_who_gets_lines(self):
        for accept, kind in (("*/*", JSON), (f"{LINES}, {JSON};q=0.5", LINES), (f"{LINES};q=0.5, {JSON}", JSON)):
            answer = self.server.post("/v1/encode?size=32", self.png, "image/png", Accept=accept)
            self.assertEqual(answer.headers["content-type"], kind)
        answer = self.server.post("/v1/encode?vectors=codes", self.png, "image/png", Accept=LINES)
        self.assertEqual((answer.status, answer.problem()), (406, "not-acceptable"))
        answer = self.server.post("/v1/decode", b"{}", JSON, Accept="text/html")
        self.assertIn("offered: image/png, image/jpeg, image/webp, application/json, application/x-ndjson",
                      answer.json()["detail"])

    def test_http_1_0_ends_with_the_connection(self):
        answer = b""
        with self.server.connect() as link:
            link.sendall(b"POST /v1/encode?size=32 HTTP/1.0\r\nAccept: " + LINES.encode()
                         + b"\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(self.png)
                         + self.png)
            while part := link.recv(65536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertNotIn(b"transfer-encoding", head.lower())
        self.assertEqual([json.loads(line).get("index") for line in body.splitlines()], [0, None])

    def test_a_client_that_reads_late(self):
        """Some megabytes, more than sockets hold, of which nothing is read until all is computed."""
        with serving.Server(self.model, "--max-images", "40") as server:
            _, answer = self.open(server, "/v1/reconstruct?size=128", json_of(*self.files * 8))
            serving.wait_until(lambda: server.metric(
                'vqct_images_total{operation="decode",model="tiny"}') == 40, "all of them")
            *found, last = [json.loads(line) for line in answer]
            self.assertEqual(sorted(line["index"] for line in found), list(range(40)))
            self.assertEqual(last["failed"], 0)
            pictures = {line["index"]: line["image"] for line in found}
            self.assertTrue(all(pictures[i] == pictures[i % 5] for i in range(40)))


class Meanwhile(LinesCase):
    def begin(self, server, **headers):
        """The answer to three pictures, of which two lines have come and the third waits."""
        link, answer = self.open(server, "/v1/encode?size=32", json_of(*self.files[:3]), **headers)
        first = [json.loads(answer.readline())["index"] for _ in range(2)]
        self.assertEqual(sorted(first), [0, 1])
        self.assertEqual(server.metric("vqct_queue_images"), 1)
        return link, answer

    def finish(self, answer):
        line, last = [json.loads(line) for line in answer]
        self.assertEqual((line["index"], last["failed"]), (2, 0))

    def test_lines_come_while_others_wait(self):
        with serving.Server(self.model, *PAIRED) as server:
            _, answer = self.begin(server)
            partner = server.post("/v1/encode?size=32", self.png, "image/png")
            self.assertEqual(partner.status, 200)
            self.finish(answer)

    def test_the_deadline_breaks_it_off(self):
        with serving.Server(self.model, *PAIRED) as server:
            _, answer = self.begin(server, X_Request_Timeout_Ms="3000")
            with self.assertRaises(http.client.IncompleteRead):
                answer.read()
            line = server.wait_for_log("request")
            self.assertEqual(line["status"], 504)
            self.assertGreater(line["bytes_out"], 0)
            serving.wait_until(lambda: server.metric("vqct_queue_images") == 0)

    def test_a_client_that_leaves(self):
        with serving.Server(self.model, *PAIRED) as server:
            link, answer = self.begin(server)
            answer.close()
            link.close()
            self.assertEqual(server.wait_for_log("request")["status"], 499)
            serving.wait_until(lambda: server.metric("vqct_requests_in_flight") == 0)
            self.assertEqual(server.post("/v1/encode?size=16", self.png, "image/png").status, 200)

    def test_what_has_begun_ends_before_the_server(self):
        with serving.Server(self.model, *PAIRED[:-1], "3s") as server:
            _, answer = self.begin(server)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for_log("draining")
            self.finish(answer)
            self.assertEqual(server.process.wait(serving.PATIENCE), 0)

    def test_the_end_breaks_off_what_takes_too_long(self):
        with serving.Server(self.model, *PAIRED, "--drain-timeout", "0") as server:
            _, answer = self.begin(server)
            server.process.send_signal(signal.SIGTERM)
            with self.assertRaises(http.client.IncompleteRead):
                answer.read()
            self.assertEqual(server.process.wait(serving.PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
