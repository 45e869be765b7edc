"""The commands of the operating guide for backup and restore, run as they stand there on a server in use."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.predictions.documents import EXAMPLE_REQUEST
from tests.command import ROOT, clean_environment
from tests.postgres import OWNER, postgres
from tests.service.test_api import promote

GUIDE = (ROOT / "docs" / "operate.md").read_text("utf-8")
SECTION = GUIDE[GUIDE.index("## Backup and restore") : GUIDE.index("## Upgrade")]
BACKUP, BACKUP_POSTGRESQL, RESTORE, RESTORE_POSTGRESQL, CHECK = re.findall(
    r"^```sh\n(.*?)^```", SECTION, flags=re.S | re.M
)
STAYS = "/v1/admissions/{}/prediction"

# What the machine of a hospital has and this one may not: a service manager, the account, the guide's day.
STAND_INS = {
    "systemctl": """
        case $1 in
        stop)
            [ -e "$TEST/pid" ] || exit 0
            pid=$(cat "$TEST/pid"); kill -TERM "$pid"
            while grep -qs '^State:.[^Z]' "/proc/$pid/status"; do sleep 0.05; done
            rm "$TEST/pid" ;;
        start)
            wardcast serve --work "$TEST/work" --port "$PORT" >> "$TEST/log" 2>&1 &
            echo $! > "$TEST/pid"
            until curl --silent --fail --output /dev/null "http://127.0.0.1:$PORT/health/ready"; do
                grep -qs '^State:.[^Z]' "/proc/$!/status" || exit 1
                sleep 0.05
            done ;;
        esac""",
    "sudo": 'while [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && shift; shift; done; exec "$@"',
    "chown": "exit 0",
    "date": "echo 2026-01-08",
}


@dataclass(frozen=True)
class Machine:
    """A server that the guide's commands find where the guide has it, and a key to ask it with."""

    folder: Path
    port: int
    environment: dict[str, str]

    def run(self, *commands: str) -> str:
        """Run lines of the guide, with this machine's folders for the guide's; what they printed."""
        script = "set -e\n" + "".join(commands)
        for theirs, ours in (
            ("/opt/wardcast/.venv/bin/", ""),
            ("/var/lib/wardcast", self.folder / "work"),
            ("/etc/wardcast", self.folder),
            ("/backup/", f"{self.folder}/backup/"),
            ("/secure/", f"{self.folder}/secure/"),
        ):
            script = script.replace(theirs, str(ours))
        done = subprocess.run(
            ["bash", "-c", script], env=self.environment, cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{(self.folder / 'log').read_text()[-2000:]}"
        return done.stdout

    def ask(self, path: str, key: str, body: object = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def store(self, stay_id: str, key: str) -> int:
        body = json.loads(json.dumps(EXAMPLE_REQUEST).replace(EXAMPLE_REQUEST["stay_id"], stay_id))
        return self.ask("/v1/predictions?store=true", key, body)[0]

    @contextmanager
    def in_use(self, key: str) -> Iterator[list[int]]:
        """Store and read without a pause while the block runs; the answers' statuses."""
        statuses: list[int] = []
        is_over = threading.Event()

        def use() -> None:
            while not is_over.is_set():
                # While the server is stopped there is nobody to connect to.
                with suppress(OSError):
                    statuses.append(self.store("in use", key))
                    statuses.append(self.ask(STAYS.format("in%20use"), key)[0])

        users = [threading.Thread(target=use) for _ in range(3)]
        for user in users:
            user.start()
        try:
            yield statuses
        finally:
            is_over.set()
            for user in users:
                user.join(60)


@contextmanager
def machine(folder: Path, **environment: str) -> Iterator[Machine]:
    programs = folder / "programs"
    for made in (programs, folder / "backup", folder / "secure"):
        made.mkdir()
    for name, script in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\n{script}\n")
        (programs / name).chmod(0o755)
    (programs / "wardcast").write_text(f'#!/bin/bash\nexec {sys.executable} -m wardcast "$@"\n')
    (programs / "wardcast").chmod(0o755)
    (folder / "environment").write_text("".join(f"{name}='{value}'\n" for name, value in environment.items()))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    told = {"TEST": str(folder), "PORT": str(port), "PATH": f"{programs}:{os.environ['PATH']}"}
    told |= {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive", **environment}
    try:
        yield Machine(folder, port, clean_environment(**told))
    finally:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((folder / "pid").read_text()), signal.SIGKILL)


def backed_up_and_restored(on: Machine, backup: str, restore: list[str]) -> None:
    work = on.folder / "work"
    promote(work / "champions", "readmission")
    key = on.run(
        "wardcast keys create --work /var/lib/wardcast --name ehr --role integrator 2>/dev/null"
    ).strip()
    on.run("systemctl start wardcast\ninstall -m 0600 /var/lib/wardcast/audit.key /secure/audit.key\n")
    assert on.store("before", key) == 200
    with on.in_use(key) as statuses:
        while len(statuses) < 20:
            threading.Event().wait(0.05)
        on.run(backup)
    # Nobody was answered otherwise than with a prediction, or told that the server ends.
    assert set(statuses) <= {200, 503}
    assert on.store("after", key) == 200
    backed_up = sorted(file.name for file in (on.folder / "backup").iterdir())
    assert backed_up[-1] == "wardcast-2026-01-08.tar"
    assert not [each for each in (on.folder / "backup").glob("*") if b"wc_" in each.read_bytes()]

    on.run("systemctl stop wardcast\nrm -r /var/lib/wardcast && mkdir /var/lib/wardcast\n")
    said = on.run(*restore)
    # The whole log, its end included, is the one whose head the database keeps.
    assert re.search(r"audit\.jsonl: whole\. \d+ lines; the last is number \d+\.\n", said)
    assert "newer than the head" not in said
    status, document = on.ask(STAYS.format("before"), key)
    assert (status, document["stay_id"], document["stored_by"]) == (
        200,
        "before",
        f"ehr ({key.split('_')[1]})",
    )
    assert on.ask(STAYS.format("after"), key)[0] == 404
    on.run("wardcast audit verify --work /var/lib/wardcast\nsystemctl stop wardcast\n")


def test_backup_and_restore_with_sqlite(tmp_path: Path):
    with machine(tmp_path) as on:
        backed_up_and_restored(on, BACKUP, [RESTORE, CHECK])


def test_backup_and_restore_with_postgresql(tmp_path: Path):
    with postgres() as server:
        server.run("createdb", "wardcast")
        address = f"postgresql://{OWNER}@/wardcast?host={server.folder}"
        with machine(tmp_path, WARDCAST_DATABASE=address) as on:
            on.environment["PATH"] += f":{server.programs}"
            backed_up_and_restored(on, BACKUP_POSTGRESQL, [RESTORE, RESTORE_POSTGRESQL, CHECK])
        assert not (tmp_path / "work" / "wardcast.db").exists()
