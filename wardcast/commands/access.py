"""The store of keys and predictions, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from serving.access.settings import AccessSettings
    from wardcast.settings import Settings


def access_of(settings: Settings) -> AccessSettings:
    """Who is let in, and where reads are recorded."""
    return settings.access


def store_of(settings: Settings) -> Engine:
    """The store of the settings' database or, without one, of the work folder. Raises StoreError."""
    from serving.database.connection import file_address, open_database
    from serving.parts import STORE_FILE

    return open_database(settings.database_address or file_address(settings.work / STORE_FILE))
