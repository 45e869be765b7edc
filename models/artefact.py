"""The model artefact: a folder of plain text that holds all of a model, and the check that it is whole.

`model.txt` is the booster that is explained; a cost model adds `low.txt` and `high.txt`, the quantile
boosters of its interval. `artefact.json` says how their output becomes a prediction, `card.md` what it
may be used for. Nothing in it is executed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from features.atomic import written_aside
from features.errors import UserError
from features.points import Point
from models.bands import N_PERCENTILES
from models.calibration import Calibration
from models.card import card
from models.encoding import FeatureSpec
from models.intervals import Interval

RISK_BOOSTERS = ("model",)
COST_BOOSTERS = ("model", "low", "high")
LARGEST_FILE_BYTES = 512 * 1024 * 1024
ALL_FILES = ("artefact.json", "card.md", "model.txt", "low.txt", "high.txt")


class ArtefactError(UserError):
    """An artefact cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Context:
    """What the model's numbers refer to: another context makes them meaningless."""

    time_zone: str
    currency: str
    code_systems: dict[str, str]
    cost_basis: str


@dataclass(frozen=True)
class Training:
    """What a model learned from.

    `timeline` is the data set's. `label` is the rule by which the labels came about: measures of models with
    different rules cannot be compared. No row from the day `test_from` on was learned from or calibrated on;
    it is None where no day tells such rows. `facts` are for people: nothing may be decided by them.
    """

    timeline: Literal["real", "shifted", "none"]
    label: dict[str, Any]
    test_from: dt.date | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """All of it as plain values, by name."""
        test_from = {} if self.test_from is None else {"test_from": self.test_from.isoformat()}
        return {"timeline": self.timeline, "label": self.label, **test_from, **self.facts}


@dataclass(frozen=True)
class Artefact:
    """All of a model but its boosters.

    `name` is `target-point`. `landmark_hours` counts from admission to the point `admission`; the lags say
    how long after discharge codes and totals count as known (`FeatureSettings`): whoever asks the model
    builds its features with these three. `bands`
    are the two cuts and `percentiles` the 101-point grid of the calibration slice's values.
    `base_value` is the mean raw output that contributions start from. `metrics` holds one of value,
    low, high for each metric.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str
    target: str
    point: str
    kind: Literal["risk", "cost"]
    scale: Literal["log_odds", "log_money"]
    context: Context
    landmark_hours: float
    coding_lag_hours: float
    cost_lag_hours: float
    features: tuple[FeatureSpec, ...]
    fingerprint: str
    calibration: Calibration
    interval: Interval | None
    bands: tuple[float, float]
    percentiles: tuple[float, ...]
    base_value: float
    training: Training
    metrics: dict[str, Any]
    intended_use: str

    def __post_init__(self) -> None:
        names = [spec.name for spec in self.features]
        rules = {
            "its name is not its target and point": self.name == f"{self.target}-{self.point}",
            "its point is unknown": self.point in list(Point),
            "its scale is not that of its kind": (self.scale == "log_odds") == (self.kind == "risk"),
            "only a cost model has an interval": (self.interval is not None) == (self.kind == "cost"),
            "it has no features, or one twice": 0 < len(names) == len(set(names)),
            "its landmark or a lag is negative": min(
                self.landmark_hours, self.coding_lag_hours, self.cost_lag_hours
            )
            >= 0,
            "its bands fall": self.bands[0] <= self.bands[1],
            "its percentiles are not 101 rising values": len(self.percentiles) == N_PERCENTILES
            and list(self.percentiles) == sorted(self.percentiles),
            "its calibration does not rise": self.calibration.slope > 0,
            "its interval has an impossible level": self.interval is None or 0 < self.interval.level < 1,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ArtefactError(f"{self.name}: {'; '.join(broken)}.")

    @property
    def booster_files(self) -> tuple[str, ...]:
        """The names of its boosters: of `model.txt`, and for a cost `low.txt` and `high.txt`."""
        return RISK_BOOSTERS if self.kind == "risk" else COST_BOOSTERS


def write_artefact(folder: Path, artefact: Artefact, boosters: dict[str, str]) -> str:
    """Write the artefact as `folder`, whole or not at all, and return its digest.

    `boosters` maps model (and low, high for a cost) to LightGBM's text. Raises ArtefactError if a
    booster is missing or a number is not finite.
    """
    if set(boosters) != set(artefact.booster_files):
        raise ArtefactError(
            f"{artefact.name}: boosters {sorted(boosters)} given, {sorted(artefact.booster_files)} needed."
        )
    try:
        text = json.dumps(asdict(artefact), allow_nan=False, indent=1, ensure_ascii=False, default=_iso)
    except ValueError as error:
        raise ArtefactError(
            f"{artefact.name}: a number in the artefact is not finite. Write an undefined metric as null."
        ) from error
    with written_aside(folder, folder=True) as fresh:
        fresh.mkdir()
        (fresh / "artefact.json").write_text(text + "\n", "utf-8")
        (fresh / "card.md").write_text(card(artefact), "utf-8")
        for name, booster in boosters.items():
            (fresh / f"{name}.txt").write_text(booster, "utf-8")
    return digest(folder)


def digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of the artefact's files, in a fixed order."""
    return _digest(_read_bytes(folder))


def read_artefact(folder: Path, expected_digest: str | None) -> tuple[Artefact, dict[str, str]]:
    """Read an artefact and its boosters' text, after its digest was compared and before it is used.

    The digest is that of the very bytes that are then parsed. Raises ArtefactError if it differs, or if
    the artefact is incomplete, not finite or contradicts itself.
    """
    files = _read_bytes(folder)
    if expected_digest is not None and _digest(files) != expected_digest:
        raise ArtefactError(
            f"{folder}: the files are not those that were promoted (SHA-256 differs). "
            "Do not use them; promote the model again from the registry."
        )
    artefact = _parse(folder, files["artefact.json"])
    missing = [name for name in artefact.booster_files if f"{name}.txt" not in files]
    if missing:
        raise ArtefactError(f"{folder}: {', '.join(missing)}.txt missing. Train or promote the model again.")
    try:
        boosters = {name: files[f"{name}.txt"].decode("utf-8") for name in artefact.booster_files}
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{folder}: a booster is not text. Train or promote it again.") from error
    return artefact, boosters


def _read_bytes(folder: Path) -> dict[str, bytes]:
    if not (folder / "artefact.json").is_file():
        raise ArtefactError(f"{folder}: no model artefact there (no artefact.json). Name the model's folder.")
    strange = sorted(entry.name for entry in folder.iterdir() if entry.name not in ALL_FILES)
    if strange:
        raise ArtefactError(f"{folder}: {len(strange)} files do not belong to a model artefact. Remove them.")
    files: dict[str, bytes] = {}
    for name in ALL_FILES:
        file = folder / name
        if not file.is_file():
            continue
        if file.stat().st_size > LARGEST_FILE_BYTES:
            raise ArtefactError(f"{folder}: {name} is larger than any model. Promote the model again.")
        files[name] = file.read_bytes()
    return files


def _digest(files: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name in ALL_FILES:
        if name in files:
            total.update(f"{name}\n{len(files[name])}\n".encode())
            total.update(files[name])
    return total.hexdigest()


def _parse(folder: Path, content: bytes) -> Artefact:
    try:
        # Free-form parts are finite too: the types below cannot see into them.
        json.loads(content, parse_constant=_finite, parse_float=_finite)
        return _ADAPTER.validate_json(content, strict=True)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'artefact'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)[:5]
        )
        raise ArtefactError(f"{folder}/artefact.json: {problems}. Train or promote it again.") from error
    except ValueError as error:
        raise ArtefactError(
            f"{folder}/artefact.json: not finite, readable JSON. Train or promote it again."
        ) from error


def _iso(day: object) -> str:
    assert isinstance(day, dt.date), f"{type(day).__name__} in an artefact"
    return day.isoformat()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


_ADAPTER = TypeAdapter(Artefact)
