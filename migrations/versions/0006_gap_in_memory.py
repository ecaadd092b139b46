"""Since when a memory that may be out of date has been in use; a restart must not forget it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let there be no gap."""
    op.add_column("account_state", sa.Column("recalled_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("account_state", "recalled_at")
