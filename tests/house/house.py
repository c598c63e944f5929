"""What the build knows of the program's files: how each is compiled, what it includes, which symbols
it defines and uses."""
import collections
import functools
import json
import os
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.relpath(os.path.join(ROOT, os.environ["VQCT_BUILD"]), ROOT)


class Unit(collections.namedtuple("Unit", "source object arguments")):
    """A file of the program and one object of it: files of core/kernels/simd have several."""

    def folders(self):
        """The folders of its search path inside the repository."""
        return {word[2:] for word in self.arguments if word.startswith("-I") and word[2] != "/"}


@functools.lru_cache(None)
def units():
    """The units of the library, the command and the server, as `make compile-commands` lists them."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["make", "-s", "compile-commands", f"COMPILE_COMMANDS={file.name}",
                        f"B={BUILD}"], cwd=ROOT, check=True,
                       env={**os.environ, "MAKEFLAGS": ""})  # no job of the make that runs tests
        entries = json.load(file)
    return [Unit(entry["file"], entry["output"], entry["arguments"]) for entry in entries
            if not entry["file"].startswith("tests/")]


def room(path):
    """The part of the tree that a file belongs to, by the rule of the Makefile."""
    parts = path.split("/")
    return parts[0] if parts[0] in ("command", "config", "include") else "/".join(parts[:2])


def dependencies(arguments, files):
    """{file: the headers of the repository that it includes, however indirectly}, from `cc -MM`."""
    flags = [word for word in arguments if word.startswith(("-I", "-D", "-std"))]
    text = subprocess.run([*compiler(arguments), *flags, "-MM", "-x", "c", *files], cwd=ROOT,
                          check=True, capture_output=True, text=True).stdout
    needed = {}
    for rule in text.replace("\\\n", " ").splitlines():
        first, *others = rule.split(":", 1)[1].split()
        needed[first] = set(others)
    return needed


def compiler(arguments):
    """The words before the first flag: a compiler, and what it may be called through."""
    return arguments[:next(i for i, word in enumerate(arguments) if word.startswith("-"))]


@functools.lru_cache(None)
def includes():
    """{file: headers it includes}, of the files and of the headers themselves."""
    needed, of_room = {}, {}
    for unit in units():
        of_room.setdefault(room(unit.source), (unit.arguments, set()))[1].add(unit.source)
    for arguments, sources in of_room.values():
        needed.update(dependencies(arguments, sorted(sources)))
    headers = set().union(*needed.values())
    everything = of_room["command"][0]
    for name in {room(header) for header in headers}:
        arguments = of_room[name][0] if name in of_room else everything
        needed.update(dependencies(arguments, sorted(h for h in headers if room(h) == name)))
    return needed


@functools.lru_cache(None)
def symbols():
    """({symbol: the file that defines it}, {file: the symbols that it uses}), from the objects."""
    defined, used = {}, collections.defaultdict(set)
    text = subprocess.run(["nm", "-gA", *(unit.object for unit in units())], cwd=ROOT, check=True,
                          capture_output=True, text=True).stdout
    source = {unit.object: unit.source for unit in units()}
    for line in text.splitlines():
        place, symbol = line.split(":", 1)
        kind, name = symbol.split()[-2:]
        if kind in "Uwv":
            used[source[place]].add(name)
        else:
            defined[name] = source[place]
    return defined, used


@functools.lru_cache(None)
def needs():
    """{file: the files that it includes or whose symbols it uses}."""
    defined, used = symbols()
    graph = {file: set(headers) for file, headers in includes().items()}
    for file, names in used.items():
        graph[file] |= {defined[name] for name in names if name in defined}
    return {file: needed - {file} for file, needed in graph.items()}
