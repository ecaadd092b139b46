"""Beside a creation that waits for a person, the owner's cancellation of one of its orders."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_UNFINISHED = "state IN ('open', 'ambiguous')"


def upgrade() -> None:
    """Let one request be under way on a server where another one waits for a person."""
    _one_unfinished_per("account", "mode", "server_id", "state")


def downgrade() -> None:
    """Give up what is under way beside one that waits: our orders show what came of a cancellation."""
    op.execute(
        "UPDATE intents SET state = 'lost', closed_at = COALESCE(ended_at, opened_at)"
        " WHERE state = 'open' AND EXISTS ("
        "SELECT 1 FROM intents AS waiting WHERE waiting.state = 'ambiguous'"
        " AND waiting.account = intents.account AND waiting.mode = intents.mode"
        " AND waiting.server_id = intents.server_id)"
    )
    _one_unfinished_per("account", "mode", "server_id")


def _one_unfinished_per(*columns: str) -> None:
    op.drop_index("uq_intents_unfinished", table_name="intents")
    op.create_index(
        "uq_intents_unfinished",
        "intents",
        list(columns),
        unique=True,
        sqlite_where=sa.text(_UNFINISHED),
        postgresql_where=sa.text(_UNFINISHED),
    )
