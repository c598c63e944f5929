"""The Grafana dashboards as data."""
import glob
import json
import os
import re

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                      "deploy", "grafana", "dashboards")
VARIABLES = {"$__rate_interval": "1m", "$__range": "10m", "$job": "vqct", "$model": "tiny", "$instance": ".*"}


def load_all():
    loaded = []
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.json"))):
        with open(path) as file:
            loaded.append(json.load(file))
    return loaded


def queries(dashboard):
    """[(panel title, expression)] of every panel."""
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"]
            for target in panel.get("targets", [])]


def fill_in(expression):
    """An expression as Grafana sends it, with the variables' values in place."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert not re.search(r"\$[a-zA-Z_{]", expression), expression
    return expression
