"""A running `vqct serve` for tests, and plain HTTP over a socket so that tests can break rules."""
import io
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import numpy as np
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("VQCT_BUILD", "build/release"))
VQCT = os.path.join(BUILD, "vqct")
KEEPS_MEMORY = BUILD.endswith(("asan", "tsan"))  # what is freed stays resident
PATIENCE = 60  # seconds that anything may take on a busy machine under a sanitizer


TINY = {"name": "tiny", "quantizer": "vqct", "image_channels": 3, "channels": 8,
        "multipliers": [1, 2, 2], "attention": [False, False, True], "middle_attention": True,
        "encoder_blocks": 1, "decoder_blocks": 2, "z_channels": 12, "code_dimension": 8,
        "adjective_k": 1, "groups": 4, "l2_normalize": False, "adjectives": 12, "nouns": 20}


def make_model(path, seed=7, **changes):
    """A tiny model of 12 adjectives and 20 nouns that takes 4 x 4 pixels a token. Its attention
    makes a picture of 384 x 384 pixels cost half a second, so a test can keep a worker busy."""
    config = path + ".json"
    with open(config, "w") as file:
        json.dump({**TINY, **changes}, file)
    subprocess.run([VQCT, "init", "--config", config, "--seed", str(seed), "--output", path],
                   check=True)


def photo(width=64, height=64, seed=1, form="JPEG"):
    """A picture file of smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.BICUBIC).save(file, form)
    return file.getvalue()


def headers_of(reply):
    """The headers by name in lower case; none may stand twice."""
    names = [name.lower() for name in reply.headers.keys()]
    assert len(names) == len(set(names)), names
    return dict(zip(names, reply.headers.values()))


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def problem(self):
        """The last part of a problem's type; fails where the answer is none."""
        assert self.headers.get("content-type") == "application/problem+json", self.headers
        document = self.json()
        assert document["status"] == self.status and document["title"], document
        prefix = "urn:vqct:problem:"
        assert document["type"].startswith(prefix), document
        return document["type"][len(prefix):]


def parse_answer(data):
    """The first HTTP answer in bytes that is no interim one, or None where there is no whole one."""
    while data.startswith(b"HTTP/1.1 1"):
        data = data.partition(b"\r\n\r\n")[2]
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in
               (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body[:int(headers.get("content-length", 0))])


class Server:
    """`vqct serve` on free ports; stops and must exit 0 at the end of a with statement. `under` is
    a command that becomes the server's process; a model of None is for the options to name. Nothing
    is cached unless `cache` says how many bytes, so that a picture sent again is computed again; None
    is for a `program` that has no cache."""

    def __init__(self, model, *options, drain_delay="0", environment=None, under=(), cache="0",
                 program=VQCT):
        self.log_file = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*under, program, "serve", *(["--model", model] if model else []), "--listen",
             "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--drain-delay", drain_delay,
             *(["--cache-bytes", cache] if cache else []), *options],
            stderr=self.log_file,
            env=dict(os.environ, **(environment or {})))
        try:
            ready = self.wait_for_log("ready")
        except Exception:
            self.process.kill()
            raise
        self.listen, self.admin_listen = ready.get("listen"), ready.get("admin_listen")
        self.port, self.admin_port = ready.get("port"), ready.get("admin_port")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            text = self.log_text()
            self.log_file.close()
        if kind is None and code:
            raise AssertionError(f"the server ended with {code}:\n{text[-4000:]}")

    def log_text(self):
        return os.pread(self.log_file.fileno(), 1 << 26, 0).decode()

    def log(self):
        return [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]

    def wait_for_log(self, event, count=1):
        """The count-th log line of an event, as soon as it is there."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            lines = [line for line in self.log_text().splitlines(True) if line.endswith("\n")]
            found = [json.loads(line) for line in lines if f'"event":"{event}"' in line]
            if len(found) >= count:
                return found[count - 1]
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended: {self.log_text()[-2000:]}")
            time.sleep(0.01)
        raise AssertionError(f"no '{event}' in the log:\n{self.log_text()[-2000:]}")

    def request(self, method, path, body=None, headers=None, admin=False, timeout=PATIENCE):
        port = self.admin_port if admin else self.port
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body,
                                         method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return Answer(reply.status, headers_of(reply), reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, headers_of(error), error.read())

    def get(self, path, headers=None, admin=False):
        return self.request("GET", path, None, headers, admin)

    def post(self, path, body, kind="image/jpeg", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, body, {"Content-Type": kind, **named})

    def connect(self, admin=False):
        return socket.create_connection(
            ("127.0.0.1", self.admin_port if admin else self.port), PATIENCE)

    def raw(self, data, admin=False, finish=False):
        """Sends bytes and reads until the server closes or a whole answer is there."""
        with self.connect(admin) as link:
            link.sendall(data)
            if finish:
                link.shutdown(socket.SHUT_WR)
            return read_answer(link)

    def metric(self, name):
        """The value of one series, 0 where it is not there."""
        text = self.get("/metrics", admin=True).body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        return float(found[1]) if found else 0.0

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class ModelCase(unittest.TestCase):
    """Tests with a tiny model; and with one server for all of a class where `options` are its."""
    options = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.model = os.path.join(cls.folder.name, "model.safetensors")
        make_model(cls.model)
        cls.png = photo(form="PNG")
        if cls.options is not None:
            cls.server = Server(cls.model, *cls.options)
            cls.addClassCleanup(cls.server.__exit__, None)

    def path(self, name):
        return os.path.join(self.folder.name, name)


def read_answer(link):
    """One answer from a socket; None where the server closes without one."""
    data = b""
    while True:
        answer = parse_answer(data)
        if answer and len(answer.body) == int(answer.headers.get("content-length", 0)):
            return answer
        try:
            part = link.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return answer
        data += part


def wait_until(condition, message="the condition"):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{message} did not come true")
        time.sleep(0.01)
