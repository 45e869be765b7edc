"""First tables: predictions and their targets, API keys, heads of audit logs, feedback on cards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A migration says what was true when it was written: it imports nothing that may change later.
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "predictions",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("stay_id", sa.Text, nullable=False),
        sa.Column("episode_id", sa.Text),
        sa.Column("prediction_point", sa.Text, nullable=False),
        sa.Column("prediction_time", sa.DateTime),
        sa.Column("department", sa.Text),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("scored_at", sa.DateTime, nullable=False),
        sa.Column("stored_at", sa.DateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("predictions_by_stay", "predictions", ["stay_id", "prediction_point", "scored_at", "id"])
    op.create_index("predictions_by_age", "predictions", ["scored_at"])
    op.create_table(
        "predicted_targets",
        sa.Column(
            "prediction_id", _ID, sa.ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("band", sa.Text, nullable=False),
        sa.Column("percentile", sa.Float, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("prediction_point", sa.Text, nullable=False),
        sa.Column("department", sa.Text),
        sa.Column("as_of", sa.DateTime, nullable=False),
        sa.Column("is_latest", sa.Boolean, nullable=False),
    )
    op.create_index(
        "predicted_targets_worklist",
        "predicted_targets",
        [
            "target",
            "is_latest",
            "as_of",
            "department",
            "band",
            "prediction_point",
            "value",
            "percentile",
            "prediction_id",
        ],
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("departments", sa.Text),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.Column("revoked_at", sa.DateTime),
    )
    op.create_table(
        "audit_heads",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "cds_feedback",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("card", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("accepted_suggestions", sa.Text, nullable=False),
        sa.Column("override_reason", sa.Text),
        sa.Column("outcome_at", sa.DateTime, nullable=False),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.Column("received_from", sa.Text, nullable=False),
    )
    op.create_index("cds_feedback_by_age", "cds_feedback", ["received_at"])


def downgrade() -> None:
    """Remove the tables with all that is in them."""
    for table in ("cds_feedback", "audit_heads", "api_keys", "predicted_targets", "predictions"):
        op.drop_table(table)
