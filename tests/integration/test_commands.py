"""encode, decode, reconstruct and bench, as a user runs them."""
import fcntl
import gzip
import io
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import unittest
import zlib

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from commands import VQCT, CommandCase, content, vqct  # noqa: E402

INVALID, READ, MODEL, TOKENS, WRITE, PARTIAL, DATA, INTERRUPTED = 2, 3, 5, 6, 7, 10, 11, 13


def picture(seed, width, height):
    """Smooth noise, which JPEG keeps well."""
    rng = np.random.default_rng(seed)
    shape = (max(2, height // 8), max(2, width // 8), 3)
    small = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
    return small.resize((width, height), Image.BICUBIC)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def records(path):
    """The lines of a .jsonl but the last, which has totals (`totals`)."""
    lines = [json.loads(line) for line in content(path).splitlines()]
    return lines[:-1] if "passed_over" in lines[-1] else lines


def totals(path):
    return json.loads(content(path).splitlines()[-1])


class CommandTest(CommandCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pictures = os.path.join(cls.shared.name, "pictures")
        os.makedirs(os.path.join(cls.pictures, "below"))
        for i in range(6):
            picture(i, 40 + 8 * i, 64 - 4 * i).save(f"{cls.pictures}/p{i}.png")
        picture(9, 50, 50).save(f"{cls.pictures}/below/deep.jpg")

    def encode(self, *arguments, status=0, **options):
        done = vqct("encode", self.model, *arguments, **options)
        self.assertEqual(done.returncode, status, done.stderr)
        return done


class Encode(CommandTest):
    def test_a_directory(self):
        self.encode(self.pictures, "-o", self.path("t.npy"), "--size", 32)
        tokens, found = np.load(self.path("t.npy")), records(self.path("t.jsonl"))
        self.assertEqual((tokens.shape, tokens.dtype), ((7, 3, 8, 8), np.uint16))
        self.assertEqual(sorted(os.listdir(self.folder)), ["t.jsonl", "t.npy"])
        names = [os.path.relpath(record["image"], self.pictures) for record in found[1:]]
        self.assertEqual(names, ["below/deep.jpg"] + [f"p{i}.png" for i in range(6)])
        self.assertEqual([record["row"] for record in found[1:]], list(range(7)))
        self.assertEqual(found[0]["planes"], [
            {"name": "adjective", "first": 0, "count": 12},
            {"name": "adjective-2", "first": 0, "count": 12},
            {"name": "noun", "first": 12, "count": 20}])
        self.assertTrue((tokens[:, :2] < 12).all() and (tokens[:, 2] >= 12).all())
        self.encode(self.pictures + "//", "-o", self.path("slashes.npy"), "--size", 32)
        self.assertEqual(content(self.path("slashes.jsonl")), content(self.path("t.jsonl")))

    def test_one_by_one_in_batches_and_by_threads_alike(self):
        results = []
        for i, (batch, threads) in enumerate([(1, 1), (3, 2), (7, 1), (2, 5)]):
            self.encode(self.pictures, "-o", self.path(f"{i}.npy"), "--size", 32, "-b", batch, "-t",
                        threads)
            results.append(content(self.path(f"{i}.npy")))
        self.assertEqual(len(set(results)), 1)
        self.encode(f"{self.pictures}/p4.png", "-o", self.path("one.npy"), "--size", 32)
        np.testing.assert_array_equal(np.load(self.path("one.npy"))[0],
                                      np.load(self.path("0.npy"))[5])

    def without_attention(self):
        """The model's architecture, but of large pictures too."""
        done = vqct("inspect", self.model, "--json")
        architecture = json.loads(done.stdout)["architecture"]
        return architecture | {"attention": [False] * 3, "middle_attention": False}

    def test_threads_keep_the_order_of_pictures_large_and_bad_ones_between(self):
        """A large one is computed by all threads together, and so are the last that they do not
        share evenly; all others each by one."""
        folder, model = self.path("mixed"), self.path("m.safetensors")
        os.mkdir(folder)
        for i in range(12):
            picture(i, 32 + 16 * (i % 3), 48).save(f"{folder}/{i:02}.png")
        picture(7, 2400, 2400).save(f"{folder}/06.png", compress_level=1)
        for i in (4, 5, 11):
            write(f"{folder}/{i:02}.png", b"bad")
        write(self.path("c.json"), json.dumps(self.without_attention()).encode())
        self.assertEqual(vqct("init", "-c", self.path("c.json"), "-o", model).returncode, 0)
        results = []
        for threads in (1, 5, 16):
            done = vqct("encode", model, folder, "-o", self.path(f"{threads}.bin"), "--resize", "none",
                        "-t", threads)
            self.assertEqual(done.returncode, PARTIAL, done.stderr)
            results.append([content(self.path(f"{threads}.{end}")) for end in ("bin", "jsonl")])
        for result in results[1:]:
            self.assertEqual(result, results[0])
        found = records(self.path("1.jsonl"))[1:]
        self.assertEqual([os.path.basename(record["image"]) for record in found],
                         [f"{i:02}.png" for i in range(12)])
        self.assertEqual([i for i in range(12) if "error" in found[i]], [4, 5, 11])

    def test_shards_of_a_tar_and_of_the_work(self):
        with tarfile.open(self.path("shard.tar"), "w") as tar:
            for i in range(5):
                data = io.BytesIO()
                picture(i, 40, 40).save(data, "PNG")
                for name, text in ((f"s{i}.png", data.getvalue()), (f"s{i}.json", b"{}")):
                    member = tarfile.TarInfo(name)
                    member.size = len(text)
                    tar.addfile(member, io.BytesIO(text))
        self.encode(self.path("shard.tar"), "-o", self.path("all.npy"), "--size", 40)
        whole = np.load(self.path("all.npy"))
        self.assertEqual(len(whole), 5)
        for i in range(2):
            self.encode(self.path("shard.tar"), "-o", self.path(f"{i}.npy"), "--size", 40,
                        "--shard", f"{i}/2")
            np.testing.assert_array_equal(np.load(self.path(f"{i}.npy")), whole[i::2])
            self.assertTrue(records(self.path(f"{i}.jsonl"))[1]["image"].endswith(f"tar:s{i}.png"))
        self.encode(self.path("shard.tar"), "-o", self.path("none.npy"), "--size", 40, "--shard",
                    "7/8")
        self.assertEqual(np.load(self.path("none.npy")).shape, (0, 3, 10, 10))

    def test_raw_numbers_of_pictures_of_any_size(self):
        self.encode(self.pictures, "-o", self.path("t.bin"), "--resize", "none", "--numbers",
                    "uint32")
        end = 0
        for record in records(self.path("t.jsonl"))[1:]:
            with Image.open(record["image"]) as image:
                width, height = image.width // 4, image.height // 4
            self.assertEqual(record["grid"], [height, width])
            self.assertEqual(record["offset"], end)
            end += 4 * 3 * height * width
        self.assertEqual(os.path.getsize(self.path("t.bin")), end)

    def test_bad_pictures_are_reported_and_left_out(self):
        folder = self.path("mixed")
        os.mkdir(folder)
        good = content(f"{self.pictures}/p0.png")
        for name, data in (("a.png", good), ("b.png", good[:200]), ("c.jpg", b"not a picture"),
                           ("d.png", b""), ("e.png", good)):
            write(os.path.join(folder, name), data)
        done = self.encode(folder, "-o", self.path("t.npy"), "--size", 32, "-t", 2, "-b", 4,
                           status=PARTIAL)
        self.assertEqual(len(done.stderr.splitlines()), 4, done.stderr)
        for name in ("b.png", "c.jpg", "d.png"):
            self.assertIn(f"{folder}/{name}: ", done.stderr)
        self.assertIn("3 of 5 pictures failed", done.stderr)
        found = records(self.path("t.jsonl"))[1:]
        self.assertEqual([record.get("row") for record in found], [0, None, None, None, 1])
        for name, record in zip(("b.png", "c.jpg", "d.png"), found[1:4]):
            self.assertIn(name, record["error"])
        tokens = np.load(self.path("t.npy"))
        self.assertEqual(len(tokens), 2)
        np.testing.assert_array_equal(tokens[0], tokens[1])
        quiet = self.encode(folder, "-o", self.path("q.npy"), "--size", 32, "-q", status=PARTIAL)
        self.assertEqual(len(quiet.stderr.splitlines()), 1)

    def test_a_path_that_is_not_there_is_left_out(self):
        inputs = [f"{self.pictures}/p0.png", self.path("absent.png"), self.path("absent"),
                  f"{self.pictures}/below"]
        done = self.encode(*inputs, "-o", self.path("t.npy"), "--size", 32, status=PARTIAL)
        self.assertEqual(len(done.stderr.splitlines()), 3, done.stderr)
        for name in inputs[1:3]:
            self.assertIn(f"{name}: No such file", done.stderr)
        self.assertIn("2 of 4 pictures failed", done.stderr)
        found = {record["image"]: record for record in records(self.path("t.jsonl"))[1:]}
        self.assertEqual(sorted(found), sorted([*inputs[:3], f"{inputs[3]}/deep.jpg"]))
        self.assertEqual([name for name in found if "error" in found[name]], sorted(inputs[1:3]))
        self.assertEqual(len(np.load(self.path("t.npy"))), 2)

    def test_a_damaged_archive_is_left_out(self):
        folder, archive = self.path("mixed"), self.path("mixed/b.tar")
        os.mkdir(folder)
        write(f"{folder}/a.png", content(f"{self.pictures}/p0.png"))
        with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
            tar.add(f"{folder}/a.png", "a.png")
        write(archive, content(archive)[:700])
        fault = f"{archive}: Truncated tar archive"
        done = self.encode(folder, "-o", self.path("t.npy"), "--size", 32, status=PARTIAL)
        self.assertIn(fault, done.stderr)
        self.assertIn("1 of 2 pictures failed", done.stderr)
        found = records(self.path("t.jsonl"))[1:]
        self.assertEqual([record["image"] for record in found], [f"{folder}/a.png", archive])
        self.assertTrue(found[1]["error"].startswith(fault), found[1])
        self.assertEqual(len(np.load(self.path("t.npy"))), 1)
        self.assertFails(vqct("encode", self.model, archive, "-o", self.path("u.npy")), DATA, fault)

    def test_a_cut_archive_keeps_its_whole_pictures(self):
        """Cut within a picture, or within what fills up the block behind one."""
        for i in range(3):
            write(self.path(f"{i}.png"), content(f"{self.pictures}/p{i}.png"))
        with tarfile.open(self.path("whole.tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
            ends = []
            for i in range(3):
                tar.add(self.path(f"{i}.png"), f"{i}.png")
                ends.append(tar.offset)
        padding = ends[0] - 512 - os.path.getsize(self.path("0.png"))
        self.assertGreater(padding, 8)
        for cut, whole in (ends[1] - 600, 1), (ends[0] - 5, 1), (ends[1], 2):
            write(self.path("cut.tar"), content(self.path("whole.tar"))[:cut])
            done = self.encode(self.path("cut.tar"), "-o", self.path("t.npy"), "--size", 32,
                               status=PARTIAL)
            self.assertIn("cut.tar: ", done.stderr)
            found = records(self.path("t.jsonl"))[1:]
            self.assertEqual([r["image"][-9:] for r in found if "row" in r],
                             [f"tar:{i}.png" for i in range(whole)])

    def test_a_cut_gzip_archive_keeps_what_came_before(self):
        """As much as can be inflated, which Python's zlib tells."""
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            for i in range(3):
                tar.add(f"{self.pictures}/p{i}.png", f"{i}.png")
        plain, half = plain.getvalue(), len(plain.getvalue()) // 2
        two = gzip.compress(plain[:half]) + gzip.compress(plain[half:])
        for packed in (gzip.compress(plain), two):
            for cut in (len(packed) - 4, len(packed) * 2 // 3, len(packed) // 2):
                write(self.path("cut.tar.gz"), packed[:cut])
                first = zlib.decompressobj(31)
                there = first.decompress(packed[:cut])
                there += zlib.decompressobj(31).decompress(first.unused_data)
                write(self.path("cut.tar"), there)
                found = []
                for name in ("cut.tar", "cut.tar.gz"):
                    done = vqct("encode", self.model, self.path(name), "-o", self.path("t.npy"),
                                "--size", 32)
                    lines = [r for r in records(self.path("t.jsonl"))[1:] if "row" in r]
                    found.append([r["image"].partition(":")[2] for r in lines])
                self.assertEqual(*found)
                self.assertGreater(len(found[0]), 0)
                self.assertEqual(done.returncode, PARTIAL)
                self.assertIn("cut.tar.gz: ", done.stderr)

    def hold(self, arguments, messages=()):
        """Starts a run that says these messages and stands still at the next, as nobody reads them.
        Gives the process and what lets it go on."""
        reader, writer = os.pipe()
        size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.write(writer, b" " * (size - sum(len(message) for message in messages)))
        process = subprocess.Popen([VQCT, *map(str, arguments)], stderr=writer)
        os.close(writer)
        stream = os.fdopen(reader, "rb")
        self.addCleanup(process.wait)
        self.addCleanup(stream.close)
        return process, stream.read

    def wait_for_lines(self, path, count):
        deadline = time.monotonic() + 60
        while not os.path.exists(path) or content(path).count(b"\n") < count:
            self.assertLess(time.monotonic(), deadline, path)
            time.sleep(0.001)

    def interrupt(self, stop):
        """Ends a run with the signal `stop` at each of two bad pictures, then lets one go through."""
        folder, part = self.path("many"), self.path("t.jsonl.part")
        os.mkdir(folder)
        for i in range(12):
            picture(i, 96, 96).save(f"{folder}/{i:02}.png")
        for i in (4, 8):
            write(f"{folder}/{i:02}.png", b"bad")
        once = self.encode(folder, "-o", self.path("once.npy"), "--size", 96, status=PARTIAL)
        said = once.stderr.encode().splitlines(keepends=True)
        arguments = ["encode", self.model, folder, "-o", self.path("t.npy"), "--size", "96", "-b",
                     "1", "-t", "1"]
        again = ()
        for target in (4, 8):
            process, go_on = self.hold(arguments, again)
            self.wait_for_lines(part, 1 + target)
            process.send_signal(stop)
            go_on()
            self.assertEqual(process.wait(), INTERRUPTED if stop == signal.SIGTERM else -stop)
            self.assertFalse(os.path.exists(self.path("t.npy")))
            # Killed, a run has not written down the picture that it stood at; asked to end, it may.
            written = content(part).count(b"\n") - 1 - target
            self.assertIn(written, (0, 1) if stop == signal.SIGTERM else (0,))
            again = () if written else said[:1]
        self.assertEqual(vqct(*arguments).returncode, PARTIAL)
        for suffix in ("npy", "jsonl"):
            self.assertEqual(content(self.path(f"t.{suffix}")), content(self.path(f"once.{suffix}")))
        self.assertFalse([name for name in os.listdir(self.folder) if name.endswith(".part")])

    def test_two_runs_that_write_the_same_file(self):
        folder = self.path("some")
        os.mkdir(folder)
        write(f"{folder}/0.png", content(f"{self.pictures}/p0.png"))
        write(f"{folder}/1.png", b"bad")
        first, go_on = self.hold(["encode", self.model, folder, "-o", self.path("t.npy")])
        self.wait_for_lines(self.path("t.jsonl.part"), 2)
        for other in ("t.npy", "t.bin"): # both have t.jsonl beside them
            done = vqct("encode", self.model, folder, "-o", self.path(other))
            self.assertFails(done, WRITE, "another process is writing it")
        go_on()
        self.assertEqual(first.wait(), PARTIAL)
        self.assertEqual(sorted(os.listdir(self.folder)), ["some", "t.jsonl", "t.npy"])
        self.assertEqual([record.get("row") for record in records(self.path("t.jsonl"))[1:]],
                         [0, None])

    def test_going_on_after_sigterm(self):
        self.interrupt(signal.SIGTERM)

    def test_going_on_after_sigkill(self):
        self.interrupt(signal.SIGKILL)

    def test_going_on_from_damaged_or_foreign_parts(self):
        arguments = [self.pictures, "-o", self.path("t.npy"), "--size", 32]
        self.encode(*arguments)
        tokens, notes = content(self.path("t.npy")), content(self.path("t.jsonl"))
        start = notes.index(b"\n") + 1
        third = notes.index(b"\n", notes.index(b"\n", start) + 1) + 1
        huge = b'{"image": "x", "row": 2, "offset": 0, "grid": [99999999999, 99999999999]}\n'
        for name, part_tokens, part_notes in (
                ("tokens cut short", tokens[:600], notes),
                ("tokens cut to nothing", b"", notes),
                ("half a line", tokens, notes[:third + 20]),
                ("a line of rubbish", tokens, notes[:third] + b'{"image": 7}\n'),
                ("rubbish", b"\0\xff" * 1500, b"\xfe\0" * 1500),
                ("another run", tokens, notes.replace(b'"width": 32', b'"width": 36')),
                ("a huge grid", tokens, notes[:third] + huge),
                ("only the first line", tokens[:256], notes[:start])):
            with self.subTest(name):
                os.remove(self.path("t.npy"))
                write(self.path("t.npy.part"), part_tokens)
                write(self.path("t.jsonl.part"), part_notes)
                self.encode(*arguments)
                self.assertEqual(content(self.path("t.npy")), tokens)
                self.assertEqual(content(self.path("t.jsonl")), notes)

    def test_refusals(self):
        out = self.path("t.npy")
        for arguments, status, words in (
                ([self.pictures], INVALID, ["--output"]),
                ([self.pictures, "-o", self.path("t.txt")], INVALID, ["t.txt", ".npy, .bin"]),
                ([self.pictures, "-o", out, "--size", 30], INVALID, ["30 x 30", "multiples of 4"]),
                ([self.pictures, "-o", out, "--resize", "none"], INVALID, ["one size"]),
                ([self.pictures, "-o", out, "--shard", "2/2"], INVALID, ["2/2"]),
                ([self.pictures, "-o", out, "--shard", "x"], INVALID, ["'x'"]),
                ([self.path("absent"), "-o", out], READ, ["absent"]),
                ([self.pictures, "-o", self.path("no/t.npy")], WRITE, ["no/t.npy"]),
                ([self.pictures, "-o", "/dev/null/t.npy"], WRITE, ["/dev/null/t.npy"])):
            with self.subTest(arguments=arguments[1:]):
                self.assertFails(vqct("encode", self.model, *arguments), status, *words)
        self.assertEqual(os.listdir(self.folder), [])
        model = self.path("m.safetensors")
        self.assertFails(vqct("encode", model, self.pictures, "-o", out), READ, "m.safetensors")
        write(model, content(self.model)[:5000])
        self.assertFails(vqct("encode", model, self.pictures, "-o", out), MODEL, "m.safetensors")
        os.mkdir(out)
        self.assertFails(vqct("encode", self.model, self.pictures, "-o", out), WRITE, "t.npy")
        self.assertEqual(sorted(os.listdir(self.folder)), ["m.safetensors", "t.npy"])

    def test_a_full_disk_keeps_what_is_whole(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        arguments = "encode", self.model, self.pictures, "-o", self.path("t.npy"), "--size", 32
        done = vqct(*arguments, "-b", 1, preexec_fn=small_files)
        self.assertFails(done, WRITE, "File too large", "kept beside", "t.jsonl.part", "goes on from there")
        kept = len(records(self.path("t.jsonl.part"))) - 1
        self.assertGreater(kept, 0)
        self.assertIn(f"; {kept} of ", done.stderr)
        done = self.encode(*arguments[2:])
        self.assertIn(f"going on after {kept} of ", done.stdout)
        whole = content(self.path("t.npy")), content(self.path("t.jsonl"))
        self.encode(*arguments[2:])
        self.assertEqual((content(self.path("t.npy")), content(self.path("t.jsonl"))), whole)
        done = vqct("decode", self.model, self.path("t.npy"), "-o", self.path("out"),
                    preexec_fn=small_files)
        self.assertFails(done, WRITE, "File too large")
        self.assertFalse(os.path.exists(self.path("out")))

    def test_a_folder_that_cannot_be_read_is_reported(self):
        """By a user to whom it is closed, as an ext4 disk's lost+found is."""
        os.mkdir(self.path("in"))
        os.mkdir(self.path("in/lost+found"), 0o700)
        write(self.path("in/a.png"), content(f"{self.pictures}/p0.png"))
        os.mkdir(self.path("out"))
        os.chmod(self.path("out"), 0o777)
        os.chmod(self.folder, 0o755)
        os.chmod(os.path.dirname(self.model), 0o755)
        other = ["setpriv", "--reuid", "65532", "--clear-groups"] if os.geteuid() == 0 else []
        if not other:
            os.chmod(self.path("in/lost+found"), 0)
        done = subprocess.run([*other, VQCT, "encode", self.model, self.path("in"), "--size", "32",
                               "-o", self.path("out/t.npy")], capture_output=True, text=True)
        self.assertEqual(done.returncode, PARTIAL, done.stderr)
        self.assertIn("lost+found: Permission denied", done.stderr)
        self.assertEqual(len(np.load(self.path("out/t.npy"))), 1)
        done = subprocess.run([*other, VQCT, "eval", self.model, self.path("in"), "--size", "32"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, PARTIAL, done.stderr)
        self.assertIn("1 pictures", done.stdout)

    def test_what_is_passed_over_is_counted(self):
        folder = self.path("in")
        os.mkdir(folder)
        good = content(f"{self.pictures}/p0.png")
        jpeg = io.BytesIO()
        picture(1, 40, 40).save(jpeg, "JPEG")
        for name, data in (("a.png", good), ("b.jpe", jpeg.getvalue()), ("c.JFIF", jpeg.getvalue()),
                           ("d.avif", b""), ("e.AVIF", b""), ("f.gif", b""), ("._a.png", b"x"),
                           (".hidden.png", good), ("README", b""), ("x.long-ending", b"")):
            write(f"{folder}/{name}", data)
        os.symlink(folder, f"{folder}/circle")
        os.symlink("nowhere.txt", f"{folder}/dangling.txt")
        with tarfile.open(f"{folder}/t.tar", "w") as tar:
            tar.add(f"{folder}/a.png", "a.png")
            tar.add(f"{folder}/._a.png", "._b.png")
            tar.add(f"{folder}/d.avif", "d.avif")
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = tarfile.LNKTYPE, "a.png"
            tar.addfile(link)
            link.name, link.type = "soft.png", tarfile.SYMTYPE
            tar.addfile(link)
        done = self.encode(folder, "-o", self.path("t.npy"), "--size", 32)
        self.assertEqual(totals(self.path("t.jsonl")), {
            "pictures": 5, "tokens": np.load(self.path("t.npy")).size, "failed": 0,
            "passed_over": {"._": 2, "avif": 3, "circular link": 1, "gif": 1, "hidden": 1,
                            "no ending": 1, "other": 1, "symbolic link": 1, "txt": 1}})
        self.assertRegex(done.stdout, r"5 pictures, \d+ tokens, 0 failed, passed over: 2 \._, 3 avif, .*; "
                                      r"\d+\.\d s, \d+\.\d pictures/s\n$")
        self.assertEqual(self.encode(folder, "-o", self.path("t.npy"), "--size", 32, "-q").stdout, "")

    def test_a_path_given_twice_is_one_picture(self):
        """But members of one archive that share a name are two."""
        with tarfile.open(self.path("t.tar"), "w") as tar:
            for i in range(2):
                tar.add(f"{self.pictures}/p{i}.png", "a.png")
        shard, one = self.path("t.tar"), f"{self.pictures}/p0.png"
        self.encode(shard, one, shard, self.pictures, one, "-o", self.path("twice.npy"), "--size", 32)
        self.encode(shard, self.pictures, "-o", self.path("once.npy"), "--size", 32)
        self.assertEqual(content(self.path("twice.npy")), content(self.path("once.npy")))
        self.assertEqual(totals(self.path("twice.jsonl"))["passed_over"], {"given twice": 4})
        self.assertEqual(totals(self.path("once.jsonl"))["passed_over"], {})

    def test_webp(self):
        """In a folder and in a shard: the tokens of the same pixels as PNG."""
        os.mkdir(self.path("in"))
        for i, name in enumerate(("a.webp", "b.WEBP")):
            picture(i, 40, 40).save(self.path(f"in/{name}"), "WEBP", lossless=True)
            picture(i, 40, 40).save(self.path(f"{name[0]}.png"))
        with tarfile.open(self.path("in/t.tar"), "w") as tar:
            tar.add(self.path("in/a.webp"), "c.webp")
        self.encode(self.path("in"), "-o", self.path("t.npy"), "--size", 32)
        self.encode(self.path("a.png"), self.path("b.png"), "-o", self.path("p.npy"), "--size", 32)
        expected = np.load(self.path("p.npy"))[[0, 1, 0]]
        np.testing.assert_array_equal(np.load(self.path("t.npy")), expected)
        done = vqct("eval", self.model, self.path("in"), "--size", "32")
        self.assertIn("3 pictures", done.stdout)

    def test_links_and_depth_are_told(self):
        deep = self.path("in/" + "/".join("d" * 18))
        os.makedirs(deep)
        write(f"{deep}/a.png", content(f"{self.pictures}/p0.png"))
        write(self.path("in/b.png"), content(f"{self.pictures}/p0.png"))
        os.symlink("nowhere.png", self.path("in/dangling.png"))
        os.symlink("self", self.path("in/self"))
        done = self.encode(self.path("in"), "-o", self.path("t.npy"), "--size", 32, status=PARTIAL)
        for words in ("levels deep", "dangling.png: No such file", "self: Too many levels"):
            self.assertIn(words, done.stderr)
        self.assertEqual(totals(self.path("t.jsonl"))["failed"], 3)
        os.mkdir(self.path("empty"))
        self.assertFails(vqct("encode", self.model, self.path("empty"), "-o", self.path("u.npy")), READ,
                         "there is no PNG, JPEG or WebP picture")

    def test_a_signal_is_heard_within_a_picture(self):
        """A picture that takes some ten seconds: 736 x 736 on a network with attention at a quarter."""
        picture(1, 736, 736).save(self.path("large.png"))
        for command in ("encode", "-o", self.path("t.bin"), "--resize", "none"), \
                ("reconstruct", "-o", self.path("out"), "--resize", "none"), \
                ("eval", "--resize", "none"):
            process = subprocess.Popen([VQCT, command[0], self.model, self.path("large.png"),
                                        *command[1:], "--threads", "1"], stderr=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            self.assertIsNone(process.poll(), "the picture is too small for this test")
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=20)
            self.assertEqual(process.returncode, INTERRUPTED, said)
            self.assertIn("stopped after 0 of 1 pictures", said)

    def test_a_picture_of_too_much_attention_fails_alone(self):
        Image.new("RGB", (3000, 2000)).save(self.path("a.png"))
        write(self.path("b.png"), content(f"{self.pictures}/p0.png"))
        paths = self.path("a.png"), self.path("b.png")
        done = self.encode(*paths, "-o", self.path("t.bin"), "--resize", "none", status=PARTIAL)
        self.assertIn("a.png: ", done.stderr)
        self.assertEqual(["row" in r for r in records(self.path("t.jsonl"))[1:]], [False, True])
        for command in ("reconstruct", "-o", self.path("out")), ("eval",):
            done = vqct(command[0], self.model, *paths, *command[1:], "--resize", "none")
            self.assertEqual(done.returncode, PARTIAL, done.stderr)
            self.assertIn("a.png: ", done.stderr)

    def test_names_that_are_not_text(self):
        folder = os.fsencode(self.path("in"))
        os.mkdir(folder)
        names = [b"a\xe8.png", b"a\xe9.png", b"b\x1b[31m.png", "\u00e9.png".encode()]
        for name in names:
            write(os.path.join(folder, name), content(f"{self.pictures}/p0.png"))
        write(os.path.join(folder, b"c\xc2\x9b31m\x1b.png"), b"broken")
        done = self.encode(self.path("in"), "-o", self.path("t.npy"), "--size", 32, status=PARTIAL)
        found = records(self.path("t.jsonl"))[1:]
        exact = [bytes.fromhex(record["image_hex"]) if "image_hex" in record
                 else record["image"].encode() for record in found if "row" in record]
        self.assertEqual({os.path.basename(name) for name in exact}, set(names))
        self.assertEqual(len({record["image"] for record in found}), 5)
        self.assertTrue(found[0]["image"].endswith("a\\xe8.png"))
        done = vqct("reconstruct", self.model, self.path("in"), "-o", self.path("out"), "--size", 32)
        for text in done.stdout, done.stderr:
            self.assertFalse(set(text) & {"\x1b", "\x9b"}, text)

    def test_a_picture_that_changed_is_encoded_again(self):
        os.mkdir(self.path("in"))
        for i in range(3):
            write(self.path(f"in/{i}.png"), content(f"{self.pictures}/p{i}.png"))
        arguments = self.path("in"), "-o", self.path("t.npy"), "--size", 32
        self.encode(*arguments)
        before = np.load(self.path("t.npy"))
        for name in "t.npy", "t.jsonl":  # as if it had been cut short
            os.rename(self.path(name), self.path(name + ".part"))
        write(self.path("in/0.png"), content(f"{self.pictures}/p3.png"))
        done = self.encode(*arguments)
        self.assertIn("starting over", done.stdout)
        after = np.load(self.path("t.npy"))
        self.assertFalse((before[0] == after[0]).all())
        self.assertTrue((before[1:] == after[1:]).all())


class Decode(CommandTest):
    def setUp(self):
        super().setUp()
        self.encode(self.pictures, "-o", self.path("t.npy"), "--size", 32)
        self.encode(self.pictures, "-o", self.path("b.bin"), "--size", 32)
        self.tokens = np.load(self.path("t.npy"))

    def test_tokens_of_another_model(self):
        other = self.path("other.safetensors")
        self.assertEqual(vqct("init", "-p", "vqct-tiny", "-s", 9, "-o", other).returncode, 0)
        for name in "t.npy", "b.bin":
            self.assertFails(vqct("decode", other, self.path(name), "-o", self.path("out")), 15,
                             "vqct-tiny", "checksum")
            done = vqct("decode", other, self.path(name), "-o", self.path("out"), "--force")
            self.assertEqual(done.returncode, 0, done.stderr)
        write(self.path("t.jsonl"), b'{"caption": "a dog"}\n')  # of something else
        done = vqct("decode", other, self.path("t.npy"), "-o", self.path("out"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_tokens_to_pictures(self):
        np.save(self.path("wide.npy"), self.tokens.astype(np.int64))
        np.save(self.path("narrow.npy"), self.tokens.astype(np.int8))
        np.save(self.path("one.npy"), self.tokens[2].astype(np.uint32))
        shown = {}
        for name in ("t.npy", "b.bin", "wide.npy", "narrow.npy"):
            done = vqct("decode", self.model, self.path(name), "-o", self.path("out"))
            self.assertEqual(done.returncode, 0, done.stderr)
            files = sorted(os.listdir(self.path("out")))
            sources = [f"-{os.path.basename(record['image'])[:-4]}" for record in
                       records(self.path("t.jsonl")) if "row" in record]
            # wide.npy and narrow.npy have no .jsonl beside them that would tell names.
            self.assertEqual(files, [f"{i:04}{source if name in ('t.npy', 'b.bin') else ''}.png"
                                     for i, source in enumerate(sources)])
            shown[name] = [np.array(Image.open(self.path(f"out/{file}"))) for file in files]
            shutil.rmtree(self.path("out"))
            np.testing.assert_array_equal(shown[name], shown["t.npy"])
        self.assertEqual(shown["t.npy"][0].shape, (32, 32, 3))
        for form, ending, kind, options in (
                (["--jpeg", 100], "jpg", "JPEG", {"quality": 100, "subsampling": 0}),
                (["--webp", 50], "webp", "WEBP", {"quality": 50}),
                (["--lossless"], "webp", "WEBP", {"lossless": True})):
            done = vqct("decode", self.model, self.path("one.npy"), "-o", self.path("single"), *form)
            self.assertEqual(done.returncode, 0, done.stderr)
            image, theirs = Image.open(self.path(f"single/0000.{ending}")), io.BytesIO()
            Image.fromarray(shown["t.npy"][2]).save(theirs, kind, **options)
            self.assertEqual(image.format, kind)
            np.testing.assert_array_equal(np.array(image.convert("RGB")),
                                          np.array(Image.open(theirs).convert("RGB")))
        self.assertFails(vqct("decode", self.model, self.path("one.npy"), "-o", self.path("x"),
                              "--jpeg", 9, "--lossless"), INVALID, "exclude one another")

    def test_tokens_that_do_not_fit(self):
        def changed(plane, token, dtype=np.int32):
            tokens = self.tokens.astype(dtype)
            tokens[4, plane, 3, 5] = token
            return tokens

        for tokens, words in (
                (changed(0, 12), ["picture 4, plane 0, row 3, column 5", "token 12"]),
                (changed(2, 11), ["token 11", "12 to 31"]),
                (changed(2, 32), ["token 32"]),
                (changed(1, -1), ["token -1"]),
                (changed(1, -1, np.int8), ["token -1"]),
                (changed(1, 2**63, np.uint64), ["plane 1"]),
                (self.tokens[:, :2], ["2 planes; the model has 3"]),
                (self.tokens[0, 0], ["2 dimensions"]),
                (self.tokens[:, :, :0], ["grid of 8 x 0"]),
                (self.tokens.astype(np.float32), ["F32"])):
            with self.subTest(words=words):
                np.save(self.path("bad.npy"), tokens)
                done = vqct("decode", self.model, self.path("bad.npy"), "-o", self.path("out"))
                self.assertFails(done, TOKENS, "bad.npy", *words)
                self.assertFalse(os.path.exists(self.path("out")))

    def test_damaged_files(self):
        whole, notes = content(self.path("t.npy")), content(self.path("t.jsonl"))
        out, first = self.path("out"), notes[:notes.index(b"\n") + 1]
        for size in (0, 5, 100, 300, len(whole) - 1):
            write(self.path("cut.npy"), whole[:size])
            self.assertFails(vqct("decode", self.model, self.path("cut.npy"), "-o", out), DATA,
                             "cut.npy")
        for name, raw, sidecar, status in (
                ("raw cut", b"1234", notes, TOKENS),
                ("rubbish", b"", b"rubbish\n", DATA),
                ("type", b"", b'{"tokens": "float"}\n', DATA),
                ("planes", b"", b'{"tokens": "uint16", "planes": []}\n', TOKENS),
                ("grid", b"", first + b'{"image": "x", "offset": 0, "grid": [4294967296, 1]}\n', DATA),
                ("offset", b"1" * 384, first + b'{"image": "x", "offset": -8, "grid": [8, 8]}\n',
                 DATA)):
            with self.subTest(name):
                write(self.path("r.bin"), raw)
                write(self.path("r.jsonl"), sidecar)
                self.assertFails(vqct("decode", self.model, self.path("r.bin"), "-o", out), status)
        os.remove(self.path("r.jsonl"))
        self.assertFails(vqct("decode", self.model, self.path("r.bin"), "-o", out), READ, "r.jsonl")
        self.assertFalse(os.path.exists(out))

    def test_refusals(self):
        for arguments, status, word in (
                (["t.txt", "-o", "out"], INVALID, "t.txt"),
                (["t.npy"], INVALID, "--output"),
                (["absent.npy", "-o", "out"], READ, "absent.npy"),
                (["t.npy", "-o", "no/out"], WRITE, "no/out"),
                (["t.npy", "-o", "t.npy"], WRITE, "not a directory")):
            with self.subTest(arguments=arguments):
                paths = [part if part[0] == "-" else self.path(part) for part in arguments]
                self.assertFails(vqct("decode", self.model, *paths), status, word)


class Others(CommandTest):
    def test_reconstruct(self):
        bad = self.path("bad.png")
        write(bad, b"bad")
        done = vqct("reconstruct", self.model, f"{self.pictures}/p1.png", bad, "-o",
                    self.path("out"), "--size", 48)
        self.assertEqual(done.returncode, PARTIAL)
        self.assertIn("bad.png", done.stderr)
        name = next(name for name in os.listdir(self.path("out")) if name.endswith("-p1.png"))
        both = np.array(Image.open(self.path(f"out/{name}")), dtype=float)
        self.assertEqual(both.shape, (48, 96, 3))
        error = ((both[:, :48] - both[:, 48:]) ** 2).mean()
        row = next(line for line in done.stdout.splitlines() if line.endswith("p1.png"))
        self.assertAlmostEqual(float(row.split()[0]), 10 * np.log10(255**2 / error), places=3)

    def test_bench(self):
        done = vqct("bench", self.model, "--size", 32, "--seconds", 0, "-b", "1,3", "-t", "1,2",
                    "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(row["threads"], row["batch"], row["operation"]) for row in rows],
                         [(t, b, o) for t in (1, 2) for b in (1, 3) for o in ("encode", "decode")])
        for row in rows:
            rate = 1e3 * row["batch"] / row["median_ms"]
            self.assertAlmostEqual(row["images_per_second"] / rate, 1, delta=0.05)
            self.assertGreater(row["resident_bytes"], 1 << 20)
        self.assertFails(vqct("bench", self.model, "--size", 30), INVALID, "30")
        self.assertFails(vqct("bench", self.model, "-b", "0"), INVALID, "--batch '0'")
        self.assertFails(vqct("bench", self.model, "-b", ","), INVALID, "--batch")

    def test_bench_hears_signals(self):
        for sign in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen([VQCT, "bench", self.model, "--seconds", "1h"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       preexec_fn=lambda: signal.signal(sign, signal.SIG_IGN))
            caught = 0
            while not caught & 1 << sign - 1:
                with open(f"/proc/{process.pid}/status") as file:
                    caught = int(re.search(r"^SigCgt:\s*(\w+)", file.read(), re.M)[1], 16)
            process.send_signal(sign)
            self.assertEqual(process.wait(600), INTERRUPTED)

    def test_help(self):
        for command in ("encode", "decode", "reconstruct", "bench"):
            done = vqct(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"vqct {command}", done.stdout)
            self.assertFails(vqct(command, "--nonsense"), INVALID, "--nonsense")
            self.assertFails(vqct(command), INVALID)

    def test_what_cannot_be_written_is_said(self):
        for arguments in (["--help"], ["-h"], ["--version"], ["encode", "--help"],
                          ["inspect", self.model]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([VQCT, *arguments], stdout=full, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, WRITE, arguments)
            self.assertIn(b"standard output cannot be written", done.stderr)

    def test_a_bar_on_a_terminal_only(self):
        ours, theirs = pty.openpty()
        arguments = [VQCT, "encode", self.model, self.pictures, "-o", self.path("t.npy"), "--size",
                     "32"]
        with subprocess.Popen(arguments, stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    block = os.read(ours, 4096)
                except OSError:  # how Linux says that the other side closed
                    break
                if not block:
                    break
                shown += block
        os.close(ours)
        self.assertEqual(process.returncode, 0)
        self.assertRegex(shown, rb"encode  \[#{24}\]  7/7  [0-9.]+/s  0:00 left")
        done = self.encode(self.pictures, "-o", self.path("u.npy"), "--size", 32)
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
