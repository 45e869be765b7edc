"""Which prediction of a target stands for its stay, of whatever point, on a worklist."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEX = "predicted_targets_worklist"
_SORTED = ["target", "is_latest", "as_of", "department", "band", "prediction_point", "value", "percentile"]


def upgrade() -> None:
    """Mark, of the latest predictions of each stay and target, the one as of the latest time."""
    op.add_column(
        "predicted_targets",
        sa.Column("stands_for_stay", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.execute(
        """
        UPDATE predicted_targets SET stands_for_stay = true
        WHERE is_latest AND NOT EXISTS (
            SELECT 1 FROM predictions own
            JOIN predictions other ON other.stay_id = own.stay_id
            JOIN predicted_targets later ON later.prediction_id = other.id
            WHERE own.id = predicted_targets.prediction_id
              AND later.target = predicted_targets.target AND later.is_latest
              AND (later.as_of > predicted_targets.as_of
                   OR (later.as_of = predicted_targets.as_of
                       AND later.prediction_id > predicted_targets.prediction_id)))
        """
    )
    op.drop_index(_INDEX, "predicted_targets")
    op.create_index(_INDEX, "predicted_targets", [*_SORTED, "stands_for_stay", "prediction_id"])


def downgrade() -> None:
    """Remove the mark."""
    op.drop_index(_INDEX, "predicted_targets")
    op.drop_column("predicted_targets", "stands_for_stay")
    op.create_index(_INDEX, "predicted_targets", [*_SORTED, "prediction_id"])
