"""Paper trading: its orders, and which requests and decisions were on paper."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UNFINISHED = "state IN ('open', 'ambiguous')"


def upgrade() -> None:
    """Add the orders on paper, and mark every request and decision there is as a real one."""
    op.add_column(
        "orders", sa.Column("assumed", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    # Before this revision `mode: paper` traded nothing: each order in the table is a real one.
    op.execute("UPDATE orders SET mode = 'live'")
    for table in ("intents", "decisions"):
        op.add_column(table, sa.Column("mode", sa.Text(), nullable=False, server_default="live"))
    _one_unfinished_per("account", "mode", "server_id")
    op.create_table(
        "paper_orders",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("mrl", sa.BigInteger(), nullable=False),
        sa.Column("billed_until", sa.BigInteger(), nullable=False),
        sa.Column("charged", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("assumed", sa.Boolean(), nullable=False),
        sa.Column("clock_created_at", sa.BigInteger()),
        sa.Column("clock_raised_at", sa.BigInteger()),
        sa.Column("clock_lowered_at", sa.BigInteger()),
        sa.Column("fee_percent", sa.Float(), nullable=False),
        sa.Column("creation_fee", sa.Text()),
        sa.Column("creation_fee_currency", sa.Text()),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("account", "order_id", name="pk_paper_orders"),
    )


def downgrade() -> None:
    """Forget everything on paper: an older program would take it for real."""
    op.drop_table("paper_orders")
    for table in ("order_prices", "raises", "orders", "decisions"):
        op.execute(f"DELETE FROM {table} WHERE order_id < 0")  # noqa: S608 - names of our own
    for table in ("intents", "decisions"):
        op.execute(f"DELETE FROM {table} WHERE mode = 'paper'")  # noqa: S608 - names of our own
    _one_unfinished_per("account", "server_id")
    # Not in batch mode, which would copy a table into a new one without its counter: SQLite drops a
    # column by itself.
    op.drop_column("decisions", "mode")
    op.drop_column("intents", "mode")
    op.drop_column("orders", "assumed")


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
