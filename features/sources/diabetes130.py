"""The public file of diabetic inpatient encounters of 130 US hospitals, 1999-2008.

Strack et al. 2014, doi 10.1155/2014/781670; UCI Machine Learning Repository id 296. It has no dates, so
its data set has no timeline, and its readmission label is all-cause (planned returns cannot be told
apart). Left out: race, which is for subgroup reports and never an input, and weight, which 97 % of the
encounters lack.
"""

from __future__ import annotations

import tomllib
import zipfile
import zlib
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from features.dataset import CodeSystems, Declaration, Labels, ReadmissionLabel
from features.progress import Progress, silent
from features.tables import TableError

MEMBER = "diabetic_data.csv"
_STAY_COLUMNS = (
    "encounter_id",
    "patient_nbr",
    "gender",
    "age",
    "admission_type_id",
    "admission_source_id",
    "discharge_disposition_id",
    "payer_code",
    "medical_specialty",
    "diag_1",
    "diag_2",
    "diag_3",
    "readmitted",
)
_DECLARATION = Declaration(
    name="diabetes130",
    source="diabetes130 1",
    currency="USD",
    cost_basis="billed",
    time_zone="America/New_York",
    timeline="none",
    complete_by="discharge",
    deaths="in_hospital",
    code_systems=CodeSystems(diagnosis="icd9cm"),
    labels=Labels(readmission=ReadmissionLabel(kind="given", definition="all-cause within 30 days")),
)


def stage(path: Path | None, staging: Path, *, progress: Progress = silent) -> Declaration:
    """Write the zip's encounters as canonical tables; every encounter becomes a stay.

    Raises TableError if `path` is not the public zip, or its layout is another one.
    """
    values = tomllib.loads((files("features.sources") / "diabetes130.toml").read_text("utf-8"))
    names = {**values["facts"]["admission"], **values["facts"]["discharge"]}
    progress("reading the public file", 0, 1)
    encounters = _read(path, (*_STAY_COLUMNS, *names))
    tables = {
        "patients": _patients(encounters, values),
        "stays": _stays(encounters, values),
        "diagnoses": _diagnoses(encounters),
        "facts": _facts(encounters, values),
        "outcomes": _outcomes(encounters, values),
    }
    for name, table in tables.items():
        (staging / name).mkdir()
        table.to_parquet(staging / name / "data.parquet", index=False)
    progress("reading the public file", 1, 1)
    return _DECLARATION


_DAMAGE = (
    UnicodeDecodeError,
    pd.errors.ParserError,
    pd.errors.EmptyDataError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted member
)


def _read(path: Path | None, columns: tuple[str, ...]) -> pd.DataFrame:
    """The encounters with every value as text, `?` as missing ("None" is a value: not measured)."""
    if path is None or not path.is_file() or not zipfile.is_zipfile(path):
        raise TableError("The source diabetes130 reads the public zip file. Name one that exists.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if PurePosixPath(name).name == MEMBER]
            if len(members) != 1:
                raise TableError(
                    f"{path.name}: {len(members)} files {MEMBER} in it, not 1. Use the public zip."
                )
            with archive.open(members[0]) as stream:
                encounters = pd.read_csv(stream, dtype="str", keep_default_na=False, na_values=["?"])
    except _DAMAGE:
        # The parser's own message may quote a line.
        raise TableError(f"{path.name}: damaged or encrypted. Download the public zip again.") from None
    missing = [name for name in columns if name not in encounters.columns]
    if missing:
        raise TableError(f"{MEMBER}: columns are missing: {', '.join(missing)}. Use the public zip.")
    return encounters


def _patients(encounters: pd.DataFrame, values: dict[str, Any]) -> pd.DataFrame:
    """One row per patient; a sex that the encounters contradict is unknown."""
    sex = encounters["gender"].map(values["sex"]).groupby(encounters["patient_nbr"])
    patients = sex.min().where(sex.min() == sex.max(), "unknown").rename("sex")
    return patients.rename_axis("patient_id").reset_index()


def _stays(encounters: pd.DataFrame, values: dict[str, Any]) -> pd.DataFrame:
    """One stay per encounter, with its age in the middle of the released ten-year band."""
    lower = encounters["age"].str.extract(r"^\[(\d+)-\d+\)$")[0]
    admission_type = encounters["admission_type_id"].map(values["admission_type"])
    return pd.DataFrame(
        {
            "stay_id": encounters["encounter_id"],
            "patient_id": encounters["patient_nbr"],
            "hospital_id": "unknown",
            "status": "discharged",
            "admission_type": admission_type.fillna("unknown"),
            "admission_source": encounters["admission_source_id"].map(values["admission_source"]),
            "admission_department": encounters["medical_specialty"],
            "payer": encounters["payer_code"],
            "discharge_disposition": _disposition(encounters, values),
            "age_years": pd.to_numeric(lower).astype("Int64") + 5,
        }
    )


def _diagnoses(encounters: pd.DataFrame) -> pd.DataFrame:
    """The first three discharge diagnoses, in their places."""
    places = [
        pd.DataFrame(
            {
                "stay_id": encounters["encounter_id"],
                "kind": "discharge",
                "position": position,
                "code": restored_code(encounters[f"diag_{position}"]),
            }
        )
        for position in (1, 2, 3)
    ]
    return pd.concat(places, ignore_index=True).dropna(subset="code")


def restored_code(codes: pd.Series[str]) -> pd.Series[str]:
    """ICD-9-CM codes with the zeros that the file lost when it stored them as numbers.

    Categories have three digits (8 → 008). Only diabetes codes are released beyond the category, and
    all of those have five digits (250 → 250.00, 250.6 → 250.60).
    """
    parts = codes.str.extract(r"^([^.]+)\.?(.*)$")
    category = parts[0].where(~parts[0].str.fullmatch(r"\d+", na=False), parts[0].str.zfill(3))
    detail = parts[1].where(category != "250", parts[1].str.ljust(2, "0"))
    return category + detail


def _facts(encounters: pd.DataFrame, values: dict[str, Any]) -> pd.DataFrame:
    """What the file supplies ready-made, each known from its prediction point on."""
    melted = []
    for point, names in values["facts"].items():
        wide = encounters[["encounter_id", *names]].rename(columns=names)
        long = wide.melt("encounter_id", var_name="name", value_name="value").dropna(subset="value")
        melted.append(long.assign(available_from=point))
    facts = pd.concat(melted, ignore_index=True).rename(columns={"encounter_id": "stay_id"})
    return facts.assign(unit=facts["name"].map(values["units"]))


def _outcomes(encounters: pd.DataFrame, values: dict[str, Any]) -> pd.DataFrame:
    """Readmitted within 30 days for any cause; death as the disposition says (null where it is unknown)."""
    disposition = _disposition(encounters, values)
    return pd.DataFrame(
        {
            "stay_id": encounters["encounter_id"],
            "readmission": (encounters["readmitted"] == "<30")
            .astype("boolean")
            .mask(encounters["readmitted"].isna()),
            "died_in_hospital": (disposition == "died").astype("boolean").mask(disposition.isna()),
        }
    )


def _disposition(encounters: pd.DataFrame, values: dict[str, Any]) -> pd.Series[str]:
    return encounters["discharge_disposition_id"].map(values["discharge_disposition"])
