"""What each order has cost in its day and month, and the multipliers of budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_AMOUNTS = ("cost", "cost_counted", "cost_before_day", "cost_before_month")


def upgrade() -> None:
    """Let nothing be counted yet: the next read of the orders counts what they have cost."""
    for name in _AMOUNTS:
        op.add_column("orders", sa.Column(name, sa.Text(), nullable=False, server_default="0"))
    op.add_column("orders", sa.Column("cost_at", sa.BigInteger(), nullable=True))
    op.add_column("account_state", sa.Column("multipliers", sa.Text(), nullable=True))


def downgrade() -> None:
    """Forget it."""
    # SQLite drops a column by itself; batch mode would copy the table without its counter.
    op.drop_column("account_state", "multipliers")
    for name in ("cost_at", *_AMOUNTS):
        op.drop_column("orders", name)
