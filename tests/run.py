#!/usr/bin/python3
"""Runs the tests and adds up what they say.

    tests/run.py --build build/release [NAME...]

Each Check program under BUILD/tests/unit and each Python file test_*.py of tests/house,
tests/reference, tests/integration, tests/python and tests/deploy is one test program; NAME picks
those whose path contains it. The last line is 'N passed, N failed' (', N skipped' where a machine lacks something); the exit
status is 1 if any test failed or none ran.
"""
import argparse
import glob
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TIME_LIMIT = 900  # seconds for one program
CHECK_LIMIT = 120  # seconds for one test of a Check program; its own 4 are few on a busy machine


def programs(build, names):
    """The test programs as (label, argv)."""
    found = []
    for path in sorted(glob.glob(f"{ROOT}/{build}/tests/unit/*/test_*")):
        if os.access(path, os.X_OK) and not path.endswith((".o", ".d")):
            source = os.path.relpath(path, f"{ROOT}/{build}") + ".c"
            if os.path.exists(f"{ROOT}/{source}"):
                found.append((source[len("tests/"):-2], [path]))
    for room in ("house", "reference", "integration", "python", "deploy"):
        for path in sorted(glob.glob(f"{ROOT}/tests/{room}/test_*.py")):
            label = os.path.relpath(path, f"{ROOT}/tests")[:-3]
            found.append((label, [sys.executable, path, "-v"]))
    return [(label, argv) for label, argv in found if not names or any(n in label for n in names)]


def count(output, code):
    """(passed, failed, skipped) from the closing lines of Check or unittest."""
    check = re.search(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)", output)
    if check:
        total, failures, errors = map(int, check.groups())
        return total - failures - errors, failures + errors, 0
    ran = re.search(r"^Ran (\d+) tests? in", output, re.M)
    if not ran:
        return 0, 1, 0
    closing = output[ran.end():]
    figures = dict(re.findall(r"(failures|errors|skipped)=(\d+)", closing))
    failed = int(figures.get("failures", 0)) + int(figures.get("errors", 0))
    skipped = int(figures.get("skipped", 0))
    # What fails for a whole class is an error, but not among the tests that ran.
    whole = len(re.findall(r"^ERROR: (?:setUp|tearDown)(?:Class|Module) ", output, re.M))
    return int(ran[1]) - (failed - whole) - skipped, failed, skipped


def run(label, argv, environment):
    start = time.monotonic()
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", cwd=ROOT, env=environment, timeout=TIME_LIMIT)
        output, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as expired:
        output, code = (expired.stdout or b"").decode(errors="replace") + "\ntoo slow\n", 124
    passed, failed, skipped = count(output, code)
    if code and not failed:
        failed = 1
    verdict = "FAILED" if failed else "ok"
    print(f"{label:48} {passed:4} passed {failed:3} failed {skipped:3} skipped"
          f" {time.monotonic() - start:6.1f} s  {verdict}", flush=True)
    for reason in sorted(set(re.findall(r"(?:\.\.\. |^)(skipped.*)", output, re.M))):
        print(f"    {reason}")
    if failed:
        print(output[-12000:])
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    environment = dict(os.environ, VQCT_BUILD=arguments.build, OMP_NUM_THREADS="2",
                       CK_DEFAULT_TIMEOUT=str(CHECK_LIMIT))
    results = [run(label, argv, environment)
               for label, argv in programs(arguments.build, arguments.names)]
    passed, failed, skipped = (sum(column) for column in zip(*results)) if results else (0, 0, 0)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
