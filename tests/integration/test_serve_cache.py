"""The cache of tokens by content: what is found is what would be computed, and counts as that."""
import base64
import collections
import concurrent.futures
import json
import os
import signal
import shutil
import unittest

import numpy as np

import serving

JSON = "application/json"
NPY = "application/x-npy"


def told(answer):
    return answer.headers.get("x-vqct-cache")


def form(files):
    parts = b"".join(b'--limit\r\nContent-Disposition: form-data; name="p"; filename="x"\r\n\r\n'
                     + data + b"\r\n" for data in files)
    return parts + b"--limit--\r\n", "multipart/form-data; boundary=limit"


class Cached(serving.ModelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = os.path.join(cls.folder.name, "other")
        serving.make_model(cls.other, seed=8)
        cls.plain = serving.Server(cls.model)  # computes everything
        cls.addClassCleanup(cls.plain.__exit__, None)

    def serve(self, cache="64M", *options, model=None):
        server = serving.Server(model or self.model, *options, cache=cache)
        self.addCleanup(server.__exit__, None)
        return server

    def encode(self, server, data, query="size=32", **headers):
        return server.post(f"/v1/encode?{query}", data, "image/png", **headers)

    def test_what_is_found_is_what_is_computed(self):
        server = self.serve()
        for query in ("size=32", "size=32&words=true", "resize=none", "size=32&encode=base64"):
            for accept in (JSON, NPY):
                if accept == NPY and "words" in query:
                    continue
                expected = self.encode(self.plain, self.png, query, Accept=accept)
                self.assertIsNone(told(expected))
                self.encode(server, self.png, query)
                found = self.encode(server, self.png, query, Accept=accept)
                self.assertEqual((told(found), found.body), ("hit", expected.body), query)

    def test_all_that_decides_tokens_tells_pictures_apart(self):
        server = self.serve("64M", "--model", f"other={self.other}", model=f"first={self.model}")
        queries = ("size=32", "size=36", "size=32x36", "size=36x32", "resize=none",
                   "resize=contain&size=32", "size=32&crop=0,0,64,63", "size=32&crop=0,0,63,64",
                   "size=32&crop=1,0,63,64", "size=32&crop=0,1,63,63", "size=32&focus=0,0",
                   "size=32&focus=0,1", "size=32&focus=1,0", "size=32&model=other")
        for query in queries:
            self.assertEqual(told(self.encode(server, self.png, query)), "miss", query)
        self.assertEqual(told(self.encode(server, self.png + b"x")), "miss")
        for query in queries:
            self.assertEqual(told(self.encode(server, self.png, query)), "hit", query)
        self.assertEqual(told(self.encode(server, self.png, "size=32&model=first")), "hit")
        self.assertEqual(told(self.encode(server, self.png, "size=32&crop=0,0,64,64")), "miss")
        self.assertEqual(server.metric("vqct_cache_misses_total"), len(queries) + 2)
        self.assertEqual(server.metric("vqct_cache_hits_total"), len(queries) + 1)
        self.assertEqual(server.metric("vqct_cache_evictions_total"), 0)

    def test_hits_count_and_cost_no_network(self):
        server, labels = self.serve(), '{operation="encode",model="tiny"}'
        for count in range(1, 4):
            self.encode(server, self.png)
            self.assertEqual(server.metric("vqct_images_total" + labels), count)
            self.assertEqual(server.metric("vqct_tokens_total" + labels), count * 2 * 64)
            self.assertEqual(server.metric("vqct_compute_duration_seconds_count" + labels), 1)
            usage = 'vqct_codebook_tokens{codebook="noun",window="process",model="tiny"}'
            self.assertEqual(server.metric(usage), 64 * count)
        statistics = server.get("/v1/statistics").json()
        self.assertEqual((statistics["images"], statistics["tokens"]), (3, 3 * 2 * 64))
        self.assertGreater(server.metric("vqct_cache_bytes"), 2 * 64 * 4)

    def test_several_pictures(self):
        server = self.serve()
        files = [serving.photo(seed=seed) for seed in range(4)]
        self.assertEqual(told(server.post("/v1/encode?size=32", *form(files[:2]))), "miss")
        mixed = server.post("/v1/encode?size=32", *form([files[2], files[0], b"none", files[1]]))
        self.assertEqual(told(mixed), "partial")
        expected = self.plain.post("/v1/encode?size=32", *form([files[2], files[0], b"none", files[1]]))
        self.assertEqual(mixed.json(), expected.json())
        listed = json.dumps({"images": [base64.b64encode(one).decode() for one in files[:3]]}).encode()
        found = server.post("/v1/encode?size=32", listed, JSON)
        self.assertEqual(told(found), "hit")
        self.assertEqual(found.json(), self.plain.post("/v1/encode?size=32", listed, JSON).json())

    def test_what_has_no_tokens_is_not_kept(self):
        server = self.serve()
        for _ in range(2):
            self.assertEqual(self.encode(server, self.png[:-40]).status, 422)
        self.assertEqual(server.metric("vqct_cache_bytes"), 0)
        self.assertEqual(server.metric("vqct_cache_hits_total"), 0)
        for _ in range(2):
            self.assertIsNone(told(server.post("/v1/reconstruct?size=32", self.png)))
            self.assertIsNone(told(self.encode(server, self.png, "size=32&vectors=codes")))
        self.assertEqual(server.metric("vqct_cache_misses_total"), 2)  # the damaged one

    def test_inference(self):
        server = self.serve()
        body = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1],
                                       "data": [base64.b64encode(self.png).decode()]}]}).encode()
        path = "/v2/models/tiny.encode/infer?size=32"
        expected = self.plain.post(path, body, JSON).json()
        answers = [server.post(path, body, JSON) for _ in range(2)]
        self.assertEqual([told(answer) for answer in answers], ["miss", "hit"])
        self.assertEqual([answer.json()["outputs"] for answer in answers], [expected["outputs"]] * 2)
        self.assertEqual(told(self.encode(server, self.png)), "hit")

    def test_another_model_under_the_same_name(self):
        path = self.path("changing")
        shutil.copy(self.model, path)
        server = self.serve(model=path)
        first = self.encode(server, self.png)
        for count, (source, expected) in enumerate(((self.other, "miss"), (self.model, "hit")), 1):
            shutil.copy(source, path + ".new")
            os.rename(path + ".new", path)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("reload", count)
            answer = self.encode(server, self.png)
            self.assertEqual(told(answer), expected)
        self.assertEqual(answer.body, first.body)

    def test_the_least_recently_used_goes(self):
        """The hits of a table of Python's that holds as many."""
        server = self.serve()
        self.encode(server, self.png)
        one = int(server.metric("vqct_cache_bytes"))
        small = self.serve(str(10 * one))
        files = [serving.photo(seed=seed) for seed in range(25)]
        rng, table, hits = np.random.default_rng(1), collections.OrderedDict(), 0
        for number in rng.zipf(1.3, 300) % 25:
            expected = "hit" if number in table else "miss"
            table[number] = None
            table.move_to_end(number)
            if len(table) > 10:
                table.popitem(last=False)
            hits += expected == "hit"
            self.assertEqual(told(self.encode(small, files[number])), expected)
        self.assertEqual(small.metric("vqct_cache_hits_total"), hits)
        self.assertEqual(small.metric("vqct_cache_evictions_total"), 300 - hits - 10)
        self.assertEqual(small.metric("vqct_cache_bytes"), 10 * one)

    def test_many_clients_evict_what_others_ask_for(self):
        files = [serving.photo(seed=seed) for seed in range(12)]
        expected = [self.encode(self.plain, one).json()["images"] for one in files]
        server = self.serve("3000", "--codec-threads", "4")

        def ask(number):
            answer = self.encode(server, files[number])
            return told(answer), answer.json()["images"] == expected[number]

        numbers = np.random.default_rng(2).integers(0, 12, 400).tolist()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, numbers))
        self.assertTrue(all(right for _, right in answers))
        self.assertGreater(server.metric("vqct_cache_evictions_total"), 100)
        self.assertEqual(server.metric("vqct_cache_hits_total") +
                         server.metric("vqct_cache_misses_total"), 400)
        self.assertLessEqual(server.metric("vqct_cache_bytes"), 3000)


if __name__ == "__main__":
    unittest.main()
