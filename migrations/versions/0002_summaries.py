"""What is left of the history when the raw rows go: summaries per hour and day; servers' hardware."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say of each book until when it held, and add the tables of the summaries."""
    with op.batch_alter_table("books") as books:
        books.add_column(sa.Column("until", sa.BigInteger()))
        books.add_column(sa.Column("rented", sa.Boolean()))
        books.add_column(sa.Column("on_demand_price", sa.Text()))
        books.add_column(sa.Column("on_demand_currency", sa.Text()))
    # Nobody noted for how long a book was looked at: until it changed is the best that is known.
    op.execute(
        "UPDATE books SET until = COALESCE((SELECT MIN(later.at) FROM books AS later"
        " WHERE later.account = books.account AND later.server_id = books.server_id"
        " AND later.at > books.at), books.at)"
    )
    with op.batch_alter_table("books") as books:
        books.alter_column("until", existing_type=sa.BigInteger(), nullable=False)
        books.drop_index("ix_books_at")
        books.create_index("ix_books_until", ["account", "until"])
    _create_servers()
    _create_summaries()


def downgrade() -> None:
    """Forget the summaries; raw rows stay as they are."""
    op.drop_table("summary_progress")
    op.drop_table("target_summaries")
    op.drop_table("server_summaries")
    op.drop_table("servers")
    with op.batch_alter_table("books") as books:
        books.drop_index("ix_books_until")
        books.create_index("ix_books_at", ["account", "at"])
        books.drop_column("on_demand_currency")
        books.drop_column("on_demand_price")
        books.drop_column("rented")
        books.drop_column("until")


def _create_servers() -> None:
    op.create_table(
        "servers",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("gpu_model", sa.Text(), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "server_id", name="pk_servers"),
    )


def _create_summaries() -> None:
    low_to_high = [f"{what}_{which}" for what in ("rival", "floor", "bid") for which in _SPREAD]
    op.create_table(
        "server_summaries",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.BigInteger(), nullable=False),
        sa.Column("online", sa.BigInteger(), nullable=False),
        sa.Column("rented", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in low_to_high),
        sa.Column("spend", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "span", "at", "server_id", name="pk_server_summaries"),
    )
    op.create_table(
        "target_summaries",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("spend", sa.Text(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("on_demand", sa.Text(), nullable=False),
        sa.Column("compared", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "span", "at", "target", name="pk_target_summaries"),
    )
    op.create_table(
        "summary_progress",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("server_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("account", "span", name="pk_summary_progress"),
    )


_SPREAD = ("low", "median", "high")
