"""The same tokens and bits on every processor with fused multiply-add: what same_bits.c prints with
the best instruction set of this machine, and as a program for arm64 under qemu's user emulation."""
import os
import shutil
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("VQCT_BUILD", "build/release")
CROSS = "aarch64-linux-gnu-gcc"
QEMU = "qemu-aarch64"


def make(target, *arguments):
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MAKELEVEL", "CC")}
    done = subprocess.run(["make", *arguments, target], cwd=ROOT, env=environment,
                          capture_output=True, text=True)
    assert done.returncode == 0, (target, done.stdout, done.stderr)
    return os.path.join(ROOT, target)


def output(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


class SameBits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.uname().machine != "x86_64":
            raise unittest.SkipTest("compares x86-64's instruction sets with arm64's")
        with open("/proc/cpuinfo", encoding="ascii") as file:
            flags = next(line for line in file if line.startswith("flags")).split()
        if "avx2" not in flags or "fma" not in flags:
            raise unittest.SkipTest("this processor has no fused multiply-add")
        config = os.path.basename(BUILD)
        cls.native = make(f"{BUILD}/tests/deploy/same_bits", f"CONFIG={config}")
        cls.wanted = output(cls.native)

    def test_arm64_gives_the_same_bits(self):
        for program in (CROSS, QEMU):
            if not shutil.which(program):
                self.skipTest(f"{program} is not installed (`make deps-test`)")
        program = make("build/arm64/same_bits", f"CC={CROSS}", "CONFIG=arm64",
                       "PKG_FLAGS=-idirafter /usr/include",  # jansson.h is the same for all
                       "CFLAGS=-ffunction-sections -fdata-sections")
        self.assertEqual(output(QEMU, program), self.wanted)


if __name__ == "__main__":
    unittest.main()
