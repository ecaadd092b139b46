"""What each order has computed, for jobs with a deadline."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let every order there is have computed nothing: no job with a deadline can be older."""
    columns = (("gpus", sa.Integer(), "1"), ("computed", sa.BigInteger(), "0"))
    for name, kind, default in (*columns, ("starting", sa.BigInteger(), "0")):
        op.add_column("orders", sa.Column(name, kind, nullable=False, server_default=default))


def downgrade() -> None:
    """Forget it."""
    # SQLite drops a column by itself; batch mode would copy the table without its counter.
    for name in ("starting", "computed", "gpus"):
        op.drop_column("orders", name)
