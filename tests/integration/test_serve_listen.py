"""Where the service listens: Unix sockets, several addresses, both families, sockets that systemd passes."""
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=serving.PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def status(connection, path="/v1/model", body=None):
    connection.request("POST" if body else "GET", path, body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class Listens(serving.ModelCase):
    def setUp(self):
        self.api, self.admin = self.path("api.sock"), self.path("admin.sock")

    def server(self, *options, **more):
        return serving.Server(self.model, *options, **more)

    def both(self, *options, **more):
        return self.server("--listen", f"unix:{self.api}", "--admin-listen", f"unix:{self.admin}",
                           *options, **more)

    def refused(self, address, *options):
        done = subprocess.run([serving.VQCT, "serve", "--model", self.model, "--listen", address,
                               "--admin-listen", "127.0.0.1:0", *options], capture_output=True,
                              text=True, timeout=serving.PATIENCE)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.returncode, done.stderr


class Unix(Listens):
    def test_both_ports(self):
        with self.both() as server:
            # curl is the client of record; the other end of a Unix socket has no address.
            done = subprocess.run(["curl", "-sS", "--fail", "--unix-socket", self.api, "-T", "-", "-X",
                                   "POST", "http://localhost/v1/encode?size=16"], input=self.png,
                                  capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(json.loads(done.stdout)["images"][0]["grid"], [4, 4])
            self.assertEqual(status(UnixConnection(self.admin), "/readyz"), 200)
            self.assertEqual(server.wait_for_log("request")["peer"], "unix")
            health = [serving.VQCT, "health", "--admin-listen", f"unix:{self.admin}"]
            self.assertEqual(subprocess.run(health).returncode, 0)
            self.assertEqual((server.port, server.admin_port), (None, None))
            self.assertEqual((server.listen, server.admin_listen), (f"unix:{self.api}", f"unix:{self.admin}"))
        self.assertFalse(os.path.exists(self.api) or os.path.exists(self.admin))
        self.assertEqual(subprocess.run(health, capture_output=True).returncode, 14)

    def test_mode(self):
        for options, mode in ([], 0o660), (["--socket-mode", "600"], 0o600), \
                (["--socket-mode", "0666"], 0o666):
            with self.subTest(mode=mode), self.both(*options):
                for path in self.api, self.admin:
                    self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), mode)
        for mode in "", "8", "rw", "1777", "00000":
            code, text = self.refused(f"unix:{self.api}", "--socket-mode", mode)
            self.assertEqual(code, 2, text)
            self.assertIn("socket-mode", text)

    def test_a_socket_that_was_left_is_replaced(self):
        with self.both() as server:
            server.process.kill()
            server.process.wait()
            self.assertTrue(os.path.exists(self.api))
            with self.both():
                self.assertEqual(status(UnixConnection(self.api)), 200)
            self.assertFalse(os.path.exists(self.api))
            server.process.returncode = 0

    def test_one_that_is_in_use_is_not(self):
        with self.both():
            code, text = self.refused(f"unix:{self.api}")
            self.assertEqual(code, 2, text)
            self.assertIn(f"unix:{self.api}: it is in use", text)
            self.assertEqual(status(UnixConnection(self.api)), 200)

    def test_other_faults(self):
        plain, folder = self.path("plain"), self.path("folder")
        with open(plain, "w") as file:
            file.write("kept")
        os.makedirs(folder, exist_ok=True)
        os.symlink(plain, self.path("link"))
        for path, code, words in [
                (plain, 2, "no socket"), (folder, 2, "no socket"), (self.path("link"), 2, "no socket"),
                (self.path("x" * 120), 2, "1 to 107 are allowed"), ("", 2, "1 to 107 are allowed"),
                (self.path("nowhere/s"), 3, "No such file"), (plain + "/s", 3, "Not a directory")]:
            with self.subTest(path=path):
                found, text = self.refused(f"unix:{path}")
                self.assertEqual(found, code, text)
                self.assertIn(words, text)
                self.assertIn(path[:60], text)
        with open(plain) as file:
            self.assertEqual(file.read(), "kept")
        # What was bound before the one that fails is not left behind.
        code, text = self.refused(f"unix:{self.api},unix:{plain}")
        self.assertEqual(code, 2, text)
        self.assertFalse(os.path.exists(self.api))

    def test_the_longest_path(self):
        path = self.path("y" * (107 - len(self.path(""))))
        self.assertEqual(len(path), 107)
        with self.server("--listen", f"unix:{path}"):
            self.assertEqual(status(UnixConnection(path)), 200)

    def test_a_successor_keeps_its_socket(self):
        """While the one before it drains, the path is free for the next, which it must not take along."""
        with self.both("--threads", "1") as server:
            slow = UnixConnection(self.api)
            slow.request("POST", "/v1/encode?size=384", self.png)
            serving.wait_until(lambda: self.waiting() > 0, "a request under way")
            server.process.send_signal(signal.SIGTERM)
            server.wait_for_log("draining")
            with self.server("--listen", f"unix:{self.api}"):
                answer = slow.getresponse()
                self.assertEqual(answer.status, 200)
                answer.read()
                slow.close()
                self.assertEqual(server.process.wait(serving.PATIENCE), 0)
                self.assertEqual(status(UnixConnection(self.api)), 200)

    def waiting(self):
        connection = UnixConnection(self.admin)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return float(text.split("\nvqct_requests_in_flight ")[1].split("\n")[0])


class Several(Listens):
    def test_addresses(self):
        with self.server("--listen", f"127.0.0.1:0,unix:{self.api},127.0.0.2:0") as server:
            for host in "127.0.0.1", "127.0.0.2":
                self.assertEqual(status(http.client.HTTPConnection(host, server.port)), 200)
            self.assertEqual(status(UnixConnection(self.api)), 200)
            self.assertEqual(server.listen,
                             f"127.0.0.1:{server.port},unix:{self.api},127.0.0.2:{server.port}")

    @unittest.skipUnless(has_ipv6(), "there is no IPv6")
    def test_both_families(self):
        for address in "*:0", "[::]:0", "127.0.0.1:0,[::1]:0":
            with self.subTest(address), self.server("--listen", address) as server:
                for host in "127.0.0.1", "::1":
                    self.assertEqual(status(http.client.HTTPConnection(host, server.port)), 200)
                self.assertEqual(server.listen, address.replace("*", "[::]").replace(":0", f":{server.port}"))

    def test_bad_lists(self):
        for address in "127.0.0.1:0,", ",127.0.0.1:0", "127.0.0.1:0,,127.0.0.2:0", "x" * 600, \
                ",".join(f"127.0.0.{i}:0" for i in range(1, 18)):
            with self.subTest(address):
                code, text = self.refused(address)
                self.assertEqual(code, 2, text)


class Passed(Listens):
    """systemd-socket-activate is systemd's own passing of sockets to a program."""

    def run_passed(self, addresses, names, kinds=()):
        command = ["systemd-socket-activate", *kinds]
        for address in addresses:
            command += ["--listen", address]
        command += ["--fdname", ":".join(names)] if names else []
        process = subprocess.Popen([*command, serving.VQCT, "serve", "--model", self.model, "--listen",
                                    "none", "--admin-listen", "127.0.0.1:0", "--drain-delay", "0"],
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for _ in addresses:
            self.assertIn("Listening on", process.stderr.readline())
        return process

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "systemd is not installed")
    def test_sockets_of_both_ports(self):
        process = self.run_passed([self.api, self.admin], ["listen", "admin-listen"])
        self.assertEqual(status(UnixConnection(self.api)), 200)  # which starts it
        self.assertEqual(status(UnixConnection(self.admin), "/readyz"), 200)
        ready = self.ended(process)
        self.assertEqual((ready["listen"], ready["admin_listen"]), (f"unix:{self.api}", f"unix:{self.admin}"))
        self.assertTrue(os.path.exists(self.api))  # it is not the server's to remove

    def ended(self, process):
        """Ends the server, and returns its line `ready`."""
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(serving.PATIENCE), 0)
        return next(json.loads(line) for line in process.stderr if '"event":"ready"' in line)

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "systemd is not installed")
    def test_one_without_a_name(self):
        """A unit that gives none has its sockets named after itself."""
        addresses = ["127.0.0.1:0", self.admin]
        for count, names in (1, []), (1, ["web.socket"]), (1, ["unknown"]), (2, ["vqct.socket", "admin-listen"]):
            with self.subTest(names=names):
                with socket.create_server(("127.0.0.1", 0)) as free:
                    port = free.getsockname()[1]
                if os.path.exists(self.admin):
                    os.unlink(self.admin)
                process = self.run_passed([f"127.0.0.1:{port}", *addresses[1:count]], names)
                self.assertEqual(status(http.client.HTTPConnection("127.0.0.1", port)), 200)
                ready = self.ended(process)
                self.assertEqual((ready["listen"], ready["port"]), (f"127.0.0.1:{port}", port))
                self.assertEqual("admin_port" in ready, count == 1)

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "systemd is not installed")
    def test_faults(self):
        both = "FileDescriptorName=listen or admin-listen tells them apart"
        for names, kinds, words in [(["web"], [], "passed as 'web': FileDescriptorName=listen or admin"),
                                    (["listen"], ["--seqpacket"], "no stream socket that listens"),
                                    (["a.socket", "a.socket"], [], both),
                                    (["a.socket", "listen"], [], both)]:
            with self.subTest(names=names, kinds=kinds):
                for path in filter(os.path.exists, (self.api, self.admin)):
                    os.unlink(path)
                process = self.run_passed([self.api, self.admin][:len(names)], names, kinds)
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET if kinds
                                   else socket.SOCK_STREAM) as client:
                    client.connect(self.api)
                    self.assertEqual(process.wait(serving.PATIENCE), 2)
                self.assertIn(words, process.stderr.read())

    def test_sockets_for_another_process_are_left(self):
        with self.server(environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"}) as server:
            self.assertEqual(server.get("/v1/model").status, 200)


if __name__ == "__main__":
    unittest.main()
