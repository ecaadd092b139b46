"""What each day cost against the best that was possible, so that nobody has to reckon it twice."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, empty: days whose raw history is kept are reckoned by and by."""
    tallies = [
        column
        for whose in ("ours", "best")
        for column in (
            sa.Column(f"{whose}_held", sa.BigInteger(), nullable=False),
            sa.Column(f"{whose}_paid", sa.Text(), nullable=False),
            sa.Column(f"{whose}_starts", sa.Integer(), nullable=False),
            sa.Column(f"{whose}_creations", sa.Integer(), nullable=False),
            sa.Column(f"{whose}_worth", sa.Float(), nullable=False),
        )
    ]
    op.create_table(
        "regrets",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
        ),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("wanted", sa.BigInteger(), nullable=False),
        sa.Column("unwatched", sa.BigInteger(), nullable=False),
        *tallies,
        sa.Column("coins", sa.Text(), nullable=False),
        sa.Column("costly", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_regrets"),
    )
    op.create_index("uq_regrets_day", "regrets", ["account", "at", "mode", "target"], unique=True)


def downgrade() -> None:
    """Forget it."""
    op.drop_table("regrets")
