"""Several models in one process: which one a request is for, and that each has its own figures."""
import base64
import json
import os
import re
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

JSON = "application/json"


def form(parts):
    """A multipart body of (name, file name or None, data), and its type."""
    body = b""
    for name, filename, data in parts:
        file = f'; filename="{filename}"' if filename else ""
        body += f'--limit\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += data + b"\r\n"
    return body + b"--limit--\r\n", "multipart/form-data; boundary=limit"


class Models(serving.ModelCase):
    """`a` is the default; `b` has other codes and takes 8 pixels a token; `c` cannot decode."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other, cls.encoder = (os.path.join(cls.folder.name, name) for name in ("b.st", "c.st"))
        serving.make_model(cls.other, seed=8, adjectives=30, nouns=9, multipliers=[1, 1, 2, 2],
                           attention=[False] * 4)
        serving.make_model(cls.encoder, seed=9, decoder_blocks=0)
        cls.options = []
        cls.server = serving.Server(f"a={cls.model}", "--model", f"b={cls.other}", "-m",
                                    f"c={cls.encoder}")
        cls.addClassCleanup(cls.server.__exit__, None)
        cls.checksums = {one["name"]: one["model"]["checksum"]
                         for one in cls.server.get("/v1/models").json()["models"]}

    def encode(self, query="", **headers):
        return self.server.post(f"/v1/encode?size=32{query}", self.png, **headers)

    def alone(self, path):
        """What a server with this model alone answers."""
        with serving.Server(path) as server:
            return server.post("/v1/encode?size=32", self.png).json()

    def json(self, path, **members):
        return self.server.post(path, json.dumps(members).encode(), JSON)

    def images(self, query="", **members):
        return self.json(f"/v1/encode?size=32{query}", images=[base64.b64encode(self.png).decode()],
                         **members)

    def test_the_list(self):
        models = self.server.get("/v1/models").json()["models"]
        self.assertEqual([(one["name"], one["default"]) for one in models],
                         [("a", True), ("b", False), ("c", False)])
        self.assertEqual([one["model"]["downsampling"] for one in models], [4, 8, 4])
        self.assertEqual([one["codes"] for one in models], [32, 39, 32])
        self.assertEqual([one["decode_flops"] > 0 for one in models], [True, True, False])
        self.assertEqual(len({one["model"]["checksum"] for one in models}), 3)
        for one in models:
            page = self.server.get(f"/v1/model?model={one['name']}").json()
            self.assertEqual({name: page[name] for name in one}, one)
        self.assertEqual(self.server.get("/v1/model").json()["name"], "a")
        ready = self.server.get("/readyz", admin=True).json()
        self.assertEqual(ready, {"ready": True, "models": ["a", "b", "c"]})
        self.assertEqual(self.server.get("/readyz?model=b", admin=True).status, 200)
        self.assertEqual(self.server.get("/readyz?model=d", admin=True).problem(), "unknown-model")

    def test_each_gives_what_it_gives_alone(self):
        for name, path in (("a", self.model), ("b", self.other), ("c", self.encoder)):
            alone = self.alone(path)
            self.assertEqual(self.encode(f"&model={name}").json(), alone)
            self.assertEqual(self.images(model=name).json(), alone)
            body, kind = form([("model", None, name.encode()), ("file", "x", self.png)])
            answer = self.server.post("/v1/encode?size=32", body, kind).json()
            self.assertEqual(answer["images"][0].pop("name"), "x")
            self.assertEqual(answer, alone)
        self.assertEqual(self.encode().json(), self.alone(self.model))

    def test_tokens_find_their_model(self):
        for name in "ab":
            answer = self.encode(f"&model={name}").json()
            picture = self.server.post("/v1/decode", json.dumps(answer).encode(), JSON)
            self.assertEqual(picture.headers["x-vqct-model"], self.checksums[name][:16])
            self.assertEqual(
                picture.body, self.json(f"/v1/decode?model={name}", **answer["images"][0]).body)
            again = self.json("/v1/decode", **answer["images"][0], model=name)
            self.assertEqual(picture.body, again.body)
        tokens = self.encode("&model=b").json()
        self.assertEqual(self.json("/v1/decode?model=a", **tokens).problem(), "other-model")
        tokens["model"]["checksum"] = 64 * "0"
        self.assertEqual(self.json("/v1/decode", **tokens).problem(), "other-model")
        answer = self.json("/v1/decode?model=b&model_check=off", **tokens)
        self.assertEqual((answer.status, answer.headers["x-vqct-model"]), (200, self.checksums["b"][:16]))
        self.assertEqual(self.json("/v1/decode?model=c", **self.encode("&model=c").json()).problem(),
                         "not-found")
        self.assertEqual(self.json("/v1/decode", **self.encode("&model=c").json()).problem(),
                         "not-found")

    def test_a_size_is_checked_for_the_model_it_is_for(self):
        """The default takes 4 pixels a token; whom a body names may take 8."""
        self.assertEqual(self.server.post("/v1/encode?size=36", self.png).status, 200)
        answer = self.server.post("/v1/encode?size=36&model=b", self.png)
        self.assertEqual(answer.problem(), "bad-parameter")
        self.assertIn("multiple of 8", answer.json()["detail"])
        file = base64.b64encode(self.png).decode()
        self.assertEqual(self.json("/v1/encode?size=36", images=[file]).status, 200)
        self.assertEqual(self.json("/v1/encode?size=36", images=[file], model="b").problem(),
                         "bad-parameter")

    def test_the_log_names_what_was_asked_for(self):
        """And no other model where that is not known, or not served."""
        file = [base64.b64encode(self.png).decode()]
        body, kind = form([("model", None, b"d"), ("file", "x.png", self.png)])
        whole, _ = form([("model", None, b"b"), ("file", "x.png", self.png)])
        head, raw = "/v1/encode?size=32", "image/png"
        for path, data, type, status, model in [
                (head, json.dumps({"images": file, "model": "d"}).encode(), JSON, 404, None),
                (head, json.dumps({"images": file, "model": "b"}).encode(), JSON, 200, "b"),
                (head, json.dumps({"images": file}).encode(), JSON, 200, "a"),
                (head, b"{", JSON, 400, None), (head, body, kind, 404, None), (head, whole, kind, 200, "b"),
                (head + "&model=b", b"{", JSON, 400, "b"), (head + "&model=d", self.png, raw, 404, None),
                (head + "&model=b", json.dumps({"images": file, "model": "d"}).encode(), JSON, 404, None),
                (head, self.png, raw, 200, "a"), ("/v1/encode?size=0", self.png, raw, 400, None)]:
            answer = self.server.post(path, data, type)
            self.assertEqual(answer.status, status, data[:60])
            id = answer.headers["x-request-id"]
            serving.wait_until(lambda: id in self.server.log_text(), "its line")
            line = next(line for line in self.server.log() if line.get("request_id") == id)
            self.assertEqual(line.get("model"), model, (path, data[:60]))

    def test_names_that_are_none(self):
        for query in ("&model=", "&model=d", "&model=a%0Ab", "&model=A", "&model=a%2F", "&model",
                      "&model=" + 500 * "a"):
            answer = self.encode(query)
            self.assertEqual((answer.status, answer.problem()), (404, "unknown-model"), query)
            self.assertIn("a, b, c", answer.json()["detail"])
        self.assertEqual(self.encode("&model=a&model=b").problem(), "bad-parameter")
        for path in ("/v1/model", "/v1/codebook", "/v1/codebook/usage", "/v1/codebook/codes/3",
                     "/v1/statistics"):
            self.assertEqual(self.server.get(path + "?model=d").problem(), "unknown-model", path)
        self.assertEqual(self.images(model="d").problem(), "unknown-model")
        self.assertEqual(self.images(model=5).problem(), "bad-body")
        self.assertEqual(self.images(model=None).problem(), "bad-body")
        self.assertEqual(self.images("&model=a", model="b").problem(), "bad-parameter")
        self.assertEqual(self.images("&model=b", model="b").status, 200)
        self.assertEqual(self.json("/v1/decode", tokens=[[0], [12]], grid=[1, 1], model="d").problem(),
                         "unknown-model")
        for field in (b"", b"a\0b", 65 * b"a"):
            body, kind = form([("model", None, field), ("file", "x.png", self.png)])
            self.assertEqual(self.server.post("/v1/encode", body, kind).problem(), "bad-body", field)
        body, kind = form([("model", None, b"a"), ("model", None, b"b"), ("file", "x.png", self.png)])
        self.assertEqual(self.server.post("/v1/encode", body, kind).problem(), "bad-body")

    def test_figures_are_of_their_model(self):
        def usage(name):
            return sum(self.server.get(f"/v1/codebook/usage?model={name}").json()["counts"])

        def statistics(name):
            return self.server.get(f"/v1/statistics?model={name}").json()
        before = {name: (usage(name), statistics(name)) for name in "abc"}
        for _ in range(3):
            self.encode("&model=b")
        self.encode("&model=b&resize=")
        growth = {"a": (0, 0, 0, 0), "b": (3 * 2 * 16, 3, 3, 1), "c": (0, 0, 0, 0)}
        for name, expected in growth.items():
            counted, now = usage(name), statistics(name)
            was = before[name][1]
            self.assertEqual((counted - before[name][0], now["images"] - was["images"],
                              now["requests"]["succeeded"] - was["requests"]["succeeded"],
                              now["requests"]["failed"] - was["requests"]["failed"]), expected, name)
        self.assertEqual(len(self.server.get("/v1/codebook?model=b").json()["codebooks"]), 2)
        self.assertEqual(self.server.get("/v1/codebook/codes/38?model=b").status, 200)
        self.assertEqual(self.server.get("/v1/codebook/codes/38").status, 404)
        self.assertTrue(self.server.get("/v1/statistics?model=b&history=true").json()["history"])
        text = self.server.get("/metrics", admin=True).body.decode()
        for family in ("vqct_codebook_codes", "vqct_model_info", "vqct_reloads_total"):
            self.assertEqual(set(re.findall(rf'^{family}{{.*model="(\w)"', text, re.M)), set("abc"))
        self.assertIn('vqct_http_requests_total{route="/v1/encode",method="POST",code="400",model="b"}',
                      text)
        codes = self.server.get("/metrics/codes", admin=True).body.decode()
        self.assertEqual(sum(map(int, re.findall(r'model="b"} (\d+)', codes))), usage("b"))

    def test_the_log_names_the_model(self):
        answer = self.encode("&model=b", X_Request_Id="which-model")
        self.assertEqual(answer.status, 200)
        serving.wait_until(lambda: "which-model" in self.server.log_text())
        line, = [line for line in self.server.log() if line.get("request_id") == "which-model"]
        self.assertEqual(line["model"], "b")

    def test_all_are_served_at_once(self):
        """Requests for all of them side by side, each answered as it is alone."""
        expected = {name: self.encode(f"&model={name}").body for name in "abc"}
        wrong = []

        def client(name):
            for _ in range(20):
                if self.encode(f"&model={name}").body != expected[name]:
                    wrong.append(name)
        threads = [threading.Thread(target=client, args=(name,)) for name in "abcabc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class Options(serving.ModelCase):
    def test_a_file_is_named_after_its_model(self):
        spaced = self.path("spaced.st")
        serving.make_model(spaced, seed=5, name="my model/2")
        with serving.Server(self.model, "--model", spaced) as server:
            names = [one["name"] for one in server.get("/v1/models").json()["models"]]
            self.assertEqual(names, ["tiny", "my_model_2"])

    def test_what_cannot_be_served_stops_the_start(self):
        link = self.path("a=b.st")
        os.symlink(self.model, link)
        twice = self.path("twice.st")
        os.symlink(self.model, twice)
        for options, message in (
                ([], "--model FILE is needed"),
                (["a/b=x"], "'a/b' is no name"), (["a\nb=x"], "is no name"), (["=x"], "'' is no name"),
                ([65 * "a" + "=x"], "is no name"), (["-a=x"], "is no name"), (["a="], "a= has no file"),
                ([f"a={self.model}", f"a={self.model}"], "two models are named a"),
                ([self.model, self.model], "is given twice"),
                ([self.model, twice], "both named tiny"),
                ([f"tiny={self.model}", twice], "both named tiny"),
                ([f"a={self.model}", "b=/none"], "/none")):
            words = [word for option in options for word in ("--model", option)]
            done = subprocess.run([serving.VQCT, "serve", "--listen", "127.0.0.1:0", "--admin-listen",
                                   "127.0.0.1:0", *words], capture_output=True, text=True,
                                  timeout=serving.PATIENCE)
            self.assertNotEqual(done.returncode, 0, options)
            self.assertIn(message, done.stderr, options)
        with serving.Server(link) as server:  # a path that begins with / may hold anything
            self.assertEqual(server.get("/v1/model").status, 200)

    def test_the_environment_lists_them(self):
        names = {"VQCT_MODEL": f"a={self.model},b={self.model}"}
        done = subprocess.Popen([serving.VQCT, "serve", "--listen", "127.0.0.1:0", "--admin-listen",
                                 "127.0.0.1:0", "--drain-delay", "0"], stderr=subprocess.PIPE,
                                env={**os.environ, **names}, text=True)
        with done.stderr:
            line = json.loads(done.stderr.readline())
            self.assertEqual((line["model"], line["models"]), ("a", 2))
            done.terminate()
            done.stderr.read()
        self.assertEqual(done.wait(serving.PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
