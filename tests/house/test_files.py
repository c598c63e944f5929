"""No two files need each other, and no room uses a symbol of a room that it may not include."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from house import includes, needs, room, symbols, units  # noqa: E402


def path(graph, start, end):
    """The files of a shortest way, [start, ..., end]; None where there is none."""
    before, front = {start: None}, [start]
    while front and end not in before:
        following = []
        for file in front:
            for other in sorted(graph.get(file, ())):
                if other not in before:
                    before[other] = file
                    following.append(other)
        front = following
    if end not in before:
        return None
    way = [end]
    while before[way[-1]] is not None:
        way.append(before[way[-1]])
    return way[::-1]


def reachable(graph, start):
    seen, front = set(), [start]
    while front:
        for other in graph.get(front.pop(), ()):
            if other not in seen:
                seen.add(other)
                front.append(other)
    return seen


def circles(graph):
    """Sets of files each of which needs every other, directly or not."""
    reach = {file: reachable(graph, file) for file in graph}
    groups = {frozenset(other for other in reach[file] if file in reach.get(other, ()))
              for file in graph if file in reach[file]}
    return sorted(map(set, groups), key=sorted)


def drawn(graph, circle):
    """A shortest circle through the first of its files, with what each needs of the next."""
    first = min(circle)
    ways = [way for way in (path(graph, other, first) for other in graph[first] & circle) if way]
    way = [first, *min(ways, key=lambda w: (len(w), w))]
    defined, used = symbols()
    lines = []
    for file, needed in zip(way, way[1:]):
        names = sorted(name for name in used.get(file, ()) if defined.get(name) == needed)
        lines.append(f"  {file} needs {needed} for {', '.join(names) or 'its declarations'}")
    return f"a circle of {len(circle)} files: {' '.join(sorted(circle))}\n" + "\n".join(lines)


class Circles(unittest.TestCase):
    def test_no_two_files_need_each_other(self):
        found = circles(needs())
        if found:
            self.fail("\n" + "\n".join(drawn(needs(), circle) for circle in found))

    def test_a_circle_is_found(self):
        graph = {"a.c": {"a.h", "b.c"}, "b.c": {"c.c", "a.h"}, "c.c": {"a.c"}, "d.c": {"a.c"},
                 "e.h": {"f.h"}, "f.h": {"e.h"}, "a.h": set()}
        self.assertEqual(circles(graph), [{"a.c", "b.c", "c.c"}, {"e.h", "f.h"}])
        self.assertEqual(path(graph, "b.c", "a.c"), ["b.c", "c.c", "a.c"])


class Rooms(unittest.TestCase):
    def test_every_file_is_looked_at(self):
        """A table that is empty would pass every test of this file."""
        defined, used = symbols()
        for unit in units():
            self.assertIn(unit.source, includes())
            self.assertTrue(unit.source in used or unit.source in defined.values(), unit.source)

    def test_a_room_uses_symbols_of_rooms_it_may_include(self):
        """The compiler's search path keeps headers apart; this, what is declared by hand. Everybody
        may use the public interface."""
        defined, used = symbols()
        allowed = {unit.source: {room(folder + "/") for folder in unit.folders()}
                   for unit in units()}
        for file, names in used.items():
            for name in sorted(names):
                other = room(defined.get(name, file))
                if not name.startswith("vqct_") and other != room(file):
                    self.assertIn(other, allowed[file], f"{file} uses {name} of {defined.get(name)}")


if __name__ == "__main__":
    unittest.main()
