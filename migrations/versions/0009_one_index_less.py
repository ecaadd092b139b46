"""One index of decisions that serves both ways in which they are looked up, instead of two."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Find decisions by order, and those without one by server."""
    op.drop_index("ix_decisions_order", "decisions")
    op.drop_index("ix_decisions_subject", "decisions")
    op.create_index("ix_decisions_order", "decisions", ["account", "order_id", "server_id"])


def downgrade() -> None:
    """Bring the two back."""
    op.drop_index("ix_decisions_order", "decisions")
    op.create_index("ix_decisions_order", "decisions", ["account", "order_id"])
    op.create_index("ix_decisions_subject", "decisions", ["account", "target", "server_id", "order_id"])
