"""Models that come and go while the service runs: by SIGHUP, and by watching their files."""
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402


def configured(path, *options):
    """A server whose models are listed by its configuration file alone."""
    return serving.Server(None, "--config", path, *options)


class Reloading(serving.ModelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = os.path.join(cls.folder.name, "other.st")
        serving.make_model(cls.other, seed=8, name="other")

    def configure(self, *models):
        path = self.path(self.id() + ".json")
        with open(path + ".new", "w") as file:
            json.dump({"model": models}, file)
        os.rename(path + ".new", path)
        return path

    def reload(self, server, lines):
        """Sends the signal and waits for so many more lines of what was loaded; gives those."""
        def found():
            return [line for line in server.log() if line["event"] == "reload"]
        before = len(found())
        server.process.send_signal(signal.SIGHUP)
        serving.wait_until(lambda: len(found()) >= before + lines, "the reload")
        return found()[before:]

    def names(self, server):
        return [one["name"] for one in server.get("/v1/models").json()["models"]]

    def test_models_come_and_go(self):
        path = self.configure(f"a={self.model}")
        with configured(path) as server:
            self.assertEqual(server.post("/v1/encode?size=32&model=b", self.png).status, 404)
            self.configure(f"b={self.other}", f"a={self.model}")
            lines = self.reload(server, 2)
            self.assertEqual([(line["model"], line["level"]) for line in lines],
                             [("b", "info"), ("a", "info")])
            self.assertEqual(self.names(server), ["b", "a"])
            model = server.post("/v1/encode?size=32", self.png).json()["model"]
            self.assertEqual(model["name"], "other")
            self.configure(f"b={self.other}")
            self.reload(server, 1)
            self.assertEqual(self.names(server), ["b"])
            self.assertIn("a is not served any more",
                          [line.get("message") for line in server.log()])
            self.assertEqual(server.post("/v1/encode?size=32&model=a", self.png).problem(),
                             "unknown-model")
            text = server.get("/metrics", admin=True).body.decode()
            self.assertNotIn('model="a"', "".join(line for line in text.splitlines(True)
                                                  if line.startswith("vqct_codebook")))

    def test_a_broken_one_keeps_no_other_from_being_renewed(self):
        path = self.configure(f"a={self.path('a')}", f"b={self.path('b')}", f"c={self.path('c')}")
        for name in "abc":
            shutil.copy(self.model, self.path(name))
        with configured(path) as server:
            before = server.post("/v1/encode?size=32&model=b", self.png).json()
            shutil.copy(self.other, self.path("a"))
            with open(self.path("b"), "wb") as file:
                file.write(b"no model")
            shutil.copy(self.other, self.path("c"))
            self.configure(f"a={self.path('a')}", f"b={self.path('b')}", f"c={self.path('c')}",
                           f"d={self.path('none')}")
            lines = self.reload(server, 4)
            self.assertEqual([line["level"] for line in lines], ["info", "error", "info", "error"])
            self.assertIn("the old model goes on", lines[1]["message"])
            self.assertIn("a model is not served", lines[3]["message"])
            models = server.get("/v1/models").json()["models"]
            self.assertEqual([(one["name"], one["model"]["name"]) for one in models],
                             [("a", "other"), ("b", "tiny"), ("c", "other")])
            self.assertEqual(server.post("/v1/encode?size=32&model=b", self.png).json(), before)
            for name, result in (("a", "ok"), ("b", "failed"), ("c", "ok"), ("d", "failed")):
                self.assertEqual(server.metric(
                    f'vqct_reloads_total{{what="model",result="{result}",model="{name}"}}'), 1)
            self.assertEqual(server.get("/readyz", admin=True).status, 200)

    def test_a_broken_list_leaves_the_old_one(self):
        path = self.configure(f"a={self.model}")
        with configured(path) as server:
            for count, text in enumerate(("junk", '{"model": []}', '{"model": ["a/b=x"]}',
                                          '{"model": ["a=x", "a=y"]}', '{"modell": []}'), 1):
                with open(path, "w") as file:
                    file.write(text)
                line, = self.reload(server, 1)
                self.assertEqual(line["level"], "error", text)
                self.assertIn("the old configuration goes on", line["message"])
                self.assertEqual(self.names(server), ["a"])
                self.assertEqual(server.metric(
                    'vqct_reloads_total{what="configuration",result="failed"}'), count)
            os.remove(path)
            self.assertIn(path, self.reload(server, 1)[0]["message"])

    def test_names_that_meet_in_a_reload(self):
        """Two files whose models have one name: the second is refused, whichever was there."""
        for name in "ab":
            shutil.copy(self.model if name == "a" else self.other, self.path(name))
        path = self.configure(self.path("a"), self.path("b"))
        with configured(path) as server:
            self.assertEqual(self.names(server), ["tiny", "other"])
            shutil.copy(self.model, self.path("b"))
            lines = self.reload(server, 2)
            self.assertEqual([line["level"] for line in lines], ["info", "error"])
            self.assertIn("both named tiny", lines[1]["message"])
            self.assertEqual(self.names(server), ["tiny", "other"])

    def test_counters_stay_with_their_model(self):
        path = self.configure(f"a={self.model}", f"b={self.other}")
        with configured(path) as server:
            for name in "abb":
                server.post(f"/v1/encode?size=32&model={name}", self.png)
            self.configure(f"b={self.other}", f"a={self.model}")
            self.reload(server, 2)
            counted = {name: sum(server.get(f"/v1/codebook/usage?model={name}").json()["counts"])
                       for name in "ab"}
            self.assertEqual(counted, {"a": 128, "b": 256})
            self.assertTrue(server.get("/v1/statistics?model=b&history=true").json()["history"])

    def test_no_request_is_lost_while_models_come_and_go(self):
        path = self.configure(f"a={self.model}", f"b={self.other}")
        statuses, stop = {"a": [], "b": []}, threading.Event()

        def client(server, name):
            while not stop.is_set():
                answer = server.post(f"/v1/encode?size=32&model={name}", self.png)
                statuses[name].append(answer.status)
                if answer.status == 200 and answer.json()["model"]["name"] != (
                        "tiny" if name == "a" else "other"):
                    statuses[name].append("wrong")
        with configured(path) as server:
            threads = [threading.Thread(target=client, args=(server, name)) for name in "aabb"]
            for thread in threads:
                thread.start()
            for turn in range(12):
                models = [f"a={self.model}", f"b={self.other}"]
                self.configure(*(models[:1] if turn % 3 == 0 else models[::-1]))
                self.reload(server, 1 if turn % 3 == 0 else 2)
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(set(statuses["a"]), {200})
            self.assertLessEqual(set(statuses["b"]), {200, 404})  # 404: while it was not there
            self.assertEqual(server.metric("vqct_queue_pixels"), 0)

    def test_a_request_ends_with_the_model_that_it_came_for(self):
        path = self.configure(f"a={self.model}", f"b={self.other}")
        with configured(path, "--batch-delay", "1s", "--batch-images", "8", "--workers", "1") as server:
            answers = []
            thread = threading.Thread(target=lambda: answers.append(
                server.post("/v1/encode?size=32&model=b", self.png)))
            thread.start()
            serving.wait_until(lambda: server.metric("vqct_queue_images") == 1, "the picture waits")
            self.configure(f"a={self.model}")
            self.reload(server, 1)
            self.assertEqual(self.names(server), ["a"])
            thread.join()
            self.assertEqual((answers[0].status, answers[0].json()["model"]["name"]), (200, "other"))


class Watching(serving.ModelCase):
    """Files that change are loaded again without a signal, and others are not."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = os.path.join(cls.folder.name, "other.st")
        serving.make_model(cls.other, seed=8, name="other")

    def replace(self, path, source):
        shutil.copy(source, path + ".new")
        os.rename(path + ".new", path)

    def lines(self, server, count):
        """The lines of what was loaded, as soon as there are so many."""
        def found():
            return [(line["level"], line.get("model")) for line in server.log()
                    if line["event"] == "reload"]
        serving.wait_until(lambda: len(found()) >= count, f"{count} reloads")
        return found()

    def test_a_model_that_changes(self):
        folder = self.path("changes")
        os.mkdir(folder)
        a, b = (os.path.join(folder, name) for name in "ab")
        shutil.copy(self.model, a)
        shutil.copy(self.model, b)
        with serving.Server(f"a={a}", "--model", f"b={b}", "--watch") as server:
            with open(os.path.join(folder, "unrelated"), "w") as file:
                file.write("x")
            os.utime(folder)
            self.replace(b, self.other)
            self.assertEqual(self.lines(server, 1), [("info", "b")])
            shutil.copyfile(self.other, a)  # in place
            self.assertEqual(self.lines(server, 2)[1:], [("info", "a")])
            with open(b + ".new", "w") as file:
                file.write("broken")
            os.rename(b + ".new", b)
            self.assertEqual(self.lines(server, 3)[2:], [("error", None)])
            names = [one["model"]["name"] for one in server.get("/v1/models").json()["models"]]
            self.assertEqual(names, ["other", "other"])
            os.remove(b)  # waited for
            self.replace(b, self.model)
            self.assertEqual(self.lines(server, 4)[3:], [("info", "b")])
            server.process.send_signal(signal.SIGHUP)  # all, as ever
            self.assertEqual(self.lines(server, 6)[4:], [("info", "a"), ("info", "b")])

    def test_a_volume_of_kubernetes(self):
        """A folder whose files are links through ..data, which is a link that is renamed over."""
        volume = self.path("volume")

        def publish(name, source):
            os.mkdir(os.path.join(volume, name))
            shutil.copy(source, os.path.join(volume, name, "model"))
            os.symlink(name, os.path.join(volume, "..new"))
            os.rename(os.path.join(volume, "..new"), os.path.join(volume, "..data"))
        os.mkdir(volume)
        publish("..1", self.model)
        path = os.path.join(volume, "model")
        os.symlink("..data/model", path)
        with serving.Server(path, "--watch") as server:
            for count, source in enumerate((self.other, self.model, self.other), 2):
                publish(f"..{count}", source)
                shutil.rmtree(os.path.join(volume, f"..{count - 1}"))
                self.lines(server, count - 1)
                self.assertEqual(server.get("/v1/model").json()["model"]["name"],
                                 "tiny" if source == self.model else "other")

    def test_the_list_of_models(self):
        path = self.path("watched.json")

        def configure(*models):
            with open(path + ".new", "w") as file:
                json.dump({"model": models, "watch": True}, file)
            os.rename(path + ".new", path)
        configure(f"a={self.model}")
        with configured(path) as server:
            configure(f"a={self.model}", f"b={self.other}")
            self.assertEqual(self.lines(server, 1), [("info", "b")])
            self.assertEqual(server.wait_for_log("reload")["message"], "the model is loaded")
            configure(f"b={self.other}")
            serving.wait_until(lambda: len(server.get("/v1/models").json()["models"]) == 1)
            configure(f"b={self.model}")  # another file of the same name
            self.assertEqual(self.lines(server, 2)[1:], [("info", "b")])
            self.assertEqual(server.wait_for_log("reload", 2)["message"], "the model is loaded again")
            self.assertEqual(server.get("/v1/model").json()["model"]["name"], "tiny")

    def test_keys(self):
        path = self.path("keys")

        def write(key):
            with open(path + ".new", "w") as file:
                file.write(hashlib.sha256(key.encode()).hexdigest() + "\n")
            os.rename(path + ".new", path)
        write("one")
        with serving.Server(self.model, "--api-keys", path, "--watch") as server:
            write("two")
            self.assertEqual(self.lines(server, 1), [("info", None)])
            self.assertEqual(server.get("/v1/model", {"X-API-Key": "one"}).status, 401)
            self.assertEqual(server.get("/v1/model", {"X-API-Key": "two"}).status, 200)


if __name__ == "__main__":
    unittest.main()
