"""Nothing leaves the house: no outside connection; no patient's id or value in a log, in MLflow, in a model.

Every command of the whole way runs on records with planted markers, with every logger at DEBUG and every
socket watched, in all Python processes that it starts. Where this machine allows it, the commands run in a
network namespace of their own as well, whose counters see what native code attempts.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from features.ingest import ingest
from tests.command import WARDCAST, clean_environment

WATCH = """
import logging, os, sys

_folder = os.environ["WATCH_FOLDER"]
logging.basicConfig(filename=f"{_folder}/{os.getpid()}.log", level=logging.DEBUG)
_HOUSE = ("127.0.0.1", "::1", "localhost", "", None)
_PLACE = {"socket.connect": 1, "socket.bind": 1, "socket.sendto": 1, "socket.sendmsg": 1,
          "socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}

def watch(event, arguments):
    if event not in _PLACE:
        return
    address = arguments[_PLACE[event]]
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else host
    is_file = isinstance(host, str) and (host.startswith("/") or chr(0) in host)
    if host in _HOUSE or is_file:
        return
    with open(f"{_folder}/attempts.txt", "a") as file:
        file.write(f"{event} {sys.argv[:2]}\\n")
    raise PermissionError("an outside connection")

sys.addaudithook(watch)
"""
BIRTH_DATE, COST, VALUE, ADMITTED_AT = "1931-07-13", "1234567.89", "7777.125", "2023-05-06 07:08:09"
MARKERS = ("MARKER", BIRTH_DATE, "1234567", VALUE, "07:08:09")
MODELS = ("readmission-discharge", "cost-admission")


@dataclass(frozen=True)
class House:
    """A folder in which every command was run and watched."""

    folder: Path
    watched: Path

    def run(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command without a network, insist on its exit code and keep what it printed."""
        command = [*WARDCAST, *map(str, arguments)]
        done = subprocess.run(
            without_network(command, self.watched / "counters.txt"),
            cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{done.stderr}"
        with (self.watched / "printed.txt").open("a") as file:
            file.write(done.stdout + done.stderr)
        return done

    def environment(self) -> dict[str, str]:
        return clean_environment(
            PYTHONPATH=str(self.watched / "site"),
            WATCH_FOLDER=str(self.watched),
            MLFLOW_LOGGING_LEVEL="DEBUG",
            TMPDIR=str(self.folder / "tmp"),
        )


def can_leave_the_network() -> bool:
    probe = ["unshare", "--user", "--map-root-user", "--net", "true"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


def without_network(command: list[str], counters: Path) -> list[str]:
    """The command in a network namespace whose counters are added to a file when it ends."""
    if not can_leave_the_network():
        return command
    script = f'"$@"; code=$?; cat /proc/net/snmp >> {shlex.quote(str(counters))}; exit $code'
    return ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, "sh", *command]


def counted(counters: Path) -> dict[str, int]:
    """The namespaces' counters, added up, by protocol and name."""
    found: dict[str, int] = {}
    lines = [line.split() for line in counters.read_text().splitlines()]
    for names, numbers in zip(lines[::2], lines[1::2], strict=True):
        for name, number in zip(names[1:], numbers[1:], strict=True):
            key = f"{names[0]}{name}"
            found[key] = found.get(key, 0) + int(number)
    return found


ATTEMPTED = ("Ip:OutRequests", "Ip:OutNoRoutes", "Tcp:ActiveOpens", "Udp:OutDatagrams")


def watched_folder(folder: Path) -> Path:
    (folder / "site").mkdir(parents=True)
    (folder / "site" / "sitecustomize.py").write_text(WATCH)
    return folder


def marked_records(folder: Path) -> None:
    """A made-up hospital's tables with marked ids, and marked values of single patients."""
    made = folder.with_name("made")
    ingest("synthetic", None, made, options={"admissions": 6_000, "seed": 5})
    folder.mkdir()
    shutil.copy(made / "dataset.toml", folder)
    with duckdb.connect() as con:
        for name in ("patients", "stays", "diagnoses", "procedures", "charges", "observations", "visits"):
            con.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{made}/{name}/*/*.parquet', "
                        "hive_partitioning = false)")  # fmt: skip
            for column in ("patient_id", "stay_id", "visit_id"):
                if column in [found[0] for found in con.execute(f"DESCRIBE {name}").fetchall()]:
                    con.execute(f"UPDATE {name} SET {column} = 'MARKER' || {column}")
        plant(con)
        for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            con.execute(f"COPY {name} TO '{folder}/{name}.parquet'")


def plant(con: duckdb.DuckDBPyConnection) -> None:
    """Values that one patient alone has, in stays early enough to be learned from."""
    learned = "status = 'discharged' AND admitted_at BETWEEN '2022-01-01' AND '2023-12-31'"
    chosen = con.execute(f"SELECT stay_id FROM stays WHERE {learned} ORDER BY stay_id LIMIT 4").fetchall()
    first, second, third, fourth = (row[0] for row in chosen)
    con.execute(f"UPDATE stays SET total_cost = {COST} WHERE stay_id = '{first}'")
    con.execute(
        f"UPDATE stays SET admitted_at = '{ADMITTED_AT}', discharged_at = '2023-05-11 12:00', "
        f"booked_at = NULL WHERE stay_id = '{second}'"
    )
    con.execute(f"UPDATE stays SET payer = 'MARKERPAYER' WHERE stay_id = '{third}'")
    # Into quarantine.
    con.execute(f"UPDATE stays SET discharged_at = admitted_at - INTERVAL 1 DAY WHERE stay_id = '{fourth}'")
    con.execute(f"UPDATE patients SET birth_date = birth_date + 1 WHERE birth_date = '{BIRTH_DATE}'")
    con.execute(
        f"UPDATE patients SET birth_date = '{BIRTH_DATE}' "
        f"WHERE patient_id = (SELECT patient_id FROM stays WHERE stay_id = '{first}')"
    )
    con.execute(
        f"UPDATE observations SET value = {VALUE} WHERE rowid = "
        f"(SELECT min(rowid) FROM observations WHERE stay_id = '{second}')"
    )
    con.execute(
        "CREATE TABLE identities AS SELECT stay_id, 'MARKERNAME ' || stay_id AS name, 'MARKERBED' AS bed, "
        "'MARKERWARD' AS ward, 'MARKERPHONE' AS phone, 'MARKERCLINICIAN' AS clinician FROM stays"
    )
    con.execute("CREATE TABLE facts AS SELECT stay_id, 'living' AS name, 'admission' AS available_from, "
                f"CASE WHEN stay_id = '{first}' THEN 'MARKERLEVEL' WHEN hash(stay_id) % 3 = 0 THEN 'alone' "
                "ELSE 'with others' END AS value FROM stays")  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The whole way, command by command, and some commands that must fail."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "tmp").mkdir()
    house = House(folder, watched_folder(folder / "watched"))
    marked_records(folder / "in")
    house.run("ingest", "canonical", "in", "--out", "data")
    house.run("check", "in", code=1)
    house.run("ingest", "canonical", "in", "--out", "none", "--max-quarantine-share", "0", code=1)
    house.run("features", "data", "--out", "rows.parquet")
    for model in MODELS:
        target, point = model.split("-")
        house.run("train", "data", "--target", target, "--point", point)
        house.run("promote", model, 1, "--override", "a test's reason")
    house.run("models")
    house.run("score", "data", "--out", "scores.parquet", "--since", "2025-06-01")
    house.run("score", "data", "--out", "scores.csv", "--top", "5")
    return house


@pytest.fixture(scope="module")
def answers(house: House) -> list[tuple[int, str]]:
    """What the server says to good and bad requests about marked patients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = house.run("keys", "create", "--name", "tests", "--role", "integrator").stdout.strip()
    command = [*WARDCAST, "serve", "--port", str(port)]
    with (house.watched / "server.txt").open("w") as printed, subprocess.Popen(
        command, cwd=house.folder, env=house.environment(), stdout=printed, stderr=printed
    ) as server:  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/health/ready", server)
            return [asked(f"http://127.0.0.1:{port}{path}", body, key) for path, body in requests()]
        finally:
            server.terminate()
            server.wait(60)


def requests() -> Iterator[tuple[str, bytes | None]]:
    stay = {
        "stay_id": "MARKERSTAY",
        "patient_id": "MARKERPATIENT",
        "hospital_id": "H1",
        "status": "discharged",
        "admission_type": "emergency",
        "admitted_at": "2025-05-06T07:08:09",
        "discharged_at": "2025-05-11T12:00:00",
        "total_cost": float(COST),
        "payer": "MARKERPAYER",
    }
    patient = {"patient_id": "MARKERPATIENT", "birth_date": BIRTH_DATE, "sex": "female"}
    good = {"stay_id": "MARKERSTAY", "prediction_point": "discharge", "history_from": "2021-01-01",
            "records": {"patients": [patient], "stays": [stay], "diagnoses": []}}  # fmt: skip
    bad = json.loads(json.dumps(good))
    bad["records"]["patients"][0]["sex"] = "MARKERSEX"
    bad["records"]["stays"][0]["MARKERFIELD"] = "MARKERVALUE"
    foreign = json.loads(json.dumps(good))
    foreign["records"]["stays"][0]["patient_id"] = "MARKERPATIENT2"
    early = good | {"prediction_time": "2020-01-01T07:08:09"}
    for body in (good, bad, foreign, early, good | {"prediction_point": "MARKERPOINT"}):
        yield "/v1/predictions", json.dumps(body).encode()
    yield "/v1/predictions?explain=full", json.dumps(good | {"prediction_point": "admission"}).encode()
    yield "/v1/predictions/batch", json.dumps({"items": [good, bad, {"MARKER": "MARKER"}, foreign]}).encode()
    yield "/v1/predictions", b'{"MARKER": NaN'
    yield "/v1/predictions?explain=MARKER", json.dumps(good).encode()
    yield "/v1/stays/MARKERSTAY?name=MARKERNAME", None
    yield "/v1/models", None


def asked(address: str, body: bytes | None, key: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(address, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def wait_for(address: str, server: subprocess.Popen[bytes], *, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < until:
        try:
            if asked(address, None, key="")[0] == 200:
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the server did not come up")


def holding(files: list[Path], markers: tuple[str, ...] = MARKERS) -> list[tuple[str, str]]:
    """Which marker stands in which file, in text of one or of two bytes a character."""
    found = []
    for file in files:
        content = file.read_bytes()
        found += [
            (file.name, marker)
            for marker in markers
            if marker.encode() in content or marker.encode("utf-16-le") in content
        ]
    return found


def files_below(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.is_file()]


def test_the_markers_went_the_whole_way(house, answers):
    """Otherwise it would prove nothing that they are not found elsewhere."""
    data = house.folder / "data"
    with duckdb.connect() as con:

        def one(sql: str) -> Any:
            return con.execute(sql).fetchall()[0][0]

        stays = f"'{data}/stays/*/*.parquet'"
        assert one(f"SELECT count(*) FROM {stays} WHERE NOT starts_with(stay_id, 'MARKERS')") == 0
        assert one(f"SELECT count(*) FROM {stays} WHERE total_cost = {COST}") == 1
        assert one(f"SELECT count(*) FROM {stays} WHERE admitted_at = '{ADMITTED_AT}'") == 1
        assert (
            one(f"SELECT count(*) FROM '{data}/patients/*/*.parquet' WHERE birth_date = '{BIRTH_DATE}'") == 1
        )
        assert one(f"SELECT count(*) FROM '{data}/observations/*/*.parquet' WHERE value = {VALUE}") == 1
        assert one(f"SELECT count(*) FROM '{data}/quarantine/stays.parquet'") == 1
        scores = f"'{house.folder}/scores.parquet'"
        assert one(f"SELECT count(*) FROM {scores} WHERE starts_with(patient_id, 'MARKERP')") > 500
        built = house.folder / "work" / "features" / "admission.parquet"
        rows = f"'{built}'"
        assert one(f"SELECT max(label_episode_cost) >= {COST} FROM {rows}")
        assert one(f"SELECT count(*) FROM {rows} WHERE living = 'MARKERLEVEL'") == 1
    assert [status for status, _ in answers] == [200, 422, 422, 422, 422, 200, 200, 400, 422, 404, 200]
    assert '"stay_id":"MARKERSTAY"' in answers[0][1]


def test_no_command_connects_to_anything_outside(house, answers):
    assert not (house.watched / "attempts.txt").exists(), (house.watched / "attempts.txt").read_text()
    # One log for each Python process, so the watch was in all of them.
    assert len(list(house.watched.glob("*.log"))) >= 11
    if can_leave_the_network():
        counts = counted(house.watched / "counters.txt")
        assert {name: counts[name] for name in ATTEMPTED} == dict.fromkeys(ATTEMPTED, 0)


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "socket.getaddrinfo('example.org', 443)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "subprocess.run([sys.executable, '-c', 'import socket; socket.gethostbyname(\"example.org\")'])",
    ],
)
def test_the_watch_sees_an_outside_connection(tmp_path, attempt):
    watched = watched_folder(tmp_path)
    environment = clean_environment(PYTHONPATH=str(watched / "site"), WATCH_FOLDER=str(watched))
    script = f"import socket, subprocess, sys; {attempt}"
    subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
    assert (watched / "attempts.txt").read_text().startswith("socket.")


def test_the_counters_see_what_native_code_attempts(tmp_path):
    if not can_leave_the_network():
        pytest.skip("this machine gives no network namespace; the audit of Python's sockets stands alone")
    # Unwatched, as native code is: Python's own hook is not installed here.
    attempt = (
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))"
    )
    command = without_network([sys.executable, "-c", attempt], tmp_path / "counters.txt")
    subprocess.run(command, capture_output=True)
    counts = counted(tmp_path / "counters.txt")
    assert sum(counts[name] for name in ATTEMPTED) > 0


def test_no_log_and_no_printed_line_holds_a_patients_id_or_value(house, answers):
    files = [file for file in files_below(house.watched) if file.suffix in (".log", ".txt")]
    assert sum(file.stat().st_size for file in files) > 10_000, "hardly anything was logged at DEBUG"
    assert holding(files) == []


def test_no_byte_of_mlflow_holds_a_patients_id_or_value(house):
    store = [*house.folder.glob("work/mlflow.db*"), *files_below(house.folder / "work" / "mlartifacts")]
    names = {file.name for file in store}
    assert {
        "mlflow.db",
        "results.json",
        "card.md",
        "card.html",
        "report.html",
        "model.txt",
        "MLmodel",
        "input_example.json",
    } <= names
    assert holding(store) == []


def test_no_champion_holds_a_patients_id_or_value(house):
    champions = files_below(house.folder / "work" / "champions")
    assert {"champion.json", "artefact.json", "card.md", "card.html", "model.txt", "spread.txt"} == {
        file.name for file in champions
    }
    assert holding(champions) == []


def test_no_booster_keeps_the_smallest_and_largest_value_of_a_feature(house):
    """LightGBM writes them as [smallest:largest]: both are single patients' values."""
    boosters = [
        file for file in files_below(house.folder / "work") if file.name in ("model.txt", "spread.txt")
    ]
    # One of the risk and two of the cost, registered and in force.
    assert len(boosters) == 2 * (1 + 2)
    for file in boosters:
        text = file.read_text("utf-8")
        (ranges,) = re.findall(r"^feature_infos=(.*)$", text, flags=re.MULTILINE)
        assert set(ranges.split()) == {"none"}
        assert not re.search(r"\[-?[\d.e+]+:-?[\d.e+]+\]", text)


def test_reports_beside_the_data_hold_counts_and_no_patient(house):
    flows = list(house.folder.rglob("*.flow.json"))
    # Of `features`, and of training: each point once, and admissions asked before their landmark.
    named = ["rows", "discharge", "admission", "admission+0h", "admission+6h"]
    assert sorted(flow.name for flow in flows) == sorted(f"{name}.parquet.flow.json" for name in named)
    reports = [house.folder / "data" / "quality.json", house.folder / "data" / "dataset.toml"]
    assert holding([*reports, *flows]) == []


def test_an_error_answer_quotes_nothing_of_the_request(answers):
    for status, text in answers:
        if status >= 400:
            assert "MARKER" not in text
            assert "07:08:09" not in text
    items = json.loads(answers[6][1])["items"]
    assert [item.get("status", 200) for item in items] == [200, 422, 422, 422]
    assert "MARKER" not in json.dumps(items[1:])


def test_no_command_leaves_records_in_the_folder_for_temporary_files(house, answers):
    assert holding(files_below(house.folder / "tmp")) == []
    assert [
        entry.name for entry in (house.folder / "tmp").iterdir() if entry.name.startswith("wardcast")
    ] == []
