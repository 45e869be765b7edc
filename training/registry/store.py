"""Where MLflow keeps runs and models: a SQLite file in the work folder, or a server."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from features.atomic import written_aside
from features.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    # Nothing leaves the house: MLflow reads these when it is imported, child processes inherit them.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow would copy the lock file of whatever project stands in the working directory.
    "MLFLOW_UV_AUTO_DETECT": "false",
    # Standard output belongs to the command's own result.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
PATIENCE = {
    # A server that does not answer is told within a minute, not after MLflow's quarter of an hour.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
"""What a person may set otherwise."""


class StoreError(UserError):
    """The store of models cannot be used; the message says why and what to do."""


def default_tracking(work: Path) -> tuple[str, Path | None]:
    """Return the tracking address and the artefact folder of a work folder.

    `MLFLOW_TRACKING_URI` if it is set to anything else, and then the server's own artefact folder (None);
    otherwise a SQLite file in the work folder with the artefacts beside it.
    """
    address, own = os.environ.get("MLFLOW_TRACKING_URI"), local_tracking(work)
    return (address, None) if address and address != own[0] else own


def local_tracking(work: Path) -> tuple[str, Path]:
    """Return the address of the SQLite store of a work folder, and the artefact folder beside it."""
    return f"sqlite:///{work.resolve() / 'mlflow.db'}", work.resolve() / "mlartifacts"


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client of an MLflow store; a SQLite store that does not exist yet is made (about 1 s).

    MLflow is imported here before anywhere else, with its telemetry already off. Raises StoreError for a file
    that cannot be read, which MLflow would try again and again for minutes.
    """
    check_store(tracking_uri, writes=False)
    os.environ.update(ENVIRONMENT)
    os.environ.update({name: value for name, value in PATIENCE.items() if name not in os.environ})
    # A new store's migrations speak at INFO. Whoever wants to hear them sets the level.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    with warnings.catch_warnings():
        # MLflow 3.17 maps a relationship with a loader strategy that SQLAlchemy 2.1 deprecates, and warns
        # of type hints in its own chat models when pyfunc is imported.
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        import mlflow.pyfunc  # noqa: F401
        from mlflow import MlflowClient

        file = sqlite_file(tracking_uri)
        if file is not None:
            _make_store(file)
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def sqlite_file(tracking_uri: str) -> Path | None:
    """The file of a SQLite store; None for a server."""
    prefix = "sqlite:///"
    return Path(tracking_uri.removeprefix(prefix)) if tracking_uri.startswith(prefix) else None


def has_store(tracking_uri: str) -> bool:
    """Whether a store was made there; a server has one."""
    file = sqlite_file(tracking_uri)
    return file is None or file.exists()


def check_store(tracking_uri: str, *, writes: bool = True) -> None:
    """Raises StoreError if the file of a SQLite store cannot be read or, with `writes`, written.

    A server is not asked: it answers for itself. A store that is not there yet can be made or not.
    """
    file = sqlite_file(tracking_uri)
    if file is None or (not file.exists() and not writes):
        return
    place = file if file.exists() else next(parent for parent in file.parents if parent.exists())
    if not os.access(place, os.W_OK if writes else os.R_OK) or (writes and not _may_add(file.parent)):
        raise StoreError(
            f"{file}: the store of models cannot be {'written' if writes else 'read'}. Let this account "
            f"{'write' if writes else 'read'} the file and its folder, or name another work folder by --work."
        )


def _may_add(folder: Path) -> bool:
    """Whether files can be added to a folder: SQLite puts its journal beside the store."""
    return not folder.exists() or os.access(folder, os.W_OK | os.X_OK)


def _make_store(file: Path) -> None:
    """Make a SQLite store that does not exist yet, aside: half its tables would stop every later command.

    Of two processes that make it at the same time, the first one's is taken by both.
    """
    from mlflow import MlflowClient

    if file.exists():
        return
    with written_aside(file, replace=False) as fresh:
        address = f"sqlite:///{fresh}"
        client = MlflowClient(tracking_uri=address, registry_uri=address)
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
