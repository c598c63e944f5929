"""Requests to a server on this machine and how long their answers take.

One thread drives all connections, so that the client takes as little as possible of the processors
that it shares with the server."""
import os
import selectors
import socket
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/integration"))
import serving  # noqa: E402


class Connection:
    """One kept connection with at most one request on it."""

    def __init__(self, port):
        self.link = socket.create_connection(("127.0.0.1", port), 120)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link.setblocking(False)

    def begin(self, request, due):
        self.unsent, self.received, self.due = memoryview(request), bytearray(), due

    def write(self):
        """True once the whole request is sent."""
        try:
            self.unsent = self.unsent[self.link.send(self.unsent):]
        except BlockingIOError:
            pass
        return not self.unsent

    def read(self):
        """The whole answer, or None as long as some is missing."""
        part = self.link.recv(1 << 18)
        self.received += part
        answer = serving.parse_answer(bytes(self.received))
        whole = answer and len(answer.body) == int(answer.headers["content-length"])
        if not part or (whole and answer.status != 200):
            raise SystemExit(f"answered {bytes(self.received)}")
        return answer if whole else None


class Load:
    """Sends `requests` in turn; answers come as pairs (seconds since it was due, answer)."""

    def __init__(self, port, requests):
        self.port, self.requests, self.sent = port, requests, 0
        self.selector = selectors.SelectSelector()  # the finest time-outs
        self.idle, self.busy = [], 0

    def send(self, due):
        connection = self.idle.pop() if self.idle else Connection(self.port)
        connection.begin(self.requests[self.sent % len(self.requests)], due)
        self.sent += 1
        self.busy += 1
        event = selectors.EVENT_READ if connection.write() else selectors.EVENT_WRITE
        self.selector.register(connection.link, event, connection)

    def wait(self, seconds):
        """The answers that come meanwhile; returns with the first of them."""
        answers = []
        for key, event in self.selector.select(seconds):
            connection = key.data
            if event & selectors.EVENT_WRITE:
                if connection.write():
                    self.selector.modify(connection.link, selectors.EVENT_READ, connection)
                continue
            answer = connection.read()
            if answer:
                answers.append((time.perf_counter() - connection.due, answer))
                self.selector.unregister(connection.link)
                self.idle.append(connection)
                self.busy -= 1
        return answers

    def paced(self, moments):
        """Sends a request at each moment (seconds from now), whatever became of those before."""
        begun, answers, i = time.perf_counter(), [], 0
        while i < len(moments) or self.busy:
            now = time.perf_counter() - begun
            if i < len(moments) and moments[i] <= now:
                self.send(begun + moments[i])
                i += 1
            else:
                answers += self.wait(moments[i] - now if i < len(moments) else None)
        return answers

    def saturate(self, in_flight, seconds=float("inf"), count=float("inf")):
        """(answers, seconds taken) with `in_flight` requests always waiting."""
        begun, answers = time.perf_counter(), []
        while True:
            now = time.perf_counter()
            while self.busy < in_flight and now - begun < seconds and len(answers) < count:
                self.send(now)
            if not self.busy:
                return answers, now - begun
            answers += self.wait(None)


def post(path, kind, body):
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body
