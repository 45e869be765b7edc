"""The notebooks run from top to bottom in a kernel of their own, and show what they are there to show."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
SECONDS_A_CELL = 300
"""Alone on two cores no notebook takes a minute as a whole."""
HARMLESS = re.compile(
    r".*: done in [\d.]+ s|.*TqdmWarning: IProgress not found.*|.*import tqdm as notebook_tqdm|"
)
"""Lines on standard error: progress of a command, and what tqdm says where a notebook has no widgets."""

PICTURES = {
    "01_data": 2,
    "02_cohort_and_labels": 4,
    "03_train_and_compare": 4,
    "04_explain": 7,
    "05_evaluate_and_promote": 3,
    "06_bring_your_own_data": 1,
}
SAID = {
    "01_data": (r"charges beyond_total \d+", r"stays discharged_before_admitted \d+"),
    "02_cohort_and_labels": (
        # The extract ends with December, whose patients may still come back.
        r"not readmitted \d+ readmitted \d+ unknown [1-9]\d+",
        r"December 2025: \d\.\d% if unknown were no, against 1\d\.\d% before",
        r"Test rows of patients that the model learned from: 0",
        r"it would have been [3-9]\d% of the test rows",
    ),
    "03_train_and_compare": (
        r"readmission-discharge: later-in-time test",
        r"\(score: log_loss, 4 blocks of time\)",
        r"lace 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\)",
        r"venn_abers NaN NaN False the calibration slice has \d+ events",
        r"no feature is suspected",
        r"return_form_pages \(alone\): Pages of the return form alone ranks (8[5-9]|9\d)%",
    ),
    "04_explain": (
        r"the sum of what explains it: \d+e-1[0-9]",
        r"P\(charges > 20,000\)",
        r"share within the 80 % interval: 0\.(7[5-9]|8[0-5])",
    ),
    "05_evaluate_and_promote": (
        r"withheld: fewer than 50 rows",
        r"The gate says yes",
        r"charges-admission/2 did not pass its gate\. Failed: against champion version 1",
        r"Predictions that moved: (9\d|100)%",
        r"Exactly the former predictions: True",
        r"Suggested: (shift|slope)",
        r"│ charges-admission │ 1 │ .* │ rollback │ 1 │ 2 │ a reader │",
        r"Override: To show that a reason is kept\.",
        r"charges-admission/1 is in service: False",
        r"retire charges-admission/1: End of the tour\.",
    ),
    "06_bring_your_own_data": (
        r'"readmitted_30d": an outcome',
        r"TODO",
        r"index admissions at discharge",
        r"pooled patient-grouped out-of-fold",
        r"visits_after \((alone|missingness)\)",
        r"Suspected leaks: none",
    ),
}


def test_the_tour_is_whole_and_keeps_no_output() -> None:
    files = sorted(FOLDER.glob("*.ipynb"))
    assert [file.stem for file in files] == sorted(PICTURES) == sorted(SAID)
    code = [cell for file in files for cell in _read(file.stem).cells if cell.cell_type == "code"]
    assert code
    # Outputs would carry rows of whoever ran it last.
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_every_cell_runs_without_a_warning_and_shows_what_it_promises(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "TMPDIR"):
        place = tmp_path / variable.lower()
        place.mkdir()
        monkeypatch.setenv(variable, str(place))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("WARDCAST_THREADS", "1")
    before = sorted(FOLDER.rglob("*"))
    notebook = _read(name)
    where = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=SECONDS_A_CELL, kernel_name="python3", resources=where).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in data or "image/svg+xml" in data for data in shown) == PICTURES[name]
    said = _streamed(outputs, "stdout") + "\n".join(
        data.get("text/html", data["text/plain"]) for data in shown
    )
    for words in SAID[name]:
        assert re.search(words, " ".join(_plain(said).split())), words
    # Whatever warning a reader would see.
    complaints = _plain(_streamed(outputs, "stderr")).splitlines()
    assert [line for line in complaints if not HARMLESS.fullmatch(line)] == []
    assert sorted(FOLDER.rglob("*")) == before


def _read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def _streamed(outputs: list[Any], name: str) -> str:
    return "".join(output.text for output in outputs if output.get("name") == name)


def _plain(text: str) -> str:
    """Without colours and HTML; the cells of a table stand apart."""
    return unescape(re.sub(r"<[^>]*>", " ", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)))
