"""The operating guide and its files agree with the program: names, defaults, paths, units."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from models.columns import Columns
from serving import problems
from serving.champions.loaded import LiveChampions
from serving.operation.metrics import Metrics
from serving.problems import Kind
from serving.settings import ServingSettings
from tests.repo.test_layout import PACKAGES, ROOT

GUIDE = (ROOT / "docs" / "operate.md").read_text("utf-8")
FILES = ROOT / "docs" / "operate"
NAME = re.compile(r"(?:wardcast|process)_[a-z_]+")


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all samples that the server exposes."""
    metrics = Metrics()
    metrics.watch_champions(LiveChampions(tmp_path_factory.mktemp("champions")))
    metrics.request_ended("/v1/models", "GET", 200, 0.1)
    metrics.problem_answered("busy")
    metrics.gathered([0.1])
    metrics.predicted("cost", "cost-admission/1", ["low"], [0.1])
    metrics.features_built("admission", Columns.of(pd.DataFrame({"age_years": [1.0]})))
    text = metrics.text().decode()
    declared = set(re.findall(r"^# TYPE (\S+)", text, flags=re.M))
    return declared | {line.split("{")[0].split(" ")[0] for line in text.splitlines()}


@pytest.fixture(scope="module")
def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FILES / "alerts.yml").read_text("utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def test_alerts_and_guide_name_metrics_that_are_exposed(alerts, exposed):
    rows = re.search(r"## Metrics\n(.*?)\n## ", GUIDE, flags=re.S)
    assert rows is not None
    named = {
        name for cell in re.findall(r"^\| (`[^|]*`)", rows[1], flags=re.M) for name in NAME.findall(cell)
    }
    named |= {name for alert in alerts for name in NAME.findall(alert["expr"])}
    assert len(named) > 12
    assert named <= exposed


def test_alerts_name_kinds_of_problems_that_there_are(alerts):
    known = {kind.name for kind in vars(problems).values() if isinstance(kind, Kind)}
    named = {
        kind
        for alert in alerts
        for kinds in re.findall(r'kind=~?"([^"]+)"', alert["expr"])
        for kind in kinds.split("|")
    }
    assert "busy" in named
    assert named <= known


def test_the_api_page_tells_every_kind_of_problem_by_its_status():
    section = (ROOT / "docs" / "api.md").read_text("utf-8").partition("\n## Errors\n")[2]
    told = {
        (kind, int(status))
        for kinds, status in re.findall(r"^\| (`[^|]+) \| (\d+) \|", section, flags=re.M)
        for kind in kinds.split("`")[1::2]
    }
    assert told == {(kind.name, kind.status) for kind in vars(problems).values() if isinstance(kind, Kind)}


def test_every_alert_names_its_entry_in_the_runbook(alerts):
    entries = set(re.findall(r"^\| ([a-z- ]+) \|", GUIDE[GUIDE.index("## Runbook") :], flags=re.M))
    for alert in alerts:
        assert alert["annotations"]["do"].removeprefix("runbook: ") in entries


def test_a_database_that_is_away_is_an_alert_whoever_notices_it(alerts):
    (store,) = [alert for alert in alerts if alert["alert"] == "WardcastStoreFails"]
    # Keys are read from the database too, and before anything else.
    assert {problems.STORE_UNAVAILABLE.name, problems.ACCESS_UNAVAILABLE.name} <= set(
        re.findall(r"[a-z]+-[a-z]+", store["expr"])
    )


def test_the_guide_tells_every_event_of_the_log():
    section = GUIDE[GUIDE.index("## Logs") : GUIDE.index("## Backup")]
    told = {
        event for row in re.findall(r"^\| (`[^|]+) \|", section, flags=re.M) for event in row.split("`")[1::2]
    }
    sources = (file.read_text("utf-8") for file in (ROOT / "serving").rglob("*.py"))
    logged = {event for source in sources for event in re.findall(r'"event": "([^"]+)"', source)}
    assert len(logged) > 7
    assert logged <= told


def test_the_guide_tells_every_limit_with_its_default():
    shown = {"max_body_bytes": "5 MiB", "max_rows": "20,000", "max_batch": "1,000"}
    told = dict(re.findall(r"^\| `(\w+)` \| ([\d,.]+(?: MiB)?)", GUIDE, flags=re.M))
    limits = {
        each.name: each.default for each in fields(ServingSettings) if type(each.default) in (int, float)
    }
    for name in ("reload_seconds", "retry_seconds"):
        del limits[name]
    assert told == {name: shown.get(name, f"{default:g}") for name, default in limits.items()}


def test_the_container_holds_every_package_and_does_not_run_as_root():
    text = (FILES / "Containerfile").read_text("utf-8")
    copied = [line.split()[1:-1] for line in text.splitlines() if re.match(r"COPY (?!--from)", line)]
    sources = {source for line in copied for source in line}
    assert set(PACKAGES) < sources
    assert all((ROOT / source).exists() for source in sources)
    last = text.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", last, flags=re.M)
    assert last.index("\nUSER ") < last.index("\nENTRYPOINT ")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_the_units(tmp_path: Path):
    units = sorted(FILES.glob("*.service")) + sorted(FILES.glob("*.timer"))
    assert len(units) == 3
    for unit in units:
        # The program is not installed where the tests run.
        text = unit.read_text("utf-8").replace("/opt/wardcast/.venv/bin/wardcast", "/bin/true")
        (tmp_path / unit.name).write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_links_of_the_guide_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (ROOT / "docs" / link).exists(), link
