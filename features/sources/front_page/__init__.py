"""The front page of Chinese inpatient records (住院病案首页), as hospitals report it to quality monitoring.

Layouts: `2021` (811 columns: the common interface of quality monitoring (HQMS) and the national performance
assessment), `2019` (642 columns: the performance assessment alone, without the columns F) and `2012`
(columns P…: the older quality monitoring, ten other diagnoses and nine other procedures, for the form in
force since 2012). The year is that of the interface as public code shows it; README.md says how the
columns were checked. A file's layout is the one that knows most of its columns, or the option's.

A record becomes the stay `institution:record number:number of the stay`; a patient is the record number in
its institution, since record numbers say nothing across hospitals, or `person_column`, which links stays
everywhere and must be hashed. Mapped: patients, stays, diagnoses (outpatient or emergency diagnosis as
admitting; principal and others with their condition on admission), procedures with their times, charges
by item, and as facts marital status, occupation, day surgery, level and ASA class of the main procedure,
hours of invasive ventilation.

Decisions:
- The route of admission is no urgency. The emergency department is an emergency; of the others the
  condition at admission tells (critical: emergency, acute: urgent, general: elective), else the type is
  unknown unless `outpatients = "elective"` says that the clinic admits by plan.
- An item of the costs is known on the day of discharge, since the page has totals. Parts (`x`) stay inside
  their parents; only anaesthesia is taken out of surgical treatment. A parent smaller than its part
  leaves a negative amount, which the check sets aside.
- A procedure at midnight has no recorded time: it is known at the end of that day.
- Rows that repeat another in everything that is read count once, with a note; rows of one stay that
  differ are the check's to refuse.
- Days in hospital as written are not used; where they contradict the times a note says how often.
- A child under one year is never linked by `person_column`: its document may be its mother's.

Left out: names, addresses, telephones, employers, contacts, ethnic group, wards, clinicians and their
licences (nothing here needs them); names of diagnoses and procedures (the codes say it); the diagnosis
on the ward after admission (F02C: it has no time), pathological diagnoses (morphology has no code system
here), external causes (no condition on admission), results of treatment, blood groups, allergies, coma,
intensive care, nursing days, blood products, weights of newborns; traditional Chinese diagnoses, which
these layouts do not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from features.progress import Progress, silent
from features.sources import Extract
from features.sources.declared import declared
from features.sources.front_page.pages import Page, find_files, look_at, open_pages
from features.sources.front_page.tables import Outpatients, notes, write_tables
from features.sources.reading import reader
from features.tables import TableError

_OUTPATIENTS: dict[str, Outpatients] = {"unknown": "unknown", "elective": "elective"}


def stage(
    path: Path | None,
    staging: Path,
    *,
    progress: Progress = silent,
    declaration: Path | None = None,
    layout: str | None = None,
    encoding: str | None = None,
    hospital: str | None = None,
    person_column: str | None = None,
    outpatients: str = "unknown",
) -> Extract:
    """Write the front pages of a file, a zip or a folder as canonical tables.

    `declaration` is the file that declares the extract (default: `dataset.toml` in its folder). `layout` and
    `encoding` are told from each file unless given. `hospital` is the institution's code where the files
    have none. `person_column` names a column that identifies a person across hospitals, such as A20; the
    extract then must be ingested with a key. `outpatients` is the admission type of those whom the
    outpatient clinic sent and whose urgency is not recorded: unknown or elective.

    Raises TableError with what is wrong with every file, or for an option that cannot be.
    """
    if outpatients not in _OUTPATIENTS:
        raise TableError(f"The option outpatients is one of: {', '.join(_OUTPATIENTS)}.")
    progress("reading front pages", 0, 1)
    with reader(staging) as source:
        files = find_files(path, source.scratch)
        pages = look_at(files, layout=layout, encoding=encoding, has_hospital=hospital is not None)
        if person_column is not None:
            _require(pages, person_column)
        layouts = Counter(page.layout.name for page in pages)
        told = declared(path or Path(), declaration, _format_says(path or Path(), layouts))
        n_rows = open_pages(source, pages, hospital=hospital, person_column=person_column)
        held = frozenset(field for page in pages for field in page.layout.columns_of(page.header))
        write_tables(source, held, outpatients=_OUTPATIENTS[outpatients])
        said = (*_of_files(pages, layouts), *notes(source, n_rows))
    progress("reading front pages", 1, 1)
    return Extract(told, said, must_hash_ids=person_column is not None)


def _format_says(path: Path, layouts: Counter[str]) -> dict[str, object]:
    return {
        "name": path.stem,
        "source": f"front_page {' '.join(sorted(layouts))}",
        "currency": "CNY",
        "cost_basis": "billed",
        "time_zone": "Asia/Shanghai",
        "timeline": "real",
        "complete_by": "discharge",
        "deaths": "in_hospital",
        "code_systems": {"diagnosis": "icd10gb", "procedure": "icd9cm3"},
        "labels": {"readmission": {"kind": "derived", "variant": "front_page"}},
    }


def _require(pages: Sequence[Page], column: str) -> None:
    without = [page.file.name for page in pages if column.lower() not in page.header]
    if without:
        raise TableError(f"{', '.join(without)}: there is no column {column} to tell persons by.")


def _of_files(pages: Sequence[Page], layouts: Counter[str]) -> list[str]:
    read = ", ".join(f"{name} ({n} of {len(pages)} files)" for name, n in sorted(layouts.items()))
    n_unknown = sum(page.n_unknown_columns for page in pages)
    unknown = f" {n_unknown} columns that their layouts do not have are left out." if n_unknown else ""
    return [f"Read as layout {read}.{unknown}"]
