"""docs/architecture.md against the code: its table of rooms, its journeys, and the files it names.

In a journey, what is indented must be called or handed on by the function that it stands under:
that function's text names it.
"""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from house import ROOT, room, units  # noqa: E402

PAGE = "docs/architecture.md"
STEP = re.compile(r"^( *)(?:-|\d+\.) `([\w/]+\.c):(\w+)`")


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def body(path, function):
    """The definition of a function, "" where the file has none: from a line that is not indented
    and names it to a brace that is not indented either."""
    found = re.search(rf"^\w[\w *]*\b{function}\([^;{{]*\) \{{$.*?^\}}", text(path), re.M | re.S)
    return found[0] if found else ""


def steps(page):
    """(depth, file, function) of each step; depth in columns."""
    for line in page.splitlines():
        step = STEP.match(line)
        if step:
            yield len(step[1]), step[2], step[3]


class Page(unittest.TestCase):
    def test_files_that_it_names_are_there(self):
        names = re.findall(r"`((?:core|server|command|config|include|docs|tests|deploy)/[^`:*\s]+)",
                           text(PAGE))
        self.assertGreater(len(names), 50)
        for name in names:
            self.assertTrue(os.path.exists(os.path.join(ROOT, name)), name)

    def test_rooms_are_those_of_the_makefile(self):
        allowed = {}
        for unit in units():
            folders = {room(folder + "/") for folder in unit.folders()}
            allowed[room(unit.source)] = folders - {room(unit.source), "include"}
        rows = re.findall(r"^\| `([\w/]+)` \|[^|]*\|([^|]*)\|$", text(PAGE), re.M)
        self.assertEqual({name for name, _ in rows}, set(allowed))
        for name, others in rows:
            self.assertEqual(set(re.findall(r"\w+", others)),
                             {other.split("/")[-1] for other in allowed[name]}, name)

    def test_functions_of_the_journeys_are_there(self):
        named = re.findall(r"`([\w/]+\.c):(\w+)`", text(PAGE))
        self.assertGreater(len(named), 60)
        for path, function in named:
            self.assertTrue(body(path, function), f"{path} defines no {function}")

    def test_steps_call_one_another(self):
        above = []
        for depth, path, function in steps(text(PAGE)):
            while above and above[-1][0] >= depth:
                above.pop()
            if above:
                _, caller_path, caller = above[-1]
                self.assertRegex(body(caller_path, caller), rf"\b{function}\b",
                                 f"{caller_path}:{caller} does not name {function}")
            above.append((depth, path, function))


if __name__ == "__main__":
    unittest.main()
