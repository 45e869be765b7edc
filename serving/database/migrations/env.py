"""Alembic's entry: runs migrations on the connection, in the transaction, that it is handed."""

from __future__ import annotations

from alembic import context

from serving.database.connection import VERSION_TABLE
from serving.database.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    # SQLite cannot alter a column: its table is made anew.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
