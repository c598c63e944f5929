"""Vectors of codes and of encodings, against NumPy's own arithmetic on the codebook."""
import base64
import io
import json
import os
import sys
import threading
import unittest

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

NPY = "application/x-npy"


def array(answer):
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == NPY
    return np.load(io.BytesIO(answer.body))


class Vectors(serving.ModelCase):
    """Of a model with two adjectives a position, a plain one, and one that compares directions."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.models = {"two": {"adjective_k": 2}, "plain": {"quantizer": "plain", "adjectives": 0},
                      "length": {"quantizer": "plain", "adjectives": 0, "l2_normalize": True}}
        options = []
        for name, changes in cls.models.items():
            path = os.path.join(cls.folder.name, name)
            serving.make_model(path, seed=3, **changes)
            options += ["--model", f"{name}={path}"]
        cls.server = serving.Server(f"tiny={cls.model}", *options)
        cls.addClassCleanup(cls.server.__exit__, None)

    def encode(self, query, file=None, kind="application/octet-stream", **headers):
        return self.server.post(f"/v1/encode?{query}", self.png if file is None else file, kind, **headers)

    def tokens(self, model, query="size=32"):
        answer = self.encode(f"{query}&model={model}").json()
        image = answer["images"][0]
        return np.array(image["tokens"]).reshape(-1, *image["grid"]), answer["planes"]

    def codebook(self, model):
        return array(self.server.get(f"/v1/codebook/vectors?model={model}"))

    def test_the_codebook(self):
        for model in ("tiny", *self.models):
            page = self.server.get(f"/v1/model?model={model}").json()
            vectors = self.codebook(model)
            self.assertEqual((vectors.shape, vectors.dtype),
                             ((page["codes"], page["code_dimension"]), np.float32))
            code = self.server.get(f"/v1/codebook/codes/3?model={model}").json()
            book = vectors[:12] if page["planes"][0]["count"] == 12 else vectors
            distances = ((book.astype(float) - book[3].astype(float)) ** 2).sum(1)
            order = [one for one in np.argsort(distances, kind="stable") if one != 3]
            self.assertEqual([one["token"] for one in code["nearest"]], order[:10])
            np.testing.assert_allclose([one["distance"] for one in code["nearest"]],
                                       distances[order[:10]], rtol=1e-5)  # six digits
        self.assertEqual(self.server.get("/v1/codebook/vectors", {"Accept": "text/html"}).problem(),
                         "not-acceptable")
        self.assertEqual(self.server.get("/v1/codebook/vectors?model=none").problem(), "unknown-model")
        self.assertEqual(self.server.request("HEAD", "/v1/codebook/vectors").body, b"")

    def values(self, model):
        """Z, h, w: for each codebook the mean of the rows that its planes name."""
        tokens, planes = self.tokens(model)
        book = self.codebook(model).astype(float)
        if model == "length":
            book /= np.linalg.norm(book, axis=1, keepdims=True)
        parts = []
        for first in dict.fromkeys(plane["first"] for plane in planes):
            same = [tokens[p] for p, plane in enumerate(planes) if plane["first"] == first]
            parts.append(np.mean([book[one] for one in same], axis=0).transpose(2, 0, 1))
        return np.concatenate(parts)

    def test_codes_are_those_of_the_tokens(self):
        for model in ("tiny", *self.models):
            vectors = array(self.encode(f"size=32&vectors=codes&model={model}"))
            expected = self.values(model)
            self.assertEqual((vectors.shape, vectors.dtype), (expected.shape, np.float32))
            np.testing.assert_allclose(vectors, expected, rtol=1e-6, atol=1e-7)

    def test_encodings_are_nearest_to_the_tokens(self):
        for model in ("tiny", *self.models):
            vectors = array(self.encode(f"size=32&vectors=encodings&model={model}")).astype(float)
            tokens, planes = self.tokens(model)
            book, d = self.codebook(model).astype(float), self.codebook(model).shape[1]
            if model == "length":
                book /= np.linalg.norm(book, axis=1, keepdims=True)
                vectors /= np.linalg.norm(vectors, axis=0, keepdims=True)
            firsts = list(dict.fromkeys(plane["first"] for plane in planes))
            self.assertEqual(len(vectors), d * len(firsts))
            for half, first in enumerate(firsts):
                same = [p for p, plane in enumerate(planes) if plane["first"] == first]
                rows = book[first:first + planes[same[0]]["count"]]
                z = vectors[half * d:(half + 1) * d].reshape(d, -1).T
                order = np.argsort(((z[:, None] - rows[None]) ** 2).sum(2), axis=1, kind="stable")
                for rank, plane in enumerate(same):
                    np.testing.assert_array_equal(order[:, rank] + first, tokens[plane].reshape(-1))

    def test_the_mean(self):
        for kind in ("codes", "encodings"):
            whole = array(self.encode(f"size=32x64&vectors={kind}"))
            answer = self.encode(f"size=32x64&vectors={kind}&pool=mean")
            self.assertEqual(answer.headers["x-vqct-shape"], "1,16")
            mean = array(answer)
            self.assertEqual(mean.shape, (16,))
            np.testing.assert_allclose(mean, whole.astype(float).mean((1, 2)), rtol=1e-7, atol=1e-9)

    def test_many_and_packed(self):
        files = [serving.photo(seed=seed, form="PNG") for seed in range(5)]
        body = json.dumps({"images": [base64.b64encode(file).decode() for file in files]}).encode()
        for query in ("vectors=codes", "vectors=encodings", "vectors=encodings&pool=mean"):
            many = array(self.encode(f"size=32&{query}", body, "application/json"))
            self.assertEqual(len(many), 5)
            for file, one in zip(files, many):  # bit for bit, whatever it shared a batch with
                np.testing.assert_array_equal(array(self.encode(f"size=32&{query}", file)), one)
            packed = self.encode(f"size=32&{query}", body, "application/json",
                                 Accept="application/octet-stream")
            self.assertEqual(packed.body, many.astype("<f4").tobytes())
            self.assertEqual(packed.headers["x-vqct-shape"], ",".join(map(str, many.shape)))

    def test_they_do_not_mix_with_tokens_in_a_batch(self):
        """Side by side in one queue, each gets what it asked for."""
        expected = {query: self.encode(query).body for query in
                    ("size=32", "size=32&vectors=encodings", "size=32&vectors=codes")}
        wrong = []

        def client(query):
            for _ in range(15):
                if self.encode(query).body != expected[query]:
                    wrong.append(query)
        threads = [threading.Thread(target=client, args=(query,)) for query in 2 * list(expected)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_what_is_refused(self):
        for query in ("vectors=", "vectors=none", "pool=mean", "vectors=codes&pool=", "vectors=codes&pool=max",
                      "vectors=codes&words", "vectors=codes&encode=base64", "vectors=codes&vectors=codes"):
            self.assertEqual(self.encode("size=32&" + query).problem(), "bad-parameter", query)
        answer = self.encode("size=32&vectors=codes", Accept="application/json")
        self.assertEqual(answer.problem(), "not-acceptable")
        self.assertEqual(self.server.post("/v1/reconstruct?vectors=codes", self.png).problem(), "bad-parameter")
        self.assertEqual(self.encode("size=32&vectors=codes", b"junk").status, 422)

    def test_the_bound_on_bytes_holds(self):
        """8 channels twice, 4 bytes, a 16th of the pixels: 4 bytes a pixel, and twice for encodings."""
        with serving.Server(self.model, "--queue-bytes", "100K") as server:
            for query, status in (("size=128&vectors=codes", 200), ("size=176&vectors=codes", 422),
                                  ("size=112&vectors=encodings", 200), ("size=128&vectors=encodings", 422),
                                  ("size=128&vectors=encodings&pool=mean", 200),
                                  ("size=176&vectors=codes&pool=mean", 200)):
                answer = server.post(f"/v1/encode?{query}", self.png)
                self.assertEqual(answer.status, status, query)
            self.assertEqual(server.metric("vqct_queue_bytes"), 0)


if __name__ == "__main__":
    unittest.main()
