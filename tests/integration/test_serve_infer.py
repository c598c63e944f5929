"""The Open Inference Protocol, by a client that is written from its published document."""
import base64
import gzip
import io
import json
import os
import re
import sys
import unittest

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

NUMBERS = {"BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1",
           "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FP32": "<f4"}
SIZE = "Inference-Header-Content-Length"


def name_of(dtype):
    return next(name for name, code in NUMBERS.items() if np.dtype(code) == dtype)


def pack(array):
    """A tensor as the binary extension has it: numbers in rows, or texts after their lengths."""
    if array.dtype == object:
        return b"".join(len(text).to_bytes(4, "little") + text for text in array.reshape(-1))
    return array.astype(NUMBERS[name_of(array.dtype)]).tobytes()


def unpack(data, output):
    if output["datatype"] != "BYTES":
        return np.frombuffer(data, NUMBERS[output["datatype"]]).reshape(output["shape"])
    texts = []
    while data:
        size = int.from_bytes(data[:4], "little")
        texts.append(data[4:4 + size])
        data = data[4 + size:]
    return np.array(texts, object).reshape(output["shape"])


class Client:
    """Sends tensors to a model and reads those that come back, as JSON or behind it."""

    def __init__(self, server):
        self.server = server

    def get(self, path):
        answer = self.server.get("/v2" + path)
        return answer.status, answer.json()

    def request(self, tensors, outputs=(), binary=True, **members):
        """Body and headers; outputs are (name, parameters)."""
        inputs, tail = [], b""
        for name, array in tensors.items():
            one = {"name": name, "shape": list(array.shape),
                   "datatype": "BYTES" if array.dtype == object else name_of(array.dtype)}
            if binary:
                one["parameters"] = {"binary_data_size": len(pack(array))}
                tail += pack(array)
            elif array.dtype == object:
                one["data"] = [base64.b64encode(text).decode() for text in array.reshape(-1)]
            else:
                one["data"] = array.tolist()
            inputs.append(one)
        document = {"inputs": inputs, **members}
        if outputs:
            document["outputs"] = [{"name": name, "parameters": given} for name, given in outputs]
        head = json.dumps(document).encode()
        kind = "application/octet-stream" if binary else "application/json"
        headers = {"Content-Type": kind, **({SIZE: str(len(head))} if binary else {})}
        return head + tail, headers

    def read(self, answer):
        """The JSON and the tensors of an answer, by name."""
        head = int(answer.headers.get(SIZE.lower(), len(answer.body)))
        document, tail, tensors = json.loads(answer.body[:head]), answer.body[head:], {}
        for output in document["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            if size is not None:
                tensors[output["name"]] = unpack(tail[:size], output)
                tail = tail[size:]
            elif output["datatype"] == "BYTES":
                tensors[output["name"]] = [base64.b64decode(text) for text in output["data"]]
            else:
                dtype = NUMBERS[output["datatype"]]
                tensors[output["name"]] = np.array(output["data"], dtype).reshape(output["shape"])
        assert not tail, len(tail)
        return document, tensors

    def infer(self, model, tensors, outputs=(), binary=True, query="", **members):
        body, headers = self.request(tensors, outputs, binary, **members)
        answer = self.server.request("POST", f"/v2/models/{model}/infer{query}", body, headers)
        assert answer.status == 200, answer.body
        return self.read(answer)


def texts(*files):
    array = np.empty(len(files), object)
    array[:] = files
    return array


class Infer(serving.ModelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other, cls.encoder = (os.path.join(cls.folder.name, name) for name in ("other", "encoder"))
        serving.make_model(cls.other, seed=8, image_channels=1)
        serving.make_model(cls.encoder, seed=9, decoder_blocks=0)
        cls.server = serving.Server(f"a={cls.model}", "--model", f"grey={cls.other}", "--model",
                                    f"c={cls.encoder}")
        cls.addClassCleanup(cls.server.__exit__, None)
        cls.client = Client(cls.server)

    def tokens(self, file, query="", model="a"):
        """P, h, w of a picture by the API of our own."""
        image = self.server.post(f"/v1/encode?model={model}{query}", file,
                                 "application/octet-stream").json()["images"][0]
        return np.array(image["tokens"]).reshape(-1, *image["grid"])

    def test_the_server_and_its_models(self):
        status, server = self.client.get("")
        self.assertEqual((status, server["name"]), (200, "vqct"))
        self.assertIn("binary_tensor_data", server["extensions"])
        self.assertEqual(self.client.get("/health/live"), (200, {"live": True}))
        self.assertEqual(self.client.get("/health/ready"), (200, {"ready": True}))
        for version in ("", "/versions/1"):
            status, model = self.client.get("/models/a.encode" + version)
            self.assertEqual((status, model["name"], model["versions"]), (200, "a.encode", ["1"]))
            self.assertEqual([(one["name"], one["datatype"], one["shape"]) for one in model["inputs"]],
                             [("image", "BYTES", [-1]), ("pixels", "UINT8", [-1, -1, -1, 3])])
            self.assertEqual([(one["name"], one["datatype"], one["shape"]) for one in model["outputs"]],
                             [("tokens", "UINT32", [-1, 2, -1, -1])])
            self.assertEqual(self.client.get(f"/models/a.decode{version}/ready"),
                             (200, {"name": "a.decode", "ready": True}))
        status, model = self.client.get("/models/grey.decode")
        self.assertEqual([one["name"] for one in model["outputs"]], ["pixels", "image"])
        self.assertEqual(model["outputs"][0]["shape"], [-1, -1, -1, 1])
        for path in ("/models/a", "/models/b.encode", "/models/c.decode", "/models/.encode",
                     "/models/a.encode/versions/2", "/models/a.train/ready", "/nothing"):
            status, answer = self.client.get(path)
            self.assertEqual((status, list(answer)), (404, ["error"]), path)

    def test_pictures_to_tokens_and_back(self):
        files = [serving.photo(80, 64, seed, form) for seed, form in ((1, "PNG"), (2, "JPEG"))]
        expected = np.stack([self.tokens(file, "&size=32") for file in files])
        for binary in (True, False):
            for outputs in ((), (("tokens", {"binary_data": True}),), (("tokens", {}),)):
                for dtype in ("UINT16", "UINT32", "INT64"):
                    wanted = [(name, {**given, "datatype": dtype}) for name, given in outputs]
                    document, tensors = self.client.infer(
                        "a.encode", {"image": texts(*files)}, wanted, binary, "?size=32", id="x\n1")
                    self.assertEqual((document["model_name"], document["model_version"],
                                      document["id"]), ("a.encode", "1", "x\n1"))
                    np.testing.assert_array_equal(tensors["tokens"], expected)
                    self.assertEqual(tensors["tokens"].dtype,
                                     NUMBERS[dtype] if outputs else NUMBERS["UINT32"])
        for dtype in ("<u2", "<u4", "<u8", "u1", "<i2", "<i4", "<i8"):
            given = {"tokens": expected.astype(dtype)}
            for binary in (True, False):
                document, tensors = self.client.infer(
                    "a.decode", given, (("image", {}), ("pixels", {"binary_data": binary})), binary)
                self.assertEqual([one["name"] for one in document["outputs"]], ["image", "pixels"])
                self.assertNotIn("id", document)
                for file, pixels, planes in zip(tensors["image"], tensors["pixels"], expected):
                    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(file))), pixels)
                    decoded = self.server.post("/v1/decode?model=a", json.dumps(
                        {"tokens": planes.reshape(2, -1).tolist(), "grid": [8, 8]}).encode(),
                        "application/json").body
                    self.assertEqual(decoded, file)
        _, tensors = self.client.infer("a.decode", {"tokens": expected}, parameters={"binary_data_output": True})
        self.assertEqual(sorted(tensors), ["image", "pixels"])

    def test_a_body_without_json_is_a_picture(self):
        """Triton's raw binary request: the one text of the input, without its length."""
        path, raw = "/v2/models/{}/infer?size=32", {SIZE: "0", "Content-Type": "application/octet-stream"}
        for form in "PNG", "JPEG":
            file = serving.photo(80, 64, 1, form)
            for model, body, more in (("a", file, {}), ("grey", file, {}),
                                      ("a", gzip.compress(file), {"Content-Encoding": "gzip"})):
                answer = self.server.request("POST", path.format(model + ".encode"), body, {**raw, **more})
                self.assertEqual(answer.status, 200, answer.body)
                document, tensors = self.client.read(answer)
                self.assertIn("binary_data_size", document["outputs"][0]["parameters"])
                self.assertEqual((tensors["tokens"].dtype, len(tensors["tokens"])), (np.dtype("<u4"), 1))
                np.testing.assert_array_equal(tensors["tokens"][0], self.tokens(file, "&size=32", model))
        for body in (b"", b"{}", self.png[:-20], self.client.request({"image": texts(self.png)})[0]):
            self.refuse(body, raw, status=422)
        tokens = np.zeros((1, 2, 1, 1), "<u4").tobytes()
        self.assertIn("shape of tokens", self.refuse(tokens, raw, "a.decode"))

    def test_pixels_are_taken_as_they_are(self):
        for model, channels in (("a", 3), ("grey", 1)):
            pixels = np.random.default_rng(3).integers(0, 256, (2, 24, 40, channels), dtype=np.uint8)
            files = []
            for one in pixels:
                file = io.BytesIO()
                Image.fromarray(one if channels == 3 else one[:, :, 0]).save(file, "PNG")
                files.append(file.getvalue())
            expected = np.stack([self.tokens(file, "&resize=none", model) for file in files])
            for binary in (True, False):
                _, tensors = self.client.infer(f"{model}.encode", {"pixels": pixels}, binary=binary)
                np.testing.assert_array_equal(tensors["tokens"], expected)
            _, tensors = self.client.infer(f"{model}.encode", {"image": texts(*files)}, query="?resize=none")
            np.testing.assert_array_equal(tensors["tokens"], expected)

    def test_what_counts_elsewhere_counts_here(self):
        """Compression, the deadline, the figures: the same way through the service."""
        body, headers = self.client.request({"image": texts(self.png)}, binary=True)
        before = sum(self.server.get("/v1/codebook/usage?model=a").json()["counts"])
        answer = self.server.request("POST", "/v2/models/a.encode/infer?size=32", gzip.compress(body),
                                     {**headers, "Content-Encoding": "gzip"})
        self.assertEqual(answer.status, 200, answer.body)
        np.testing.assert_array_equal(self.client.read(answer)[1]["tokens"][0], self.tokens(self.png, "&size=32"))
        after = sum(self.server.get("/v1/codebook/usage?model=a").json()["counts"])
        self.assertEqual(after - before, 2 * 2 * 64)
        self.assertIn("compute;dur=", answer.headers["server-timing"])
        answer = self.server.request("POST", "/v2/models/a.encode/infer", body,
                                     {**headers, "X-Request-Timeout-Ms": "0"})
        self.assertEqual((answer.status, list(answer.json())), (400, ["error"]))
        text = self.server.get("/metrics", admin=True).body.decode()
        self.assertTrue(re.search(r'vqct_http_requests_total\{route="/v2/models/\{id\}/infer",'
                                  r'method="POST",code="200",model="a"\}', text))

    def refuse(self, body, headers=None, model="a.encode", status=400, query=""):
        answer = self.server.request("POST", f"/v2/models/{model}/infer{query}", body, headers or {})
        self.assertEqual(answer.status, status, (body[:300], answer.body))
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(list(answer.json()), ["error"])
        return answer.json()["error"]

    def test_an_output_s_type_beside_its_name(self):
        body = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1],
                            "data": [base64.b64encode(self.png).decode()]}],
                "outputs": [{"name": "tokens", "datatype": "INT64"}]}
        answer = self.server.request("POST", "/v2/models/a.encode/infer", json.dumps(body).encode())
        self.assertEqual((answer.status, answer.json()["outputs"][0]["datatype"]), (200, "INT64"))

    def test_bad_documents(self):
        good = base64.b64encode(self.png).decode()
        image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [good]}

        def inputs(*changed, **members):
            return {"inputs": [{**image, **one} for one in changed], **members}
        for document, status in (
                ([], 400), ({}, 400), ({"inputs": {}}, 400), ({"inputs": [5]}, 400), (inputs(), 400),
                (inputs({}, {}), 400), (inputs(*[{"data": ["AA=="]}] * 10000), 400),
                (inputs({"name": 5}), 400), (inputs({"name": "tokens"}), 400), (inputs({"name": ""}), 400),
                (inputs({"datatype": "FP32"}), 400), (inputs({"datatype": None}), 400),
                (inputs({"datatype": "UINT8"}), 400), (inputs({"shape": []}), 400),
                (inputs({"shape": [0]}), 400), (inputs({"shape": [2]}), 400), (inputs({"shape": [-1]}), 400),
                (inputs({"shape": [1.0]}), 400), (inputs({"shape": 1}), 400), (inputs({"shape": [1] * 9}), 400),
                (inputs({"shape": [1, 2]}), 400), (inputs({"shape": [2**62, 2**62]}), 400),
                (inputs({"shape": [2**63]}), 400), (inputs({"shape": [65], "data": [good] * 65}), 413),
                (inputs({"data": good}), 400), (inputs({"data": [good, good]}), 400),
                (inputs({"data": ["!"]}), 400), (inputs({"data": [5]}), 400), (inputs({"data": []}), 400),
                (inputs({"data": ["AAAA"]}), 422), (inputs({"data": [[[[[[[[[[good]]]]]]]]]]}), 400),
                (inputs({"parameters": {"binary_data_size": 4}}), 400),
                (inputs({}, id=5), 400), (inputs({}, id=2000 * "x"), 400),
                (inputs({}, outputs=[{"name": "pixels"}]), 400), (inputs({}, outputs=[{}]), 400),
                (inputs({}, outputs=[{"name": "tokens"}] * 2), 400), (inputs({}, outputs=[{"name": "tokens"}] * 10000), 400),
                (inputs({}, outputs=[{"name": "tokens", "parameters": {"datatype": "FP32"}}]), 400),
                (inputs({}, outputs=[{"name": "tokens", "parameters": {"datatype": 5}}]), 400),
                (inputs({}, outputs=[{"name": "tokens", "datatype": "FP32"}]), 400),
                (inputs({}, outputs="tokens"), 400), (inputs({}, parameters="x"), 400)):
            self.refuse(json.dumps(document).encode(), status=status)
        for data in (b"", b"{", b"\0", b"[" * 100000):
            self.refuse(data)
        self.assertEqual(self.server.request("POST", "/v2/models/a.encode/infer?size=32", json.dumps(
            inputs({}, outputs=[])).encode()).status, 200)

    def test_bad_numbers(self):
        def pixels(shape, data, datatype="UINT8"):
            return json.dumps({"inputs": [{"name": "pixels", "datatype": datatype, "shape": shape,
                                           "data": data}]}).encode()
        flat = [7] * 48
        self.assertEqual(self.server.request("POST", "/v2/models/a.encode/infer",
                                             pixels([1, 4, 4, 3], flat)).status, 200)
        for shape, data in (([1, 4, 4, 3], flat[1:]), ([1, 4, 4, 3], flat + [1]), ([4, 4, 3], flat),
                            ([1, 4, 4, 3], flat[1:] + [256]), ([1, 4, 4, 3], flat[1:] + [-1]),
                            ([1, 4, 4, 3], flat[1:] + [1.0]), ([1, 4, 4, 3], flat[1:] + ["1"]),
                            ([1, 4, 4, 1], [7] * 16), ([0, 4, 4, 3], []), ([1, 4, 4, 3], [flat, flat])):
            self.refuse(pixels(shape, data))
        self.refuse(pixels([1, 4, 4, 3], flat, "INT8"))
        for shape in ([1, 3, 4, 3], [1, 4, 6, 3], [1, 0, 4, 3], [1, 2**40, 4, 3]):
            self.refuse(pixels(shape, flat[:int(np.prod(shape[:3])) * 3]), status=422)
        self.refuse(pixels([1, 4096, 4096, 3], flat))  # more values than JSON may hold here

        def tokens(shape, data, datatype="INT64"):
            return json.dumps({"inputs": [{"name": "tokens", "datatype": datatype, "shape": shape,
                                           "data": data}]}).encode()
        for shape, data, status in (([1, 2, 1, 1], [0], 400), ([2, 1, 1], [0, 12], 400),
                                    ([1, 3, 1, 1], [0, 12, 12], 422), ([1, 2, 1, 1], [12, 12], 422),
                                    ([1, 2, 1, 1], [0, 32], 422), ([1, 2, 1, 1], [0, -1], 422),
                                    ([1, 2, 0, 1], [], 422), ([1, 2, 1, 1], [0, 2**70], 400)):
            self.refuse(tokens(shape, data), model="a.decode", status=status)
        self.refuse(tokens([1, 2, 1, 1], [0, 300], "UINT8"), model="a.decode")
        self.refuse(tokens([1, 2, 1, 1], [0, 12]), model="a.encode")
        self.refuse(tokens([1, 2, 1, 1], [0, 12]), model="c.decode", status=404)

    def test_pixels_in_json_are_bounded(self):
        """2^21 numbers: ten pictures of 256 x 256 pixels, and no eleventh."""
        tokens = np.zeros((11, 2, 64, 64), "<u2")
        tokens[:, 1] = 12
        for outputs in ((), (("pixels", {}),), (("image", {}), ("pixels", {}))):
            body, headers = self.client.request({"tokens": tokens}, outputs)
            self.assertIn("binary_data", self.refuse(body, headers, "a.decode", 406), outputs)
        _, tensors = self.client.infer("a.decode", {"tokens": tokens}, (("pixels", {"binary_data": True}),))
        self.assertEqual(tensors["pixels"].shape, (11, 256, 256, 3))
        document, _ = self.client.infer("a.decode", {"tokens": tokens[:10]}, (("pixels", {}),))
        self.assertEqual(len(document["outputs"][0]["data"]), 10 * 256 * 256 * 3)

    def test_bad_binary_tensors(self):
        body, headers = self.client.request({"image": texts(self.png, self.png)})
        head = int(headers[SIZE])
        for size in ("x", "-1", "99999999999", str(len(body) + 1), str(head - 1), str(head + 1)):
            self.refuse(body, {**headers, SIZE: size})
        self.refuse(body, {"Content-Type": "application/json"})
        self.refuse(body[:-1], headers)
        self.refuse(body + b"x", headers)
        for tail in (b"", b"\0", 8 * b"\0", b"\xff" * 8, b"\1\0\0\0x", b"\2\0\0\0x\1\0\0\0x"):
            for size in (len(tail), len(tail) + 1, 2**62, -1, "8", None):
                given = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [2],
                                                "parameters": {"binary_data_size": size}}]}).encode()
                wrong = size != len(tail) or tail != 8 * b"\0"
                self.refuse(given + tail, {SIZE: str(len(given))}, status=400 if wrong else 422)
        given = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["AAAA"],
                                        "parameters": {"binary_data_size": 4}}]}).encode()
        self.refuse(given + b"AAAA", {SIZE: str(len(given))})
        given = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["AAAA"]}]}).encode()
        self.refuse(given + b"AAAA", {SIZE: str(len(given))})

    def test_pictures_that_do_not_fit_together(self):
        small, large = serving.photo(16, 16), serving.photo(32, 16)
        body, headers = self.client.request({"image": texts(small, large)})
        self.refuse(body, headers, query="?resize=none", status=406)
        body, headers = self.client.request({"image": texts(small, b"junk")})
        self.assertIn("picture 1", self.refuse(body, headers, query="?size=32", status=422))
        self.refuse(body, headers, query="?size=33")
        self.refuse(body, headers, query="?words=true")

    def test_what_pictures_become_is_for_files_of_them(self):
        pixels = self.client.request({"pixels": np.zeros((1, 32, 32, 3), np.uint8)})
        tokens = self.client.request({"tokens": np.array([0, 12]).reshape(1, 2, 1, 1)})
        for query in ("?resize=none", "?size=32", "?crop=0,0,16,16", "?focus=0,0"):
            self.assertIn("image", self.refuse(*pixels, query=query))
            self.assertIn("allowed: none", self.refuse(*tokens, model="a.decode", query=query))

    def test_errors_of_the_server_have_the_protocols_form(self):
        for method, path, status in (("PUT", "/v2/models/a.encode", 405), ("POST", "/v2", 405),
                                     ("POST", "/v2/models/none.encode/infer", 404)):
            answer = self.server.request(method, path, b"{}")
            self.assertEqual((answer.status, list(answer.json())), (status, ["error"]), path)
        self.assertEqual(self.server.get("/v2x").problem(), "not-found")


class Keys(serving.ModelCase):
    def test_probes_need_no_key(self):
        path = self.path("keys")
        with open(path, "w") as file:
            file.write(64 * "0" + "\n")
        with serving.Server(self.model, "--api-keys", path) as server:
            for name, status in (("/v2/health/live", 200), ("/v2/health/ready", 200), ("/v2", 401),
                                 ("/v2/models/tiny.encode", 401)):
                self.assertEqual(server.get(name).status, status, name)
            self.assertEqual(list(server.get("/v2").json()), ["error"])


if __name__ == "__main__":
    unittest.main()
