"""Every key that a configuration may have: the one table behind the reader and the documents.

A path names keys from the top; ``[]`` stands for each entry of a list and ``<...>`` for a name that
the owner chooses. ``default`` is what stands there when the key is left out, as one would write it.
"""

# ruff: noqa: E501 - one key on one line is what makes this a table

from functools import cache
from typing import Final, NamedTuple

REQUIRED: Final = "required"
NONE: Final = "none"


class Key(NamedTuple):
    """One key: where it stands, what may stand there, what holds without it, and what it means."""

    path: str
    unit: str
    default: str
    meaning: str


_TOP = (
    Key("mode", "`paper` or `live`", "`paper`", "`paper` reads the exchange and trades on paper, sending nothing that changes anything ([paper.md](paper.md)); `live` trades"),
    Key("account", "section", NONE, "whose orders these are, and where the API token comes from"),
    Key("account.name", "name", "`default`", "a label for the account in the database and in the log"),
    Key("account.token_env", "name of a variable", "`CLORE_TOKEN`", "environment variable that holds the API token"),
    Key("account.token_file", "path", NONE, "file that holds the API token, instead of a variable; without either key, `$CREDENTIALS_DIRECTORY/clore-token` and `/run/secrets/clore_token` are looked at too"),
    Key("account.allow_inline_token", "true or false", "`false`", "must be true before `account.token` is accepted"),
    Key("account.token", "secret", NONE, "the API token itself; better kept out of this file"),
    Key("exchange", "section", NONE, "where the exchange is"),
    Key("exchange.url", "http(s) URL", "`https://api.clore.ai/v1`", "base URL of the API; the variable `BIDDER_EXCHANGE_URL` overrides it"),
    Key("database", "path or URL", "`bidder.db`", "SQLite file (relative to this file's folder; the default lies in `$STATE_DIRECTORY` where systemd sets it) or a `postgresql://` URL; the variable `BIDDER_DATABASE_URL` overrides it"),
    Key("log", "section", NONE, "what is logged, and how"),
    Key("log.level", "`debug`, `info`, `warning` or `error`", "`info`", "the least severe event that is logged"),
    Key("log.format", "`auto`, `json` or `console`", "`auto`", "`auto` is readable on a terminal and JSON elsewhere"),
    Key("web", "section", NONE, "a read-only status page, `/healthz`, `/readyz` and `/metrics` ([what they show](monitoring.md)); off when left out"),
    Key("web.listen", "address and port", REQUIRED, "where they listen, such as `127.0.0.1:9464`; an address that other machines reach needs a token"),
    Key("web.token", "secret", NONE, "what a reader must send as `Authorization: Bearer ...`, at least 16 characters; on loopback it may be left out"),
    Key("rates", "section", NONE, "fallback rates, used only where the exchange's own answers name none"),
    Key("rates.<currency>", "USD per unit", NONE, "what one unit is worth, such as `BTC: 69000`"),
    Key("adopt", "true or false", "`false`", "whether orders that this program did not create may be repriced and cancelled too, where a strategy with room would have placed them; a job takes up only orders of its image"),
    Key("cancel_on_exit", "true or false", "`false`", "whether stopping the daemon cancels its orders; otherwise they stay as they are"),
)  # fmt: skip

_RETENTION = (
    Key("retention", "section", NONE, "how long the history is kept; orders and what they cost stay for good"),
    Key("retention.raw", "duration", "`14d`", "every change of a server's bids, of rates and balances, and every decision; 2 days at least"),
    Key("retention.inputs", "duration", "`1d`", "what each strategy was asked for its decisions, for `bidder replay --verify`; the newest 20,000 at most"),
    Key("retention.hourly", "duration or `forever`", "`365d`", "one summary per hour and server, and per hour and strategy"),
    Key("retention.daily", "duration or `forever`", "`forever`", "the same per day, and what each day cost [against the optimum](report.md)"),
)  # fmt: skip

_RAILS = (
    Key("rails", "section", NONE, "limits over everything; no strategy gets past them"),
    Key("rails.max_orders", "orders", NONE, "live orders that the daemon may have at once"),
    Key("rails.max_usd_per_day", "USD per day", NONE, "sum of all live bids"),
    Key("rails.max_usd_if_unattended", "USD", NONE, "the most that could still be spent if the daemon died: all orders and open requests until they end, with fees, as far as the balances reach; nothing is ordered or raised above it"),
    Key("rails.max_creations_per_hour", "orders per hour", "`30`", "new orders, of the whole account; each costs a creation fee; four that are refused for their price count as one"),
    Key("rails.max_creations_per_server_hour", "orders per hour", "`4`", "new orders on one server"),
    Key("rails.min_runway", "duration", "`24h`", "warn when a balance lasts less long than this at the current bids"),
    Key("rails.min_balance", "section", NONE, "money that must stay in a wallet; nothing new is ordered below it, nor while the balance is not known"),
    Key("rails.min_balance.<currency>", "amount", NONE, "balance that must stay in this currency's wallet"),
    Key("rails.allow_above_on_demand", "true or false", "`false`", "whether a spot bid may reach the server's on-demand price"),
)  # fmt: skip


def _budget(at: str, whose: str) -> tuple[Key, ...]:
    return (
        Key(f"{at}", "section", NONE, f"what {whose} may cost, fees included; it is spread over the time ([budget](budget.md))"),
        Key(f"{at}.usd_per_day", "USD per UTC day", NONE, "never more than this in one day"),
        Key(f"{at}.usd_per_month", "USD per UTC month", NONE, "never more than this in one month of the calendar"),
    )  # fmt: skip


_PACE = (
    Key("pace", "section", NONE, "how often things are read; the exchange takes one request per second, and what presses comes first"),
    Key("pace.marketplace_every", "duration", "`60s`", "reading the list of all servers, about 2 MB each time, while a strategy lacks a server or one is too dear, lost or unavailable; five times as rarely while every strategy has what it wants"),
    Key("pace.orders_every", "duration", "`30s`", "reading the own orders"),
    Key("pace.wallets_every", "duration", "`10m`", "reading the balances"),
    Key("pace.book_stale_after", "duration", "`10s`", "age at which a server's bids are read again before acting on them"),
    Key("pace.alarm_after", "duration", "`10m`", "how long nothing may be decided before that is said loudly"),
    Key("pace.settle_grace", "duration", "`2m`", "how long an order whose creation got no clear answer may take to show up before it is given up for lost and ordered again, one that was accepted at least `10m`; below 100 seconds there is a warning, because lists were seen to lag by that much"),
)  # fmt: skip


_GUARD = (
    Key("guard", "section", NONE, "what `bidder guard` does when the daemon is silent ([guard.md](guard.md)); the daemon itself does not read it"),
    Key("guard.then", "`cancel`, `lower` or `notice`", REQUIRED, "cancels the daemon's orders; lowers each of them, one step of the exchange's rules in each round; or only tells you"),
    Key("guard.after", "duration", "`30m`", "how long the daemon must have been silent, 5 minutes at least"),
    Key("guard.lower_to", "section", "the least that a server takes", "with `then: lower`, the price per day to come down to"),
    Key("guard.lower_to.<currency>", "amount per day", NONE, "exactly one currency"),
    Key("guard.lower_to.per", "`server` or `gpu`", "`server`", "whether it is for a whole server or for each of its GPUs"),
)  # fmt: skip


_NOTICES = (
    Key("notices", "list", NONE, "who is told what happens: one entry for each receiver; see docs/notices.md"),
    Key("notices[].to", "secret", NONE, "address of a service, as apprise writes it: mail, Telegram, Slack, a webhook; best as `{env: NAME}` or `{file: PATH}`"),
    Key("notices[].command", "list", NONE, "instead of `to`: a program (absolute path) and its arguments, run without a shell with the event as JSON on its input"),
    Key("notices[].timeout", "duration", "`10s`", "how long the program may take before it is killed"),
    Key("notices[].level", "`info`, `warning` or `urgent`", "`info`", "the least pressing notice that goes there"),
    Key("notices[].events", "name or list", NONE, "only these events; all when left out"),
)  # fmt: skip


def _launch(at: str, image_default: str, note: str) -> tuple[Key, ...]:
    return (
        Key(f"{at}", "section", NONE, note),
        Key(f"{at}.image", "image name", image_default, "container image to run"),
        Key(f"{at}.ports", "section or list", NONE, "ports to open, at most five: `22: tcp`, `8888: http`, or a list such as `[22/tcp, 8888/http]`"),
        Key(f"{at}.ports.<port>", "`tcp` or `http`", NONE, "how this container port is reached"),
        Key(f"{at}.env", "section", NONE, "environment variables of the container"),
        Key(f"{at}.env.<name>", "secret", NONE, "value of one variable; without `&`"),
        Key(f"{at}.jupyter_token", "secret", NONE, "token for Jupyter, at most 32 characters"),
        Key(f"{at}.ssh_key", "secret", NONE, "public SSH key, at most 3,072 characters"),
        Key(f"{at}.ssh_password", "secret", NONE, "SSH password, at most 32 characters"),
        Key(f"{at}.command", "secret", NONE, "command to run in the container"),
        Key(f"{at}.autossh_entrypoint", "true or false", NONE, "let the exchange set up SSH in the image"),
    )  # fmt: skip


_STRATEGY = (
    Key("strategies", "list", REQUIRED, "what to hold: one entry for each kind of server"),
    Key("strategies[].name", "name", REQUIRED, "unique name, in reports and in the history"),
    Key("strategies[].strategy", "name", "`track`", "`track` bids just enough to stay active; `adaptive` weighs each bid against a server's value and learns how far to go; `fixed` bids one price and stays there; `deadline` computes so many GPU-hours by a moment, on demand where spot servers do not suffice; for comparison: `track_recreate`, `top_plus_tick`, `autopilot`, `autospotting`, `nicehash`, `nicehash_literal`, `min_bid`; or `module:function`, one of your own ([how](strategies/own.md)), which may also be written as `own` with `own.function`"),
    Key("strategies[].enabled", "true or false", "`true`", "false keeps the entry without trading it"),
    Key("strategies[].want", "servers", "`1`", "how many servers to hold at once, 1 to 1000"),
    Key("strategies[].ceiling", "section", REQUIRED, "the most to pay per day, without fees; there is no default"),
    Key("strategies[].ceiling.<currency>", "amount per day", REQUIRED, "exactly one: `usd`, `btc`, `clore` or another currency that has a rate"),
    Key("strategies[].ceiling.per", "`server` or `gpu`", "`server`", "whether the ceiling is for a whole server or for each of its GPUs"),
    Key("strategies[].value", "section", "the ceiling", "what a day of running is worth to you; `adaptive` decides by it"),
    Key("strategies[].value.<currency>", "amount per day", NONE, "exactly one currency"),
    Key("strategies[].value.per", "`server` or `gpu`", "server", "whether the value is of a whole server or of each of its GPUs"),
    *_budget("strategies[].budget", "this strategy"),
    Key("strategies[].restart", "duration", "`6m`", "work lost each time a server starts anew"),
    Key("strategies[].pay_with", "currency or list", NONE, "wallets to pay from, the cheapest that carries an hour; any that has a balance when left out"),
    Key("strategies[].servers", "section", NONE, "which servers qualify; what is left out does not matter"),
    Key("strategies[].servers.gpu", "name or list", NONE, "GPU models, without the maker: `RTX 3090`"),
    Key("strategies[].servers.gpu_exact", "true or false", "`true`", "false lets `RTX 3080` match `RTX 3080 TI` as well"),
    Key("strategies[].servers.gpus", "number or section", "`{min: 1}`", "GPUs in the server: exactly so many, or a range"),
    Key("strategies[].servers.gpus.min", "GPUs", "`1`", "at least so many GPUs"),
    Key("strategies[].servers.gpus.max", "GPUs", NONE, "at most so many GPUs"),
    Key("strategies[].servers.gpu_memory_gb", "GB", NONE, "memory of each GPU, at least"),
    Key("strategies[].servers.ram_gb", "GB", NONE, "main memory, at least"),
    Key("strategies[].servers.disk_gb", "GB", NONE, "disk, at least"),
    Key("strategies[].servers.net_down", "Mbit/s", NONE, "download speed, at least"),
    Key("strategies[].servers.net_up", "Mbit/s", NONE, "upload speed, at least"),
    Key("strategies[].servers.cuda", "version", NONE, "CUDA version, at least, such as `12.4`"),
    Key("strategies[].servers.countries", "code or list", NONE, "only these countries, two letters each"),
    Key("strategies[].servers.not_countries", "code or list", NONE, "never these countries"),
    Key("strategies[].servers.reliability", "share", NONE, "reliability, at least, such as `95%`"),
    Key("strategies[].servers.rating", "0 to 5", NONE, "mean rating, at least"),
    Key("strategies[].servers.allow_new", "true or false", "`true`", "whether servers without reliability or votes pass: new, not bad"),
    Key("strategies[].servers.mrl_hours", "hours", NONE, "longest rental that the host allows, at least"),
    Key("strategies[].servers.ids", "number or list", NONE, "only these servers"),
    Key("strategies[].servers.not_ids", "number or list", NONE, "never these servers"),
    Key("strategies[].servers.not_owners", "number or list", NONE, "never servers of these hosts"),
    Key("strategies[].renew", "section", NONE, "what happens near the end of an order; the exchange cannot extend one"),
    Key("strategies[].renew.before", "duration", "`10m`", "how long before the end a successor is sought; half of the order's time at most"),
    Key("strategies[].renew.overlap", "true or false", "`false`", "whether both may run, and be paid, at once"),
    Key("strategies[].move", "section", NONE, "when an order gives up its server for a cheaper one ([which servers to hold](strategies/portfolio.md)); for `track`, `adaptive` and `deadline`"),
    Key("strategies[].move.saving", "share", "`10%`", "by how much the other server must be cheaper, the costs of the change not counted"),
    Key("strategies[].move.running", "true or false", "`false`", "whether an order that runs may move too, which interrupts its work; otherwise only one that is outbid or has lost its server does"),
    Key("strategies[].move.horizon", "duration", "`24h`", "an order that runs moves only where what is saved within this time, or until it ends, exceeds what the change costs"),
    Key("strategies[].move.pause", "duration", "`1h`", "how long after its last new order a strategy leaves all that runs where it is"),
    Key("strategies[].move.overlap", "true or false", "`true`", "whether the new order is placed first, and the old one cancelled once that runs; both are paid for a minute or two"),
    Key("strategies[].probe", "section", NONE, "whether the workload lives is asked now and then ([probe.md](probe.md)); off when left out"),
    Key("strategies[].probe.port", "port", REQUIRED, "the container's port that is knocked at; one of `launch.ports`"),
    Key("strategies[].probe.kind", "`tcp` or `http`", "`tcp`", "`tcp`: it takes a connection and does not hang up at once; `http`: it answers a GET"),
    Key("strategies[].probe.path", "path", "`/`", "what is asked for with `kind: http`; no redirect is followed"),
    Key("strategies[].probe.expect", "HTTP status or range", "`200-399`", "the answers that count as alive"),
    Key("strategies[].probe.every", "duration", "`60s`", "time from one probe to the next"),
    Key("strategies[].probe.timeout", "duration", "`5s`", "the most that looking up a host, and then its answer, may take"),
    Key("strategies[].probe.dead_after", "duration", "`10m`", "how long every probe must have failed before the workload counts as dead"),
    Key("strategies[].probe.grace", "duration", "`15m`", "how long after an order began to run failures do not count, until it has answered once: images are large"),
    Key("strategies[].probe.then", "`report` or `replace`", "`report`", "what a dead workload comes to: a notice, or also a cancelled order and a new one elsewhere"),
    Key("strategies[].probe.allow_networks", "network or list", NONE, "networks that may be probed although they are not public, such as `10.8.0.0/24` of a VPN"),
    Key("strategies[].track", "section", NONE, "settings of `strategy: track`"),
    Key("strategies[].track.raise_wait", "duration", "`10s`", "how long to stay outbid before raising, so that a blip is not chased"),
    Key("strategies[].track.confirm", "true or false", "`true`", "whether two reads must agree before a raise"),
    Key("strategies[].track.margin_ticks", "smallest steps", "`1`", "how far above the best rival to bid; the floor itself suffices"),
    Key("strategies[].track.lower_patience", "duration", "`0s`", "how long after its last raise a bid stays before it is lowered"),
    Key("strategies[].track.dead_band", "share", "`0.2%`", "savings below this share of the price are left alone"),
    Key("strategies[].track.war_raises", "raises", "`6`", "so many raises within `war_window` are a bidding war, whoever answers them"),
    Key("strategies[].track.war_window", "duration", "`20m`", "the time in which those raises are counted"),
    Key("strategies[].track.war_pause", "duration", "`30m`", "how long the server is left alone after a war"),
    Key("strategies[].adaptive", "section", NONE, "settings of `strategy: adaptive`"),
    Key("strategies[].adaptive.raise_wait", "duration", "`10s`", "how long to stay outbid before raising"),
    Key("strategies[].adaptive.confirm", "true or false", "`true`", "whether two reads must agree before a raise"),
    Key("strategies[].adaptive.half_life", "duration", "`14d`", "how fast what was learnt is forgotten"),
    Key("strategies[].adaptive.head_start", "duration", "`20m`", "by the value of so much running, for each server it watches, another rule must have earned more than the usual one"),
    Key("strategies[].deadline", "section", NONE, "settings of `strategy: deadline`; `restart` counts, and `servers.gpus` should be one number ([deadline](strategies/deadline.md))"),
    Key("strategies[].deadline.gpu_hours", "GPU-hours", REQUIRED, "how much to compute, starts not counted, over all orders of this name"),
    Key("strategies[].deadline.by", "moment", REQUIRED, "by when, with its time zone: `2027-01-01T00:00Z`"),
    Key("strategies[].deadline.on_demand_ceiling", "section", REQUIRED, "the most to pay per day for a server on demand, without fees; `ceiling` is for spot servers"),
    Key("strategies[].deadline.on_demand_ceiling.<currency>", "amount per day", REQUIRED, "exactly one currency"),
    Key("strategies[].deadline.on_demand_ceiling.per", "`server` or `gpu`", "`server`", "whether it is for a whole server or for each of its GPUs"),
    Key("strategies[].deadline.spot", "`track` or `adaptive`", "`track`", "how spot servers are bid for; the section of that name holds its settings"),
    Key("strategies[].deadline.margin", "duration", "`10m`", "time kept in reserve before the deadline, for what goes wrong on the way to an on-demand server"),
    Key("strategies[].track_recreate", "section", NONE, "settings of `strategy: track_recreate`"),
    Key("strategies[].track_recreate.factor", "times", "`1`", "how many times a restart and the fee the walk down must cost"),
    Key("strategies[].autopilot", "section", NONE, "settings of `strategy: autopilot`"),
    Key("strategies[].autopilot.overpay", "share", "`1%`", "margin above the best rival"),
    Key("strategies[].autopilot.grace", "duration", "`150s`", "how long to stay outbid before the first raise"),
    Key("strategies[].autopilot.raise_every", "duration", "`60s`", "time between two raises"),
    Key("strategies[].autopilot.escalation", "share", "`5%`", "the most that one raise goes up"),
    Key("strategies[].autospotting", "section", NONE, "settings of `strategy: autospotting`"),
    Key("strategies[].autospotting.buffer", "share", "`10%`", "margin above the price at the start"),
    Key("strategies[].own", "section", NONE, "settings of a strategy of your own ([how](strategies/own.md))"),
    Key("strategies[].own.function", "`module:function`", NONE, "the function that decides, where `strategy` is `own`; a module that is installed, or a file beside this one"),
    Key("strategies[].own.opening_bid", "`module:function`", "the smallest bid that wins", "the function that names the first bid on a server"),
    Key("strategies[].own.params", "section", NONE, "what both functions are handed"),
    Key("strategies[].own.params.<name>", "value or section", NONE, "a number (exact), true or false, text, or an amount per day such as `{usd: 4.50}`; no secrets"),
    Key("strategies[].fixed", "section", NONE, "settings of `strategy: fixed`"),
    Key("strategies[].fixed.price", "section", "the ceiling", "the price to bid per day for a whole server, never above the ceiling"),
    Key("strategies[].fixed.price.<currency>", "amount per day", NONE, "exactly one currency"),
)  # fmt: skip

KEYS: Final = (
    *_TOP,
    *_RAILS,
    *_budget("budget", "all strategies together"),
    *_PACE,
    *_GUARD,
    *_NOTICES,
    *_RETENTION,
    *_launch("launch", NONE, "defaults for the `launch` of every strategy"),
    *_STRATEGY,
    *_launch(
        "strategies[].launch",
        REQUIRED,
        "what runs on a server once it is held; each key here replaces the one of the top-level `launch`",
    ),
)


@cache
def of_section(pattern: str) -> tuple[str, ...]:
    """Return the names that may stand directly in a section; the owner's own are left out."""
    prefix = f"{pattern}." if pattern else ""
    rest = (key.path.removeprefix(prefix) for key in KEYS if key.path.startswith(prefix))
    return tuple(name for name in rest if "." not in name and "[" not in name and "<" not in name)


def table() -> str:
    """Return the table of all keys as the documents show it."""
    rows = [f"| `{key.path}` | {key.meaning} | {key.unit} | {key.default} |" for key in KEYS]
    return "\n".join(["| key | meaning | unit | default |", "|---|---|---|---|", *rows]) + "\n"
