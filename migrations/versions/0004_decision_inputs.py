"""What decisions rested on: hashes of inputs and configuration, and for a while the inputs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the hashes and the tables; older decisions have none."""
    op.add_column("decisions", sa.Column("inputs_sha256", sa.Text()))
    op.add_column("decisions", sa.Column("configuration_id", sa.BigInteger()))
    op.create_table(
        "decision_inputs",
        sa.Column("decision_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name="pk_decision_inputs"),
    )
    op.create_index("ix_decision_inputs_at", "decision_inputs", ["account", "at"])
    op.create_table(
        "configurations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_configurations"),
    )
    op.create_index("uq_configurations_sha256", "configurations", ["account", "sha256"], unique=True)


def downgrade() -> None:
    """Forget what decisions rested on; the decisions stay."""
    op.drop_table("configurations")
    op.drop_table("decision_inputs")
    # Not in batch mode, which would copy the table: SQLite drops a column by itself.
    op.drop_column("decisions", "configuration_id")
    op.drop_column("decisions", "inputs_sha256")
