"""How answers are written: compressed, packed in base64, not at all where nothing changed."""
import base64
import gzip
import json
import os
import signal
import subprocess
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

JSON, NPY = "application/json", "application/x-npy"
GZIP = {"Accept-Encoding": "gzip"}


class Compressed(serving.ModelCase):
    options = ["--cors-origin", "https://page.example"]

    def get_both(self, path, admin=False):
        """The answer as it is and as gzip, which must say so."""
        plain = self.server.get(path, {"Accept-Encoding": "identity"}, admin)
        packed = self.server.get(path, GZIP, admin)
        self.assertNotIn("content-encoding", plain.headers)
        self.assertEqual(packed.headers["content-encoding"], "gzip")
        for answer in (plain, packed):
            self.assertIn("Accept-Encoding", answer.headers["vary"])
        self.assertLess(len(packed.body), len(plain.body))
        return plain, packed

    def test_pages_and_figures(self):
        self.server.post("/v1/encode?size=32", self.png)
        for path in ("/", "/assets/uPlot.js", "/openapi.json", "/v1/codebook"):
            plain, packed = self.get_both(path)
            self.assertEqual(gzip.decompress(packed.body), plain.body)
        plain, packed = self.get_both("/metrics", admin=True)
        names = [{line.split("{")[0].split(" ")[0] for line in text.decode().splitlines()}
                 for text in (plain.body, gzip.decompress(packed.body))]
        self.assertIn("vqct_ready", names[0])
        self.assertEqual(names[0], names[1])  # their values change from one to the next

    def test_json_of_a_picture(self):
        plain = self.server.post("/v1/encode?size=256&words=true", self.png, "image/png")
        packed = self.server.post("/v1/encode?size=256&words=true", self.png, "image/png", **GZIP)
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        self.assertLess(len(packed.body) * 2, len(plain.body))
        self.assertEqual(packed.headers["vary"], "Accept-Encoding, Origin")
        problem = self.server.post("/v1/encode?" + "x" * 2000, self.png, "image/png", **GZIP)
        self.assertEqual(problem.status, 400)

    def test_what_is_compressed_already_or_asked_for_otherwise(self):
        for accept, kind in ((NPY, "image/png"), ("application/octet-stream", "image/png")):
            answer = self.server.post("/v1/encode?size=256", self.png, kind, Accept=accept, **GZIP)
            self.assertNotIn("content-encoding", answer.headers)
        self.assertNotIn("content-encoding", self.server.get("/assets/coffee.jpg", GZIP).headers)
        self.assertNotIn("content-encoding", self.server.get("/v2", GZIP).headers)  # too short
        for wish in ("identity", "gzip;q=0", "br", "*;q=0", "gzip;q=0.5, identity", "deflate"):
            headers = self.server.get("/openapi.json", {"Accept-Encoding": wish}).headers
            self.assertNotIn("content-encoding", headers, wish)
        for wish in ("*", "x, GZIP ;q=0.1", "gzip;q=1.0, *;q=0", "deflate, gzip, br"):
            headers = self.server.get("/openapi.json", {"Accept-Encoding": wish}).headers
            self.assertEqual(headers["content-encoding"], "gzip", wish)

    def test_curl(self):
        url = f"http://127.0.0.1:{self.server.port}/openapi.json"

        def curl(*words):
            return subprocess.run(["curl", "-sf", *words, url], capture_output=True, check=True).stdout
        self.assertEqual(curl("--compressed"), curl())
        head, sizes = curl("--compressed", "--head").decode().lower(), []
        for wish in (["--compressed"], []):
            sizes.append(int(curl(*wish, "-o", os.devnull, "-w", "%{size_download}")))
        self.assertIn(f"content-length: {sizes[0]}\r\n", head)
        self.assertLess(sizes[0], sizes[1])


class PackedInJson(serving.ModelCase):
    options = []

    def encode(self, body, kind="image/png", query="", route="encode"):
        answer = self.server.post(f"/v1/{route}?size=48x32{query}", body, kind, Accept=JSON)
        self.assertEqual(answer.status, 200, answer.body)
        return answer

    def decode(self, document):
        return self.server.post("/v1/decode", json.dumps(document).encode(), JSON, Accept=JSON)

    def test_the_same_tokens(self):
        for route in ("encode", "reconstruct"):
            plain = self.encode(self.png, query="&words=true", route=route).json()
            packed = self.encode(self.png, query="&words=true&encode=base64", route=route).json()
            image = packed["images"][0]
            self.assertEqual(image.pop("dtype"), "uint16")
            tokens = np.frombuffer(base64.b64decode(image["tokens"], validate=True), "<u2")
            image["tokens"] = tokens.reshape(2, -1).tolist()
            self.assertEqual(packed, plain)
        self.assertEqual(self.encode(self.png, query="&encode=numbers").json()["images"][0]["tokens"],
                         plain["images"][0]["tokens"])

    def test_what_goes_out_comes_in(self):
        files = [serving.photo(seed=seed, form="PNG") for seed in range(3)]
        body = json.dumps({"images": [base64.b64encode(file).decode() for file in files]}).encode()
        plain = self.encode(body, JSON)
        packed = self.encode(body, JSON, "&encode=base64&words=true")
        pictures = self.server.post("/v1/decode", plain.body, JSON).json()["images"]
        self.assertEqual(len(pictures), 3)
        self.assertEqual(self.server.post("/v1/decode", packed.body, JSON).json()["images"], pictures)
        one = packed.json()["images"][0]
        wide = np.frombuffer(base64.b64decode(one["tokens"]), "<u2").astype("<u4").tobytes()
        for given in ({"tokens": one["tokens"]}, {"tokens": one["tokens"], "dtype": "uint16"},
                      {"tokens": base64.b64encode(wide).decode(), "dtype": "uint32"},
                      {"tokens": base64.urlsafe_b64encode(wide).decode().rstrip("="), "dtype": "uint32"}):
            answer = self.decode({"grid": one["grid"], **given})
            self.assertEqual(answer.json()["images"][0]["image"], pictures[0]["image"])

    def test_what_is_wrong_is_named(self):
        tokens = base64.b64encode(np.array([0, 1, 2, 3, 12, 13, 14, 15], "<u2")).decode()
        for given, words in (
                ({"tokens": tokens[:-4], "grid": [2, 2]}, "are 15 bytes; planes times rows times columns take 16"),
                ({"tokens": tokens, "grid": [2, 3]}, "are 16 bytes"),
                ({"tokens": "", "grid": [2, 2]}, "are 0 bytes"),
                ({"tokens": "AAAA!", "grid": [2, 2]}, "a string that is not base64"),
                ({"tokens": "A", "grid": [2, 2]}, "a string that is not base64"),
                ({"tokens": tokens, "grid": [2, 2], "dtype": "int8"}, "not uint16 or uint32"),
                ({"tokens": tokens, "grid": [2, 2], "dtype": 16}, "not uint16 or uint32"),
                ({"tokens": tokens, "grid": [2, 2], "dtype": "uint32"}, "take 32"),
                ({"tokens": tokens, "grid": [0, 2]}, "the grid is empty"),
                ({"tokens": tokens, "grid": [1 << 40, 1 << 40]}, "pixels are allowed"),
                ({"tokens": 5, "grid": [2, 2]}, "nor base64 of packed tokens"),
                ({"tokens": tokens.replace("A", "/", 2), "grid": [2, 2]}, "0 to 11 are its codes")):
            answer = self.decode({"images": [given]})
            self.assertEqual(answer.status, 200, answer.body)
            document = answer.json()
            self.assertEqual(document["failed"], 1)
            self.assertIn(words, document["images"][0]["error"]["detail"])
        answer = self.server.post("/v1/encode?encode=hex", self.png)
        self.assertEqual((answer.status, answer.problem()), (400, "bad-parameter"))


class Unchanged(serving.ModelCase):
    options = []

    def test_pages_are_sent_once(self):
        for path in ("/", "/assets/uPlot.js", "/assets/coffee.jpg", "/openapi.json",
                     "/v1/codebook/vectors", "/v1/model", "/v1/models"):
            first = self.server.get(path, GZIP)
            tag = first.headers["etag"]
            self.assertTrue(tag.startswith('W/"'))
            for known in (tag, tag[2:], f'"x", {tag}', "*"):
                again = self.server.get(path, {"If-None-Match": known})
                self.assertEqual((again.status, again.body), (304, b""), (path, known))
                self.assertEqual(again.headers["etag"], tag)
                self.assertNotIn("content-type", again.headers)
            other = self.server.get(path, {"If-None-Match": '"x", W/"y"'})
            self.assertEqual((other.status, other.headers["etag"]), (200, tag))

    def test_what_is_loaded_again_is_told(self):
        path = self.path("again.safetensors")
        serving.make_model(path, seed=7)
        with serving.Server(f"a={path}") as server:
            tags = {name: server.get(name).headers["etag"] for name in ("/v1/model", "/v1/models")}
            serving.make_model(path, seed=9)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("reload")
            for name, tag in tags.items():
                answer = server.get(name, {"If-None-Match": tag})
                self.assertEqual(answer.status, 200, name)
                self.assertNotEqual(answer.headers["etag"], tag)

    def test_another_model_has_other_vectors(self):
        other = self.path("other.safetensors")
        serving.make_model(other, seed=9)
        with serving.Server(None, "--model", f"a={self.model}", "--model", f"b={other}") as server:
            tags = [server.get(f"/v1/codebook/vectors?model={name}").headers["etag"] for name in "ab"]
            self.assertNotEqual(*tags)
            for name, status in (("a", 304), ("b", 200)):
                self.assertEqual(server.get(f"/v1/codebook/vectors?model={name}",
                                            {"If-None-Match": tags[0]}).status, status)

    def test_curl_keeps_the_tag(self):
        file = self.path("tag")
        words = ["curl", "-s", "--etag-save", file, "--etag-compare", file, "-o", os.devnull, "-w",
                 "%{http_code} %{size_download}", f"http://127.0.0.1:{self.server.port}/openapi.json"]
        open(file, "w").close()
        first, again = (subprocess.run(words, capture_output=True, check=True).stdout.decode()
                        for _ in range(2))
        self.assertEqual(first.split()[0], "200")
        self.assertEqual(again, "304 0")


if __name__ == "__main__":
    unittest.main()
