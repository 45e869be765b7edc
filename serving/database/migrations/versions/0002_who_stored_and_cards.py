"""Who stored a prediction; the cards of CDS Hooks that were shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("predictions", sa.Column("stored_by", sa.Text))
    op.create_table(
        "cds_cards",
        sa.Column("card_uuid", sa.Text, primary_key=True),
        sa.Column("hook_instance", sa.Text),
        sa.Column("service_id", sa.Text, nullable=False),
        sa.Column("stay_id", sa.Text, nullable=False),
        sa.Column("prediction_point", sa.Text),
        sa.Column("model_ids", sa.Text, nullable=False),
        sa.Column("indicator", sa.Text, nullable=False),
        sa.Column("issued_at", sa.DateTime, nullable=False),
        sa.Column("issued_to", sa.Text),
    )
    op.create_index("cds_cards_by_stay", "cds_cards", ["stay_id"])
    op.create_index("cds_cards_by_age", "cds_cards", ["issued_at"])


def downgrade() -> None:
    """Remove the cards, and who stored what."""
    op.drop_table("cds_cards")
    # In place: to make the table anew would remove the targets of all predictions with the old one.
    op.drop_column("predictions", "stored_by")
