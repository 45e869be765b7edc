"""Settings: `wardcast.toml`, then `WARDCAST_*` variables, then options; and where each came from."""

from __future__ import annotations

import datetime as dt
import json
import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from features.errors import UserError
from features.outcomes.prices import read_price_index
from features.settings import FeatureSettings
from serving.access.settings import AccessSettings

CONFIG_FILE = Path("wardcast.toml")
Hours = Annotated[float, Field(ge=0, allow_inf_nan=False)]
WholeNumber = Annotated[int, Field(ge=0)]
PREFIX = "WARDCAST_"
NO_SETTINGS = ("WARDCAST_DEBUG",)
"""Variables of the command line that are no settings."""


def _about(meaning: str) -> Any:
    """The meaning of a setting, as `docs/settings.md` has it."""
    return Field(description=meaning)


class SettingsError(UserError):
    """The settings cannot be used; the message says which and why."""


class Settings(BaseSettings):
    """What a hospital may set differently, with its default."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, toml_file=CONFIG_FILE, extra="forbid", frozen=True)

    work: Annotated[Path, _about("folder of champions, reports, MLflow's files, store and audit log")] = Path(
        "work"
    )
    host: Annotated[str, _about("address that the server listens on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535), _about("port that the server listens on")] = 8000
    threads: Annotated[int, Field(ge=1), _about("threads of a command; a request computes in one")] = 2
    # Less than this, the data engine cannot even start a query.
    memory_limit_mb: Annotated[
        int, Field(ge=100), _about("memory of the data engine, MB; beyond it spills to disk")
    ] = 700
    landmark_hours: Annotated[Hours, _about("hours from admission to the prediction time of `admission`")] = (
        24.0
    )
    minimum_age: Annotated[
        WholeNumber, _about("years at admission from which an admission is an index admission")
    ] = 18
    readmission_window_days: Annotated[
        WholeNumber, _about("days after discharge in which a readmission counts")
    ] = 30
    cost_window_days: Annotated[
        WholeNumber, _about("days after discharge whose costs belong to the episode")
    ] = 30
    max_stay_days: Annotated[
        WholeNumber,
        _about("longest stay, days; where records come at discharge, outcomes are final this much later"),
    ] = 60
    coding_lag_hours: Annotated[
        Hours, _about("hours from discharge until a stay's codes are known, where the records do not say")
    ] = 0.0
    cost_lag_hours: Annotated[
        Hours, _about("hours from discharge until a stay's total is known, where the records do not say")
    ] = 0.0
    price_year: Annotated[int | None, _about("year at whose prices costs are told; needs `price_index`")] = (
        None
    )
    price_index: Annotated[Path | None, _about("CSV file of the price index by year")] = None
    optional_features: Annotated[bool, _about("build the features that are marked optional too")] = False
    champion_rule: Annotated[
        Literal["better", "not_worse"], _about("what a model must be beside the champion to replace it")
    ] = "better"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _about("least level of the server's own lines")
    ] = "info"
    database: Annotated[
        SecretStr | None,
        _about("address of the store's database, `postgresql://…`; by default a file in the work folder"),
    ] = None
    history: Annotated[
        Path | None, _about("data set whose patients can be asked about by their stay alone")
    ] = None
    cds_hooks: Annotated[
        Path | None,
        _about("TOML file of what the CDS Hooks services say and suggest; by default the product's own"),
    ] = None
    hospital: Annotated[
        str | None,
        _about("`hospital_id` of FHIR encounters without a `serviceProvider`; without it they are left out"),
    ] = None
    access: Annotated[
        AccessSettings, _about("issuers of tokens, files of the audit log: see [access](access.md)")
    ] = Field(default_factory=AccessSettings)
    acted_on_from: Annotated[
        dt.date | None,
        _about("since when labels are changed by acting on models; by default the first promotion"),
    ] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the base class names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def champions(self) -> Path:
        """The folder of the models in force."""
        return self.work / "champions"

    @property
    def database_address(self) -> str | None:
        """The address of the store's database with its password; None for a file in the work folder."""
        return None if self.database is None else self.database.get_secret_value()

    def features(self) -> FeatureSettings:
        """The part that cohort, labels and features use. Raises UserError for a bad price index."""
        others = {
            *("work", "host", "port", "price_index", "champion_rule", "acted_on_from"),
            *("database", "history", "cds_hooks", "hospital", "access", "log_level"),
        }
        own = self.model_dump(exclude=others)
        index = () if self.price_index is None else read_price_index(self.price_index)
        try:
            return FeatureSettings(**own, price_index=index)
        except ValueError as error:
            raise SettingsError(f"settings: {error}. See `wardcast settings`.") from error


def load_settings(**options: object) -> Settings:
    """Read the settings; options that are None count as not given. Raises SettingsError."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    _check_variables()
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(
            _problem([str(part) for part in problem["loc"]], problem["type"], problem["msg"])
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise SettingsError(f"settings: {problems}.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{CONFIG_FILE}: not readable as TOML ({error}).") from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{CONFIG_FILE}: byte {error.start + 1} is not UTF-8. Save the file as UTF-8 text."
        ) from error


def _check_variables() -> None:
    """Refuse a variable whose name is nearly that of a setting. Raises SettingsError.

    Others with the prefix may be the user's own, such as a key kept in the shell.
    """
    own = {*map(variable_of, Settings.model_fields), *NO_SETTINGS}
    for name in sorted(os.environ.keys() - own):
        if name.startswith(PREFIX) and (near := get_close_matches(name, own, n=1, cutoff=0.87)):
            raise SettingsError(f"settings: {name} is no setting; the nearest is {near[0]}.")


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def _problem(place: list[str], kind: str, message: str) -> str:
    """What is wrong with a setting, where it was set and what may stand there; never its value."""
    name = ".".join(place)
    if kind != "extra_forbidden":
        return f"{_origin(place[0])}: {name}: {message[:1].lower()}{message[1:]}"
    nearest = get_close_matches(name, Settings.model_fields, n=1, cutoff=0.75)
    known = f"the nearest is {nearest[0]}" if nearest else f"there are {', '.join(Settings.model_fields)}"
    return f"{_origin(place[0])}: {name} is no setting; {known}"


def _origin(name: str) -> str:
    """Where a setting was set: the environment, the file, or an option of the command."""
    if variable_of(name) in os.environ:
        return variable_of(name)
    return str(CONFIG_FILE) if CONFIG_FILE.is_file() and name in _in_file() else "option"


def _in_file() -> dict[str, Any]:
    return tomllib.loads(CONFIG_FILE.read_text("utf-8"))


def origins(settings: Settings) -> dict[str, tuple[Any, str]]:
    """Each setting's value in force, as JSON has it and without a secret, and where it came from."""
    in_file = _in_file() if CONFIG_FILE.is_file() else {}
    found = {}
    for name, value in settings.model_dump(mode="json").items():
        if variable_of(name) in os.environ:
            origin = variable_of(name)
        else:
            origin = str(CONFIG_FILE) if name in in_file else "default"
        found[name] = (value, origin)
    return found


def settings_markdown() -> str:
    """The page `docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Made by `wardcast settings --markdown`. They stand in `wardcast.toml` of the current folder, a line",
        "each (`minimum_age = 16`), or in variables (`WARDCAST_MINIMUM_AGE=16`), which come before the file;",
        "an option comes before both. A name that is no setting is refused in the file, and as a",
        "variable where it is nearly one. `wardcast settings` prints what is in force and whence,",
        "secrets hidden. The limits of a request are fixed: see [operation](operate.md).",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    defaults = Settings.model_construct().model_dump(mode="json")
    for name, field in Settings.model_fields.items():
        shown = "" if name == "access" else shown_value(defaults[name])
        lines.append(f"| `{name}` | {shown and f'`{shown}`'} | {field.description} |")
    return "\n".join(lines) + "\n"


def shown_value(value: object) -> str:
    """A setting's value for people; nothing where it is not set."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
