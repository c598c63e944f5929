#!/usr/bin/python3
"""`vqct prior`: priors of generated captions against counts made here, and inputs that are wrong."""
import collections
import csv
import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/reference"))
from safetensors_file import read_safetensors  # noqa: E402

VQCT = os.path.join(ROOT, os.environ.get("VQCT_BUILD", "build/release"), "vqct")

NOUNS = {"dog": "dog", "dogs": "dog", "children": "child", "man": "man", "women": "woman",
         "shirts": "shirt", "boxes": "box", "ponies": "pony", "water": "water", "orange": "orange",
         "bicycles": "bicycle", "grass": "grass"}
ADJECTIVES = ["big", "small", "brown", "orange", "wooden", "old", "Young", "RED"]


def vqct(*arguments, environment=None):
    return subprocess.run([VQCT, "prior", *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environment, timeout=120)


def read_prior(path):
    """A prior as its file holds it: words, parts, counts, embeddings, edges, texts."""
    tensors, texts = read_safetensors(path)
    words = bytes(tensors["words.text"]).decode().split("\0")[:-1]
    return words, tensors, texts


def captions(seed, count):
    """Captions that no English tagger should get wrong."""
    rng = random.Random(seed)
    lines = []
    for _ in range(count):
        phrases = []
        for _ in range(2):
            adjectives = rng.sample(ADJECTIVES, rng.randint(0, 2))
            phrases.append(" ".join(["the"] + adjectives + [rng.choice(list(NOUNS))]))
        lines.append(f"{phrases[0]} is near {phrases[1]}.")
    return lines


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def vectors(self, words, dimension=5):
        rng = random.Random(1)
        self.table = {word: [round(rng.uniform(-2, 2), 4) for _ in range(dimension)]
                      for word in words}
        return self.write("vectors.txt", "".join(
            word + " " + " ".join(map(str, row)) + "\n" for word, row in self.table.items()))

    def all_vectors(self):
        return self.vectors(sorted(set(NOUNS.values()) | {a.lower() for a in ADJECTIVES}))

    def build(self, *captions_files, vectors=None, output="prior.safetensors", arguments=()):
        path = os.path.join(self.folder, output)
        done = vqct("build", "--captions", *captions_files, "--embeddings",
                    vectors or self.all_vectors(), "-o", path, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return path, done.stdout

    def refused(self, status, message, *arguments):
        done = vqct(*arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(message, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, "one line: " + done.stderr)


def count_by_hand(lines, table, threshold):
    """What a prior of tagged captions must hold. `table` has the words with an embedding."""
    adjectives, nouns, pairs = (collections.Counter() for _ in range(3))
    for line in lines:
        before = None
        for token in line.split(" "):
            word, tag = token.rsplit("/", 1)
            lemma = None
            if tag in ("NN", "NNS", "NNP", "NNPS"):
                lemma = NOUNS.get(word, word)
                nouns[lemma] += 1
                if before:
                    pairs[before, lemma] += 1
            elif tag == "JJ":
                adjectives[word] += 1
            before = word if tag == "JJ" else None
    kept = []
    for counts in (adjectives, nouns):
        kept.append(sorted((w for w, n in counts.items() if n > threshold and w in table),
                           key=lambda w: (-counts[w], w)))
    rows = ({w: i for i, w in enumerate(kept[0])},
            {w: i + len(kept[0]) for i, w in enumerate(kept[1])})
    edges = sorted([rows[0][a], rows[1][n], count] for (a, n), count in pairs.items()
                   if a in rows[0] and n in rows[1])
    return kept, [adjectives[w] for w in kept[0]] + [nouns[w] for w in kept[1]], edges


class Build(Folder):
    def check(self, prior, lines, threshold, words):
        tags = vqct("tag", self.write("tagged.txt", "\n".join(lines))).stdout.splitlines()
        kept, counts, edges = count_by_hand(tags, words, threshold)
        words, tensors, texts = read_prior(prior)
        self.assertEqual(words, kept[0] + kept[1])
        self.assertEqual(tensors["words.part"].tolist(), [0] * len(kept[0]) + [1] * len(kept[1]))
        self.assertEqual(tensors["words.count"].tolist(), counts)
        self.assertEqual(tensors["edges"].tolist(), edges)
        numpy.testing.assert_array_equal(
            tensors["embeddings"], numpy.array([self.table[w] for w in words], numpy.float32))
        return texts

    def test_a_prior_holds_what_the_captions_say(self):
        lines = captions(1, 3000)
        prior, report = self.build(self.write("captions.txt", "\n".join(lines) + "\n"),
                                   arguments=("--threshold", "20", "--note", "made up"))
        texts = self.check(prior, lines, 20, self.table)
        provenance = json.loads(texts["provenance"])
        self.assertEqual(provenance["captions"], 3000)
        self.assertEqual(provenance["note"], "made up")
        self.assertEqual(provenance["threshold"], 20)
        self.assertIn("3000 read", report)

    def test_every_tag_is_right_on_plain_phrases(self):
        lines = captions(2, 200)
        tags = vqct("tag", self.write("captions.txt", "\n".join(lines))).stdout.split()
        for token in tags:
            word, tag = token.rsplit("/", 1)
            if word in NOUNS and word != "orange":
                self.assertIn(tag, ("NN", "NNS"), token)
            elif word in ("big", "small", "old", "young", "red", "wooden", "brown"):
                self.assertEqual(tag, "JJ", token)

    def test_words_without_embedding_and_rare_ones_are_left_out(self):
        lines = captions(3, 500)
        vectors = self.vectors(["big", "old", "red", "dog", "child", "water"])
        prior, report = self.build(self.write("captions.txt", "\n".join(lines)), vectors=vectors)
        self.check(prior, lines, 10, self.table)
        self.assertIn("no embedding:", report)

    def test_threads_and_forms_of_the_file_change_nothing(self):
        lines = captions(4, 4000)
        plain = self.write("captions.txt", "\n".join(lines))
        packed = self.write("captions.gz", gzip.compress("\n".join(lines).encode()))
        annotations = self.write("captions.json", json.dumps(
            {"info": {"n": [1, {"a": None}]},
             "annotations": [{"id": i, "caption": line, "image_id": 1}
                             for i, line in enumerate(lines)]}))
        half = self.write("half.txt", "\n".join(lines[:2000]))
        rest = self.write("rest.txt", "\r\n".join(lines[2000:]))
        results = []
        for files, threads in (((plain,), 1), ((plain,), 3), ((packed,), 2), ((annotations,), 2),
                               ((half, rest), 2)):
            prior, _ = self.build(*files, arguments=("--threads", str(threads)))
            words, tensors, _ = read_prior(prior)
            results.append((words, {name: t.tolist() for name, t in tensors.items()}))
        for result in results[1:]:
            self.assertEqual(result, results[0])

    def test_every_form_of_captions_gives_the_same(self):
        """Written by Python's own csv and json, with what makes each form hard."""
        lines = [line.replace("near", 'near, and "beside",', 1) if i % 3 == 0 else line
                 for i, line in enumerate(captions(6, 600))]
        table, tabs = io.StringIO(), io.StringIO()
        writer = csv.writer(table)
        writer.writerow(["image", "caption", "split"])
        tabs.write("caption\turl\n")
        for i, line in enumerate(lines):
            writer.writerow([f"a,{i}.jpg", line, "a\nb" if i % 7 == 0 else ""])
            quoted = '"' + line.replace('"', '""') + '"' if i % 2 else line
            tabs.write(f"{quoted}\thttp://x/{i}\n")
        halves = [{"caption": lines[i:i + 2]} for i in range(0, len(lines), 2)]
        forms = {
            "plain.txt": "\n".join(lines),
            "mark.txt": "\ufeff" + "\n".join(lines),
            "mark.csv": "\ufeff" + table.getvalue(),
            "plain.csv": table.getvalue().replace("\r\n", "\n"),
            "windows.CSV": table.getvalue().replace("\n", "\r\n").replace("\r\r", "\r"),
            "packed.tsv.gz": gzip.compress(tabs.getvalue().encode()),
            "lines.jsonl": "\n".join(json.dumps({"caption": line, "x": [1]}) for line in lines),
            "mark.jsonl": "\ufeff" + "\n\n".join(json.dumps(half) for half in halves) + "\n",
            "list.json": json.dumps(halves, indent=1),
            "coco.json": json.dumps({"images": [{"id": 1}],
                                     "annotations": [{"caption": line} for line in lines]}),
            "karpathy.json": json.dumps({"images": [
                {"sentences": [{"tokens": ["a"], "raw": line} for line in lines[i:i + 5]],
                 "split": "train"} for i in range(0, len(lines), 5)], "dataset": "coco"}),
        }
        results = {}
        for name, content in forms.items():
            prior, _ = self.build(self.write(name, content))
            words, tensors, _ = read_prior(prior)
            results[name] = (words, {name: t.tolist() for name, t in tensors.items()})
        for name, result in results.items():
            self.assertEqual(result, results["plain.txt"], name)

    def test_words_on_a_list_are_left_out(self):
        """The prior is the one without their embeddings, and the report counts them."""
        captions_file = self.write("captions.txt", "\n".join(captions(8, 900)))
        first = self.write("first.txt", "\ufeff# people\nBIG old # of any age\n\n")
        second = self.write("second.txt", "dog\tnever-met child")
        excluded, report = self.build(captions_file, output="excluded.safetensors",
                                      arguments=("--exclude", first, "-x", second))
        left = {a.lower() for a in ADJECTIVES} - {"big", "old"} | set(NOUNS.values()) - {"dog", "child"}
        expected, _ = self.build(captions_file, output="expected.safetensors",
                                 vectors=self.vectors(sorted(left)))
        words, tensors, texts = read_prior(excluded)
        self.all_vectors()
        others, others_tensors, _ = read_prior(expected)
        self.assertEqual(words, others)
        for name in ("words.count", "words.part", "edges"):
            self.assertEqual(tensors[name].tolist(), others_tensors[name].tolist())
        self.assertRegex(report, r"(?m)^adjectives .* 0 without embedding +2 excluded +6 kept")
        self.assertRegex(report, r"(?m)^nouns .* 0 without embedding +2 excluded +9 kept")
        provenance = json.loads(texts["provenance"])
        self.assertEqual((provenance["exclude"], provenance["excluded"]),
                         (["first.txt", "second.txt"], 4))

    def test_the_list_that_ships(self):
        """It names what must not lead a page of words, and no colour, size or thing."""
        path = os.path.join(ROOT, "config", "excluded-words.txt")
        text = ("a nude woman\nan asian man\na muslim man\na disabled man\nthe stupid idiot\n"
                "a sexy breast\na spongebob toy\na black dog\na large white orange\n") * 20
        vectors = self.vectors(["nude", "woman", "asian", "man", "muslim", "disabled", "stupid",
                                "idiot", "sexy", "breast", "spongebob", "toy", "black", "dog",
                                "large", "white", "orange"])
        prior, _ = self.build(self.write("captions.txt", text), vectors=vectors,
                              arguments=("--exclude", path))
        self.assertEqual(set(read_prior(prior)[0]),
                         {"woman", "man", "toy", "black", "dog", "large", "white", "orange"})

    def test_another_column(self):
        table = self.write("a.csv", "title,TEXT\n1,a big red dog\n2\n\n3,\"a small, old dog\"\n")
        lines = self.write("b.jsonl", '{"text": "a big dog"}\n{"text": null}\n{"n": 1}\n')
        tagged = vqct("tag", table, "--column", "TEXT").stdout
        self.assertEqual(tagged, "a/DT big/JJ red/JJ dog/NN\na/DT small/JJ ,/, old/JJ dog/NN\n")
        self.assertEqual(vqct("tag", lines, "--column", "text").stdout, "a/DT big/JJ dog/NN\n")

    def test_captions_that_are_null_are_counted(self):
        lines = captions(7, 300)
        for name, content in (
                ("coco.json", {"annotations": [{"caption": None}, {"id": 3}] +
                               [{"caption": line} for line in lines]}),
                ("list.json", [{"caption": [None, *lines]}, {"id": 3}])):
            _, report = self.build(self.write(name, json.dumps(content)))
            self.assertIn("300 read", report)
            self.assertIn("2 null or left out", report)

    def test_references_of_html_are_no_words(self):
        text = ("black &amp; white dog\nthe dog&#39;s &quot;ball&quot;\nthe dog&amp;#x2019;s ball\n"
                "a caf&eacute; &nbsp; &unheard; &#7; R&B; AT&T; &\n")
        tagged = vqct("tag", self.write("web.txt", text)).stdout
        words = [[pair.rsplit("/", 1)[0] for pair in line.split(" ")]
                 for line in tagged.splitlines()]
        self.assertEqual(words[0], ["black", "&", "white", "dog"])
        self.assertEqual(words[1], ["the", "dog", "'s", '"', "ball", '"'])
        self.assertEqual(words[2], ["the", "dog", "'s", "ball"])
        self.assertEqual(words[3][:2], ["a", "café"])
        self.assertFalse({"nbsp", "unheard", "eacute", "amp", "7"} & set(words[3]))

    def test_captions_that_cannot_be_used_are_counted(self):
        lines = [line.encode() for line in captions(5, 500)]
        strange = [b"", b"   ", b"a \xff dog", b"x" * (10 << 20), b"12345 678", b"caf\xc3\xa9",
                   b"a\0b"]
        prior, report = self.build(self.write("captions.txt", b"\n".join(lines + strange)))
        self.assertIn("502 read", report)
        self.assertIn("2 empty, 2 not UTF-8, 1 over 16384 bytes", report)
        self.assertTrue(os.path.exists(prior))


class Refused(Folder):
    def setUp(self):
        super().setUp()
        self.good = self.write("captions.txt", "\n".join(captions(1, 300)))
        self.output = os.path.join(self.folder, "prior.safetensors")

    def build_refused(self, status, message, captions_file, vectors=None, *more):
        self.refused(status, message, "build", "-c", captions_file, "-e",
                     vectors or self.all_vectors(), "-o", self.output, *more)
        self.assertFalse(os.path.exists(self.output))

    def test_captions(self):
        whole = gzip.compress("\n".join(captions(1, 300)).encode())
        for name, content, status, message in (
                ("empty.txt", b"", 11, "0 captions"),
                ("digits.txt", b"123 456\n789\n" * 50, 11, "0 adjectives and 0 nouns"),
                ("few.txt", b"a big dog\n" * 10, 11, "more than 10 times"),
                ("nouns.txt", b"the dog\n" * 50, 11, "0 adjectives and 1 nouns"),
                ("cut.gz", whole[:len(whole) // 2], 3, "cut.gz"),
                ("cut.json", b'{"annotations": [{"caption": "a big dog"}, ', 11, "cut.json"),
                ("none.json", b'{"images": []}', 11, "no annotations"),
                ("number.json", b'{"annotations": [{"caption": 3}]}', 11, "number.json"),
                ("scalar.json", b'{"annotations": 3}', 11, "scalar.json"),
                ("strings.json", b'{"annotations": ["a"]}', 11, "strings.json"),
                ("more.json", b'{"annotations": []} []', 11, "more.json"),
                ("utf16.txt", "a big dog\n".encode("utf-16") * 50, 11, "utf16.txt: is UTF-16"),
                ("column.csv", b"image,text\n1,a big dog\n", 11,
                 "has no column 'caption' but: image, text; --column names another"),
                ("quote.csv", b'caption\na dog\n"a big dog\n' + b'a dog\n' * 9, 11, "quote.csv:3"),
                ("broken.jsonl", b'{"caption": "a"}\n{"caption": "a\n', 11, "broken.jsonl:2"),
                ("kind.jsonl", b'{"caption": "a"}\n{"caption": 3}\n', 11, "kind.jsonl:2"),
                ("list.jsonl", b'{"caption": "a"}\n["a"]\n', 11, "list.jsonl:2"),
                ("key.jsonl", b'{"text": "a"}\n{"text": "b"}\n', 11, "no line has the key"),
                ("kind.json", b'[{"caption": {}}]', 11, "kind.json"),
                ("raw.json", b'{"images": [{"sentences": [{"raw": 1}]}]}', 11, "raw.json"),
                ("deep.json", b'{"a":' + b"[" * 100000, 11, "deep.json")):
            with self.subTest(name):
                done = vqct("build", "-c", self.write(name, content), "-e", self.all_vectors(),
                            "-o", self.output)
                self.assertIn(done.returncode, (status, 9 if name == "deep.json" else status),
                              done.stderr)
                self.assertIn(message, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertFalse(os.path.exists(self.output))

    def test_files_that_are_missing(self):
        missing = os.path.join(self.folder, "missing")
        self.build_refused(3, "missing", missing)
        self.build_refused(3, "missing", self.good, missing)
        self.build_refused(3, "missing", self.good, None, "--tagger", missing)
        self.build_refused(3, "missing", self.good, None, "--lexicon", missing)
        self.build_refused(11, "not a tagger", self.good, None, "--tagger", self.good)
        self.build_refused(11, "not a lexicon", self.good, None, "--lexicon", self.good)

    def test_embeddings(self):
        self.build_refused(11, "v.txt:2:", self.good, self.write("v.txt", "dog 1 2 3\nbig 1 2\n"))
        self.build_refused(11, "have an embedding", self.good,
                           self.write("v.txt", "zebra 1 2 3\nlion 1 2 3\n"))
        self.build_refused(11, "0 and 1 of them have an embedding", self.good,
                           self.write("v.txt", "dog 1 2 3\nbig 1 nan 3\n"))

    def test_lists_of_words_to_leave_out(self):
        for content, message in ((b"fine\na\xff\n", "list.txt:2: not UTF-8"),
                                 (b"x" * 256, "list.txt:1: a word of over 255 bytes"),
                                 ("red".encode("utf-16"), "list.txt: is UTF-16")):
            self.build_refused(11, message, self.good, None, "-x", self.write("list.txt", content))
        self.build_refused(3, "missing.txt", self.good, None, "-x",
                           os.path.join(self.folder, "missing.txt"))

    def test_arguments(self):
        vectors = self.all_vectors()
        self.refused(2, "--output", "build", "-c", self.good, "-e", vectors)
        self.refused(2, "--embeddings", "build", "-c", self.good, "-o", self.output)
        self.refused(2, "--captions", "build", "-e", vectors, "-o", self.output)
        self.refused(2, "threshold", "build", "-c", self.good, "--threshold", "-1")
        self.refused(2, "is not a command", "frob")
        self.refused(2, "missing")
        self.refused(7, "/nonexistent/", "build", "-c", self.good, "-e", vectors, "-o",
                     "/nonexistent/prior")

    def test_priors_to_show(self):
        prior, _ = self.build(self.good)
        with open(prior, "rb") as file:
            whole = file.read()
        cut = self.write("cut.safetensors", whole[:len(whole) // 2])
        self.refused(5, "cut.safetensors", "show", cut)
        self.refused(5, "captions.txt", "show", self.good)
        self.refused(2, "no word 'zebra'", "show", prior, "zebra")
        self.refused(2, "need a word", "show", prior, "--dot", "-")
        self.refused(7, "/nonexistent/", "show", prior, "dog", "--dot", "/nonexistent/x.dot")


class Show(Folder):
    def setUp(self):
        super().setUp()
        self.lines = captions(6, 2000)
        self.prior, _ = self.build(self.write("captions.txt", "\n".join(self.lines)))

    def test_the_whole_prior(self):
        words, tensors, _ = read_prior(self.prior)
        shown = vqct("show", self.prior, "--top", "3").stdout
        self.assertIn(f"{len(words)} words", shown)
        counts = tensors["words.count"]
        self.assertIn(f"adjectives: {words[0]} {counts[0]}, {words[1]} {counts[1]}, "
                      f"{words[2]} {counts[2]}\n", shown)
        strongest = max(tensors["edges"].tolist(), key=lambda e: (e[2], -e[0], -e[1]))
        self.assertIn(f"edges: {words[strongest[0]]} {words[strongest[1]]} {strongest[2]}", shown)

    def test_a_full_standard_output_is_reported(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([VQCT, "prior", "show", self.prior], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, 7)
        self.assertEqual(done.stderr, "vqct prior: standard output cannot be written\n")

    def test_the_neighbours_of_a_word(self):
        words, tensors, _ = read_prior(self.prior)
        row = len(words) - words[::-1].index("dog") - 1
        shown = vqct("show", self.prior, "dog", "--neighbours", "4").stdout
        ring = sorted((e for e in tensors["edges"].tolist() if e[1] == row),
                      key=lambda e: (-e[2], e[0]))
        self.assertIn("stands behind: " + ", ".join(f"{words[e[0]]} {e[2]}" for e in ring[:4]),
                      shown)
        self.assertIn(f"{len(ring)} neighbours", shown)
        x = tensors["embeddings"].astype(numpy.float64)
        unit = x / numpy.linalg.norm(x, axis=1, keepdims=True)
        near = unit @ unit[row]
        nouns = [i for i in range(len(words)) if tensors["words.part"][i] == 1 and i != row]
        nouns.sort(key=lambda i: (-near[i], i))
        self.assertIn("near as nouns: " + ", ".join(f"{words[i]} {near[i]:.3f}"
                                                    for i in nouns[:4]), shown)

    def test_a_word_in_both_parts_is_shown_twice(self):
        words, _, _ = read_prior(self.prior)
        expected = words.count("orange")
        self.assertEqual(vqct("show", self.prior, "orange").stdout.count("orange ("), expected)

    def test_pictures(self):
        dot = vqct("show", self.prior, "dog", "--dot", "-").stdout
        self.assertTrue(dot.startswith("graph neighbourhood {") and dot.endswith("}\n"))
        self.assertIn('label="dog"', dot)
        if not shutil.which("dot"):
            self.skipTest("Graphviz is not installed")
        png = os.path.join(self.folder, "dog.png")
        done = vqct("show", self.prior, "dog", "--png", png)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(png, "rb") as file:
            self.assertEqual(file.read(8), b"\x89PNG\r\n\x1a\n")
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["captions.txt", "dog.png", "prior.safetensors", "vectors.txt"])

    def test_without_graphviz_the_text_is_left(self):
        png = os.path.join(self.folder, "dog.png")
        done = vqct("show", self.prior, "dog", "--png", png, environment={"PATH": self.folder})
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn("not installed", done.stderr)
        with open(png + ".dot") as file:
            self.assertEqual(file.read(), vqct("show", self.prior, "dog", "--dot", "-").stdout)
        self.assertFalse(os.path.exists(png))


class Tagger(Folder):
    def test_a_lexicon_and_a_tagger_can_be_made(self):
        for name, text in (("index.noun", "dog n\nman n\n"), ("noun.exc", "men man\n"),
                           ("index.verb", "run v\n"), ("verb.exc", "ran run\n"),
                           ("index.adj", "big a\n"), ("adj.exc", ""), ("index.adv", ""),
                           ("adv.exc", "")):
            self.write(name, text)
        lexicon, tagger = (os.path.join(self.folder, name) for name in ("lexicon", "tagger"))
        self.assertEqual(vqct("build-lexicon", self.folder, "-o", lexicon).returncode, 0)
        tagged = self.write("tagged.tsv", "a\tX\nbig\tJJ\ndog\tNN\nruns\tY\n\nbig\tJJ\nmen\tNN\n")
        done = vqct("train-tagger", tagged, "--lexicon", lexicon, "--score", tagged, "-o", tagger)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("100.00% of tags right, F1 of adjectives 1.0000, of nouns 1.0000",
                      done.stdout)
        captions_file = self.write("captions.txt", "A BIG dog runs\nbig men\n")
        done = vqct("tag", captions_file, "--lexicon", lexicon, "--tagger", tagger)
        self.assertEqual(done.stdout, "a/X big/JJ dog/NN runs/Y\nbig/JJ men/NN\n")

    def test_wrong_inputs(self):
        self.refused(3, "index.noun", "build-lexicon", self.folder, "-o", "x")
        self.refused(11, "line 1", "train-tagger", self.write("t", "no tab\n"), "-o", "x")
        self.refused(2, "--output", "train-tagger", "t")
        self.refused(2, "WORDNET", "build-lexicon", "-o", "x")


if __name__ == "__main__":
    unittest.main()
