"""What `make install` lays down: the tree, manual pages, completion and the systemd unit."""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("VQCT_BUILD", "build/release")
VQCT = os.path.join(ROOT, BUILD, "vqct")
PYTHON = sys.executable


def run(*argv, **options):
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, **options)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


def serve_options():
    return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", run(VQCT, "serve", "--help"), re.M))


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.tree = cls.folder.name
        environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
        run("make", "install", f"CONFIG={os.path.basename(BUILD)}", f"DESTDIR={cls.tree}",
            "PREFIX=/usr", env=environment)

    def path(self, *parts):
        return os.path.join(self.tree, *parts)

    def page(self, path):
        """A manual page as text; groff must find no fault in it."""
        done = subprocess.run(["groff", "-man", "-Tascii", "-P-c", "-ww", self.path(path)],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return re.sub(r".\x08", "", done.stdout)

    def test_manual_names_every_command_and_exit_status(self):
        page = self.page("usr/share/man/man1/vqct.1")
        for line in run(VQCT, "--help").splitlines():
            found = re.match(r"  +([a-z]+|\d+)  ", line)
            if found:
                self.assertRegex(page, rf"(?m)^ +{found[1]}\b")
        self.assertNotIn("@", page.replace("@cat.jpg", ""))

    def test_manual_names_every_option_of_the_configuration(self):
        page = self.page("usr/share/man/man5/vqct.json.5")
        # A short name without a value has its text beside it.
        named = set(re.findall(r"(?m)^ {7}([a-z-]+)(?: [][A-Z:=]+|  \S.*)?$", page))
        self.assertEqual(named, serve_options() - {"config", "help"})

    def test_shipped_configuration_holds_options(self):
        with open(self.path("etc/vqct/vqct.json")) as file:
            self.assertLessEqual(set(json.load(file)), serve_options())

    def test_installing_again_keeps_the_configuration(self):
        path = self.path("etc/vqct/vqct.json")
        with open(path, "w") as file:
            file.write('{"workers": 2}\n')
        run("make", "install", f"CONFIG={os.path.basename(BUILD)}", f"DESTDIR={self.tree}",
            "PREFIX=/usr")
        with open(path) as file:
            self.assertEqual(file.read(), '{"workers": 2}\n')

    def test_unit_waits_longer_than_the_drain(self):
        with open(self.path("usr/lib/systemd/system/vqct.service")) as file:
            unit = dict(re.findall(r"(?m)^(\w+)=(.*)$", file.read()))
        self.assertEqual(unit["ExecStart"], "/usr/bin/vqct serve --config /etc/vqct/vqct.json")
        with open(os.path.join(ROOT, "config/vqct.json")) as file:
            settings = json.load(file)
        drain = sum(int(settings[name].rstrip("s")) for name in ("drain-delay", "drain-timeout"))
        self.assertGreater(int(unit["TimeoutStopSec"]), drain)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not installed")
    def test_unit_is_hardened(self):
        path = self.path("usr/lib/systemd/system/vqct.service")
        output = run("systemd-analyze", "security", "--offline=true", "--no-pager", path)
        score = re.search(r"exposure level for vqct.service: ([\d.]+)", output)[1]
        self.assertLessEqual(float(score), 1.2)  # 0 is safe, 10 is not

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not installed")
    def test_units_are_sound(self):
        installed, folder = self.path("usr/lib/systemd/system"), self.path("units")
        units = sorted(os.listdir(installed))
        self.assertEqual(units, ["vqct-admin.socket", "vqct.service", "vqct.socket"])
        os.mkdir(folder)
        for name in units:  # where the program is said to be there is none here
            with open(os.path.join(installed, name)) as file, \
                    open(os.path.join(folder, name), "w") as copy:
                copy.write(file.read().replace("/usr/bin/vqct", VQCT))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                               *(os.path.join(folder, name) for name in units)],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_sockets_have_the_names_that_the_service_takes(self):
        for name, option in ("vqct", "listen"), ("vqct-admin", "admin-listen"):
            with open(self.path(f"usr/lib/systemd/system/{name}.socket")) as file:
                self.assertIn(f"\nFileDescriptorName={option}\n", file.read())
            self.assertIn(option, serve_options())

    def test_program_builds_against_what_is_installed(self):
        source, program = self.path("try.c"), self.path("try")
        with open(source, "w") as file:
            file.write('#include <stdio.h>\n#include "vqct/model.h"\n'
                       'int main(void) { puts(vqct_version()); }\n')
        environment = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=self.tree,
                           PKG_CONFIG_PATH=self.path("usr/lib/pkgconfig"))
        flags = run("pkg-config", "--cflags", "--libs", "vqct", env=environment).split()
        run("cc", source, "-o", program, f"-L{self.path('usr/lib')}",
            f"-I{self.path('usr/include')}", *flags)
        output = run(program, env=dict(os.environ, LD_LIBRARY_PATH=self.path("usr/lib")))
        self.assertEqual(f"vqct {output}", run(VQCT, "--version"))

    def test_static_library_keeps_its_inner_names(self):
        """A program's own `gather`, a name that the library has too, is not taken for the library's."""
        source, program, model = self.path("own.c"), self.path("own"), self.path("m.safetensors")
        with open(source, "w") as file:
            file.write("""
                #include <stdlib.h>
                #include "vqct/model.h"
                void gather(void) { abort(); }
                int main(int argc, char **argv) {
                  struct vqct_model *model;
                  struct vqct_session *session;
                  static uint8_t picture[16 * 16 * 3];
                  const uint8_t *pixels[] = {picture};
                  uint32_t row[3 * 4 * 4], *tokens[] = {row};
                  if (argc == 1)
                    gather();
                  return vqct_model_open(argv[1], &model, NULL) ||
                         vqct_session_new(model, 1, &session, NULL) ||
                         vqct_encode(session, pixels, 1, 16, 16, tokens, NULL);
                }""")
        run(VQCT, "init", "--preset", "vqct-tiny", "-o", model)
        libraries = run("pkg-config", "--libs", *self.requirements()).split()
        run("cc", source, "-o", program, f"-I{self.path('usr/include')}",
            self.path("usr/lib/libvqct.a"), *libraries, "-lm", "-pthread")
        run(program, model)

    def requirements(self):
        """The packages that the library needs of its own."""
        with open(self.path("usr/lib/pkgconfig/vqct.pc")) as file:
            return re.search(r"(?m)^Requires.private: (.*)$", file.read())[1].split()

    def complete(self, *words):
        """What bash offers for the last word."""
        script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vqct; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'
        path = self.path("usr/share/bash-completion/completions/vqct")
        return run("bash", "-c", script, "bash", path, VQCT, *words).split()

    # What Python code does with the package, wherever its files lie: the model and tokens of the tree.
    USE = """if True:
        import sys, numpy, vqct, importlib.metadata
        tokens = vqct.Model(sys.argv[1]).encode(sys.argv[2], size=32)
        numpy.testing.assert_array_equal(tokens, numpy.load(sys.argv[3]))
        numpy.testing.assert_array_equal(vqct.tokens(sys.argv[3])[0], tokens[0])
        print(vqct.__file__, importlib.metadata.version("vqct"))
    """

    def use_python(self, modules):
        """Uses the package in the folder `modules`, with the installed library."""
        model, picture, tokens = self.path("m.safetensors"), "tests/data/coffee.jpg", self.path("t.npy")
        run(VQCT, "init", "--preset", "vqct-tiny", "-o", model)
        run(VQCT, "encode", model, picture, "-o", tokens, "--size", "32")
        environment = dict(os.environ, PYTHONPATH=modules, LD_LIBRARY_PATH=self.path("usr/lib"))
        environment.pop("VQCT_LIBRARY", None)
        found, version = run(PYTHON, "-c", self.USE, model, picture, tokens, env=environment).split()
        self.assertTrue(found.startswith(modules + "/"), found)
        self.assertEqual(run(VQCT, "--version"), f"vqct {version}\n")

    @unittest.skipUnless(shutil.which("dpkg-deb"), "dpkg-deb is not installed")
    def test_debian_package_of_python(self):
        version = run(VQCT, "--version").split()[1]
        package, tree = self.path("python.deb"), self.path("unpacked")
        run("deploy/debian/build-python-package", "python", self.path("python-tree"), version, package)
        run("dpkg-deb", "-x", package, tree)
        said = dict(line.split(": ", 1) for line in run("dpkg-deb", "-f", package).splitlines()
                    if not line.startswith(" "))
        self.assertEqual((said["Package"], said["Version"], said["Architecture"]),
                         ("python3-vqct", version, "all"))
        self.assertEqual(said["Depends"], f"vqct (= {version}), python3 (>= 3.9), python3-numpy")
        modules = os.path.join(tree, "usr/lib/python3/dist-packages")
        self.assertEqual(sorted(name for name in os.listdir(os.path.join(ROOT, "python/vqct")) if name != "__pycache__"),
                         sorted(os.listdir(os.path.join(modules, "vqct"))))
        self.use_python(modules)

    @unittest.skipUnless(importlib.util.find_spec("pip") and importlib.util.find_spec("wheel"),
                         "pip and wheel are not installed")
    def test_pip_installs_the_package_of_python(self):
        source, modules = self.path("python-source"), self.path("modules")
        shutil.copytree(os.path.join(ROOT, "python"), source, ignore=shutil.ignore_patterns("__pycache__"))
        run(PYTHON, "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation",
            "--root-user-action=ignore", "--target", modules, source)
        self.assertTrue(os.path.exists(os.path.join(modules, "vqct/py.typed")))
        self.use_python(modules)

    def test_completion(self):
        for words, expected in (
                (("ser",), ["serve"]),
                (("--v",), ["--version"]),
                (("serve", "--queue-p"), ["--queue-pixels"]),
                (("serve", "--tls-certificate", "x", "--drain-d"), ["--drain-delay"]),
                (("prior", "sh"), ["show"]),
                (("prior", "embed", "--he"), ["--help"]),
                (("inspect", "file"), []),
                (("nonsense", "--x"), [])):
            self.assertEqual(self.complete(*words), expected, words)
        self.assertIn("encode", self.complete(""))


if __name__ == "__main__":
    unittest.main()
