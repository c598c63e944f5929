"""The Prometheus rules by promtool, and what can be told of rules and dashboards without a server."""
import os
import re
import subprocess
import sys
import unittest

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dashboards  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RULES = os.path.join(ROOT, "deploy", "prometheus", "rules.yaml")


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


class Rules(unittest.TestCase):
    def test_promtool_finds_no_fault(self):
        for command in (("check", "config", "deploy/prometheus/prometheus.yaml"),
                        ("test", "rules", "tests/deploy/rules_test.yaml")):
            code, output = promtool(*command)
            self.assertEqual(code, 0, output)

    def test_every_alert_is_tested_and_says_what_to_do(self):
        tests = yaml.safe_load(read("tests", "deploy", "rules_test.yaml"))["tests"]
        fired = {case["alertname"] for test in tests for case in test.get("alert_rule_test", [])
                 if case["exp_alerts"]}
        for group in yaml.safe_load(read(RULES))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    self.assertIn(rule["alert"], fired)
                    self.assertEqual(set(rule["annotations"]), {"summary", "action"})
                    self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))

    def test_thresholds_follow_the_settings_that_they_name(self):
        rules = {rule.get("alert"): rule for group in yaml.safe_load(read(RULES))["groups"]
                 for rule in group["rules"]}
        pod = yaml.safe_load(read("deploy", "kubernetes", "base", "deployment.yaml"))["spec"]
        limits = pod["template"]["spec"]["containers"][0]["resources"]["limits"]
        self.assertEqual(limits["memory"], "1Gi")
        self.assertIn(f"0.9 * {1 << 30}", rules["VqctMemory"]["expr"])
        queue = re.search(r'"queue-images".*?"(\d+)"', read("config", "serve_options.c"), re.S)
        self.assertIn(f"> {int(queue[1]) // 2}", rules["VqctQueueFilling"]["expr"])


class Names(unittest.TestCase):
    def test_every_metric_that_is_asked_for_exists(self):
        sources = read("server", "api", "families.c") + read("server", "api", "metrics.c")
        known = set(re.findall(r"\b((?:vqct|process)_[a-z_]+)", sources))
        known |= {name + suffix for name in known if name.endswith(("_seconds", "_images"))
                  for suffix in ("_bucket", "_sum", "_count")}
        recorded = set(re.findall(r"record: (\S+)", read(RULES)))
        expressions = [read(RULES)] + [expression for dashboard in dashboards.load_all()
                                       for _, expression in dashboards.queries(dashboard)]
        for expression in expressions:
            for name in re.findall(r"\b(?:vqct|process)_[a-z_]+", expression):
                self.assertIn(name, known)
            for name in re.findall(r"\bvqct:[a-z0-9_]+:?[a-z0-9_]*", expression):
                self.assertIn(name, recorded)


class Dashboards(unittest.TestCase):
    def test_every_panel_is_described(self):
        self.assertEqual(len(dashboards.load_all()), 2)
        for dashboard in dashboards.load_all():
            panels = dashboard["panels"]
            self.assertEqual([panel["id"] for panel in panels], list(range(1, len(panels) + 1)))
            for panel in panels:
                with self.subTest(dashboard=dashboard["title"], panel=panel["title"]):
                    self.assertGreater(len(panel["description"]), 20)
                    defaults = panel["fieldConfig"]["defaults"]
                    self.assertTrue(defaults["unit"])
                    steps = defaults["thresholds"]["steps"]
                    values = [step["value"] for step in steps[1:]]
                    self.assertIsNone(steps[0]["value"])
                    self.assertEqual(values, sorted(values))
                    self.assertTrue(panel["targets"])

    def test_no_panel_covers_another(self):
        for dashboard in dashboards.load_all():
            taken = set()
            for panel in dashboard["panels"]:
                at = panel["gridPos"]
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                         for y in range(at["y"], at["y"] + at["h"])}
                self.assertFalse(taken & cells, panel["title"])
                self.assertLessEqual(at["x"] + at["w"], 24)
                taken |= cells


if __name__ == "__main__":
    unittest.main()
