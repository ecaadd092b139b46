"""The tables. Every row belongs to an account; every change here needs a revision in ``migrations``.

What the market does is kept as changes only: a row says how things were from its moment on. What a
server runs (image, environment, keys) is no business of the store's: no table has a place for it,
apart from the image's name as the exchange lists it.

Rejected: one wide JSON column per order. It is quicker to write down and impossible to migrate.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    false,
    text,
)

from bidder.store.types import Amount, Duration, Identifier, Json, Moment, Words

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

UNFINISHED = ("open", "ambiguous")
_UNFINISHED_SQL = "state IN ('open', 'ambiguous')"


def _id() -> Column[int]:
    # SQLite counts up by itself only in a column declared INTEGER.
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _account(*, key: bool = False) -> Column[str]:
    return Column("account", Words(), primary_key=key, nullable=False)


orders = Table(
    "orders",
    metadata,
    _account(key=True),
    Column("order_id", Identifier(), primary_key=True, autoincrement=False),
    Column("server_id", Identifier(), nullable=False),
    Column("kind", Words(), nullable=False),
    Column("mode", Words(), nullable=False),
    Column("target", Words()),
    Column("price", Amount(), nullable=False),
    Column("currency", Words(), nullable=False),
    Column("spend", Amount(), nullable=False),
    Column("spend_currency", Words(), nullable=False),
    Column("fee_percent", Float()),
    Column("creation_fee", Amount()),
    Column("creation_fee_currency", Words()),
    Column("created_at", Moment(), nullable=False),
    Column("mrl", Duration(), nullable=False),
    Column("expired", Boolean(), nullable=False),
    Column("image", Words(2000), nullable=False),
    Column("access", Json(), nullable=False),
    Column("first_seen_at", Moment(), nullable=False),
    Column("last_seen_at", Moment(), nullable=False),
    Column("clock_created_at", Moment()),
    Column("clock_raised_at", Moment()),
    Column("clock_lowered_at", Moment()),
    Column("clock_opens_at", Moment()),
    Column("active", Boolean()),
    Column("outbid_since", Moment()),
    Column("missing_since", Moment()),
    Column("missing_reads", Integer(), nullable=False),
    Column("ended_at", Moment()),
    Column("end_cause", Words(2000)),
    Column("assumed", Boolean(), nullable=False, server_default=false()),
    # What it has computed on so many GPUs, and how much of its latest start is still ahead.
    Column("gpus", Integer(), nullable=False, server_default="1"),
    Column("computed", Duration(), nullable=False, server_default="0"),
    Column("starting", Duration(), nullable=False, server_default="0"),
    # What it has cost, in USD with fees, and what of that before the day and the month of ``cost_at``.
    Column("cost", Amount(), nullable=False, server_default="0"),
    Column("cost_counted", Amount(), nullable=False, server_default="0"),
    Column("cost_at", Moment()),
    Column("cost_before_day", Amount(), nullable=False, server_default="0"),
    Column("cost_before_month", Amount(), nullable=False, server_default="0"),
    Index("ix_orders_ended", "account", "ended_at"),
)

# What an exchange would know of the orders that exist on paper only; ``orders`` holds what the daemon
# knows of them, as it does of real ones.
paper_orders = Table(
    "paper_orders",
    metadata,
    _account(key=True),
    Column("order_id", Identifier(), primary_key=True, autoincrement=False),
    Column("server_id", Identifier(), nullable=False),
    Column("kind", Words(), nullable=False),
    Column("price", Amount(), nullable=False),
    Column("currency", Words(), nullable=False),
    Column("created_at", Moment(), nullable=False),
    Column("mrl", Duration(), nullable=False),
    Column("billed_until", Moment(), nullable=False),
    Column("charged", Amount(), nullable=False),  # price x microseconds of running
    Column("active", Boolean(), nullable=False),
    Column("assumed", Boolean(), nullable=False),
    Column("clock_created_at", Moment()),
    Column("clock_raised_at", Moment()),
    Column("clock_lowered_at", Moment()),
    Column("fee_percent", Float(), nullable=False),
    Column("creation_fee", Amount()),
    Column("creation_fee_currency", Words()),
    Column("image", Words(2000), nullable=False),
    Column("ended_at", Moment()),
)

order_prices = Table(
    "order_prices",
    metadata,
    _id(),
    _account(),
    Column("order_id", Identifier(), nullable=False),
    Column("at", Moment(), nullable=False),
    Column("price", Amount(), nullable=False),
    Column("currency", Words(), nullable=False),
    ForeignKeyConstraint(["account", "order_id"], ["orders.account", "orders.order_id"]),
    Index("ix_order_prices_order", "account", "order_id", "at"),
)

intents = Table(
    "intents",
    metadata,
    _id(),
    _account(),
    Column("kind", Words(), nullable=False),
    Column("server_id", Identifier(), nullable=False),
    Column("target", Words()),
    Column("order_id", Identifier()),
    Column("price", Amount()),
    Column("currency", Words()),
    Column("previous_price", Amount()),
    Column("previous_currency", Words()),
    Column("known_orders", Json(), nullable=False),
    Column("opened_at", Moment(), nullable=False),
    Column("ended_at", Moment()),
    Column("accepted", Boolean(), nullable=False),
    Column("state", Words(), nullable=False),
    Column("empty_reads", Integer(), nullable=False),
    Column("closed_at", Moment()),
    Column("note", Words(2000), nullable=False),
    Column("mode", Words(), nullable=False, server_default="live"),
    # One request under way per server: only then is an order that turns up there unambiguous. Beside a
    # creation that waits for a person there may be the owner's cancellation of one of its orders. What
    # was asked for on paper says nothing about the exchange, and the reverse.
    Index(
        "uq_intents_unfinished",
        "account",
        "mode",
        "server_id",
        "state",
        unique=True,
        sqlite_where=text(_UNFINISHED_SQL),
        postgresql_where=text(_UNFINISHED_SQL),
    ),
    Index("ix_intents_opened", "account", "opened_at"),
    Index("ix_intents_order", "account", "order_id"),
    # A number that was used once never names another intent.
    sqlite_autoincrement=True,
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    _account(),
    Column("pass_id", BigInteger(), nullable=False),
    Column("at", Moment(), nullable=False),
    Column("target", Words()),
    Column("server_id", Identifier()),
    Column("order_id", Identifier()),
    Column("action", Words()),
    Column("price", Amount()),
    Column("currency", Words()),
    Column("previous_price", Amount()),
    Column("reason", Words(), nullable=False),
    Column("due", Moment()),
    Column("facts", Json(), nullable=False),
    Column("mode", Words(), nullable=False, server_default="live"),
    # NULL: no strategy was asked, or it is older than this column.
    Column("inputs_sha256", Words()),
    Column("configuration_id", BigInteger()),
    # By order; of what has none yet, by server.
    Index("ix_decisions_order", "account", "order_id", "server_id"),
    Index("ix_decisions_at", "account", "at"),
)

# What the strategy was asked for a decision and what it said, compressed; kept for a short time only.
decision_inputs = Table(
    "decision_inputs",
    metadata,
    Column("decision_id", BigInteger(), primary_key=True, autoincrement=False),
    _account(),
    Column("at", Moment(), nullable=False),
    Column("body", LargeBinary(), nullable=False),
    Index("ix_decision_inputs_at", "account", "at"),
)

# Every configuration that decisions rest on, without anything secret, compressed.
configurations = Table(
    "configurations",
    metadata,
    _id(),
    _account(),
    Column("sha256", Words(), nullable=False),
    Column("at", Moment(), nullable=False),
    Column("body", LargeBinary(), nullable=False),
    Index("uq_configurations_sha256", "account", "sha256", unique=True),
)

books = Table(
    "books",
    metadata,
    _id(),
    _account(),
    Column("server_id", Identifier(), nullable=False),
    Column("at", Moment(), nullable=False),
    Column("exists", Boolean(), nullable=False),
    Column("public", Boolean(), nullable=False),
    Column("online", Boolean(), nullable=False),
    Column("floor", Json(), nullable=False),
    Column("rivals", Integer(), nullable=False),
    Column("rival_price", Amount()),
    Column("rival_currency", Words()),
    Column("active_order_id", Identifier()),
    Column("our_order_id", Identifier()),
    Column("our_price", Amount()),
    Column("our_currency", Words()),
    # All of this was so from ``at`` to ``until``, as far as it was looked at.
    Column("until", Moment(), nullable=False),
    Column("rented", Boolean()),
    Column("on_demand_price", Amount()),
    Column("on_demand_currency", Words()),
    Index("ix_books_server", "account", "server_id", "at"),
    Index("ix_books_until", "account", "until"),
)

servers = Table(
    "servers",
    metadata,
    _account(key=True),
    Column("server_id", Identifier(), primary_key=True, autoincrement=False),
    Column("gpu_model", Words(), nullable=False),
    Column("gpus", Integer(), nullable=False),
    Column("seen_at", Moment(), nullable=False),
)

# A span is ``hour`` or ``day``; what was on paper has rows of its own, ``paper-hour`` and ``paper-day``.
server_summaries = Table(
    "server_summaries",
    metadata,
    _account(key=True),
    Column("span", Words(), primary_key=True),
    Column("at", Moment(), primary_key=True, autoincrement=False),
    Column("server_id", Identifier(), primary_key=True, autoincrement=False),
    Column("known", Duration(), nullable=False),
    Column("online", Duration(), nullable=False),
    Column("rented", Duration(), nullable=False),
    Column("held", Duration(), nullable=False),
    Column("rival_low", Amount()),
    Column("rival_median", Amount()),
    Column("rival_high", Amount()),
    Column("floor_low", Amount()),
    Column("floor_median", Amount()),
    Column("floor_high", Amount()),
    Column("bid_low", Amount()),
    Column("bid_median", Amount()),
    Column("bid_high", Amount()),
    Column("spend", Amount(), nullable=False),
)

target_summaries = Table(
    "target_summaries",
    metadata,
    _account(key=True),
    Column("span", Words(), primary_key=True),
    Column("at", Moment(), primary_key=True, autoincrement=False),
    Column("target", Words(), primary_key=True),
    Column("spend", Amount(), nullable=False),
    Column("held", Duration(), nullable=False),
    Column("restarts", Integer(), nullable=False),
    # What the hosts' on-demand prices come to over ``compared``, the held time in which one was known.
    Column("on_demand", Amount(), nullable=False),
    Column("compared", Duration(), nullable=False),
)

# How far the summaries have come: the period that is next, and the last server done in it.
summary_progress = Table(
    "summary_progress",
    metadata,
    _account(key=True),
    Column("span", Words(), primary_key=True),
    Column("at", Moment(), nullable=False),
    Column("server_id", Identifier()),
)

# One day of one target, for real or on paper: what it cost, beside the best that was possible.
regrets = Table(
    "regrets",
    metadata,
    _id(),
    _account(),
    Column("at", Moment(), nullable=False),
    Column("until", Moment(), nullable=False),
    Column("mode", Words(), nullable=False),
    Column("target", Words(), nullable=False),
    Column("wanted", Duration(), nullable=False),
    Column("unwatched", Duration(), nullable=False),
    Column("ours_held", Duration(), nullable=False),
    Column("ours_paid", Amount(), nullable=False),
    Column("ours_starts", Integer(), nullable=False),
    Column("ours_creations", Integer(), nullable=False),
    Column("ours_worth", Float(), nullable=False),  # an estimate, and it may be below 0
    Column("best_held", Duration(), nullable=False),
    Column("best_paid", Amount(), nullable=False),
    Column("best_starts", Integer(), nullable=False),
    Column("best_creations", Integer(), nullable=False),
    Column("best_worth", Float(), nullable=False),
    Column("coins", Json(), nullable=False),
    Column("costly", Json(), nullable=False),
    Index("uq_regrets_day", "account", "at", "mode", "target", unique=True),
)

rates = Table(
    "rates",
    metadata,
    _id(),
    _account(),
    Column("currency", Words(), nullable=False),
    Column("at", Moment(), nullable=False),
    Column("usd_per_unit", Amount()),  # NULL: from then on the exchange named none
    Index("ix_rates_currency", "account", "currency", "at"),
)

wallets = Table(
    "wallets",
    metadata,
    _id(),
    _account(),
    Column("currency", Words(), nullable=False),
    Column("at", Moment(), nullable=False),
    Column("balance", Amount()),
    Column("deposit", Words(), nullable=False),
    Column("withdrawal_fee", Amount()),
    Column("gone", Boolean(), nullable=False),  # the exchange lists this wallet no longer
    Index("ix_wallets_currency", "account", "currency", "at"),
)

clock_rules = Table(
    "clock_rules",
    metadata,
    _account(key=True),
    Column("creation", Boolean()),
    Column("raised", Boolean()),
    Column("evidence", Words(2000), nullable=False),
    Column("at", Moment(), nullable=False),
)

step_samples = Table(
    "step_samples",
    metadata,
    _id(),
    _account(),
    Column("currency", Words(), nullable=False),
    Column("price", Amount(), nullable=False),
    Column("drop", Amount(), nullable=False),
    Column("floor", Amount()),
    Column("exact", Boolean(), nullable=False),
    Column("at", Moment(), nullable=False),
    Index("ix_step_samples_at", "account", "at"),
)

raises = Table(
    "raises",
    metadata,
    _id(),
    _account(),
    Column("server_id", Identifier(), nullable=False),
    Column("order_id", Identifier(), nullable=False),
    Column("rival_id", Identifier()),
    Column("at", Moment(), nullable=False),
    Index("ix_raises_at", "account", "at"),
)

# What the probes of the workloads of running orders showed; ``probe`` is a digest of what was asked for.
pulses = Table(
    "pulses",
    metadata,
    _account(key=True),
    Column("order_id", Identifier(), primary_key=True, autoincrement=False),
    Column("probe", Words(), nullable=False),
    Column("began_at", Moment(), nullable=False),
    Column("alive_at", Moment()),
    Column("probed_at", Moment()),
    Column("dead_since", Moment()),
    Column("blind", Boolean(), nullable=False),
    Column("detail", Words(2000), nullable=False),
    Column("told", Moment()),
)

requests = Table(
    "requests",
    metadata,
    _id(),
    _account(),
    Column("kind", Words(), nullable=False),
    Column("argument", Json()),
    Column("posted_at", Moment(), nullable=False),
    Column("done_at", Moment()),
    Column("outcome", Words(1_000_000)),
    Index("ix_requests_done", "account", "done_at"),
    sqlite_autoincrement=True,
)

account_state = Table(
    "account_state",
    metadata,
    _account(key=True),
    Column("paused", Boolean(), nullable=False),
    Column("paused_at", Moment()),
    Column("pause_note", Words(2000)),
    Column("last_request_at", Moment()),
    Column("last_creation_at", Moment()),
    Column("last_pass_at", Moment()),
    Column("last_pass_id", BigInteger()),
    Column("order_limit", Identifier()),
    Column("creation_fee_usd", Amount()),
    Column("snapshot", Json()),
    Column("recalled_at", Moment()),
    Column("multipliers", Json()),  # of budgets, by mode and budget
)

lease = Table(
    "lease",
    metadata,
    _account(key=True),
    Column("fencing", BigInteger(), nullable=False),
    Column("host", Words()),  # NULL: nobody holds it
    Column("pid", BigInteger()),
    Column("boot", Words()),
    Column("namespace", Words()),
    Column("started", Words()),
    Column("taken_at", Moment()),
    Column("expires_at", Moment()),
)
