"""Where records come from: each source turns its own layout into the canonical tables.

A source is a module (or package) of this name with a function
`stage(path, staging, *, progress, **options) -> Declaration`. It writes `staging/<table>/`, Parquet or
CSV parts with the canonical column names; types may be natural or text. It checks nothing that the
common check finds, and drops no row.

A source that has something to say about what it read returns `Extract(declaration, notes)` in place of
the bare declaration, for example that 12 resources entered in error are left out. Each note is one
sentence with what, how many and why, and never a patient's value; it comes first among the warnings of
the quality report, on the terminal, in `quality.json` and in every other form.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Protocol, cast

from features.dataset import Declaration
from features.progress import Progress
from features.tables import TableError

SOURCES: dict[str, str] = {
    "canonical": "a folder of canonical tables, Parquet or CSV, with its dataset.toml",
    "diabetes130": "the public file of diabetic inpatient encounters of 130 US hospitals (UCI id 296)",
    "fhir": "FHIR R4: bundles or NDJSON bulk export, a file or a folder, with a dataset.toml",
    "front_page": "front pages of Chinese inpatient records (HQMS layouts): a file, a zip or a folder",
    "mimic": "MIMIC-IV, the module hosp, of the open demo or the full set",
    "omop": "a folder of tables of the OMOP Common Data Model 5.4, with a dataset.toml",
    "synpuf": "the public claims files of CMS (DE-SynPUF): a folder, or a zip",
    "synthetic": "a seeded, made-up hospital group of any size; it needs no path",
    "table": "any flat file with one row per admission, and a mapping file that says what its columns mean",
}
"""Name of a source → what it reads."""


@dataclass(frozen=True)
class Extract:
    """What a source's tables mean, and its notes on what it left out.

    With `must_hash_ids` the identifiers are those of persons (a number of an identity document): the ingest
    refuses to keep them without a key.
    """

    declaration: Declaration
    notes: tuple[str, ...] = ()
    must_hash_ids: bool = False


class Stage(Protocol):
    """Write the source's tables to `staging` and say what they mean."""

    def __call__(
        self, path: Path | None, staging: Path, *, progress: Progress = ..., **options: object
    ) -> Declaration | Extract: ...


def stage_of(source: str) -> Stage:
    """The stage function of a source. Raises TableError for a name that is not in `SOURCES`."""
    if source not in SOURCES:
        raise TableError(f"No source has this name. Choose one of: {', '.join(SOURCES)}.")
    return cast(Stage, import_module(f"features.sources.{source}").stage)


def options_of(source: str) -> dict[str, bool]:
    """The names of the options that a source takes beside its path, and whether each is a text."""
    named = signature(stage_of(source), eval_str=True).parameters.values()
    own = [each for each in named if each.kind is each.KEYWORD_ONLY and each.name != "progress"]
    return {each.name: each.annotation in (str, str | None) for each in own}


def stage_extract(
    source: str, path: Path | None, staging: Path, *, progress: Progress, **options: object
) -> Extract:
    """Let a source write its tables to `staging`. Raises TableError for a name that is not in `SOURCES`."""
    told = stage_of(source)(path, staging, progress=progress, **options)
    return told if isinstance(told, Extract) else Extract(told)
