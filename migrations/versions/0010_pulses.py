"""What the probes of workloads showed, so that a restart does not forget it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TIMES = ("alive_at", "probed_at", "dead_since", "told")


def upgrade() -> None:
    """Let nothing be known yet: the next probes begin anew."""
    op.create_table(
        "pulses",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("probe", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in _TIMES),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "order_id", name="pk_pulses"),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("pulses")
