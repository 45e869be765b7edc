"""The page docs/definitions.md: what the specification tests state, in an order to read.

`python -m tests.definitions` prints it. Each definition is the docstring of the test that holds it: the first
line its heading, the rest its text.
"""

from __future__ import annotations

import ast
from pathlib import Path

SPEC = Path(__file__).with_name("spec")

CHAPTERS: dict[str, tuple[str, ...]] = {
    "Who is an index admission": (
        "episodes",
        "cohort",
        "landmark",
        "preadmission",
        "superseded_discharge",
        "died_in_hospital",
        "scope",
    ),
    "What is predicted": (
        "readmission",
        "planned_return",
        "readmission_or_death",
        "maturity",
        "complication",
        "episode_cost",
        "prices",
        "index_stay",
    ),
    "What may be known when": ("what_is_known", "without_codes", "windows", "calendar_and_booking"),
    "What is computed of the records": (
        "charges_to_date",
        "procedures_so_far",
        "laboratory_units",
        "laboratory_course",
        "medications",
        "combination_therapy",
        "instruments",
    ),
    "Published scores": ("comorbidity", "frailty", "lace", "hospital_score"),
    "Faults of others": ("known_faults",),
}
"""Chapter → the specification tests whose definitions it holds, `tests/spec/test_<name>.py` each."""

_HEAD = """# Definitions

What every number means. Made by `make docs` from the tests that hold it, so that page and code cannot
part: below each heading stands the test. How models are split, calibrated and judged, and what must never be
claimed of them: [models](models.md). Numbers that a hospital may set differently are settings with the value
given here as default."""


def definitions_markdown() -> str:
    """The whole page."""
    parts = [_HEAD]
    for chapter, names in CHAPTERS.items():
        parts.append(f"## {chapter}")
        parts += [_definition(SPEC / f"test_{name}.py") for name in names]
    return "\n\n".join(parts) + "\n"


def undefined() -> set[str]:
    """Specification tests that no chapter names."""
    named = {f"test_{name}.py" for names in CHAPTERS.values() for name in names}
    return {file.name for file in SPEC.glob("test_*.py")} - named


def _definition(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text("utf-8")))
    if docstring is None or "\n\n" not in docstring:
        raise ValueError(f"{file.name}: its docstring is a heading, an empty line and the definition")
    heading, text = docstring.split("\n\n", 1)
    return f"### {heading}\n\n[`{file.name}`](../tests/spec/{file.name})\n\n{text.strip()}"


if __name__ == "__main__":
    print(definitions_markdown(), end="")
