"""The tables of the store. What stands here is what the migrations lead to."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

METADATA = MetaData()


class UtcInstant(TypeDecorator[dt.datetime]):
    """An instant with its offset, kept as UTC: SQLite knows no offsets."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """UTC without an offset. Raises ValueError for a time that has none to begin with."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without an offset; give it in UTC")
        return value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """The instant in UTC."""
        return None if value is None else value.replace(tzinfo=dt.UTC)


# SQLite numbers the rows of an INTEGER key alone.
_ID = BigInteger().with_variant(Integer, "sqlite")

PREDICTIONS = Table(
    "predictions",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("stay_id", Text, nullable=False),
    Column("episode_id", Text),
    Column("prediction_point", Text, nullable=False),
    # Local wall time of the data set; null: records without dates.
    Column("prediction_time", DateTime),
    # Of the stay that is asked about; null: not sent.
    Column("department", Text),
    # The answer as the API gave it, JSON; without the words of its reasons.
    Column("document", Text, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("scored_at", UtcInstant, nullable=False),
    Column("stored_at", UtcInstant, nullable=False),
    # Identity of the caller, as in the audit log, or the command; null: stored before it was kept.
    Column("stored_by", Text),
    Index("predictions_by_stay", "stay_id", "prediction_point", "scored_at", "id"),
    Index("predictions_by_age", "scored_at"),
    # An id is never given twice: of two predictions scored at one time the higher id is the later.
    sqlite_autoincrement=True,
)

# One row per prediction and target. Beside the columns of the target it repeats what a worklist filters and
# sorts by, so that one index answers it without a look at any prediction that is not shown.
PREDICTED_TARGETS = Table(
    "predicted_targets",
    METADATA,
    Column("prediction_id", _ID, ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True),
    Column("target", Text, primary_key=True),
    # Probability, money or days.
    Column("value", Float, nullable=False),
    Column("band", Text, nullable=False),
    Column("percentile", Float, nullable=False),
    Column("model", Text, nullable=False),
    Column("prediction_point", Text, nullable=False),
    Column("department", Text),
    # The prediction time; of records without dates the time of scoring.
    Column("as_of", DateTime, nullable=False),
    # No later prediction of this stay at this point is stored.
    Column("is_latest", Boolean, nullable=False),
    # Of a stay's latest predictions of this target, one for each point, that as of the latest time.
    Column("stands_for_stay", Boolean, nullable=False),
    Index(
        "predicted_targets_worklist",
        "target",
        "is_latest",
        "as_of",
        "department",
        "band",
        "prediction_point",
        "value",
        "percentile",
        "stands_for_stay",
        "prediction_id",
    ),
)

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("key_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("roles", Text, nullable=False),
    # Null: all departments.
    Column("departments", Text),
    Column("created_at", UtcInstant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    Column("revoked_at", UtcInstant),
)

# The last line of each audit log, kept apart from the log so that a cut-off end shows.
AUDIT_HEADS = Table(
    "audit_heads",
    METADATA,
    Column("log", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("at", UtcInstant, nullable=False),
)

# The cards that CDS Hooks clients were given, so that feedback on one tells of which prediction.
CDS_CARDS = Table(
    "cds_cards",
    METADATA,
    Column("card_uuid", Text, primary_key=True),
    # The client's id of the call; null: not sent.
    Column("hook_instance", Text),
    Column("service_id", Text, nullable=False),
    Column("stay_id", Text, nullable=False),
    # Null: no prediction stands on the card.
    Column("prediction_point", Text),
    # JSON list of name/version.
    Column("model_ids", Text, nullable=False),
    Column("indicator", Text, nullable=False),
    Column("issued_at", UtcInstant, nullable=False),
    # Identity of the caller, as in the audit log.
    Column("issued_to", Text),
    Index("cds_cards_by_stay", "stay_id"),
    Index("cds_cards_by_age", "issued_at"),
)

CDS_FEEDBACK = Table(
    "cds_feedback",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("service", Text, nullable=False),
    # The card's uuid.
    Column("card", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    # JSON list of the suggestions' uuids.
    Column("accepted_suggestions", Text, nullable=False),
    # JSON of reason and comment; null: none given.
    Column("override_reason", Text),
    Column("outcome_at", UtcInstant, nullable=False),
    Column("received_at", UtcInstant, nullable=False),
    # Identity of the caller, as in the audit log.
    Column("received_from", Text, nullable=False),
    Index("cds_feedback_by_age", "received_at"),
)
