"""Hostile and broken clients, one by one: each gets its answer, and the server goes on."""
import http.client
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

HOST = b"Host: x\r\n"
POST = b"POST /v1/encode?size=32 HTTP/1.1\r\n" + HOST + b"Content-Type: image/png\r\n"


def png_bomb(width, height):
    """A PNG whose header promises far more pixels than its few bytes hold."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    return (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(1 << 20), 9)) + chunk(b"IEND", b""))


class Hostile(serving.ModelCase):
    options = ["--max-body", "1M", "--body-timeout", "2s", "--header-timeout", "1s",
               "--idle-timeout", "30s", "--max-connections", "300"]

    def setUp(self):
        serving.wait_until(lambda: self.server.metric("vqct_connections") == 0, "no connection")
        self.files = self.server.open_files()

    def tearDown(self):
        """The server still works, and keeps no descriptor of what was."""
        serving.wait_until(lambda: self.server.metric("vqct_connections") == 0, "no connection")
        self.assertEqual(self.server.post("/v1/encode?size=32", self.png).status, 200)
        serving.wait_until(lambda: self.server.open_files() <= self.files, "sockets are closed")
        self.assertEqual(self.server.metric("vqct_queue_bytes"), 0)
        self.assertEqual(self.server.metric("vqct_queue_pixels"), 0)

    # ---- framing ----

    def test_what_two_parsers_may_read_in_two_ways(self):
        length = b"Content-Length: %d\r\n" % len(self.png)
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.png), self.png)
        encoding = b"Transfer-Encoding: chunked\r\n"
        cases = {
            "both lengths": POST + length + encoding + b"\r\n" + chunks,
            "both, the other way": POST + encoding + length + b"\r\n" + chunks,
            "length twice": POST + length + length + b"\r\n" + self.png,
            "two lengths": POST + length + b"Content-Length: 0\r\n\r\n" + self.png,
            "encoding twice": POST + encoding + encoding + b"\r\n" + chunks,
            "other encoding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks,
            "folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + chunks,
            "folded header": POST + length + b"X-Long: a\r\n\tb\r\n\r\n" + self.png,
            "blank before colon": POST + length[:14] + b" " + length[14:] + b"\r\n" + self.png,
            "signed length": POST + b"Content-Length: +5\r\n\r\n12345",
            "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
            "hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\n12345",
            "no host": b"GET /v1/model HTTP/1.1\r\n\r\n",
            "two hosts": b"GET /v1/model HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
            "name with a quote": b"GET /v1/model HTTP/1.1\r\n" + HOST + b'A"b: c\r\n\r\n',
            "path in Host": b"GET /v1/model HTTP/1.1\r\nHost: x/y\r\n\r\n",
            "user in Host": b"GET /v1/model HTTP/1.1\r\nHost: a@b\r\n\r\n",
            "length in two": POST + b"Content-Length: 4 2\r\n\r\n1234",
            "empty length": POST + b"Content-Length: \r\n\r\n12345",
            "length of 2^64": POST + b"Content-Length: 18446744073709551616\r\n\r\n",
            "zero byte": b"GET /v1/model HTTP/1.1\r\n" + HOST + b"X-A: a\0b\r\n\r\n",
            "zero byte in the target": b"GET /v1/model\0 HTTP/1.1\r\n" + HOST + b"\r\n",
            "zero byte behind chunked": POST + encoding[:-2] + b"\0\r\n\r\n" + chunks,
            "blank in the target": b"GET /v1/model /x HTTP/1.1\r\n" + HOST + b"\r\n",
            "bare LF": b"GET /v1/model HTTP/1.1\n" + HOST + b"\r\n",
            "bare LF behind a chunk's size": POST + encoding + b"\r\n" + chunks.replace(b"\r", b"", 1),
            "bare CR": b"GET /v1/model HTTP/1.1\r\n" + HOST + b"X-A: a\rX-B: b\r\n\r\n",
            "chunks in HTTP/1.0": POST.replace(b"1.1\r", b"1.0\r") + encoding + b"\r\n" + chunks,
        }
        for name, request in cases.items():
            with self.subTest(name):
                with self.server.connect() as link:
                    # What follows must not be taken for a second request.
                    link.sendall(request + b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n")
                    answer = serving.read_answer(link)
                    self.assertIn((answer.status, answer.problem()),
                                  ((400, "bad-request"), (413, "body-too-large")))
                    self.assertEqual(answer.headers.get("connection"), "close")
                    link.settimeout(serving.PATIENCE)
                    rest = b""
                    try:
                        while part := link.recv(65536):
                            rest += part
                    except ConnectionResetError:
                        pass
                    self.assertNotIn(b"HTTP/1.", rest)

    def test_sound_framing_is_taken(self):
        length = b"Content-Length: %d\r\n" % len(self.png)
        half = len(self.png) // 2
        chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part)
                          for part in (self.png[:half], self.png[half:])) + b"0\r\n\r\n"
        for request in (POST + length + b"\r\n" + self.png,
                        POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
                        POST + length[:-2] + b" \t\r\n\r\n" + self.png,
                        POST + b"Transfer-Encoding: chunked \r\n\r\n" + chunks,
                        POST + b"X-Odd:\t  value  \r\n" + length + b"\r\n" + self.png,
                        POST.replace(b"1.1\r", b"1.0\r") + length + b"\r\n" + self.png):
            self.assertEqual(self.server.raw(request).status, 200)

    def test_garbage_is_refused(self):
        host = b" HTTP/1.1\r\n" + HOST + b"\r\n"
        for data, status in (
                (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 408),
                (b"\r\n" * 50, 408), (b"GET\r\n\r\n", 400), (b"\xff" * 1000 + b"\r\n\r\n", 400),
                (b"GET /v1/model\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
                (b"GET /v1%2fmodel" + host, 404), (b"GET http://x/v1%2Fmodel" + host, 404),
                (b"GET /%00" + host, 404), (b"CONNECT x:1" + host, 400),
                (b"GET /v1/model?" + b"a=1&" * 600 + host, 414),
                (b"GET /v1/model?" + b"a=1&" * 1000 + host, 414),
                (b"GET /" + b"a" * 50000 + host, 414),
                (b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: " + b"b" * 33000 + b"\r\n\r\n", 431),
                (b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: " + b"b" * 50000 + b"\r\n\r\n", 431),
                (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 64000 + b"\r\n\r\n", 431),
                (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 65000 + b"\r\n\r\n", 431),
                (b"GET /v1/model HTTP/9.9\r\n\r\n", 505),
                (b"GET " + b"/a" * 50000 + b" HTTP/1.1\r\n", 414),
                (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n", 431)):
            with self.subTest(data[:30] + data[-30:]), self.server.connect() as link:
                link.sendall(data)
                if status != 408:
                    link.shutdown(socket.SHUT_WR)
                received = b""
                while part := link.recv(65536):
                    received += part
                # One answer and no more, a problem.
                self.assertEqual(received.count(b"HTTP/1.1 "), 1, received)
                answer = serving.parse_answer(received)
                self.assertEqual((answer.status, answer.json()["status"]), (status, status))
                self.assertTrue(status == 404 or answer.headers["connection"] == "close")

    def test_what_was_sound_is_answered_before_what_is_not(self):
        model = b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n"
        with self.server.connect() as link:
            link.sendall(model + model + b"GET /\0 HTTP/1.1\r\n\r\n" + model)
            data = b""
            while part := link.recv(65536):
                data += part
            self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", data), [b"200", b"200", b"400"])

    def test_an_expectation_without_a_body(self):
        model = b"GET /v1/model HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n"
        with self.server.connect() as link:
            link.sendall(model + b"\r\n" + model + b"Connection: close\r\n\r\n")
            data = b""
            while part := link.recv(65536):
                data += part
            self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", data), [b"200", b"200"])

    def test_clients_that_close_their_side_behind_their_requests(self):
        one = POST + b"Content-Length: %d\r\n\r\n" % len(self.png) + self.png
        model = b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n"
        for requests in ((one,), (model,), (one,) * 3, (model, one, model)):
            with self.server.connect() as link:
                link.sendall(b"".join(requests))
                link.shutdown(socket.SHUT_WR)
                data = b""
                while part := link.recv(65536):
                    data += part
                self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", data), [b"200"] * len(requests))

    def test_broken_chunks(self):
        start = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        for chunks in (b"zz\r\nabc\r\n0\r\n\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n",
                       b"3\r\nabcdef\r\n", b"5\r\nab"):
            answer = self.server.raw(start + chunks, finish=True)
            self.assertTrue(answer is None or 400 <= answer.status < 500, chunks)

    def test_what_is_refused_before_its_body(self):
        chunked = b"Transfer-Encoding: chunked\r\n\r\n"
        for start, status in ((b"OPTIONS /v1/encode", b"204"), (b"HEAD /v1/model", b"400")):
            with self.server.connect() as link:
                link.sendall(start + b" HTTP/1.1\r\n" + HOST + chunked + b"3\r\nabc\r\n0\r\n\r\n")
                data = b""
                while part := link.recv(65536):
                    data += part
            head, _, body = data.partition(b"\r\n\r\n")
            self.assertEqual((head.split()[1], body), (status, b""))
            self.assertEqual(b"\r\nContent-Type:" in head, status == b"400", head)

    # ---- size ----

    def test_a_body_larger_than_allowed(self):
        answer = self.server.raw(POST + b"Content-Length: 1048577\r\n\r\n")
        self.assertEqual((answer.status, answer.problem()), (413, "body-too-large"))
        answer = self.server.raw(POST + b"Content-Length: 1048577\r\n\r\n" + bytes(1048577))
        self.assertEqual(answer.status, 413)
        answer = self.server.raw(POST + b"Content-Length: 5000000000\r\nExpect: 100-continue\r\n"
                                 b"\r\n")
        self.assertEqual(answer.status, 413)

    def test_a_client_that_sends_all_before_it_reads(self):
        for size in (33 << 20, 100 << 20):
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port,
                                                    timeout=serving.PATIENCE)
            connection.request("POST", "/v1/encode", bytes(size), {"Content-Type": "image/png"})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 413)
            self.assertIn(b"body-too-large", answer.read())
            connection.close()

    def test_chunks_without_end(self):
        with self.server.connect() as link:
            link.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
            sent = 0
            try:
                while sent < 1 << 26:
                    link.sendall(chunk)
                    sent += 65536
            except (ConnectionResetError, BrokenPipeError):
                pass
            self.assertLess(sent, 1 << 26)
        # One that stops after passing the bound gets to read why.
        with self.server.connect() as link:
            link.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17)
            self.assertEqual(serving.read_answer(link).problem(), "body-too-large")

    def test_no_length(self):
        answer = self.server.raw(POST + b"\r\n")
        self.assertEqual((answer.status, answer.problem()), (411, "length-required"))

    def test_image_bombs(self):
        for width, height in ((1 << 30, 1 << 30), (30000, 30000), (32768, 32768), (1, 1 << 20),
                              (0, 5)):
            answer = self.server.post("/v1/encode", png_bomb(width, height))
            self.assertEqual(answer.status, 422, (width, height))
        self.assertLess(self.server.resident_bytes(), 1 << 30)

    def test_small_json_cannot_take_large_memory(self):
        before = self.server.resident_bytes()
        for body in (b"[" * 500000, b'{"images":[' + b"0," * 500000 + b"0]}",
                     b'{"a":' * 100000 + b"1" + b"}" * 100000, b'{"images":["' + b"\\u0041" * 9999):
            self.assertEqual(self.server.post("/v1/encode", body, "application/json").status, 400)
            self.assertEqual(self.server.post("/v1/decode", body, "application/json").status // 100,
                             4)
        if not serving.KEEPS_MEMORY:
            self.assertLess(self.server.resident_bytes() - before, 64 << 20)

    # ---- time ----

    def test_one_byte_at_a_time(self):
        """libmicrohttpd's own timeout counts idleness only: these are never idle."""
        for start, status in ((POST, 408), (POST + b"Content-Length: 100\r\n\r\n", 408),
                              (POST + b"Transfer-Encoding: chunked\r\n\r\n64\r\n", 408)):
            with self.subTest(start[-30:]), self.server.connect() as link:
                link.sendall(start)
                begun = time.monotonic()
                link.settimeout(0.1)
                data = b""
                while not serving.parse_answer(data):
                    try:
                        link.sendall(b"a")
                        part = link.recv(65536)
                    except socket.timeout:
                        continue
                    except (BrokenPipeError, ConnectionResetError):
                        break
                    if not part:
                        break
                    data += part
                    self.assertLess(time.monotonic() - begun, serving.PATIENCE)
                answer = serving.parse_answer(data)
                self.assertEqual((answer.status, answer.problem()), (status, "request-timeout"))

    def test_a_deadline_for_the_whole_request(self):
        with self.server.connect() as link:
            link.sendall(POST + b"X-Request-Timeout-Ms: 100\r\nContent-Length: 100\r\n\r\nabc")
            begun = time.monotonic()
            self.assertEqual(serving.read_answer(link).status, 408)
            self.assertLess(time.monotonic() - begun, serving.PATIENCE)

    def test_a_connection_that_says_nothing_is_closed(self):
        with self.server.connect() as link:
            answer = serving.read_answer(link)
            self.assertEqual(answer.status, 408)

    def test_a_body_in_two_halves_is_waited_for(self):
        with self.server.connect() as link:
            link.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(self.png) + self.png[:10])
            serving.wait_until(lambda: self.server.metric("vqct_queue_bytes") == len(self.png))
            link.sendall(self.png[10:])
            self.assertEqual(serving.read_answer(link).status, 200)

    # ---- many ----

    def test_two_thousand_idle_connections(self):
        links = []
        try:
            for _ in range(2000):
                link = socket.socket()
                link.setblocking(False)
                links.append(link)
                try:
                    link.connect(("127.0.0.1", self.server.port))
                except BlockingIOError:
                    pass
            self.assertEqual(self.server.get("/livez", admin=True).status, 200)
            self.assertEqual(self.server.get("/readyz", admin=True).status, 200)
            # They are hung up on, a few hundred at a time, and then the API has room again.
            serving.wait_until(
                lambda: self.server.post("/v1/encode?size=32", self.png).status == 200, "room")
        finally:
            for link in links:
                link.close()

    def test_idle_connections_to_the_second_port_give_way(self):
        held = []
        try:
            for _ in range(300):
                held.append(link := self.server.connect(admin=True))
                link.sendall(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertEqual(serving.read_answer(link).status, 200)  # and now idle, for 30 s
            held += [self.server.connect(admin=True) for _ in range(300)]
            for _ in range(10):
                self.assertEqual(self.server.get("/livez", admin=True).status, 200)
        finally:
            for link in held:
                link.close()

    def test_connections_over_the_limit_are_told(self):
        held = []
        try:
            for _ in range(300):
                held.append(link := self.server.connect())
                link.sendall(b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertEqual(serving.read_answer(link).status, 200)  # and now idle, for 30 s
            answer = self.server.raw(b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n")
            self.assertEqual((answer.status, answer.problem()), (503, "too-many-connections"))
            self.assertIn("retry-after", answer.headers)
            self.assertEqual(answer.headers["connection"], "close")
        finally:
            for link in held:
                link.close()

    def test_clients_that_leave_in_the_middle(self):
        requests = [POST, POST + b"Content-Length: %d\r\n\r\n" % len(self.png),
                    POST + b"Content-Length: %d\r\n\r\n" % len(self.png) + self.png[:100],
                    POST + b"Content-Length: %d\r\n\r\n" % len(self.png) + self.png,
                    b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n"]

        def leave(request):
            for reset in (False, True) * 5:
                link = self.server.connect()
                if reset:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                link.sendall(request)
                link.close()
        threads = [threading.Thread(target=leave, args=(request,)) for request in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        serving.wait_until(lambda: self.server.metric("vqct_connections") == 0)

    def test_requests_one_behind_the_other(self):
        one = POST + b"Content-Length: %d\r\n\r\n" % len(self.png) + self.png
        with self.server.connect() as link:
            link.sendall(one + b"GET /v1/model HTTP/1.1\r\n" + HOST + b"\r\n" + one
                         + b"GET /v1/model HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            data = b""
            while part := link.recv(65536):
                data += part
            self.assertEqual(data.count(b"HTTP/1.1 200 OK"), 4)


class OpenFiles(serving.ModelCase):
    """Descriptors are too few for the clients that come."""

    def crowd(self, server, count):
        links = []
        for _ in range(count):
            links.append(link := socket.socket())
            self.addCleanup(link.close)
            link.setblocking(False)
            try:
                link.connect(("127.0.0.1", server.port))
            except BlockingIOError:
                pass
        return links

    def test_some_are_left_for_health_and_files(self):
        with serving.Server(self.model, under=("prlimit", "--nofile=400:400")) as server:
            self.assertIn("room for 144", server.wait_for_log("limits")["message"])
            links = self.crowd(server, 500)
            serving.wait_until(lambda: server.metric("vqct_connections") >= 144, "a crowd")
            self.assertEqual(server.get("/readyz", admin=True).status, 200)
            for link in links:
                link.close()
            serving.wait_until(lambda: server.get("/v1/model").status == 200, "room")

    def test_none_left_for_a_while(self):
        with serving.Server(self.model) as server:
            most = server.open_files() + 10
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (most, most))
            links = self.crowd(server, 40)
            serving.wait_until(lambda: server.open_files() >= most, "no descriptor left")
            for link in links:
                link.close()
            self.assertEqual(server.get("/v1/model").status, 200)


class StartUp(serving.ModelCase):
    """What is wrong before the server starts is one line and an exit code."""

    def run_serve(self, *arguments, environment=None):
        return subprocess.run([serving.VQCT, "serve", *arguments], capture_output=True, text=True,
                              timeout=serving.PATIENCE,
                              env=dict(os.environ, **(environment or {})))

    def test_faults(self):
        def path(name, text):
            file = os.path.join(self.folder.name, name)
            with open(file, "w") as out:
                out.write(text)
            return file
        with socket.create_server(("127.0.0.1", 0)) as taken:
            busy = f"127.0.0.1:{taken.getsockname()[1]}"
            free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
            cases = [
                ([], 2, "--model FILE is needed"),
                (["--model", "/nowhere"], 3, "/nowhere"),
                (["--model", path("junk", "junk")], 5, "junk"),
                (["--model", self.model, *free, "--listen", "8080"], 2, "HOST:PORT"),
                (["--model", self.model, *free, "--listen", "127.0.0.1:99999"], 2, "HOST:PORT"),
                (["--model", self.model, *free, "--listen", busy], 2, busy),
                (["--model", self.model, *free, "--admin-listen", busy], 2, busy),
                (["--model", self.model, "--workers", "65"], 2, "workers"),
                (["--model", self.model, "--workers", "3", "--threads", "2"], 2, "workers is 3"),
                (["--model", self.model, "--max-body", "5X"], 2, "max-body"),
                (["--model", self.model, "--log-level", "loud"], 2, "debug|info"),
                (["--model", self.model, "--modell", "x"], 2, "--modell"),
                (["--model", self.model, "--tls-key", "x"], 2, "tls-certificate"),
                (["--model", self.model, "--tls-key", path("k", "x"), "--tls-certificate",
                  path("c", "x"), *free], 3, "TLS"),
                (["--model", self.model, "--api-keys", "/nowhere"], 3, "/nowhere"),
                (["--model", self.model, "--api-keys", path("keys", "# none\n")], 11, "no key"),
                (["--model", self.model, "--api-keys", path("keys2", "\n12g4 me\n")], 11, "keys2:2"),
                (["--config", path("c.json", '{"modl": "x"}')], 2, "'modl'"),
                (["--config", path("d.json", '{"workers": 1, "workers": 2}')], 11, "d.json:1"),
            ]
            for arguments, code, text in cases:
                with self.subTest(arguments):
                    done = self.run_serve(*arguments)
                    self.assertEqual(done.returncode, code, done.stderr)
                    self.assertIn(text, done.stderr)
                    self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_flags_over_environment_over_file(self):
        config = os.path.join(self.folder.name, "config.json")
        with open(config, "w") as file:
            file.write('{"model": "/from-file", "max-images": 3, "max-pixels": 4096}')
        environment = {"VQCT_MODEL": "/from-environment", "VQCT_MAX_IMAGES": "4"}
        done = self.run_serve("--config", config)
        self.assertIn("/from-file", done.stderr)
        done = self.run_serve("--config", config, environment=environment)
        self.assertIn("/from-environment", done.stderr)
        with serving.Server(self.model, "--config", config, environment=environment) as server:
            limits = server.get("/v1/model").json()["limits"]
            self.assertEqual((limits["images"], limits["pixels"]), (4, 4096))

    def test_it_listens_on_this_machine_only_by_default(self):
        help_text = self.run_serve("--help").stdout
        self.assertIn("default 127.0.0.1:8080", help_text)
        self.assertIn("default 127.0.0.1:8081", help_text)


if __name__ == "__main__":
    unittest.main()
