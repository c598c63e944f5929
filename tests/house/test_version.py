"""The version stands in the Makefile; wherever else it must be written, it is the same."""
import os
import re
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLACES = {  # file: the expressions that must be found in it
    "CHANGELOG.md": [r"^## ([\d.]+)$"],
    "Dockerfile": [r"^ARG VERSION=(.*)$"],
    "docs/deploy.md": [r"vqct:([\d.]+\d)", r"vqct_([\d.]+\d)\.deb"],
    "python/README.md": [r"vqct_([\d.]+\d)\.deb"],
    "python/pyproject.toml": [r'^version = "(.*)"$'],
    "include/vqct/status.h": [r'such as "([\d.]+)"'],
    "deploy/docker-compose.yaml": [r"image: vqct:(.*)$"],
    "deploy/kubernetes/base/deployment.yaml": [r"image: vqct:(.*)$"],
    "deploy/kubernetes/jobs/tokenize.yaml": [r"image: vqct:(.*)$"],
    "deploy/kubernetes/jobs/train-mpi.yaml": [r"image: vqct-training:(.*)$"],
}


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


class Version(unittest.TestCase):
    def test_one_version_everywhere(self):
        version = re.search(r"^VERSION := (\S+)$", text("Makefile"), re.M)[1]
        program = os.path.join(ROOT, os.environ["VQCT_BUILD"], "vqct")
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        self.assertIn(version, said.stdout.split())
        for path, expressions in PLACES.items():
            for expression in expressions:
                found = re.findall(expression, text(path), re.M)
                self.assertTrue(found, f"{path}: nothing like {expression}")
                found = found[:1] if path == "CHANGELOG.md" else found
                self.assertEqual(set(found), {version}, path)


if __name__ == "__main__":
    unittest.main()
