"""Running `vqct` as a user does, for the tests of its commands."""
import os
import subprocess
import tempfile
import unittest

VQCT = os.path.abspath(os.path.join(os.environ["VQCT_BUILD"], "vqct"))


def vqct(*arguments, **options):
    return subprocess.run([VQCT, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                          **options)


def content(path):
    with open(path, "rb") as file:
        return file.read()


class CommandCase(unittest.TestCase):
    """Each class has a tiny model, `model`, in a folder `shared`; each test a folder of its own."""

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory()
        cls.model = os.path.join(cls.shared.name, "tiny.safetensors")
        done = vqct("init", "--preset", "vqct-tiny", "--seed", 3, "-o", cls.model)
        assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def assertFails(self, done, status, *words):
        """With this exit status and one line on standard error that has all the words."""
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
