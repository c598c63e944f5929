"""Many requests at once: batches, bounds, deadlines, shutting down and reloading."""
import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

HOST = b"Host: x\r\n"
# The side of a picture that the tiny model computes for about half a second, or for some seconds
# under the thread sanitizer, which makes its attention a hundred times slower.
SLOW = 192 if serving.BUILD.endswith("tsan") else 384
SERVED = 'vqct_images_total{operation="encode",model="tiny"}'
# With these a picture waits until another of its shape shares its batch, which a test that wants to
# see it wait need not bring about; the longest wait that the server allows is the test's time.
PAIRED = ("--threads", "1", "--batch-images", "2", "--batch-delay", "10s")


def encode_request(file, query="?size=32", extra=b""):
    return (b"POST /v1/encode%s HTTP/1.1\r\n" % query.encode() + HOST + extra
            + b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(file) + file)


def encode_many(body, query):
    return (b"POST /v1/encode%s HTTP/1.1\r\n" % query.encode() + HOST
            + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def json_of(files):
    return json.dumps({"images": [base64.b64encode(file).decode() for file in files]}).encode()


def server_header(server):
    """What an answer on a connection that asks for nothing says of it, "" for nothing."""
    with server.connect() as link:
        link.sendall(b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n")
        return serving.read_answer(link).headers.get("connection", "").lower()


class LoadCase(serving.ModelCase):
    def send(self, server, data):
        """The link on which a request will be answered."""
        link = server.connect()
        self.addCleanup(link.close)
        link.sendall(data)
        return link

    def keep_busy(self, server, side=SLOW):
        """Sends a picture that is computed for a while."""
        link = self.send(server, encode_request(self.png, f"?size={side}"))
        serving.wait_until(lambda: server.metric("vqct_workers_busy") == 1, "a busy worker")
        return link

    def wait(self, server, query="?size=32"):
        """Sends a picture that waits for another of its shape."""
        before = server.metric("vqct_queue_images")
        link = self.send(server, encode_request(self.png, query))
        serving.wait_until(lambda: server.metric("vqct_queue_images") > before, "one that waits")
        return link

    def begin(self, server, count):
        """Sends the beginnings of requests, which hold their slots; finish() sends the rest."""
        links = [self.send(server, encode_request(self.png)[:-100]) for _ in range(count)]
        serving.wait_until(lambda: server.metric("vqct_requests_in_flight") == count)
        return links

    def finish(self, link):
        link.sendall(encode_request(self.png)[-100:])

    def expect(self, status, *links):
        answers = [serving.read_answer(link) for link in links]
        self.assertEqual([answer.status for answer in answers], [status] * len(links))
        return answers


class Batches(LoadCase):
    def test_answers_do_not_depend_on_the_batch(self):
        files = [serving.photo(seed=seed, form="PNG") for seed in range(24)]
        queries = ["?size=32", "?size=48", "?size=32"]

        def ask(server, i):
            answer = server.post(f"/v1/encode{queries[i % 3]}", files[i])
            self.assertEqual(answer.status, 200)
            return answer.json()["images"]
        with serving.Server(self.model, "--threads", "1") as server:
            alone = [ask(server, i) for i in range(24)]
        with serving.Server(self.model, "--threads", "2", "--workers", "2") as server:
            self.keep_busy(server)
            with concurrent.futures.ThreadPoolExecutor(24) as pool:
                together = list(pool.map(lambda i: ask(server, i), range(24)))
            self.assertEqual(alone, together)

    def test_what_waits_is_batched_by_shape_up_to_the_limit(self):
        with serving.Server(self.model, *PAIRED) as server:
            three = self.send(server, encode_many(json_of([self.png] * 3), "?size=32"))
            serving.wait_until(lambda: server.metric(SERVED) == 2, "two of three")
            other = self.wait(server, "?size=64")
            pairs = [self.send(server, encode_request(self.png, f"?size={size}"))
                     for size in (32, 64)]
            self.expect(200, three, other, *pairs)

            def at_most(size):
                return server.metric(
                    f'vqct_batch_images_bucket{{operation="encode",model="tiny",le="{size}"}}')
            self.assertEqual([at_most(1), at_most(2)], [0, 6])

    def test_what_is_urgent_passes_what_is_not(self):
        """Three requests wait for the one worker; each answer says how long. What came last and
        waited the shortest was taken first, whatever the clock did."""
        with serving.Server(self.model, "--threads", "1") as server:
            busy = self.keep_busy(server, SLOW * 4 // 3)

            def send(count, *priority):
                extra = b"".join(b"Priority: %s\r\n" % value for value in priority)
                link = self.send(server, encode_request(self.png, f"?size={SLOW}", extra))
                serving.wait_until(lambda: server.metric("vqct_queue_images") == count)
                return link
            bulk, second, plain, urgent = (send(1, b"u=7"), send(2, b"i, u=7;x=1"), send(3),
                                           send(4, b"i", b"u=1"))
            waits = [float(re.search(r"queue;dur=([0-9.]+)", answer.headers["server-timing"])[1])
                     for answer in self.expect(200, busy, urgent, plain, bulk, second)]
            self.assertEqual(waits, sorted(waits))
            for urgency, count in ((1, 1), (3, 2), (7, 2)):
                self.assertEqual(server.metric(
                    'vqct_queue_duration_seconds_count{operation="encode",model="tiny",'
                    f'urgency="{urgency}"}}'), count)

    def test_bulk_is_refused_first(self):
        with serving.Server(self.model, "--queue-images", "4") as server:
            def ask(priority):
                return server.post("/v1/encode?size=32", self.png, "image/png", Priority=priority)
            links = self.begin(server, 2)
            answer = ask("u=7")
            self.assertEqual((answer.status, answer.problem()), (429, "queue-full"))
            self.assertIn("retry-after", answer.headers)
            self.assertEqual(ask("u=6").status, 200)
            self.assertEqual(ask('u=7, a="').status, 200)  # malformed: as if there were none
            for link in links:
                self.finish(link)
            self.expect(200, *links)
            links = self.begin(server, 4)
            self.assertEqual(ask("u=0").status, 429)
            for link in links:
                self.finish(link)
            self.expect(200, *links)
            self.assertEqual(ask("u=7").status, 200)

    def test_many_pictures_in_one_request(self):
        files = [serving.photo(64 + 9 * seed, 64, seed) for seed in range(8)]
        with serving.Server(self.model, "--codec-threads", "4") as server:
            alone = [server.post("/v1/encode?size=32", file).json()["images"][0] for file in files]
            images = server.post("/v1/encode?size=32", json_of(files * 8),
                                 "application/json").json()["images"]
            self.assertEqual(images, alone * 8)

    def test_many_pictures_in_one_answer(self):
        files = [serving.photo(64 + 9 * seed, 64, seed) for seed in range(7)] + [b"no picture"]
        with serving.Server(self.model, "--codec-threads", "4") as server:
            def ask(*files):
                return server.post("/v1/reconstruct?size=32&words=true", json_of(files),
                                   "application/json", Accept="application/json").json()["images"]
            alone = [ask(file)[0] for file in files]
            self.assertEqual(["error" in image for image in alone], [False] * 7 + [True])
            self.assertEqual(ask(*files * 8), alone * 8)

    def test_decode_does_not_wait_for_every_encode(self):
        tokens = json.dumps({"tokens": [[0], [12]], "grid": [1, 1]}).encode()
        with serving.Server(self.model, "--threads", "1") as server:
            many = self.send(server, encode_many(json_of([self.png] * 8),
                                                 f"?size={SLOW * 2 // 3}"))
            serving.wait_until(lambda: server.metric("vqct_queue_images") > 0, "a queue")
            self.assertEqual(server.post("/v1/decode", tokens, "application/json").status, 200)
            self.expect(200, many)
            self.assertEqual([line["route"] for line in server.log() if line["event"] == "request"
                              and line["method"] == "POST"][0], "/v1/decode")

    def test_a_large_upload_does_not_stall(self):
        picture = serving.photo(1500, 1500, form="BMP")  # no picture we read, but 6.7 MB
        with serving.Server(self.model) as server:
            for _ in range(3):
                answer = server.post("/v1/encode", picture, "application/octet-stream")
                self.assertEqual((answer.status, answer.problem()), (422, "bad-image"))

    def test_memory_and_files_stay(self):
        models = [word for name in "abc" for word in ("--model", f"{name}={self.model}")]
        with serving.Server(None, *models) as server:
            def run(count):
                connection = http.client.HTTPConnection("127.0.0.1", server.port)
                for i in range(count):
                    connection.request("POST", f"/v1/encode?size=16&model={'abc'[i % 3]}", self.png)
                    self.assertEqual(connection.getresponse().read()[:1], b"{")
                connection.close()
            run(300)
            before = server.resident_bytes(), server.open_files()
            run(1500)
            serving.wait_until(lambda: server.open_files() <= before[1])
            if not serving.KEEPS_MEMORY:
                self.assertLess(server.resident_bytes(), before[0] * 1.05)

    def test_nothing_wakes_an_idle_process(self):
        with serving.Server(self.model) as server, server.connect() as idle:
            self.assertEqual(server.post("/v1/encode?size=16", self.png).status, 200)
            idle.sendall(b"GET / HTTP")  # a deadline that is far off
            serving.wait_until(lambda: self.wakes_in_a_second(server) < 5, "a second of rest")

    @staticmethod
    def wakes_in_a_second(server):
        def wakes():
            threads = f"/proc/{server.process.pid}/task"
            texts = [Path(threads, one, "status").read_text() for one in os.listdir(threads)]
            return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])
                       for text in texts)
        before = wakes()
        time.sleep(1)
        return wakes() - before


class Bounds(LoadCase):
    def test_a_full_queue_refuses_at_once(self):
        with serving.Server(self.model, "--queue-images", "3") as server:
            links = self.begin(server, 3)
            answer = server.post("/v1/encode", self.png)
            self.assertEqual((answer.status, answer.problem()), (429, "queue-full"))
            self.assertTrue(1 <= int(answer.headers["retry-after"]) <= 600)
            self.assertEqual(server.metric('vqct_refused_total{reason="images"}'), 1)
            self.assertEqual(server.get("/v1/model").status, 200)
            self.assertEqual(server.get("/readyz", admin=True).status, 200)
            for link in links:
                self.finish(link)
            self.expect(200, *links)  # what was accepted is answered
            self.assertEqual(server.post("/v1/encode?size=32", self.png).status, 200)

    def test_bytes_are_bounded(self):
        with serving.Server(self.model, "--queue-bytes", "100K") as server:
            with server.connect() as link:
                head = encode_request(bytes(90000)).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                link.sendall(head)
                serving.wait_until(lambda: server.metric("vqct_queue_bytes") == 90000)
                answer = server.post("/v1/encode", bytes(20000))
                self.assertEqual((answer.status, answer.problem()), (429, "queue-full"))
                chunk = b"1000\r\n" + bytes(4096) + b"\r\n"
                answer = server.raw(b"POST /v1/encode HTTP/1.1\r\n" + HOST
                                    + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5)
                self.assertEqual((answer.status, answer.problem()), (429, "queue-full"))
                self.assertIn("retry-after", answer.headers)
                self.assertEqual(server.metric('vqct_refused_total{reason="bytes"}'), 2)
            serving.wait_until(lambda: server.metric("vqct_queue_bytes") == 0)

    def test_pixels_are_bounded(self):
        with serving.Server(self.model, *PAIRED, "--queue-pixels", str(256**2)) as server:
            waiting = self.wait(server)
            answer = server.post("/v1/encode", serving.photo(256, 256))
            self.assertEqual((answer.status, answer.problem()), (429, "queue-full"))
            self.assertEqual(server.metric('vqct_refused_total{reason="pixels"}'), 1)
            self.assertEqual(server.post("/v1/encode?size=32", self.png).status, 200)
            self.expect(200, waiting)
            serving.wait_until(lambda: server.metric("vqct_queue_pixels") == 0)
            # Alone, a request above the bound of all is served all the same.
            both = json_of([serving.photo(512, 512)] * 2)
            self.assertEqual(
                server.post("/v1/encode?size=32", both, "application/json").status, 200)

    def test_pixels_are_bounded_for_pictures_decoded_side_by_side(self):
        many = json_of([serving.photo(256, 256)] * 8)
        room = 64**2 + 140000  # for two of the eight beside the one that waits
        with serving.Server(self.model, *PAIRED, "--queue-pixels", str(room), "--codec-threads",
                            "4") as server:
            waiting = self.wait(server)
            answer = server.post("/v1/encode", many, "application/json")
            self.assertEqual((answer.status, answer.problem()), (429, "queue-full"))
            self.assertEqual(server.metric('vqct_refused_total{reason="pixels"}'), 1)
            self.assertEqual(server.post("/v1/encode?size=32", self.png).status, 200)
            self.expect(200, waiting)
            serving.wait_until(lambda: server.metric("vqct_queue_pixels") == 0)
            self.assertEqual(server.metric(SERVED), 2)

    def test_many_in_one_request_count_one_by_one(self):
        body = json_of([self.png] * 4)
        with serving.Server(self.model, "--queue-images", "4") as server:
            half, = self.begin(server, 1)
            answer = server.post("/v1/encode", body, "application/json")
            self.assertEqual((answer.status, answer.problem()), (429, "queue-full"))
            body = json_of([self.png] * 3)
            answer = server.post("/v1/encode?size=32", body, "application/json")
            self.assertEqual(answer.status, 200)
            self.finish(half)
            self.expect(200, half)


class Deadlines(LoadCase):
    def test_a_job_past_its_deadline_is_dropped(self):
        with serving.Server(self.model, *PAIRED) as server:
            answer = server.post("/v1/encode?size=32", self.png, X_Request_Timeout_Ms="500")
            self.assertEqual((answer.status, answer.problem()), (504, "deadline-exceeded"))
            self.assertEqual(server.metric("vqct_queue_images"), 0)
            self.assertEqual(server.metric(SERVED), 0)

    def test_a_deadline_that_passes_in_compute(self):
        with serving.Server(self.model, "--threads", "1", "--request-timeout", "100ms") as server:
            answer = server.post(f"/v1/encode?size={SLOW}", self.png)
            self.assertEqual(answer.status, 504)
            self.assertEqual(server.get("/livez", admin=True).status, 200)
            serving.wait_until(lambda: server.metric("vqct_workers_busy") == 0)
            serving.wait_until(lambda: server.metric("vqct_queue_pixels") == 0)

    def test_a_client_that_leaves_costs_no_compute(self):
        left = 'vqct_http_requests_total{route="/v1/encode",method="POST",code="499",model="tiny"}'
        with serving.Server(self.model, *PAIRED) as server:
            self.wait(server).close()
            serving.wait_until(lambda: server.metric("vqct_queue_images") == 0)
            serving.wait_until(lambda: server.metric(left) == 1, "counted")
            self.assertEqual(server.metric(SERVED), 0)

    def test_clients_that_close_their_side_get_their_answers(self):
        with serving.Server(self.model, *PAIRED) as server:
            waiting = [self.wait(server, f"?size={size}") for size in (32, 48, 64)]
            old = encode_request(self.png, "?size=80").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
            waiting.append(self.send(server, old))
            for link in waiting:
                link.shutdown(socket.SHUT_WR)
            # Something has to be sent to see whether it is there still, to those who know that.
            for link in waiting[:3]:
                self.assertEqual(link.recv(25), b"HTTP/1.1 100 Continue\r\n\r\n")
            others = [self.send(server, encode_request(self.png, f"?size={size}"))
                      for size in (32, 48, 64, 80)]
            self.expect(200, *others, *waiting)

    def test_a_client_that_leaves_while_its_pictures_are_decoded(self):
        many = json_of([serving.photo(2000, 2000)] * 64)
        with serving.Server(self.model, "--batch-images", "65", "--batch-delay", "10s") as server:
            with server.connect() as link:
                link.sendall(encode_many(many, "?size=32"))
                serving.wait_until(lambda: server.metric("vqct_queue_pixels") > 0)
            serving.wait_until(lambda: server.metric("vqct_requests_in_flight") == 0)
            self.assertEqual(server.metric(SERVED), 0)

    def test_a_slow_worker_leaves_the_loop_free(self):
        with serving.Server(self.model, "--threads", "1", "--stall-timeout", "200ms") as server:
            busy = self.keep_busy(server)
            self.assertEqual(server.get("/livez", admin=True).status, 200)
            self.assertEqual(server.get("/v1/codebook").status, 200)
            serving.wait_until(lambda: server.get("/readyz", admin=True).status == 503)
            reason = server.get("/readyz", admin=True).json()["reason"]
            self.assertIn(reason, "a worker computes one batch for too long")
            self.assertEqual(server.metric("vqct_workers_busy"), 1)
            self.expect(200, busy)
            self.assertEqual(server.get("/readyz", admin=True).status, 200)


class Ending(LoadCase):
    def test_everything_accepted_is_answered(self):
        with serving.Server(self.model, *PAIRED) as server:
            halves = self.begin(server, 3)
            waiting, idle = self.wait(server), server.connect()
            server.process.send_signal(signal.SIGTERM)
            server.wait_for_log("draining")
            with self.assertRaises(ConnectionRefusedError):
                server.connect()
            for half in halves:
                self.finish(half)
            for answer in self.expect(200, waiting, *halves):
                self.assertEqual(answer.headers["connection"], "close")
            self.assertEqual(idle.recv(1), b"")
            idle.close()
            self.assertEqual(server.process.wait(serving.PATIENCE), 0)

    def test_readiness_fails_first_and_serving_goes_on(self):
        with serving.Server(self.model, drain_delay="1h") as server:
            server.process.send_signal(signal.SIGTERM)
            server.wait_for_log("leaving")
            answer = server.get("/readyz", admin=True)
            self.assertEqual((answer.status, answer.json()["reason"]), (503, "shutting down"))
            self.assertEqual(server.get("/livez", admin=True).status, 200)
            self.assertEqual(server.post("/v1/encode?size=32", self.png).status, 200)
            server.process.send_signal(signal.SIGINT)  # the second signal ends the delay
            self.assertEqual(server.process.wait(serving.PATIENCE), 0)

    def test_answers_close_from_the_first_signal_on(self):
        with serving.Server(self.model, drain_delay="1h") as server:
            self.assertNotIn("close", server_header(server))
            server.process.send_signal(signal.SIGTERM)
            server.wait_for_log("leaving")
            self.assertEqual(server_header(server), "close")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(serving.PATIENCE), 0)

    def test_a_client_that_just_connected_is_answered(self):
        with serving.Server(self.model, drain_delay="0") as server:
            with server.connect() as link:
                server.process.send_signal(signal.SIGTERM)
                server.wait_for_log("draining")
                time.sleep(0.1)  # the port is closed, and idle connections are
                link.sendall(b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertEqual(serving.read_answer(link).status, 200)

    def test_what_takes_too_long_is_refused(self):
        with serving.Server(self.model, *PAIRED, "--drain-timeout", "0") as server:
            half, = self.begin(server, 1)
            waiting = self.wait(server)
            server.process.send_signal(signal.SIGTERM)
            answer, = self.expect(503, waiting)
            self.assertEqual(answer.problem(), "draining")
            self.assertIn("retry-after", answer.headers)
            self.assertIsNone(serving.read_answer(half))
            self.assertEqual(server.process.wait(serving.PATIENCE), 0)

    def test_a_reload_before_the_first_model_is_there(self):
        process = subprocess.Popen([serving.VQCT, "serve", "--model", self.model, "--listen",
                                    "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
                                    "--drain-delay", "0"], stderr=subprocess.PIPE)

        def ignores_broken_pipes():  # set up, and not ready yet if this test is quick enough
            with open(f"/proc/{process.pid}/status") as file:
                ignored = int(re.search(r"SigIgn:\s*(\w+)", file.read())[1], 16)
            return ignored >> (signal.SIGPIPE - 1) & 1
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        with process.stderr:
            while process.poll() is None and not ignores_broken_pipes():
                pass
            process.send_signal(signal.SIGHUP)
            self.assertTrue(any(b'"ready"' in line for line in process.stderr))
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
            self.assertEqual(process.wait(serving.PATIENCE), 0)

    def test_signals_at_the_very_end(self):
        with serving.Server(self.model) as server:
            server.process.send_signal(signal.SIGTERM)
            while server.process.poll() is None:
                for _ in range(100):
                    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                        os.kill(server.process.pid, number)
            self.assertEqual(server.process.returncode, 0)

    def test_a_client_that_does_not_read_cannot_hold_the_end(self):
        script = b"GET /assets/uPlot.js HTTP/1.1\r\n" + HOST + b"\r\n"
        answered = 'vqct_http_requests_total{route="/assets/uPlot.js",method="GET",code="200"}'
        with serving.Server(self.model, "--drain-timeout", "0", "--write-timeout",
                            "1h") as server:
            self.send(server, script * 1000)  # 50 MB of answers: more than sockets take

            def stuck():
                before = server.metric(answered)
                time.sleep(0.1)
                return 0 < before == server.metric(answered)
            serving.wait_until(stuck, "a server that cannot write")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(serving.PATIENCE), 0)

    def test_under_load(self):
        answers, failures = [], []

        def client(server):
            connection = None
            while True:
                try:
                    connection = connection or http.client.HTTPConnection("127.0.0.1", server.port)
                    connection.request("POST", "/v1/encode?size=32", self.png)
                except OSError:
                    return  # not accepted
                try:
                    reply = connection.getresponse()
                    reply.read()
                    answers.append(reply.status)
                    if reply.headers["Connection"] == "close":
                        connection = None
                except http.client.RemoteDisconnected:
                    return  # the idle connection was closed as the request was sent
                except OSError as error:
                    failures.append(error)
                    return
        with serving.Server(self.model) as server:
            threads = [threading.Thread(target=client, args=(server,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            serving.wait_until(lambda: len(answers) > 50)
            server.process.send_signal(signal.SIGTERM)
            for thread in threads:
                thread.join()
            self.assertEqual(server.process.wait(serving.PATIENCE), 0)
            logged = [line["status"] for line in server.log() if line["event"] == "request"]
        self.assertEqual([f for f in failures if not isinstance(f, ConnectionResetError)], [])
        self.assertEqual(set(answers) - {200, 503}, set())
        self.assertEqual(sorted(answers), sorted(logged))


class Reloading(LoadCase):
    def checksum(self, server):
        return server.get("/v1/model").json()["model"]["checksum"]

    def test_a_new_model_under_load(self):
        path, other = self.path("served"), self.path("other")
        serving.make_model(other, seed=8)
        shutil.copy(self.model, path)
        statuses, stop = [], threading.Event()

        def client(server):
            while not stop.is_set():
                statuses.append(server.post("/v1/encode?size=32", self.png).status)
        with serving.Server(path) as server:
            old = self.checksum(server)
            threads = [threading.Thread(target=client, args=(server,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for count in range(1, 6):
                shutil.copy(other if count % 2 else self.model, path + ".new")
                os.rename(path + ".new", path)
                server.process.send_signal(signal.SIGHUP)
                server.wait_for_log("reload", count)
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(set(statuses), {200})
            self.assertNotEqual(self.checksum(server), old)
            self.assertEqual(server.metric('vqct_reloads_total{what="model",result="ok",model="tiny"}'), 5)

    def test_a_broken_model_leaves_the_old_one(self):
        path = self.path("breaks")
        shutil.copy(self.model, path)
        with serving.Server(path) as server:
            old = self.checksum(server)
            before = server.post("/v1/encode?size=32", self.png).json()
            with open(path + ".new", "wb") as file:
                file.write(b"not a model")
            os.rename(path + ".new", path)
            server.process.send_signal(signal.SIGHUP)
            line = server.wait_for_log("reload")
            self.assertEqual(line["level"], "error")
            self.assertIn("breaks", line["message"])
            self.assertEqual(self.checksum(server), old)
            self.assertEqual(server.post("/v1/encode?size=32", self.png).json(), before)
            self.assertEqual(server.metric('vqct_reloads_total{what="model",result="failed",model="tiny"}'), 1)
            self.assertEqual(server.get("/readyz", admin=True).status, 200)

    def test_a_model_overwritten_in_place_leaves_the_old_one(self):
        path = self.path("overwritten")
        shutil.copy(self.model, path)
        tokens = json.dumps({"tokens": [[0], [12]], "grid": [1, 1]}).encode()
        with serving.Server(path) as server:
            def answers():
                return (server.post("/v1/encode?size=32", self.png).body,
                        server.post("/v1/decode", tokens, "application/json").body,
                        server.get("/v1/codebook/codes/15").json()["nearest"])
            before = answers()
            serving.make_model(path + "-other", seed=9)
            shutil.copyfile(path + "-other", path)
            self.assertEqual(answers(), before)
            os.truncate(path, 0)
            self.assertEqual(answers(), before)
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(server.wait_for_log("reload")["level"], "error")
            self.assertEqual(answers(), before)

    def test_series_of_a_codebook_that_is_gone_are_cleared(self):
        path, other = self.path("words"), self.path("plain")
        shutil.copy(self.model, path)
        serving.make_model(other, quantizer="plain", adjectives=0)
        with serving.Server(path) as server:
            def codebooks():
                """Those of every series that has one."""
                text = server.get("/metrics", admin=True).body.decode()
                return {name: set(re.findall(rf'^{name}\{{codebook="(\w+)"', text, re.M))
                        for name in re.findall(r"^# TYPE (vqct_codebook_\w+)", text, re.M)}
            server.post("/v1/encode?size=32", self.png)
            before = codebooks()
            self.assertEqual(before["vqct_codebook_usage_ratio"], {"adjective", "noun"})
            shutil.copy(other, path)
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(server.wait_for_log("reload")["level"], "info")
            server.post("/v1/encode?size=32", self.png)
            after = codebooks()
            self.assertEqual(after.keys(), before.keys())
            name, = after["vqct_codebook_codes"]
            self.assertNotIn(name, {"adjective", "noun"})
            self.assertLessEqual(set().union(*after.values()), {name})

    def test_reloads_while_the_model_is_overwritten_in_place(self):
        path, other = self.path("rewritten"), self.path("rewritten-other")
        serving.make_model(other, seed=9)
        shutil.copy(self.model, path)
        with open(self.model, "rb") as file:
            texts = [file.read()]
        with open(other, "rb") as file:
            texts.append(file.read())
        stop = threading.Event()

        def overwrite():
            turn = 0
            while not stop.is_set():
                with open(path, "r+b") as file:
                    file.truncate(0)
                    file.write(texts[turn % 2])
                turn += 1
        with serving.Server(path) as server:
            known = {self.checksum(server)}
            writer = threading.Thread(target=overwrite)
            writer.start()
            try:
                for count in range(1, 41):
                    server.process.send_signal(signal.SIGHUP)
                    server.wait_for_log("reload", count)
                    self.assertEqual(server.post("/v1/encode?size=32", self.png).status, 200)
            finally:
                stop.set()
                writer.join()
            with open(path, "wb") as file:
                file.write(texts[1])
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(server.wait_for_log("reload", 41)["level"], "info")
            self.assertNotIn(self.checksum(server), known)

    def test_the_same_model_keeps_its_counters(self):
        with serving.Server(self.model) as server:
            server.post("/v1/encode?size=32", self.png)
            counts = server.get("/v1/codebook/usage").json()
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("reload")
            self.assertEqual(server.get("/v1/codebook/usage").json(), counts)

    def test_pictures_of_the_engine_before_are_counted(self):
        with serving.Server(self.model, *PAIRED[:-1], "1s") as server:
            link = self.wait(server)
            server.process.send_signal(signal.SIGHUP)
            model = server.get("/v1/model").json()["model"]
            line = server.wait_for_log("reload")
            self.assertEqual((line["model"], line["checksum"]), (model["name"], model["checksum"]))
            self.expect(200, link)
            self.assertEqual(sum(server.get("/v1/codebook/usage").json()["counts"]), 2 * 8 * 8)

    def test_keys(self):
        path = self.path("keys")

        def write(*keys):
            with open(path + ".new", "w") as file:
                file.write("# keys\n" + "".join(
                    f"{hashlib.sha256(key.encode()).hexdigest()} {name}\n" for key, name in keys))
            os.rename(path + ".new", path)
        write(("secret-one", "first"), ("secret-two", ""))
        with serving.Server(self.model, "--api-keys", path, "--access-log", "debug") as server:
            def status(headers):
                return server.get("/v1/model", headers).status
            answer = server.get("/v1/model")
            self.assertEqual((answer.status, answer.problem()), (401, "unauthorized"))
            self.assertEqual(answer.headers["www-authenticate"], "Bearer")
            self.assertEqual(server.post("/v1/encode", self.png).status, 401)
            self.assertEqual(server.get("/openapi.json").status, 200)
            self.assertEqual(server.get("/metrics", admin=True).status, 200)
            for headers, expected in (
                    ({"Authorization": "Bearer secret-one"}, 200), ({"X-API-Key": "secret-two"}, 200),
                    ({"Authorization": "bearer secret-one"}, 200),
                    ({"Authorization": "Bearer  secret-one"}, 200), ({"X-API-Key": "secret-one "}, 200),
                    ({"Authorization": "Bearer secret-on"}, 401), ({"Authorization": "Bearer "}, 401),
                    ({"Authorization": "Basic secret-one"}, 401), ({"X-API-Key": ""}, 401),
                    ({"X-API-Key": hashlib.sha256(b"secret-one").hexdigest()}, 401)):
                self.assertEqual(status(headers), expected, headers)
            write(("secret-three", ""))
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("reload", 2)
            self.assertEqual(status({"X-API-Key": "secret-one"}), 401)
            self.assertEqual(status({"X-API-Key": "secret-three"}), 200)
            with open(path, "w") as file:
                file.write("junk")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("reload", 4)
            self.assertEqual(status({"X-API-Key": "secret-three"}), 200)
            text = server.log_text()
            self.assertNotIn("secret", text)
            self.assertIn('"key":"first"', text)


class Tls(LoadCase):
    def test_tls(self):
        certificate, key = self.make_certificate("localhost")
        with serving.Server(self.model, "--tls-certificate", certificate, "--tls-key", key,
                            "--max-body", "200K", "--body-timeout", "2s") as server:
            context = ssl.create_default_context(cafile=certificate)
            self.send(server, b"\x16\x03\x01")  # half a handshake: holds nobody up

            def post(body, headers=None):
                connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context,
                                                         timeout=serving.PATIENCE)
                connection.request("POST", "/v1/encode?size=32", body, headers or {})
                return connection.getresponse()
            self.assertEqual(post(self.png).status, 200)
            self.assertEqual(post(bytes(250000)).status, 413)
            self.assertEqual(post(b"1234", {"Content-Length": "100"}).status, 408)
            self.assertEqual(post(self.png, {"Content-Length": f"{len(self.png)} "}).status, 200)
            refused = post(self.png, {"Content-Length": "4 2"})
            self.assertEqual((refused.status, refused.headers["Content-Type"]),
                             (400, "application/problem+json"))
            self.assertEqual(len(refused.read()), int(refused.headers["Content-Length"]))
            with server.connect() as link:
                link.sendall(b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertIsNone(serving.read_answer(link))
            self.assertEqual(server.get("/livez", admin=True).status, 200)

            def agreed(*options):
                done = subprocess.run(["openssl", "s_client", "-connect",
                                       f"127.0.0.1:{server.port}", *options], input=b"",
                                      capture_output=True)
                return done.returncode == 0
            weak = ["-cipher", "DEFAULT@SECLEVEL=0"]
            self.assertTrue(agreed("-tls1_3"))
            self.assertTrue(agreed("-tls1_2"))
            self.assertFalse(agreed("-tls1_1", *weak))
            self.assertFalse(agreed("-tls1", *weak))
            self.assertFalse(agreed("-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384"))
            self.assertFalse(agreed("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"))
            halves = [self.send(server, b"\x16\x03\x01") for _ in range(80)]
            serving.wait_until(lambda: server.metric("vqct_connections") <= 64, "some to give way")
            self.assertEqual(post(self.png).status, 200)
            del halves

    def make_certificate(self, name):
        """The paths of a new certificate and its key."""
        key, certificate = self.path(f"{name}-key.pem"), self.path(f"{name}.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
                        "-days", "1", "-subj", f"/CN={name}", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        return certificate, key

    def test_certificates_are_read_again(self):
        certificate, key = self.make_certificate("old")
        new_certificate, new_key = self.make_certificate("new")
        with serving.Server(self.model, "--tls-certificate", certificate, "--tls-key",
                            key) as server:
            def shown():
                """The subject that openssl is shown, and curl's status when it trusts the file."""
                said = subprocess.run(["openssl", "s_client", "-connect",
                                       f"127.0.0.1:{server.port}"], input=b"", capture_output=True)
                curl = subprocess.run(["curl", "-s", "--cacert", certificate, "-o", os.devnull,
                                       "-w", "%{http_code}",
                                       f"https://127.0.0.1:{server.port}/v1/model"],
                                      capture_output=True, text=True)
                return re.search(rb"subject=CN ?= ?(\w+)", said.stdout)[1].decode(), curl.stdout

            def reload(count):
                server.process.send_signal(signal.SIGHUP)
                server.wait_for_log("reload", 2 * count)  # a model, then a certificate
                return [line for line in server.log() if line["event"] == "reload"][-1]
            self.assertEqual(shown(), ("old", "200"))
            kept = http.client.HTTPSConnection(
                "127.0.0.1", server.port, timeout=serving.PATIENCE,
                context=ssl.create_default_context(cafile=certificate))
            kept.request("GET", "/v1/model")
            self.assertTrue(kept.getresponse().read())
            shutil.copy(new_certificate, certificate)  # without its key
            line = reload(1)
            self.assertEqual(line["level"], "error")
            self.assertIn("old.pem", line["message"])
            self.assertEqual(shown()[0], "old")
            shutil.copy(new_key, key)
            self.assertIn("certificate", reload(2)["message"])
            self.assertEqual(shown(), ("new", "200"))
            kept.request("GET", "/v1/model")  # on the connection that began with the old one
            self.assertEqual(kept.getresponse().status, 200)
            kept.close()
            with open(certificate, "w") as file:
                file.write("junk")
            self.assertEqual(reload(3)["level"], "error")
            shutil.copy(new_certificate, certificate)
            self.assertEqual(shown(), ("new", "200"))
            for result, count in (("ok", 1), ("failed", 2)):
                self.assertEqual(server.metric(
                    f'vqct_reloads_total{{what="certificate",result="{result}"}}'), count)


if __name__ == "__main__":
    unittest.main()
