"""OpenBLAS as core/kernels/blas.c loads it: no thread of its own, and never a wrong one unnoticed."""

import os
import subprocess
import sys
import tempfile
import unittest

LIBRARY = os.path.abspath(os.path.join(os.environ.get("VQCT_BUILD", "build/release"),
                                       "libvqct-internal.so"))

OPEN = """
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1])
before = len(os.listdir("/proc/self/task")), os.sched_getaffinity(0)
error = ctypes.create_string_buffer(4096)
status = library.blas_open(error)
after = len(os.listdir("/proc/self/task")), os.sched_getaffinity(0)
print(status, before == after, error.raw.replace(bytes(1), b" ").decode(errors="replace").strip())
"""

# What an OpenBLAS has that computes nothing; and one that its own serial build would be.
FAKE = """
int openblas_get_parallel(void) { return PARALLEL; }
char *openblas_get_corename(void) { return "Imagined"; }
void cblas_dgemm(void) {}
void cblas_dsymm(void) {}
void dpstrf_(void) {}
void dsyevr_(void) {}
"""


def open_blas(**environment):
    """Status, whether threads and processors stayed what they were, and the message."""
    run = subprocess.run([sys.executable, "-c", OPEN, LIBRARY], capture_output=True, text=True,
                         check=True, env={**os.environ, **environment})
    status, same, message = (run.stdout.rstrip("\n") + " ").split(" ", 2)
    return int(status), same == "True", message


class Blas(unittest.TestCase):
    def test_no_thread(self):
        for environment in ({}, {"OPENBLAS_NUM_THREADS": "4"}, {"OPENBLAS_NUM_THREADS": "1"}):
            with self.subTest(environment):
                self.assertEqual(open_blas(**environment)[:2], (0, True))

    def test_wrong_library(self):
        for parallel, word in ((1, "OPENBLAS_CORETYPE"), (0, "libopenblas0-pthread")):
            with self.subTest(word), tempfile.TemporaryDirectory() as folder:
                source = os.path.join(folder, "fake.c")
                with open(source, "w", encoding="utf-8") as file:
                    file.write(FAKE)
                subprocess.run(["cc", "-shared", "-fPIC", f"-DPARALLEL={parallel}", source, "-o",
                                os.path.join(folder, "libopenblas.so.0")], check=True)
                status, same, message = open_blas(LD_LIBRARY_PATH=folder)
                self.assertEqual((status, same), (14, True), message)
                self.assertIn(word, message)

    def test_no_library(self):
        with tempfile.TemporaryDirectory() as folder:
            open(os.path.join(folder, "libopenblas.so.0"), "wb").close()
            status, same, message = open_blas(LD_LIBRARY_PATH=folder)
            self.assertEqual((status, same), (14, True), message)
            self.assertIn("cannot load OpenBLAS", message)


if __name__ == "__main__":
    unittest.main()
