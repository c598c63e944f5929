"""Every route and schema of openapi.json against what the server does."""
import base64
import json
import os
import re
import sys
import unittest

import jsonschema

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

JSON = "application/json"


class OpenApi(serving.ModelCase):
    options = []

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.document = cls.server.get("/openapi.json").json()

    def resolve(self, value):
        while "$ref" in value:
            value, path = self.document, value["$ref"]
            for part in path[2:].split("/"):
                value = value[part]
        return value

    def check(self, answer, method, path):
        """The answer's status, type and body against the document; JSON bodies only by schema."""
        responses = self.document["paths"][path][method]["responses"]
        written = [name for name in (str(answer.status), f"{answer.status // 100}XX") if name in responses]
        described = self.resolve(responses[written[0]])
        named = {name.lower() for name in described.get("headers", {})}
        self.assertLessEqual({name for name in answer.headers if name.startswith("x-vqct-")}, named)
        kind = answer.headers["content-type"]
        self.assertIn(kind, described["content"], (method, path, answer.body[:200]))
        if kind.endswith("json"):
            schema = {"components": self.document["components"], **described["content"][kind]["schema"]}
            jsonschema.Draft202012Validator(schema).validate(answer.json())

    def test_the_routes_are_those_of_the_code(self):
        with open(os.path.join(serving.ROOT, "server/api/routes.c")) as file:
            text = file.read()
        public = text[:text.index("service_admin_routes[]")]
        served = set(re.findall(r'\{"(GET|POST)", "(/v[12]\b[^"]*|/openapi\.json)"', public))
        written = {(method.upper(), path) for path, methods in self.document["paths"].items()
                   for method in methods}
        self.assertEqual(served, written)

    def test_every_problem_type_is_listed(self):
        with open(os.path.join(serving.ROOT, "server/http/reply.h")) as file:
            found = re.findall(r'X\([A-Z_]+, \d+, "([a-z-]+)"', file.read())
        listed = self.document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
        self.assertEqual(sorted(f"urn:vqct:problem:{name}" for name in found), sorted(listed))

    def test_answers_fit_their_schemas(self):
        post = self.server.post
        many = json.dumps({"images": [base64.b64encode(self.png).decode(), "!"]}).encode()
        tokens = post("/v1/encode?size=32&words=true", many, JSON)
        self.check(tokens, "post", "/v1/encode")
        self.check(post("/v1/encode?size=32", self.png), "post", "/v1/encode")
        self.check(post("/v1/encode?size=32", b"junk"), "post", "/v1/encode")
        for kind in (JSON, "image/png", "image/jpeg", "image/webp"):
            document = json.loads(tokens.body)
            if kind != JSON:
                document["images"].pop()
            answer = post("/v1/decode", json.dumps(document).encode(), JSON, Accept=kind)
            self.assertEqual(answer.status, 200)
            self.check(answer, "post", "/v1/decode")
        self.check(post("/v1/decode", b"{}", JSON), "post", "/v1/decode")
        for kind in (JSON, "image/png", "image/jpeg", "image/webp", "text/html"):
            self.check(post("/v1/reconstruct?size=8&words=true", self.png, Accept=kind), "post",
                       "/v1/reconstruct")
        self.check(post("/v1/reconstruct?size=8", many, JSON, Accept=JSON), "post",
                   "/v1/reconstruct")
        given = {"name": "image", "datatype": "BYTES", "shape": [1],
                 "data": [base64.b64encode(self.png).decode()]}
        for body in ({"inputs": [given], "id": "x"}, {"inputs": []}):
            self.check(post("/v2/models/tiny.encode/infer?size=32", json.dumps(body).encode(), JSON),
                       "post", "/v2/models/{id}/infer")
        self.check(post("/v2/models/tiny.encode/infer?size=32", json.dumps(
            {"inputs": [given], "parameters": {"binary_data_output": True}}).encode(), JSON), "post",
                   "/v2/models/{id}/infer")
        for query in ("encode=base64", "encode=base64&words=true"):
            self.check(post(f"/v1/encode?size=32&{query}", self.png), "post", "/v1/encode")
            self.check(post(f"/v1/reconstruct?size=32&{query}", self.png, Accept=JSON), "post", "/v1/reconstruct")
        for query in ("vectors=codes", "vectors=encodings&pool=mean", "vectors=none"):
            self.check(post(f"/v1/encode?size=32&{query}", self.png), "post", "/v1/encode")
        for path, given in (("/v1/codebook/vectors", None), ("/v1/model", None), ("/v1/models", None), ("/v2", None),
                            ("/v2/health/live", None), ("/v2/health/ready", None),
                            ("/v2/models/{id}", "/v2/models/tiny.decode"),
                            ("/v2/models/{id}", "/v2/models/tiny"),
                            ("/v2/models/{id}/ready", "/v2/models/tiny.encode/ready"), ("/v1/model", "/v1/model?model=none"),
                             ("/v1/codebook", None), ("/openapi.json", None),
                            ("/v1/statistics", None), ("/v1/codebook/usage", None),
                            ("/v1/statistics", "/v1/statistics?history=true"),
                            ("/v1/codebook/codes/{id}", "/v1/codebook/codes/3"),
                            ("/v1/codebook/codes/{id}", "/v1/codebook/codes/x"),
                            ("/v1/codebook/usage", "/v1/codebook/usage?window=1s")):
            self.check(self.server.get(given or path), "get", path)

    def test_every_parameter_is_taken(self):
        values = {"resize": "cover", "size": "40x20", "crop": "1,2,30,20", "focus": "0.2,1",
                  "words": "true", "quality": "50", "lossless": "true", "encode": "base64",
                  "model_check": "off", "window": "10m", "X-Request-Timeout-Ms": "50000", "grid": "1x1", "id": "4",
                  "history": "true", "model": "tiny", "vectors": "codes", "pool": "mean",
                  "Inference-Header-Content-Length": "1", "Priority": "u=5"}
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                query, headers, place = "", {}, path
                given = [one for one in map(self.resolve, operation.get("parameters", []))
                         if not (one["name"] in ("words", "encode") and path == "/v1/encode")]  # not of vectors
                for parameter in given:
                    value = values[parameter["name"]]
                    if parameter["in"] == "query":
                        query += f"&{parameter['name']}={value}"
                    elif parameter["in"] == "header":
                        headers[parameter["name"]] = value
                    else:
                        place = place.replace("{" + parameter["name"] + "}", value)
                body = None
                if path.startswith("/v2/models"):
                    place = path.replace("{id}", "tiny.encode")
                    headers.pop("Inference-Header-Content-Length", None)
                if path.endswith("/infer"):
                    body = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1],
                                                   "data": [base64.b64encode(self.png).decode()]}]}).encode()
                elif method == "post":
                    headers["Content-Type"] = "application/octet-stream"
                    body = b"\0\0\x0c\0" if path == "/v1/decode" else self.png
                answer = self.server.request(method.upper(), f"{place}?{query[1:]}", body, headers)
                self.assertEqual(answer.status, 200, (path, answer.body[:200]))

    def test_the_document_is_sound(self):
        """Every reference leads somewhere, and every schema is one."""
        def walk(value):
            if isinstance(value, dict):
                if "$ref" in value:
                    self.resolve(value)
                for part in value.values():
                    walk(part)
            elif isinstance(value, list):
                for part in value:
                    walk(part)
        walk(self.document)
        self.assertEqual(self.document["openapi"], "3.1.0")
        for schema in self.document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)


if __name__ == "__main__":
    unittest.main()
