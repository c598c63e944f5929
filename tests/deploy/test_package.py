"""What `make install` lays down: the tree, manual pages, completion and the systemd unit."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("VQCT_BUILD", "build/release")
VQCT = os.path.join(ROOT, BUILD, "vqct")


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
