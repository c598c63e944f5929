"""The same tokens and bits on every processor with fused multiply-add: what same_bits.c prints with
each instruction set of this machine, and as a program for arm64 under qemu's user emulation."""
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


def output(*argv, **environment):
    done = subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True,
                          check=True)
    return done.stdout


class SameBits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.uname().machine != "x86_64":
            raise unittest.SkipTest("compares x86-64's instruction sets with arm64's")
        with open("/proc/cpuinfo", encoding="ascii") as file:
            cls.flags = next(line for line in file if line.startswith("flags")).split()
        if "avx2" not in cls.flags or "fma" not in cls.flags:
            raise unittest.SkipTest("this processor has no fused multiply-add")
        config = os.path.basename(BUILD)
        cls.native = make(f"{BUILD}/tests/deploy/same_bits", f"CONFIG={config}")
        cls.wanted = output(cls.native, VQCT_MAX_ISA="avx2")

    def test_avx512_gives_the_bits_of_avx2(self):
        if "avx512vl" not in self.flags:
            self.skipTest("this processor has no AVX-512")
        self.assertEqual(output(self.native, VQCT_MAX_ISA="avx512"), self.wanted)

    def test_arm64_gives_the_bits_of_avx2(self):
        for program in (CROSS, QEMU):
            if not shutil.which(program):
                self.skipTest(f"{program} is not installed (`make deps-test`)")
        program = make("build/arm64/same_bits", f"CC={CROSS}", "CONFIG=arm64",
                       "PKG_FLAGS=-idirafter /usr/include",  # jansson.h is the same for all
                       "CFLAGS=-ffunction-sections -fdata-sections")
        self.assertEqual(output(QEMU, program), self.wanted)

    def test_instructions_are_limited(self):
        """Without fused multiply-add the bits are others, so the limit does limit."""
        self.assertNotEqual(output(self.native, VQCT_MAX_ISA="baseline"), self.wanted)


if __name__ == "__main__":
    unittest.main()
