"""Where keys and reads are kept, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from serving.access.settings import AccessSettings
    from wardcast.settings import Settings


def access_of(settings: Settings) -> AccessSettings:  # noqa: ARG001
    """Who is let in, and where reads are recorded."""
    from serving.access.settings import AccessSettings

    return AccessSettings()


def store_of(settings: Settings) -> Engine:
    """The store of the work folder. Raises StoreError."""
    from serving.store.database import open_database

    return open_database(f"sqlite:///{settings.work.absolute() / 'wardcast.db'}")
