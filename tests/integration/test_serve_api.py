"""What each route of `vqct serve` answers, in each of its forms."""
import base64
import gzip
import io
import json
import os
import re
import socket
import subprocess
import sys
import unittest
import zlib

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

JSON, NPY, PACKED = "application/json", "application/x-npy", "application/octet-stream"


def multipart(files, boundary="limit"):
    body = b""
    for name, data in files:
        body += (f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n'
                 "Content-Type: image/png\r\n\r\n").encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


class Routes(serving.ModelCase):
    options = ["--cors-origin", "https://page.example", "--log-level", "debug"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.png = serving.photo(96, 64, form="PNG")
        cls.jpeg = serving.photo(80, 64)

    def encode(self, file, query="?size=32", **headers):
        answer = self.server.post(f"/v1/encode{query}", file, "application/octet-stream", **headers)
        self.assertEqual(answer.status, 200, answer.body)
        return answer

    def tokens(self, file, query="?size=32"):
        """P, h, w from the JSON answer."""
        image = self.encode(file, query).json()["images"][0]
        return np.array(image["tokens"]).reshape(-1, *image["grid"])

    # ---- encode ----

    def test_pictures_of_other_formats_are_told_by_their_type(self):
        answer = self.server.request("POST", "/v1/encode", b"\0" * 16, {"Content-Type": "image/avif"})
        self.assertEqual((answer.status, answer.problem()), (415, "unsupported-media-type"))
        self.assertIn("'image/avif' is not read here: PNG, JPEG or WebP", answer.json()["detail"])

    def test_encode_says_what_the_tokens_are(self):
        document = self.encode(self.png, "?size=40x32").json()
        self.assertEqual([(p["name"], p["first"], p["count"]) for p in document["planes"]],
                         [("adjective", 0, 12), ("noun", 12, 20)])
        self.assertEqual(document["model"]["downsampling"], 4)
        self.assertEqual(len(document["model"]["checksum"]), 64)
        image, = document["images"]
        self.assertEqual((image["width"], image["height"], image["grid"]), (40, 32, [8, 10]))
        adjectives, nouns = np.array(image["tokens"])
        self.assertEqual(len(adjectives), 80)
        self.assertTrue((adjectives < 12).all() and (nouns >= 12).all() and (nouns < 32).all())
        self.assertNotIn("words", image)

    def test_every_form_in_gives_the_same_tokens(self):
        expected = self.tokens(self.png)
        for kind in ("image/png", "application/octet-stream", "image/jpeg", "image/webp"):  # told by its bytes
            image, = self.server.post("/v1/encode?size=32", self.png, kind).json()["images"]
            np.testing.assert_array_equal(np.ravel(image["tokens"]), expected.ravel())
        body, kind = multipart([("a.png", self.png), ("b.png", self.png)])
        text = json.dumps({"images": [base64.b64encode(self.png).decode()] * 2}).encode()
        for data, kind in ((body, kind), (text, JSON)):
            images = self.server.post("/v1/encode?size=32", data, kind).json()["images"]
            self.assertEqual(len(images), 2)
            for image in images:
                np.testing.assert_array_equal(np.ravel(image["tokens"]), expected.ravel())

    def test_every_form_out_gives_the_same_tokens(self):
        expected = self.tokens(self.png)
        answer = self.encode(self.png, Accept=NPY)
        self.assertEqual(answer.headers["content-type"], NPY)
        array = np.load(io.BytesIO(answer.body))
        self.assertEqual(array.dtype, np.dtype("<u2"))
        np.testing.assert_array_equal(array, expected)
        answer = self.encode(self.png, Accept=PACKED)
        self.assertEqual(answer.headers["x-vqct-shape"], "1,2,8,8")
        np.testing.assert_array_equal(np.frombuffer(answer.body, "<u2"), expected.ravel())
        body, kind = multipart([("a", self.png), ("b", self.jpeg)])
        answer = self.server.post("/v1/encode?size=32", body, kind, Accept=NPY)
        both = np.load(io.BytesIO(answer.body))
        np.testing.assert_array_equal(both, [expected, self.tokens(self.jpeg)])

    def test_the_command_encode_gives_the_same_tokens(self):
        files = []
        for i, data in enumerate((self.png, self.jpeg)):
            files.append(os.path.join(self.folder.name, f"{i}.{'png' if i == 0 else 'jpg'}"))
            with open(files[-1], "wb") as file:
                file.write(data)
        out = os.path.join(self.folder.name, "tokens.npy")
        subprocess.run([serving.VQCT, "encode", self.model, *files, "--size", "48", "-o", out],
                       check=True, capture_output=True)
        body, kind = multipart([("0", self.png), ("1", self.jpeg)])
        answer = self.server.post("/v1/encode?size=48", body, kind, Accept=NPY)
        np.testing.assert_array_equal(np.load(io.BytesIO(answer.body)), np.load(out))

    def test_quality_in_accept_decides(self):
        answer = self.encode(self.png, Accept="application/json;q=0.5, application/x-npy")
        self.assertEqual(answer.headers["content-type"], NPY)
        self.assertEqual(self.encode(self.png, Accept="*/*").headers["content-type"], JSON)

    def test_one_bad_picture_does_not_fail_the_others(self):
        body, kind = multipart([("good.png", self.png), ("bad.png", b"\x89PNG nonsense"),
                                ("small.png", serving.photo(3, 3, form="PNG"))])
        images = self.server.post("/v1/encode?resize=none", body, kind).json()["images"]
        self.assertEqual([image["name"] for image in images],
                         ["good.png", "bad.png", "small.png"])
        self.assertIn("tokens", images[0])
        self.assertEqual(images[1]["error"]["type"], "urn:vqct:problem:bad-image")
        self.assertEqual(images[2]["error"]["status"], 422)
        answer = self.server.post("/v1/encode?resize=none", body, kind, Accept=NPY)
        self.assertEqual((answer.status, answer.problem()), (422, "bad-image"))

    def test_resize(self):
        for query, shape in (("?resize=none", (64, 96)), ("?resize=contain&size=50", (32, 48)),
                             ("?resize=cover&size=48x64", (64, 48)), ("", (256, 256))):
            image, = self.encode(self.png, query).json()["images"]
            self.assertEqual((image["height"], image["width"]), shape, query)

    def test_words_stand_beside_tokens(self):
        image, = self.encode(self.png, "?size=32&words=true").json()["images"]
        self.assertEqual(np.shape(image["words"]), np.shape(image["tokens"]))
        for token, word in zip(image["tokens"][1][:3], image["words"][1]):
            self.assertEqual(self.server.get(f"/v1/codebook/codes/{token}").json()["word"], word)

    def test_grey_model_takes_colour_pictures(self):
        path = os.path.join(self.folder.name, "grey.safetensors")
        serving.make_model(path, image_channels=1)
        colour = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        file, grey = io.BytesIO(), io.BytesIO()
        Image.fromarray(colour).save(file, "PNG")
        Image.fromarray(colour).convert("L").save(grey, "PNG")
        with serving.Server(path) as server:
            answers = [server.post("/v1/encode?resize=none", data.getvalue()).json()["images"]
                       for data in (file, grey)]
            self.assertEqual(*answers)
            answer = server.post("/v1/reconstruct?resize=none", file.getvalue())
            self.assertEqual(Image.open(io.BytesIO(answer.body)).mode, "L")

    # ---- decode and reconstruct ----

    def test_decode_takes_what_encode_gave(self):
        sent = self.encode(self.png, "?size=32&words=true").body
        many = self.server.post("/v1/decode", sent, JSON, Accept=JSON).json()["images"]
        expected = pixels(base64.b64decode(many[0]["image"]))
        self.assertEqual(expected.shape, (32, 32, 3))
        image, = json.loads(sent)["images"]
        one = json.dumps({"tokens": image["tokens"], "grid": image["grid"]}).encode()
        array = self.encode(self.png, Accept=NPY).body
        packed = self.encode(self.png, Accept=PACKED).body
        for data, kind, query in ((sent, JSON, ""), (one, JSON, ""), (array, NPY, ""),
                                  (packed, PACKED, "?grid=8x8"), (packed, PACKED, "?grid=8,8")):
            answer = self.server.post(f"/v1/decode{query}", data, kind)
            self.assertEqual((answer.status, answer.headers.get("content-type")),
                             (200, "image/png"), answer.body)
            np.testing.assert_array_equal(pixels(answer.body), expected)

    def test_decode_reads_every_whole_number_type(self):
        tokens = self.tokens(self.png)
        for dtype in ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"):
            file = io.BytesIO()
            np.save(file, tokens.astype(dtype))
            status = self.server.post("/v1/decode", file.getvalue(), NPY).status
            self.assertEqual(status, 422 if dtype == "i1" else 200, dtype)

    def test_decode_to_jpeg(self):
        array = self.encode(self.png, Accept=NPY).body
        exact = pixels(self.server.post("/v1/decode", array, NPY).body).astype(float)
        sizes = []
        for quality, error in ((95, 16), (30, 48)):
            answer = self.server.post(f"/v1/decode?quality={quality}", array, NPY,
                                      Accept="image/jpeg")
            self.assertEqual(answer.headers["content-type"], "image/jpeg")
            self.assertLess(np.abs(pixels(answer.body) - exact).mean(), error)
            sizes.append(len(answer.body))
        self.assertGreater(*sizes)

    def test_webp_answers(self):
        """Lossless ones have the pixels of PNG; lossy ones are nearer with more quality."""
        array = self.encode(self.png, Accept=NPY).body
        for path, body, kind in (("/v1/decode?", array, NPY),
                                 ("/v1/reconstruct?size=32&", self.png, "image/png")):
            exact = pixels(self.server.post(path.rstrip("?&"), body, kind).body)
            answer = self.server.post(path + "lossless=true&quality=1", body, kind, Accept="image/webp")
            self.assertEqual((answer.headers["content-type"], answer.body[8:16]),
                             ("image/webp", b"WEBPVP8L"))
            np.testing.assert_array_equal(pixels(answer.body), exact)
            errors = []
            for quality in (95, 5):
                answer = self.server.post(f"{path}quality={quality}", body, kind,
                                          Accept="image/webp, image/png;q=0.9")
                self.assertEqual(answer.body[8:16], b"WEBPVP8 ")
                errors.append(np.abs(pixels(answer.body) - exact.astype(float)).mean())
            self.assertLess(*errors)
        wide = self.server.post("/v1/encode?resize=none", serving.photo(16640, 4), Accept=NPY).body
        self.assertEqual(self.server.post("/v1/decode", wide, NPY).status, 200)
        answer = self.server.post("/v1/decode", wide, NPY, Accept="image/webp")
        self.assertEqual((answer.status, answer.problem()), (406, "not-acceptable"))
        self.assertIn("sides are 1 to 16383", answer.json()["detail"])

    def test_decode_of_many_is_json(self):
        tokens = self.tokens(self.png)
        file = io.BytesIO()
        np.save(file, np.stack([tokens, tokens[:, ::-1]]).astype("u2"))
        images = self.server.post("/v1/decode", file.getvalue(), NPY, Accept=JSON).json()["images"]
        one = self.server.post("/v1/decode", self.encode(self.png, Accept=NPY).body, NPY).body
        np.testing.assert_array_equal(pixels(base64.b64decode(images[0]["image"])), pixels(one))
        for accept in ("*/*", "image/*, application/*;q=0.1", None):
            headers = {"Accept": accept} if accept else {}
            answer = self.server.post("/v1/decode", file.getvalue(), NPY, **headers)
            self.assertEqual(answer.json()["images"], images, accept)
        answer = self.server.post("/v1/decode", file.getvalue(), NPY, Accept="image/png")
        self.assertEqual((answer.status, answer.problem()), (406, "not-acceptable"))

    def test_reconstruct_is_encode_then_decode(self):
        array = self.encode(self.png, "?size=64", Accept=NPY).body
        expected = pixels(self.server.post("/v1/decode", array, NPY).body)
        answer = self.server.post("/v1/reconstruct?size=64", self.png)
        np.testing.assert_array_equal(pixels(answer.body), expected)
        image, = self.server.post("/v1/reconstruct?size=64&words=true", self.png,
                                  Accept=JSON).json()["images"]
        original, result = (pixels(base64.b64decode(image[k])) for k in ("original", "image"))
        np.testing.assert_array_equal(result, expected)
        self.assertLessEqual(  # the resizing is held to Pillow's within one grey level
            np.abs(original.astype(int) - pixels(self.png)[:, 16:80].astype(int)).max(), 1)
        error = ((original.astype(float) - result) ** 2).mean()
        psnr = 10 * np.log10(255 ** 2 / error)
        self.assertAlmostEqual(image["psnr"], psnr, places=5)
        self.assertAlmostEqual(float(answer.headers["x-vqct-psnr"]), psnr, places=3)
        self.assertAlmostEqual(float(answer.headers["x-vqct-ssim"]), image["ssim"], places=5)
        np.testing.assert_array_equal(np.load(io.BytesIO(array)).ravel(), np.ravel(image["tokens"]))

    # ---- what is known about the model ----

    def test_model(self):
        document = self.server.get("/v1/model").json()
        self.assertEqual(document["architecture"], {**serving.TINY})
        self.assertEqual((document["codes"], document["code_dimension"]), (32, 8))
        checksum = subprocess.check_output(["sha256sum", self.model], text=True).split()[0]
        self.assertEqual(document["model"]["checksum"], checksum)

    def test_usage_counts_every_token(self):
        def usage(window):
            return np.array(self.server.get(f"/v1/codebook/usage?window={window}")
                            .json()["counts"])
        before = usage("process")
        tokens = self.tokens(serving.photo(64, 64, seed=9, form="PNG"), "?resize=none")
        counted = usage("process") - before
        np.testing.assert_array_equal(counted, np.bincount(tokens.ravel(), minlength=32))
        for window in ("1m", "10m", "1h"):
            self.assertTrue((usage(window) >= counted).all())
        array = np.load(io.BytesIO(self.server.get("/v1/codebook/usage", {"Accept": NPY}).body))
        np.testing.assert_array_equal(array, before + counted)
        page = self.server.get("/metrics/codes", admin=True).body.decode()
        for token, count in re.findall(r'token="(\d+)".* (\d+)$', page, re.M):
            self.assertEqual(array[int(token)], int(count))
        self.assertEqual(len(re.findall("^vqct_code_tokens_total{", page, re.M)), (array > 0).sum())

    def test_codebook_health_follows_the_counts(self):
        self.tokens(self.png)
        document = self.server.get("/v1/codebook").json()
        counts = np.array(self.server.get("/v1/codebook/usage").json()["counts"])
        for book, part in zip(document["codebooks"], (counts[:12], counts[12:])):
            window = book["windows"]["process"]
            share = part[part > 0] / part.sum()
            entropy = -(share * np.log2(share)).sum()
            self.assertEqual((window["tokens"], window["used"], window["dead"]),
                             (part.sum(), (part > 0).sum(), (part == 0).sum()))
            self.assertAlmostEqual(window["entropy"], entropy, places=5)
            self.assertAlmostEqual(window["perplexity"], 2 ** entropy, places=4)
            top = sorted(part, reverse=True)[:20]
            self.assertEqual([code["count"] for code in book["top"]], [c for c in top if c])

    def test_code_page(self):
        page = self.server.get("/v1/codebook/codes/15").json()
        self.assertEqual((page["token"], page["part_of_speech"]), (15, "noun"))
        distances = [code["distance"] for code in page["nearest"]]
        self.assertEqual(distances, sorted(distances))
        self.assertEqual(len({code["token"] for code in page["nearest"]} - {15}), 10)

    # ---- errors ----

    def test_problems(self):
        body, kind = multipart([("a", self.png)])
        tokens = json.dumps({"tokens": [[0], [12]], "grid": [1, 1]}).encode()
        cases = [
            ("GET", "/nothing", None, {}, 404, "not-found"),
            ("GET", "/v1/encode/", None, {}, 404, "not-found"),
            ("GET", "/v1/model%00", None, {}, 404, "not-found"),
            ("GET", "/v1/codebook/usage?window=1m%00", None, {}, 400, "bad-parameter"),
            ("GET", "/v1/codebook/codes/32", None, {}, 404, "not-found"),
            ("GET", "/v1/codebook/codes/-1", None, {}, 404, "not-found"),
            ("GET", "/v1/codebook/codes/99999999999", None, {}, 404, "not-found"),
            ("GET", "/livez", None, {}, 404, "not-found"),
            ("GET", "/v1/encode", None, {}, 405, "method-not-allowed"),
            ("PUT", "/v1/encode", self.png, {}, 405, "method-not-allowed"),
            ("DELETE", "/v1/model", None, {}, 405, "method-not-allowed"),
            ("POST", "/v1/model", b"x", {}, 405, "method-not-allowed"),
            ("GET", "/v1/model", b"x", {}, 400, "bad-request"),
            ("GET", "/v1/model?x=1", None, {}, 400, "bad-parameter"),
            ("GET", "/v1/codebook/usage?window=2m", None, {}, 400, "bad-parameter"),
            ("GET", "/v1/codebook/usage", None, {"Accept": "text/html"}, 406, "not-acceptable"),
            ("POST", "/v1/encode?size=0", self.png, {}, 400, "bad-parameter"),
            ("POST", "/v1/encode?size=30", self.png, {}, 400, "bad-parameter"),
            ("POST", "/v1/encode?size=9999999999", self.png, {}, 400, "bad-parameter"),
            ("POST", "/v1/encode?size=32x", self.png, {}, 400, "bad-parameter"),
            ("POST", "/v1/encode?size=32&size=32", self.png, {}, 400, "bad-parameter"),
            ("POST", "/v1/encode?sise=32", self.png, {}, 400, "bad-parameter"),
            ("POST", "/v1/encode?resize=crop", self.png, {}, 400, "bad-parameter"),
            ("POST", "/v1/encode?resize=none&size=32", self.png, {}, 400, "bad-parameter"),
            *[("POST", f"/v1/encode?crop={crop}", self.png, {}, 400, "bad-parameter")
              for crop in ("", "1,2,3", "1,2,3,4,5", "1,2,3,4,", "-1,0,8,8", "0,0,-8,8", "0,0,0,8",
                           "0,0,8,0", "0,0,8.5,8", "0,0,1e3,8", "0,0,4294967297,1", "0,0,97,64",
                           "0,0,96,65", "89,0,8,8", "0,57,8,8", "96,64,1,1", "999999999,0,8,8")],
            *[("POST", f"/v1/encode?focus={focus}", self.png, {}, 400, "bad-parameter")
              for focus in ("", "0.5", "0.5,", ",0.5", "0.5,0.5,0.5", "1.01,0", "-0.1,0", "nan,0",
                            "0x1,0", ".,.", "1e-1,0", "0.5,0.5&resize=contain")],
            ("POST", "/v1/encode?words=2", self.png, {}, 400, "bad-parameter"),
            ("POST", "/v1/encode", self.png, {"Accept": "image/png"}, 406, "not-acceptable"),
            ("POST", "/v1/encode", self.png, {"Content-Type": "text/plain"}, 415,
             "unsupported-media-type"),
            ("POST", "/v1/encode", self.png, {"X-Request-Timeout-Ms": "-1"}, 400, "bad-parameter"),
            ("POST", "/v1/encode", self.png, {"X-Request-Timeout-Ms": "1e3"}, 400, "bad-parameter"),
            ("POST", "/v1/encode", self.png, {"X-Request-Timeout-Ms": "999999999"}, 400,
             "bad-parameter"),
            ("POST", "/v1/encode", b"", {}, 422, "bad-image"),
            ("POST", "/v1/encode", b"not a picture", {}, 422, "bad-image"),
            ("POST", "/v1/encode", self.jpeg[:len(self.jpeg) // 2], {}, 422, "bad-image"),
            ("POST", "/v1/encode?resize=none", serving.photo(3, 64), {}, 422, "bad-image"),
            ("POST", "/v1/encode?resize=none", serving.photo(1600, 1600), {}, 422,
             "image-too-large"),
            ("POST", "/v1/encode?size=60000", self.png, {}, 422, "image-too-large"),
            ("POST", "/v1/encode?resize=contain&size=2000x60000", self.png, {}, 422,
             "image-too-large"),
            ("POST", "/v1/encode", body, {"Content-Type": "multipart/form-data"}, 400,
             "bad-request"),
            ("POST", "/v1/encode", body, {"Content-Type": "multipart/form-data; boundary=other"},
             400, "bad-body"),
            ("POST", "/v1/encode", body[:-10], {"Content-Type": kind}, 400, "bad-body"),
            ("POST", "/v1/encode", b"--limit--\r\n", {"Content-Type": kind}, 400, "bad-body"),
            ("POST", "/v1/encode", b"[" * 10000, {"Content-Type": JSON}, 400, "bad-body"),
            ("POST", "/v1/encode", b'{"images":[]}', {"Content-Type": JSON}, 400, "bad-body"),
            ("POST", "/v1/encode", b'{"images":{}}', {"Content-Type": JSON}, 400, "bad-body"),
            ("POST", "/v1/encode", b'{"images":[""],"images":[""]}', {"Content-Type": JSON}, 400,
             "bad-body"),
            ("POST", "/v1/encode", b'{"images":[""],"size":3}', {"Content-Type": JSON}, 400,
             "bad-body"),
            ("POST", "/v1/encode", json.dumps({"images": [""] * 65}).encode(),
             {"Content-Type": JSON}, 413, "body-too-large"),
            ("POST", "/v1/decode", tokens[:-1], {"Content-Type": JSON}, 400, "bad-body"),
            ("POST", "/v1/decode", tokens.replace(b"[0]", b"[12]"), {"Content-Type": JSON}, 422,
             "bad-tokens"),
            ("POST", "/v1/decode", tokens.replace(b"[12]", b"[32]"), {"Content-Type": JSON}, 422,
             "bad-tokens"),
            ("POST", "/v1/decode", tokens.replace(b"[0]", b"[0,0]"), {"Content-Type": JSON}, 422,
             "bad-tokens"),
            ("POST", "/v1/decode", tokens.replace(b"[0]", b"[0.5]"), {"Content-Type": JSON}, 422,
             "bad-tokens"),
            ("POST", "/v1/decode", tokens.replace(b"[1, 1]", b"[0, 1]"), {"Content-Type": JSON},
             422, "bad-tokens"),
            ("POST", "/v1/decode", tokens.replace(b"[1, 1]", b"[99999999, 99999999]"),
             {"Content-Type": JSON}, 422, "image-too-large"),
            ("POST", "/v1/decode", b"123", {"Content-Type": PACKED}, 400, "bad-parameter"),
            ("POST", "/v1/decode?grid=1x1", b"123", {"Content-Type": PACKED}, 422, "bad-tokens"),
            ("POST", "/v1/decode", b"\x93NUMPY\x01", {"Content-Type": NPY}, 400, "bad-body"),
            ("POST", "/v1/decode?quality=0", tokens, {"Content-Type": JSON}, 400, "bad-parameter"),
            ("POST", "/v1/decode?grid=1x1", tokens, {"Content-Type": JSON}, 400, "bad-parameter"),
        ]
        for method, path, data, headers, status, problem in cases:
            with self.subTest(f"{method} {path} {headers} {(data or b'')[:30]}"):
                given = {"Content-Type": PACKED, **headers} if data is not None else headers
                answer = self.server.request(method, path, data, given)
                self.assertEqual((answer.status, answer.problem()), (status, problem), answer.body)
                self.assertEqual(answer.headers["cache-control"], "no-store")
                if status == 405:
                    self.assertIn("allow", answer.headers)

    def test_bad_base64_fails_its_picture_only(self):
        good = base64.b64encode(self.png).decode()
        for bad in (good[:-1] + "!", good[:-4] + "*" + good[-3:], "data:image/png," + good, "=", "A===", 5, None):
            body = json.dumps({"images": [bad, good]}).encode()
            images = self.server.post("/v1/encode?size=32", body, JSON).json()["images"]
            self.assertEqual(images[0]["error"]["type"], "urn:vqct:problem:bad-body", bad)
            self.assertIn("tokens", images[1])

    def test_how_clients_write_pictures(self):
        expected = self.encode(self.png).json()["images"]
        wrapped = base64.encodebytes(self.png).decode()
        url_safe = base64.urlsafe_b64encode(self.png).decode().rstrip("=")
        images = ["data:image/png;base64," + url_safe, wrapped, url_safe]
        answer = self.server.post("/v1/encode?size=32", json.dumps({"images": images}).encode(),
                                  JSON).json()
        self.assertEqual((answer["images"], answer["failed"]), (3 * expected, 0))
        for kind in ("image/jpg", "image/x-png"):
            self.assertEqual(self.server.post("/v1/encode?size=32", self.png, kind).json()["images"],
                             expected)
        body, kind = multipart([("a.png", self.png), ("b.png", b"none")])
        field = b'--limit\r\nContent-Disposition: form-data; name="comment"\r\n\r\nx\r\n'
        answer = self.server.post("/v1/encode?size=32", field + body, kind).json()
        self.assertEqual([len(answer["images"]), answer["failed"]], [2, 1])
        self.assertEqual(answer["images"][0]["tokens"], expected[0]["tokens"])

    def test_crop_and_focus(self):
        """The tokens of what Pillow cuts out; the crop is one of the upright picture."""
        image = Image.open(io.BytesIO(self.png))
        turned, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.ROTATE_90).save(turned, "PNG", exif=exif)

        def encode(path, data):
            return self.server.post(path, data, "image/png").json()["images"]

        for query, box in (("crop=8,4,40,32", (8, 4, 48, 36)), ("focus=0,0", (0, 0, 64, 64)),
                           ("focus=1,0.5", (32, 0, 96, 64)), ("focus=.375,0", (4, 0, 68, 64)),
                           ("crop=10,20,50,40&focus=1,1", (20, 20, 60, 60))):
            cut = io.BytesIO()
            image.crop(box).save(cut, "PNG")
            expected = encode("/v1/encode?size=32", cut.getvalue())
            for data in (self.png, turned.getvalue()):
                self.assertEqual(encode(f"/v1/encode?size=32&{query}", data), expected, query)
            self.assertEqual(self.server.post(f"/v1/reconstruct?size=32&{query}", self.png).body,
                             self.server.post("/v1/reconstruct?size=32", cut.getvalue()).body)
        body, kind = multipart([("a.png", self.png), ("b.jpg", serving.photo(80, 64))])
        answer = self.server.post("/v1/encode?resize=none&crop=0,0,96,64", body, kind).json()
        second, first = answer["images"]
        self.assertEqual(second["grid"], [16, 24])
        self.assertEqual((first["error"]["type"], first["error"]["detail"]),
                         ("urn:vqct:problem:bad-parameter", "crop is '0,0,96,64', which is not "
                          "inside the picture of 80 x 64 pixels"))

    def test_webp(self):
        """The tokens of the pixels that Pillow sees, and what other formats are told."""
        image = Image.open(io.BytesIO(self.png))
        lossless, lossy, moving = io.BytesIO(), io.BytesIO(), io.BytesIO()
        image.save(lossless, "WEBP", lossless=True)
        image.save(lossy, "WEBP", quality=80)
        image.save(moving, "WEBP", lossless=True, save_all=True,
                   append_images=[image.transpose(Image.ROTATE_180), image.transpose(Image.ROTATE_180)])
        seen = io.BytesIO()
        Image.open(lossy).convert("RGB").save(seen, "PNG")
        for data, as_png in ((lossless, self.png), (moving, self.png), (lossy, seen.getvalue())):
            answer = self.server.post("/v1/encode?size=32", data.getvalue(), "image/webp")
            self.assertEqual(answer.json()["images"], self.encode(as_png).json()["images"])
        cut = self.server.post("/v1/encode?size=32", lossy.getvalue()[:-30], "image/webp")
        self.assertEqual((cut.status, cut.json()["detail"][:26]), (422, "the WebP file is truncated"))
        avif = b"\0\0\0\x14ftypavif\0\0\0\0mif1"
        self.assertEqual(self.server.post("/v1/encode", avif).json()["detail"],
                         "AVIF is not read here: PNG, JPEG or WebP")

    def test_compressed_bodies(self):
        expected = self.encode(self.png).json()
        listed = json.dumps({"images": [base64.b64encode(self.png).decode()]}).encode()
        for coding, pack in (("gzip", gzip.compress), ("x-gzip", gzip.compress),
                             ("deflate", zlib.compress), ("identity", bytes)):
            for body, kind in ((self.png, PACKED), (listed, JSON)):
                answer = self.server.post("/v1/encode?size=32", pack(body), kind,
                                          **{"Content-Encoding": coding})
                self.assertEqual(answer.json(), expected, coding)
        packed = gzip.compress(self.png)
        for body, coding, status, problem in (
                (self.png, "br", 415, "unsupported-media-type"), (self.png, "gzip", 400, "bad-body"),
                (packed, "gzip, br", 415, "unsupported-media-type"),
                (gzip.compress(packed), "gzip, gzip", 415, "unsupported-media-type"),
                (self.png, "identity, br", 415, "unsupported-media-type"),
                (packed[:-9], "gzip", 400, "bad-body"), (packed + b"x", "gzip", 400, "bad-body"),
                (b"", "gzip", 400, "bad-body"),
                (gzip.compress(bytes(1 << 28)), "gzip", 413, "body-too-large")):
            answer = self.server.post("/v1/encode?size=32", body, PACKED,
                                      **{"Content-Encoding": coding})
            self.assertEqual((answer.status, answer.problem()), (status, problem), coding)
            if status == 415:
                self.assertIn("gzip", answer.headers["accept-encoding"])

    def test_content_codings_of_several_lines(self):
        """They are one list: neither the first nor the last may speak for both."""
        packed = gzip.compress(self.png)
        for lines in (("gzip", "br"), ("br", "gzip"), ("identity", "gzip"), ("gzip", "gzip")):
            head = "".join(f"Content-Encoding: {line}\r\n" for line in lines)
            with self.server.connect() as link:
                link.sendall(f"POST /v1/encode?size=32 HTTP/1.1\r\nHost: x\r\nContent-Type: {PACKED}\r\n"
                             f"{head}Content-Length: {len(packed)}\r\n\r\n".encode() + packed)
                answer = serving.read_answer(link)
            self.assertEqual((answer.status, answer.problem()), (415, "unsupported-media-type"))
            self.assertIn(f"'{', '.join(lines)}'", answer.json()["detail"])

    def test_the_grid_has_its_rows_first(self):
        packed = self.encode(self.png, "?size=40x32", Accept=PACKED)
        rows, columns = packed.headers["x-vqct-shape"].split(",")[2:]
        answer = self.server.post(f"/v1/decode?grid={rows},{columns}", packed.body, PACKED)
        self.assertEqual(pixels(answer.body).shape, (32, 40, 3))
        answer = self.server.post(f"/v1/decode?grid={columns}x{rows}", packed.body, PACKED)
        self.assertEqual((answer.status, answer.problem()), (400, "bad-parameter"))

    def test_tokens_of_another_model(self):
        document = self.encode(self.png).json()
        document["model"].update(name="elsewhere", checksum="0" * 64)
        body = json.dumps(document).encode()
        answer = self.server.post("/v1/decode", body, JSON)
        self.assertEqual((answer.status, answer.problem()), (409, "other-model"))
        self.assertIn("elsewhere", answer.json()["detail"])
        self.assertEqual(self.server.post("/v1/decode?model_check=off", body, JSON).status, 200)
        answer = self.server.post("/v1/decode?model_check=maybe", body, JSON)
        self.assertEqual((answer.status, answer.problem()), (400, "bad-parameter"))

    def test_parameters_without_a_value(self):
        self.assertIn("words", self.encode(self.png, "?size=32&words").json()["images"][0])
        self.assertIn("words", self.encode(self.png, "?size=32&words=1").json()["images"][0])
        for query in ("size", "resize", "size="):
            answer = self.server.post(f"/v1/encode?{query}", self.png, PACKED)
            self.assertEqual((answer.status, answer.problem()), (400, "bad-parameter"), query)

    def test_a_negative_token_is_none(self):
        for dtype in ("<i2", "<i4", "<i8"):
            file = io.BytesIO()
            np.save(file, np.full((2, 8, 8), -32000, dtype))
            answer = self.server.post("/v1/decode", file.getvalue(), NPY)
            self.assertEqual(answer.problem(), "bad-tokens")
            self.assertIn("is negative or huge", answer.json()["detail"])

    # ---- around the answer ----

    def test_percent_signs_are_decoded(self):
        self.assertEqual(self.server.get("/v1/%6dodel").status, 200)
        self.assertEqual(self.server.get("/v1/codebook/usage?%77indow=1%6D").status, 200)
        for path in ("/v1/model%", "/v1/model%6", "/v1/model%zz", "/v1/%4dodel"):
            self.assertEqual(self.server.get(path).status, 404, path)

    def test_the_whole_address_may_be_asked_for(self):
        for address, status in (("http://x/v1/model", 200), ("HTTPS://x:1/v1/model?", 200),
                                ("http://x", 200), ("http:/v1/model", 400),
                                ("http://v1/model", 404), ("/http://x/v1/model", 404)):
            answer = self.server.raw(f"GET {address} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            self.assertEqual(answer.status, status, address)

    def test_head_has_no_body(self):
        answer = self.server.request("HEAD", "/v1/model")
        whole = self.server.get("/v1/model")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["content-length"], str(len(whole.body)))

    def test_request_ids_and_traces(self):
        trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        answer = self.encode(self.png, X_Request_Id="mine.1-2_3",
                             traceparent=f"00-{trace}-{parent}-01")
        self.assertEqual(answer.headers["x-request-id"], "mine.1-2_3")
        version, theirs, span, flags = answer.headers["traceparent"].split("-")
        self.assertEqual((version, theirs, flags), ("00", trace, "01"))
        self.assertNotEqual(span, parent)
        def logged():
            return [line for line in self.server.log() if line.get("request_id") == "mine.1-2_3"]
        serving.wait_until(logged, "the request's line in the log")
        line, = logged()
        self.assertEqual((line["trace_id"], line["parent_id"], line["span_id"], line["status"],
                          line["route"], line["bytes_in"]),
                         (trace, parent, span, 200, "/v1/encode", len(self.png)))
        for bad in ("a b", "x" * 65, "a/b", ""):
            self.assertNotEqual(self.encode(self.png, X_Request_Id=bad).headers["x-request-id"],
                                bad)
        for bad in (f"00-{'0' * 32}-{parent}-01", f"00-{trace}-{parent}", f"ff-{trace}-{parent}-01"):
            self.assertNotIn(trace, self.encode(self.png, traceparent=bad).headers["traceparent"])

    def test_server_timing(self):
        timing = self.encode(self.png).headers["server-timing"]
        names = [part.split(";dur=")[0] for part in timing.split(", ")]
        self.assertEqual(names, ["receive", "read", "queue", "batch", "compute", "write", "total"])
        figures = [float(part.split("=")[1]) for part in timing.split(", ")]
        # Each is rounded to a hundredth of a millisecond.
        self.assertLessEqual(sum(figures[:-1]), figures[-1] + 0.04)
        # A reconstruction computes twice; what no stage has is handing from thread to thread. The
        # least of several: another process may take the processor at such a moment.
        noise = serving.photo(256, 256)
        shares = []
        for _ in range(5):
            answer = self.server.post("/v1/reconstruct?size=256", noise, "application/octet-stream")
            *stages, total = map(float, re.findall(r"dur=([\d.]+)", answer.headers["server-timing"]))
            shares.append(sum(stages) / total)
        self.assertGreater(max(shares), 0.97)
        self.assertLessEqual(max(shares), 1.01)

    def test_statistics_keep_the_last_hour(self):
        with serving.Server(self.model) as server:
            server.post("/v1/encode?size=32", self.png, "application/octet-stream")
            self.assertNotIn("history", server.get("/v1/statistics").json())
            answer = server.get("/v1/statistics?history=true").json()
            reading, = answer["history"]  # the first; the next is due ten seconds later
            self.assertLessEqual(reading["uptime_seconds"], answer["uptime_seconds"])
            for name in ("requests", "request_seconds"):
                self.assertLessEqual(set(reading[name]), set(answer[name]))
            self.assertEqual(server.get("/v1/statistics?history=1").problem(), "bad-parameter")

    def test_most_used_codes_are_of_the_window(self):
        self.encode(self.png)
        for window in ("process", "1m"):
            top = self.server.get(f"/v1/codebook?window={window}").json()["codebooks"][1]["top"]
            counts = self.server.get(f"/v1/codebook/usage?window={window}").json()["counts"]
            self.assertEqual([code["count"] for code in top], sorted(counts[12:], reverse=True)[:len(top)])
        self.assertEqual(len(self.server.get("/v1/codebook/usage?window=training").json()["counts"]), 32)
        self.assertEqual(self.server.get("/v1/codebook?window=training").problem(), "bad-parameter")

    def test_what_has_not_happened_is_counted_as_0(self):
        with serving.Server(self.model) as server:
            page = server.get("/metrics", admin=True).body.decode()
            for series in ('vqct_refused_total{reason="images"} 0',
                           'vqct_reloads_total{what="model",result="failed",model="tiny"} 0',
                           'vqct_codebook_tokens{codebook="noun",window="1m",model="tiny"} 0'):
                self.assertIn(series + "\n", page)
            # No token is no usage: a window in which nothing came has no figure.
            for name in ("usage_ratio", "perplexity", "dead_codes", "drift"):
                self.assertNotIn("vqct_codebook_" + name, page)
            names = set(re.findall(r"^(process_\w+) ", page, re.M))
            self.assertEqual(names, {"process_cpu_seconds_total", "process_max_fds",
                                     "process_open_fds", "process_resident_memory_bytes",
                                     "process_start_time_seconds"})
            self.check_by_promtool(page)

    def check_by_promtool(self, page):
        found = subprocess.run(["promtool", "check", "metrics"], input=page, text=True,
                               capture_output=True)
        self.assertEqual((found.returncode, found.stdout + found.stderr), (0, ""))

    def test_promtool_likes_a_page_with_everything(self):
        """Of a model that knows its training, after a request: drift is there too."""
        with serving.Server(os.path.join(serving.ROOT, "models/vqct-small.safetensors")) as server:
            self.assertEqual(server.post("/v1/encode", serving.photo()).status, 200)
            page = server.get("/metrics", admin=True).body.decode()
            self.assertIn("vqct_codebook_drift{", page)
            self.check_by_promtool(page)

    def test_cors_is_for_listed_origins(self):
        listed = {"Origin": "https://page.example"}
        answer = self.server.get("/v1/model", listed)
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://page.example")
        self.assertEqual(answer.headers["vary"], "Origin")
        self.assertEqual(self.server.get("/v1/model").headers["vary"], "Origin")
        answer = self.server.raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual(answer.status, 204)
        self.assertIn("POST", answer.headers["allow"])
        for origin in ("https://other.example", "https://page.example.evil", "null"):
            answer = self.server.get("/v1/model", {"Origin": origin})
            self.assertNotIn("access-control-allow-origin", answer.headers)
        answer = self.server.request("OPTIONS", "/v1/encode", headers={
            **listed, "Access-Control-Request-Method": "POST"})
        self.assertEqual((answer.status, answer.headers["access-control-allow-methods"]),
                         (204, "POST, OPTIONS"))

    def test_curl_multipart_and_expect(self):
        path = os.path.join(self.folder.name, "picture.png")
        with open(path, "wb") as file:
            file.write(self.png)
        url = f"http://127.0.0.1:{self.server.port}/v1/encode?size=32"
        expected = self.tokens(self.png).ravel()
        for arguments in (["-F", f"image=@{path}"],
                          ["--data-binary", f"@{path}", "-H", "Content-Type: image/png"],
                          ["--data-binary", f"@{path}", "-H", "Content-Type: image/png", "-H",
                           "Expect: 100-continue"],
                          ["--data-binary", f"@{path}", "-H", "Content-Type: image/png", "-H",
                           "Transfer-Encoding: chunked"]):
            out = subprocess.check_output(["curl", "-sS", "--fail", *arguments, url])
            np.testing.assert_array_equal(np.ravel(json.loads(out)["images"][0]["tokens"]),
                                          expected)

    def test_metrics_are_well_formed(self):
        self.encode(self.png)
        page = self.server.get("/metrics", admin=True)
        self.assertTrue(page.headers["content-type"].startswith("text/plain; version=0.0.4"))
        names, seen = {}, set()
        for line in page.body.decode().splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                names[name] = kind
                continue
            if line.startswith("#"):
                continue
            series, value = line.rsplit(" ", 1)
            self.assertNotIn(series, seen)
            seen.add(series)
            float(value)
            name = re.sub("_(bucket|sum|count)$", "", series.split("{")[0])
            self.assertIn(names.get(series.split("{")[0], names.get(name)),
                          ("counter", "gauge", "histogram"), series)
        for name, kind in names.items():
            self.assertEqual(kind == "counter", name.endswith("_total"), name)
        rows = [(float(le), int(n)) for le, n in re.findall(
            r'vqct_compute_duration_seconds_bucket{operation="encode",model="tiny",le="([^"]+)"} (\d+)',
            page.body.decode())]
        self.assertEqual(rows, sorted(rows))
        self.assertEqual(rows[-1][1], self.server.metric(
            'vqct_images_total{operation="encode",model="tiny"}'))

    def test_a_model_without_a_decoder(self):
        path = os.path.join(self.folder.name, "encoder.safetensors")
        serving.make_model(path, decoder_blocks=0)
        with serving.Server(path) as server:
            tokens = server.post("/v1/encode?size=32", serving.photo())
            self.assertEqual(tokens.status, 200)
            for answer in (server.post("/v1/decode", tokens.body, kind="application/json"),
                           server.post("/v1/reconstruct", serving.photo())):
                self.assertEqual((answer.status, answer.problem()), (404, "not-found"))
                self.assertIn("the model has no decoder: it only encodes", answer.json()["detail"])

    def test_health_command(self):
        def run(*arguments):
            return subprocess.run([serving.VQCT, "health", *arguments], capture_output=True,
                                  text=True)
        address = f"127.0.0.1:{self.server.admin_port}"
        for arguments in (["--admin-listen", address], ["--admin-listen", address, "--live"]):
            self.assertEqual(run(*arguments).returncode, 0)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            done = run("--admin-listen", f"127.0.0.1:{port}", "--timeout", "100ms")
            self.assertEqual(done.returncode, 14)
        self.assertEqual(run("--admin-listen", f"127.0.0.1:{port}").returncode, 14)

    def test_all_addresses_are_of_both_families(self):
        if not socket.has_dualstack_ipv6():
            self.skipTest("no IPv6 here")
        for every in ("*", "[::]"):
            with serving.Server(self.model, "--listen", f"{every}:0", "--admin-listen",
                                f"{every}:0") as server:
                for family in ("127.0.0.1", "::1"):
                    socket.create_connection((family, server.port), serving.PATIENCE).close()
                    socket.create_connection((family, server.admin_port), serving.PATIENCE).close()
                for host in (every, "127.0.0.1", "[::1]"):
                    done = subprocess.run([serving.VQCT, "health", "--admin-listen",
                                           f"{host}:{server.admin_port}"], capture_output=True)
                    self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
