"""Settings: `wardcast.toml`, then `WARDCAST_*` variables, then options; and where each came from."""

from __future__ import annotations

import datetime as dt
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


class SettingsError(UserError):
    """The settings cannot be used; the message says which and why."""


class Settings(BaseSettings):
    """What a hospital may set differently, with its default."""

    model_config = SettingsConfigDict(
        env_prefix="WARDCAST_", toml_file=CONFIG_FILE, extra="forbid", frozen=True
    )

    work: Path = Path("work")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    threads: Annotated[int, Field(ge=1)] = 2
    # Less than this, the data engine cannot even start a query.
    memory_limit_mb: Annotated[int, Field(ge=100)] = 700
    landmark_hours: Hours = 24.0
    minimum_age: WholeNumber = 18
    readmission_window_days: WholeNumber = 30
    cost_window_days: WholeNumber = 30
    max_stay_days: WholeNumber = 60
    coding_lag_hours: Hours = 0.0
    cost_lag_hours: Hours = 0.0
    price_year: int | None = None
    price_index: Path | None = None
    optional_features: bool = False
    champion_rule: Literal["better", "not_worse"] = "better"
    # Of the server's own lines.
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # Of stored predictions, API keys and feedback; by default a SQLite file in the work folder.
    database: SecretStr | None = None
    # The data set whose patients can be asked about by their stay alone.
    history: Path | None = None
    # What the CDS Hooks services say and suggest; by default the product's own.
    cds_hooks: Path | None = None
    # The hospital of encounters that name none.
    hospital: str | None = None
    access: AccessSettings = Field(default_factory=AccessSettings)
    # Labels from this day on were changed by acting on the models; by default the first promotion of any.
    acted_on_from: dt.date | None = None

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
    variable = f"WARDCAST_{name.upper()}"
    if variable in os.environ:
        return variable
    return str(CONFIG_FILE) if CONFIG_FILE.is_file() and name in _in_file() else "option"


def _in_file() -> dict[str, Any]:
    return tomllib.loads(CONFIG_FILE.read_text("utf-8"))


def origins(settings: Settings) -> dict[str, tuple[str, str]]:
    """Each setting's value in force and where it came from."""
    in_file = _in_file() if CONFIG_FILE.is_file() else {}
    found = {}
    for name, value in settings.model_dump().items():
        if f"WARDCAST_{name.upper()}" in os.environ:
            origin = f"WARDCAST_{name.upper()}"
        else:
            origin = str(CONFIG_FILE) if name in in_file else "default"
        found[name] = (str(value), origin)
    return found
