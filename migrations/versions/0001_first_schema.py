"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite counts up by itself only in a column declared INTEGER.
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_UNFINISHED = "state IN ('open', 'ambiguous')"


def upgrade() -> None:
    """Create every table."""
    _create_account_state()
    _create_books()
    _create_clock_rules()
    _create_decisions()
    _create_intents()
    _create_lease()
    _create_orders()
    _create_raises()
    _create_rates()
    _create_requests()
    _create_step_samples()
    _create_wallets()
    _create_order_prices()


def downgrade() -> None:
    """Drop every table, with all that is in it."""
    op.drop_table("order_prices")
    op.drop_table("wallets")
    op.drop_table("step_samples")
    op.drop_table("requests")
    op.drop_table("rates")
    op.drop_table("raises")
    op.drop_table("orders")
    op.drop_table("lease")
    op.drop_table("intents")
    op.drop_table("decisions")
    op.drop_table("clock_rules")
    op.drop_table("books")
    op.drop_table("account_state")


def _create_account_state() -> None:
    op.create_table(
        "account_state",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("paused_at", sa.BigInteger()),
        sa.Column("pause_note", sa.Text()),
        sa.Column("last_request_at", sa.BigInteger()),
        sa.Column("last_creation_at", sa.BigInteger()),
        sa.Column("last_pass_at", sa.BigInteger()),
        sa.Column("last_pass_id", sa.BigInteger()),
        sa.Column("order_limit", sa.BigInteger()),
        sa.Column("creation_fee_usd", sa.Text()),
        sa.Column("snapshot", sa.Text()),
        sa.PrimaryKeyConstraint("account", name="pk_account_state"),
    )


def _create_books() -> None:
    op.create_table(
        "books",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("exists", sa.Boolean(), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("floor", sa.Text(), nullable=False),
        sa.Column("rivals", sa.Integer(), nullable=False),
        sa.Column("rival_price", sa.Text()),
        sa.Column("rival_currency", sa.Text()),
        sa.Column("active_order_id", sa.BigInteger()),
        sa.Column("our_order_id", sa.BigInteger()),
        sa.Column("our_price", sa.Text()),
        sa.Column("our_currency", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_books"),
    )
    op.create_index("ix_books_at", "books", ["account", "at"])
    op.create_index("ix_books_server", "books", ["account", "server_id", "at"])


def _create_clock_rules() -> None:
    op.create_table(
        "clock_rules",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("creation", sa.Boolean()),
        sa.Column("raised", sa.Boolean()),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_clock_rules"),
    )


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("pass_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text()),
        sa.Column("server_id", sa.BigInteger()),
        sa.Column("order_id", sa.BigInteger()),
        sa.Column("action", sa.Text()),
        sa.Column("price", sa.Text()),
        sa.Column("currency", sa.Text()),
        sa.Column("previous_price", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("due", sa.BigInteger()),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
    )
    op.create_index("ix_decisions_at", "decisions", ["account", "at"])
    op.create_index("ix_decisions_order", "decisions", ["account", "order_id"])
    op.create_index("ix_decisions_subject", "decisions", ["account", "target", "server_id", "order_id"])


def _create_intents() -> None:
    op.create_table(
        "intents",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text()),
        sa.Column("order_id", sa.BigInteger()),
        sa.Column("price", sa.Text()),
        sa.Column("currency", sa.Text()),
        sa.Column("previous_price", sa.Text()),
        sa.Column("previous_currency", sa.Text()),
        sa.Column("known_orders", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("empty_reads", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_intents"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_intents_opened", "intents", ["account", "opened_at"])
    op.create_index("ix_intents_order", "intents", ["account", "order_id"])
    op.create_index(
        "uq_intents_unfinished",
        "intents",
        ["account", "server_id"],
        unique=True,
        sqlite_where=sa.text(_UNFINISHED),
        postgresql_where=sa.text(_UNFINISHED),
    )


def _create_lease() -> None:
    op.create_table(
        "lease",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("fencing", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.Text()),
        sa.Column("pid", sa.BigInteger()),
        sa.Column("boot", sa.Text()),
        sa.Column("namespace", sa.Text()),
        sa.Column("started", sa.Text()),
        sa.Column("taken_at", sa.BigInteger()),
        sa.Column("expires_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("account", name="pk_lease"),
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("target", sa.Text()),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("spend", sa.Text(), nullable=False),
        sa.Column("spend_currency", sa.Text(), nullable=False),
        sa.Column("fee_percent", sa.Float()),
        sa.Column("creation_fee", sa.Text()),
        sa.Column("creation_fee_currency", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("mrl", sa.BigInteger(), nullable=False),
        sa.Column("expired", sa.Boolean(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("clock_created_at", sa.BigInteger()),
        sa.Column("clock_raised_at", sa.BigInteger()),
        sa.Column("clock_lowered_at", sa.BigInteger()),
        sa.Column("clock_opens_at", sa.BigInteger()),
        sa.Column("active", sa.Boolean()),
        sa.Column("outbid_since", sa.BigInteger()),
        sa.Column("missing_since", sa.BigInteger()),
        sa.Column("missing_reads", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("end_cause", sa.Text()),
        sa.PrimaryKeyConstraint("account", "order_id", name="pk_orders"),
    )
    op.create_index("ix_orders_ended", "orders", ["account", "ended_at"])


def _create_raises() -> None:
    op.create_table(
        "raises",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("rival_id", sa.BigInteger()),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_raises"),
    )
    op.create_index("ix_raises_at", "raises", ["account", "at"])


def _create_rates() -> None:
    op.create_table(
        "rates",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("usd_per_unit", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_rates"),
    )
    op.create_index("ix_rates_currency", "rates", ["account", "currency", "at"])


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("argument", sa.Text()),
        sa.Column("posted_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger()),
        sa.Column("outcome", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_requests_done", "requests", ["account", "done_at"])


def _create_step_samples() -> None:
    op.create_table(
        "step_samples",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("drop", sa.Text(), nullable=False),
        sa.Column("floor", sa.Text()),
        sa.Column("exact", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_step_samples"),
    )
    op.create_index("ix_step_samples_at", "step_samples", ["account", "at"])


def _create_wallets() -> None:
    op.create_table(
        "wallets",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.Text()),
        sa.Column("deposit", sa.Text(), nullable=False),
        sa.Column("withdrawal_fee", sa.Text()),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_wallets"),
    )
    op.create_index("ix_wallets_currency", "wallets", ["account", "currency", "at"])


def _create_order_prices() -> None:
    op.create_table(
        "order_prices",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_order_prices"),
        sa.ForeignKeyConstraint(
            ["account", "order_id"],
            ["orders.account", "orders.order_id"],
            name="fk_order_prices_orders",
        ),
    )
    op.create_index("ix_order_prices_order", "order_prices", ["account", "order_id", "at"])
