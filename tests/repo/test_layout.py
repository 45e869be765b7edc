"""The shape of the repository that everything else relies on."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("wardcast", "features", "models", "evaluation", "training", "serving")
FOLDERS = (*PACKAGES, "mlflow", "examples", "notebooks", "tests", "benchmarks", "docs", ".ci")
OUTSIDE_THE_WHEEL = ("tests", "benchmarks")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def lock_entries() -> dict[str, str]:
    """Each pinned package of the lock with the lines that belong to it."""
    text = (ROOT / "requirements.lock").read_text("utf-8")
    return {
        entry.split(maxsplit=1)[0]: entry for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.M) if entry
    }


def imported_modules(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


@pytest.mark.parametrize("name", FOLDERS)
def test_a_required_folder_is_there_and_holds_something(name: str):
    assert any((ROOT / name).iterdir())


def test_the_readme_says_what_lives_in_every_folder():
    rows = re.findall(r"^\| \[`([a-z.]+)/`\]\(\1\) \|", (ROOT / "README.md").read_text("utf-8"), flags=re.M)
    assert sorted(rows) == sorted(set(FOLDERS) - {".ci"})


def test_the_folder_mlflow_holds_no_python_and_does_not_hide_the_installed_package():
    assert {file.name for file in (ROOT / "mlflow").rglob("*")} == {"MLproject", "README.md"}
    spec = importlib.util.find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    assert "site-packages" in Path(spec.origin).parts


def test_every_package_is_listed_wherever_packages_are_listed(project: dict[str, Any]):
    tools = project["tool"]
    there = {file.parent.name for file in ROOT.glob("*/__init__.py")} - set(OUTSIDE_THE_WHEEL)
    assert there == set(PACKAGES)
    assert set(tools["hatch"]["build"]["targets"]["wheel"]["packages"]) == there
    assert set(tools["ruff"]["lint"]["isort"]["known-first-party"]) == there
    assert set(tools["mypy"]["packages"]) == there
    assert set(tools["importlinter"]["root_packages"]) == there
    assert "mlflow" in tools["ruff"]["lint"]["isort"]["known-third-party"]


def test_who_may_import_whom_is_a_contract(project: dict[str, Any]):
    packages, *rooms, access = project["tool"]["importlinter"]["contracts"]
    assert packages == {
        "name": "wardcast -> serving | training -> models | evaluation -> features",
        "type": "layers",
        "layers": ["wardcast", "serving | training", "models | evaluation", "features"],
    }
    # Exhaustive: a new room has no place until the contract gives it one.
    assert [(each["type"], each["containers"], each["exhaustive"]) for each in rooms] == [
        ("layers", ["training"], True),
        ("layers", ["serving"], True),
    ]
    training, serving = (each["layers"] for each in rooms)
    assert training.index("gate") > training.index("registry")
    assert serving.index("routes") < serving.index("store") < serving.index("predictions")
    # Beside the routes only the settings and what opens all the parts know of keys, roles and the audit log.
    assert (access["type"], access["forbidden_modules"]) == ("forbidden", ["serving.access"])
    knowing = {"server", "api", "parts", "routes", "settings", "access", "problems"}
    rooms_of_serving = {name for layer in serving for name in layer.split(" | ")}
    assert {f"serving.{name}" for name in rooms_of_serving - knowing} == set(access["source_modules"])


def test_only_training_imports_mlflow():
    using = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        if any(module.split(".")[0] == "mlflow" for module in imported_modules(file))
    }
    # Every module that imports it does so after `training.registry.store.connect` has switched telemetry off.
    assert {name.split("/")[0] for name in using} == {"training"}
    assert "training/registry/store.py" in using


def test_no_module_of_training_imports_mlflow_when_it_is_itself_imported():
    for file in (ROOT / "training").rglob("*.py"):
        top = [
            node
            for node in ast.parse(file.read_text("utf-8")).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = [
            node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in top
        ]
        assert not [name for name in names if name.split(".")[0] == "mlflow"], file.name


def test_every_locked_package_has_its_version_and_a_hash():
    entries = lock_entries()
    assert len(entries) > 50
    assert [
        name for name in entries if not re.fullmatch(r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==\S+", name)
    ] == []
    assert [name for name, entry in entries.items() if "--hash=sha256:" not in entry] == []


def declared_names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[<>=!\[ ;]", requirement)[0] for requirement in requirements}


def imported_distributions(folders: Iterable[str], declared: set[str]) -> set[str]:
    """The distributions whose modules the folders' files import; where several hold one, the declared."""
    modules = {
        module.split(".")[0]
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
        for module in imported_modules(file)
    }
    ours = {*PACKAGES, *OUTSIDE_THE_WHEEL, *sys.stdlib_module_names}
    holding = importlib.metadata.packages_distributions()
    names = {
        module: [re.sub(r"[-_.]+", "-", name).lower() for name in holding[module]]
        for module in modules - ours
    }
    return {next((name for name in of if name in declared), of[0]) for of in names.values()}


# Why a package is imported without being declared, or declared without being imported.
NOT_DECLARED = {"pydantic-core": "pydantic's own half, of exactly the version that pydantic asks for"}
NOT_IMPORTED = {
    "editables": "builds the editable install without a network",
    "hatchling": "builds the wheel",
    "httpx2": "Starlette's test client imports it",
    "import-linter": "a command of `make check`",
    "ipykernel": "the kernel that nbclient runs the notebooks in",
    "mypy": "a command of `make check`",
    "pandas-stubs": "types for mypy",
    "psycopg2-binary": "SQLAlchemy imports it for an address of PostgreSQL",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a command of `make check`",
    "uv": "the command of `make lock`",
}


def test_declared_dependencies_are_those_that_are_imported_and_all_are_locked(project: dict[str, Any]):
    needed = declared_names(project["project"]["dependencies"])
    for_work = declared_names(project["project"]["optional-dependencies"]["dev"])
    assert needed | for_work <= {re.split(r"[\[=]", entry)[0] for entry in lock_entries()}
    assert imported_distributions(PACKAGES, needed) - set(NOT_DECLARED) == needed
    by_tests = imported_distributions(OUTSIDE_THE_WHEEL, needed | for_work)
    assert by_tests - needed == for_work - set(NOT_IMPORTED)
    assert set(NOT_IMPORTED) <= for_work


def test_the_lock_names_no_address():
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert "//" not in text
    assert "index-url" not in text


def test_the_check_of_a_change_is_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "make test" in script.splitlines()
    assert re.search(r"^test:", (ROOT / "Makefile").read_text("utf-8"), flags=re.M)


@pytest.mark.parametrize("name", ["train", "evaluate", "promote", "demo"])
def test_an_entry_point_of_the_mlflow_project_is_a_command_of_wardcast(name: str):
    entry = yaml.safe_load((ROOT / "mlflow" / "MLproject").read_text("utf-8"))["entry_points"][name]
    assert entry["command"].startswith(f"wardcast {name} ")
    assert set(re.findall(r"\{(\w+)\}", entry["command"])) == set(entry["parameters"])


def test_mlflow_instructions_switch_telemetry_off_before_every_server():
    text = (ROOT / "mlflow" / "README.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.S)
    servers = [block for block in blocks if "mlflow server" in block]
    assert len(servers) == 2
    assert all("MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true" in block for block in servers)
