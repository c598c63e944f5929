"""Commands, options and exit statuses that container and cluster files name, against the program."""
import hashlib
import json
import os
import re
import subprocess
import tempfile
import unittest

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VQCT = os.path.join(ROOT, os.environ.get("VQCT_BUILD", "build/release"), "vqct")


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


def manifest(*path):
    return yaml.safe_load(read("deploy", "kubernetes", *path))


def help_of(*command):
    done = subprocess.run([VQCT, *command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def options_of(command):
    return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", help_of(command), re.M))


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(s|m)", text).groups()
    return float(number) * {"s": 1, "m": 60}[unit]


class Names(unittest.TestCase):
    def check_arguments(self, arguments):
        known = options_of(arguments[0])
        named = [re.match(r"--([a-z-]+)", word) for word in arguments[1:]]
        self.assertLessEqual({found[1] for found in named if found}, known)

    def test_service_and_its_configuration(self):
        pod = manifest("base", "deployment.yaml")["spec"]["template"]["spec"]
        self.check_arguments(pod["containers"][0]["args"])
        settings = json.loads(read("deploy", "kubernetes", "base", "vqct.json"))
        self.assertLessEqual(set(settings), options_of("serve"))

    def test_overlay_adds_options_that_exist(self):
        added = re.findall(r"value: --([a-z-]+)=", read("deploy", "kubernetes", "overlays", "large",
                                                        "kustomization.yaml"))
        self.assertEqual(added, ["api-keys"])
        self.assertLessEqual(set(added), options_of("serve"))

    def test_model_of_ones_own_is_fetched_and_checked(self):
        patches = manifest("overlays", "own-model", "kustomization.yaml")["patches"]
        changes = yaml.safe_load(patches[1]["patch"])
        fetch, = next(c["value"] for c in changes if c["path"].endswith("/initContainers"))
        named = next(c["value"] for c in changes if c["path"].endswith("/env"))
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "source")
            with open(source, "wb") as file:
                file.write(b"a model")
            script = fetch["args"][0].replace("/models", folder)
            for content, expected in ((b"a model", 0), (b"another", 1)):
                environment = dict(os.environ, MODEL_URL="file://" + source,
                                   MODEL_SHA256=hashlib.sha256(content).hexdigest())
                done = subprocess.run([*fetch["command"], script], env=environment,
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, expected, done.stderr)
            written = os.path.join(folder, os.path.basename(named[0]["value"]))
            self.assertTrue(os.path.exists(written), named)
        self.assertIn(named[0]["name"], read("Dockerfile"))

    def test_bulk_job(self):
        job = manifest("jobs", "tokenize.yaml")["spec"]
        arguments = job["template"]["spec"]["containers"][0]["args"]
        self.check_arguments(arguments)
        shard = next(word for word in arguments if word.startswith("--shard="))
        self.assertEqual(shard, f"--shard=$(JOB_COMPLETION_INDEX)/{job['completions']}")
        meanings = dict(re.findall(r"^ +(\d+)  (.*)$", help_of(), re.M))
        actions = {rule["action"]: [meanings[str(code)] for code in rule["onExitCodes"]["values"]]
                   for rule in job["podFailurePolicy"]["rules"] if "onExitCodes" in rule}
        self.assertEqual(actions, {
            "FailJob": ["an argument or option is wrong",
                        "a model, prior or checkpoint file is damaged or does not fit"],
            "FailIndex": ["some inputs failed and were reported; the others were done"]})

    def test_training_job(self):
        roles = manifest("jobs", "train-mpi.yaml")["spec"]["mpiReplicaSpecs"]
        launcher = roles["Launcher"]["template"]["spec"]["containers"][0]
        self.assertEqual(launcher["command"][-2:], ["vqct-mpi", "train"])
        self.check_arguments(["train", *launcher["args"]])
        self.assertEqual(launcher["command"][2], str(roles["Worker"]["replicas"]))

    def test_environment_of_the_image(self):
        named = re.findall(r"VQCT_([A-Z_]+)=", read("Dockerfile"))
        self.assertEqual(len(named), 3)
        self.assertLessEqual({name.lower().replace("_", "-") for name in named},
                             options_of("serve"))
        self.assertIn("admin-listen", options_of("health"))


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = yaml.safe_load(read("deploy", "docker-compose.yaml"))["services"]

    def test_mounted_files_are_there(self):
        for service in self.services.values():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, "deploy", source)), source)

    def test_ports_are_of_this_machine_alone(self):
        for service in self.services.values():
            for port in service["ports"]:
                self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_service_may_drain(self):
        settings = yaml.safe_load(read("config", "vqct.json"))
        drain = seconds(settings["drain-delay"]) + seconds(settings["drain-timeout"])
        self.assertGreater(seconds(self.services["vqct"]["stop_grace_period"]), drain)

    def test_grafana_looks_where_the_dashboards_are(self):
        provider = yaml.safe_load(read("deploy", "grafana", "provisioning", "dashboards",
                                       "vqct.yaml"))["providers"][0]
        targets = [volume.split(":")[1] for volume in self.services["grafana"]["volumes"]]
        self.assertIn(provider["options"]["path"], targets)
        source = yaml.safe_load(read("deploy", "grafana", "provisioning", "datasources",
                                     "prometheus.yaml"))["datasources"][0]
        self.assertIn(source["url"].split("//")[1].split(":")[0], self.services)


if __name__ == "__main__":
    unittest.main()
