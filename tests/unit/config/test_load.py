"""A good configuration comes to the policy that its owner meant."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bidder.config import KEYS, Settings, Token, keys, load_settings
from bidder.domain import market
from bidder.domain.ids import ServerId
from bidder.domain.money import Currency, Money, Price
from bidder.domain.policy import (
    AdaptiveParams,
    Ceiling,
    DeadlineParams,
    FixedParams,
    Mode,
    Per,
    Renewal,
    TrackParams,
)
from bidder.errors import ConfigError

ROOT = Path(__file__).parents[3]
Load = Callable[..., Settings]

SMALL = """
rates: {BTC: 69000, CLORE: 0.011}
strategies:
  - name: one
    ceiling: {usd: 3.50}
    servers: {gpu: RTX 3090}
    launch: {image: ubuntu}
"""

JOB = "deadline: {gpu_hours: 40, by: 2027-01-01T00:00Z, on_demand_ceiling: {usd: 9}}\n"

# Strategies that are not the default have sections of their own.
OTHERS = frozenset(
    {key.path.split(".")[1] for key in KEYS if key.meaning.startswith("settings of `str")}
)
OTHERS -= {"track"}


def strategy(body: str) -> str:
    """Return a small configuration with more lines in its strategy."""
    return SMALL + "".join(f"    {line}\n" for line in body.splitlines())


def test_example_loads_without_a_word_and_sends_nothing(tmp_path: Path) -> None:
    """The example is a configuration that works, in paper mode, with nothing to complain about."""
    settings = load_settings(ROOT / "config.example.yaml", {}, docker_secrets=tmp_path)

    assert settings.policy.mode is Mode.PAPER
    assert [target.name for target in settings.policy.targets] == [
        "cheap-3090",
        "big-4090",
        "steady-3080",
        "thesis-a6000",
    ]
    assert settings.warnings == ()
    assert settings.policy.targets[1].requirements.countries == {"DE", "NL", "FR", "NO"}


def test_commented_lines_of_the_example_are_right_too(tmp_path: Path) -> None:
    """Taking away the comment marks of the example's keys leaves a configuration that loads."""
    text = (ROOT / "config.example.yaml").read_text()
    for key in ("pace:", "  marketplace_every:", "  orders_every:", "jupyter_token:", "allow_above_on"):
        assert f"# {key}" in text
        text = text.replace(f"# {key}", key)
    path = tmp_path / "config.yaml"
    path.write_text(text)

    settings = load_settings(path, {"MY_JUPYTER_TOKEN": "abcd1234"}, docker_secrets=tmp_path)

    assert settings.policy.targets[0].launch.jupyter_token == "abcd1234"


def test_defaults_are_the_policys(load: Load) -> None:
    """What is left out is what the policy itself takes for usual."""
    settings = load(SMALL)
    target = settings.policy.targets[0]

    assert settings.policy.mode is Mode.PAPER
    assert (target.want, target.enabled, target.currencies) == (1, True, ())
    assert target.params == TrackParams()
    assert target.renewal == Renewal()
    assert settings.exchange_url == "https://api.clore.ai/v1"
    assert settings.account == "default"
    assert (settings.log.level, settings.log.format) == ("info", "auto")


def test_every_documented_default_is_the_real_one(load: Load) -> None:
    """Writing each default of the table out changes nothing."""
    plain = load(SMALL).fingerprint
    written = 0
    for key in KEYS:
        elsewhere = key.path in {"database", "account.token_env"} or key.path.startswith(
            ("notices[]", "guard.")
        )
        if not key.default.startswith("`") or elsewhere:
            continue
        value = key.default.strip("`")
        if key.path.startswith("strategies[]."):
            parts = key.path.removeprefix("strategies[].").split(".")
            if parts[0] == "deadline":
                chosen = f"strategy: deadline\n{JOB}"
                usual = load(strategy(chosen)).fingerprint
                place = "ceiling: {" if len(parts) == 3 else "deadline: {"
                text = chosen.replace(place, f"{place}{parts[-1]}: {value}, ")
                assert load(strategy(text)).fingerprint == usual, key.path
                written += 1
                continue
            if parts[0] in {"servers", "ceiling"}:
                flow = {"servers": "gpu: RTX 3090", "ceiling": "usd: 3.50"}[parts[0]]
                inner = (
                    f"{parts[1]}: {value}" if len(parts) == 2 else f"{parts[1]}: {{{parts[2]}: {value}}}"
                )
                old = "{" + flow + "}"
                text = SMALL.replace(old, "{" + f"{flow}, {inner}" + "}")
            elif parts[0] == "probe":
                # Off when left out: the section itself changes something, its defaults do not.
                kind = "http" if parts[1] in {"path", "expect"} else "tcp"
                asked = f"{{port: 22, kind: {kind}}}"
                ported = SMALL.replace("image: ubuntu", "image: ubuntu, ports: {22: tcp}")
                usual = load(f"{ported}    probe: {asked}\n").fingerprint
                written_out = f"{ported}    probe: {asked[:-1]}, {parts[1]}: {value}}}\n"
                if parts[1] != "kind":
                    assert load(written_out).fingerprint == usual, key.path
                    written += 1
                continue
            elif len(parts) == 2 and parts[0] in OTHERS:
                # A section of its own strategy only.
                chosen = f"strategy: {parts[0]}\n"
                usual = load(strategy(chosen)).fingerprint
                assert load(strategy(chosen + _nested(parts, value))).fingerprint == usual, key.path
                written += 1
                continue
            else:
                text = strategy(_nested(parts, value))
        else:
            text = SMALL + _nested(key.path.split("."), value)
        assert load(text).fingerprint == plain, key.path
        written += 1
    assert written > 35


def _nested(parts: list[str], value: str) -> str:
    if len(parts) == 1:
        return f"{parts[0]}: {value}\n"
    return f"{parts[0]}: {{{parts[1]}: {value}}}\n"


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("0.1", "0.1"),
        ("1e-6", "0.000001"),
        ("'0.30'", "0.30"),
        ("3", "3"),
        (".5", "0.5"),
        ("1E+1", "10"),
    ],
)
def test_prices_are_exactly_as_written(load: Load, written: str, exact: str) -> None:
    """A number in the file never becomes a binary float on its way."""
    text = SMALL.replace("{usd: 3.50}", f"{{usd: {written}, per: gpu}}").replace("0.000001", "0.001")
    if exact == "0.000001":
        text = text.replace("usd:", "btc:")
    ceiling = load(text).policy.targets[0].ceiling

    currency = Currency.BTC if exact == "0.000001" else Currency.USD
    assert ceiling == Ceiling(price=Price(Decimal(exact), currency), per=Per.GPU)
    assert str(ceiling.price.amount) == str(Decimal(written.strip("'")))


def test_a_job_is_read(load: Load) -> None:
    """Hours, moment, the ceiling on demand, and the settings of the strategy that bids for it."""
    job = (
        "deadline: {gpu_hours: 40.5, by: 2027-01-01 01:00+01:00, spot: adaptive, margin: 20m,"
        " on_demand_ceiling: {usd: 9, per: gpu}}"
    )
    text = strategy(f"strategy: deadline\n{job}\nadaptive: {{raise_wait: 30s}}")
    text = text.replace("RTX 3090}", "RTX 3090, gpus: 2}")

    settings = load(text)

    target = settings.policy.targets[0]
    assert target.params == DeadlineParams(
        gpu_hours=Decimal("40.5"),
        by=datetime(2027, 1, 1, tzinfo=UTC),
        on_demand_ceiling=Ceiling(price=Price(Decimal(9), Currency.USD), per=Per.GPU),
        bidding=AdaptiveParams(raise_wait=timedelta(seconds=30)),
        margin=timedelta(minutes=20),
    )
    assert target.bidding == AdaptiveParams(raise_wait=timedelta(seconds=30))
    assert settings.warnings == ()


def test_a_job_that_does_not_say_how_many_gpus_is_warned(load: Load) -> None:
    """The fewest GPUs that fit are counted on, which may be dear."""
    (warning,) = load(strategy(f"strategy: deadline\n{JOB}")).warnings
    assert "a job counts on 1 GPUs in each server" in warning


def test_full_strategy_is_read(load: Load) -> None:
    """Every part of a strategy arrives where it belongs."""
    text = """
mode: live
rates: {BTC: 70000, dogecoin: 0.2}
adopt: yes
cancel_on_exit: true
rails: {max_orders: 3, max_usd_per_day: 20.5, min_balance: {btc: 0.001}, min_runway: 2d}
pace: {marketplace_every: 120, settle_grace: 1m30s}
launch:
  image: base
  ports: {22: tcp}
  env: {A: '1'}
strategies:
  - name: a.b-c_1
    strategy: fixed
    want: 4
    ceiling: {dogecoin: 20}
    pay_with: [dogecoin, btc]
    fixed: {price: {dogecoin: 19}}
    renew: {before: 1h, overlap: true}
    servers:
      gpu: [NVIDIA GeForce RTX 3090, rtx 3080]
      gpus: {min: 2, max: 4}
      cuda: 12.10
      countries: no
      not_countries: [us]
      reliability: 97.5%
      rating: 4.5
      mrl_hours: 48
      not_ids: 7
      not_owners: [8, 9]
    launch: {ports: [8888/http, 22], command: run}
"""
    policy = load(text).policy
    target = policy.targets[0]
    wanted = target.requirements

    assert policy.mode is Mode.LIVE
    assert policy.adopt
    assert policy.cancel_on_exit
    assert policy.rails.max_usd_per_day == Decimal("20.5")
    assert policy.rails.min_balance == (Money(Decimal("0.001"), Currency.BTC),)
    assert policy.rails.min_runway == timedelta(days=2)
    assert policy.pace.marketplace_every == timedelta(minutes=2)
    assert policy.pace.settle_grace == timedelta(seconds=90)
    assert target.params == FixedParams(price=Price(Decimal(19), Currency("dogecoin")))
    assert target.currencies == (Currency("dogecoin"), Currency.BTC)
    assert target.renewal == Renewal(before=timedelta(hours=1), overlap=True)
    assert wanted.gpu_models == ("RTX 3090", "RTX 3080")
    assert (wanted.min_gpus, wanted.max_gpus) == (2, 4)
    assert wanted.min_cuda == "12.10"
    assert wanted.countries == {"NO"}
    assert (wanted.min_reliability, wanted.min_rating) == (0.975, 4.5)
    assert wanted.min_mrl == timedelta(days=2)
    assert wanted.exclude_servers == {ServerId(7)}
    assert wanted.exclude_owners == {8, 9}
    assert target.launch.ports == (("8888", "http"), ("22", "tcp"))
    assert (target.launch.image, target.launch.command) == ("base", "run")
    assert target.launch.env == (("A", "1"),)


def test_merges_and_aliases_work(load: Load) -> None:
    """What YAML offers against repetition may be used."""
    text = """
strategies:
  - &first
    name: one
    ceiling: &most {usd: 3, per: gpu}
    servers: {gpu: RTX 3090}
    launch: {image: x}
  - <<: *first
    name: two
    servers: {gpu: RTX 4090}
"""
    one, two = load(text).policy.targets

    assert (one.ceiling, one.launch) == (two.ceiling, two.launch)
    assert two.name == "two"


@pytest.mark.parametrize(
    ("database", "environ", "url"),
    [
        ("", {}, "sqlite:///{here}/bidder.db"),
        ("", {"STATE_DIRECTORY": "/var/lib/bidder:/x"}, "sqlite:////var/lib/bidder/bidder.db"),
        ("database: data/x.db", {"STATE_DIRECTORY": "/var/lib/x"}, "sqlite:///{here}/data/x.db"),
        ("database: /abs/x.db", {}, "sqlite:////abs/x.db"),
        ("database: sqlite:///x.db", {}, "sqlite:///{here}/x.db"),
        ("database: x.db", {"BIDDER_DATABASE_URL": "sqlite:////y.db"}, "sqlite:////y.db"),
        ("database: postgres://u:pw@h/n", {}, "postgresql+psycopg://u:pw@h/n"),
        ("database: 'sqlite://'", {}, "sqlite://"),
    ],
)
def test_database_is_found(
    load: Load, tmp_path: Path, database: str, environ: dict[str, str], url: str
) -> None:
    """The database lies beside the file unless something names another place."""
    settings = load(f"{SMALL}{database}\n", **environ)

    assert settings.database_url == url.format(here=tmp_path)


def test_database_password_is_not_shown(load: Load) -> None:
    """The URL may hold a password; what may be shown does not."""
    settings = load(SMALL + "database: postgresql://me:hunter22@h/name?password=hunter22\n")

    assert "hunter22" not in repr(settings) + settings.database_shown
    assert "hunter22" in settings.secret_values


def test_exchange_can_be_named_by_key_and_by_variable(load: Load) -> None:
    """The variable wins, for the demo and for tests."""
    text = SMALL + "exchange: {url: 'http://127.0.0.1:8080/v1/'}\n"

    assert load(text).exchange_url == "http://127.0.0.1:8080/v1"
    assert load(text, BIDDER_EXCHANGE_URL="http://localhost:1/").exchange_url == "http://localhost:1"


def test_fingerprint_follows_meaning_not_spelling(load: Load) -> None:
    """Order, comments and secrets do not count; a price does."""
    first = load(SMALL + "launch: {ssh_password: one}\n").fingerprint
    same = load(SMALL.replace("3.50", "3.5") + "# more\nlaunch: {ssh_password: two}\n", CLORE_TOKEN="x")

    assert same.fingerprint == first
    assert load(SMALL.replace("3.50", "3.51")).fingerprint != first


@pytest.mark.parametrize("model", ["3090", "RTX3090", "4090 D", "gtx1080"])
def test_a_model_without_its_series_is_warned_of(load: Load, model: str) -> None:
    """Models match by whole words from the start, so most likely no server ever fits."""
    (warning,) = load(SMALL.replace("RTX 3090", model)).warnings
    assert f"{market.gpu_model(model)!r} may never match" in warning


@pytest.mark.parametrize("model", ["RTX 3090", "A100", "H100 SXM", "RTX A6000", "L40"])
def test_a_usual_model_is_not_warned_of(load: Load, model: str) -> None:
    """Nor one whose name begins with its number's letter."""
    assert load(SMALL.replace("RTX 3090", model)).warnings == ()


def test_the_code_of_no_country_is_warned_of(load: Load) -> None:
    """Everybody writes it, and nobody is there."""
    (warning,) = load(SMALL.replace("gpu: RTX 3090", "gpu: RTX 3090, countries: [DE, UK]")).warnings
    assert "did you mean GB?" in warning


@pytest.mark.parametrize(
    ("rates", "ceiling", "pays", "warned"),
    [
        ("", "{btc: 0.00002}", "pay_with: BTC", True),
        ("", "{btc: 0.00002}", "", True),
        ("", "{usd: 3}", "pay_with: BTC", True),
        ("rates: {CLORE: 0.011}", "{usd: 3}", "pay_with: BTC", True),
        ("", "{usd: 3}", "pay_with: [BTC, USD]", False),
        ("", "{usd: 3}", "", False),
        ("rates: {BTC: 69000}", "{btc: 0.00002}", "pay_with: BTC", False),
    ],
)
def test_a_strategy_that_rests_on_the_exchanges_rates_is_warned_of(
    load: Load, rates: str, ceiling: str, pays: str, warned: bool
) -> None:
    """Also where its ceiling is in the coin that it pays with: servers are compared in USD."""
    text = f"""
{rates}
strategies:
  - name: one
    ceiling: {ceiling}
    servers: {{gpu: RTX 3090}}
    launch: {{image: ubuntu}}
    {pays}
"""
    found = [each for each in load(text).warnings if "rates: strategy one bids nothing before" in each]
    assert bool(found) is warned


def test_warnings_tell_what_stops_nothing(load: Load) -> None:
    """Missing rates, a hasty pace and rails that are too tight are said, and the file still loads."""
    text = SMALL.replace("rates: {BTC: 69000, CLORE: 0.011}", "rails: {max_orders: 1}")
    settings = load(text + "    want: 2\npace: {marketplace_every: 5s}\n")
    said = "\n".join(settings.warnings)

    assert "BTC, CLORE" in said
    assert "pace.marketplace_every" in said
    assert "want 2 servers" in said


@pytest.mark.parametrize(("grace", "warned"), [("99s", True), ("100s", False)])
def test_a_grace_shorter_than_lists_lag_is_warned_of(load: Load, grace: str, warned: bool) -> None:
    """An order given up for lost before it is listed would be ordered a second time."""
    warnings = load(f"{SMALL}pace: {{settle_grace: {grace}}}\n").warnings

    assert (
        any("pace.settle_grace: an order may be listed a minute late" in w for w in warnings) is warned
    )


class TestToken:
    """The token comes from the environment or from a file."""

    def test_found_in_the_usual_variable(self, load: Load) -> None:
        """CLORE_TOKEN needs no key."""
        assert load(SMALL, CLORE_TOKEN=" tok-1 \n").token == Token("tok-1")

    def test_found_in_a_named_variable(self, load: Load) -> None:
        """A named variable is the only one looked at."""
        text = SMALL + "account: {name: me, token_env: OTHER}\n"

        assert load(text, OTHER="tok-2", CLORE_TOKEN="tok-1").require_token().reveal() == "tok-2"
        assert load(text, CLORE_TOKEN="tok-1").token is None

    def test_found_in_a_file(self, load: Load, tmp_path: Path) -> None:
        """A file that only its owner can read gives no warning."""
        file = tmp_path / "token"
        file.write_text("tok-3\n")
        file.chmod(0o600)
        settings = load(SMALL + "account: {token_file: token}\n")

        assert settings.token == Token("tok-3")
        assert settings.warnings == ()

    def test_file_that_others_can_read_is_warned_about(self, load: Load, tmp_path: Path) -> None:
        """The token still works, and the remedy is named."""
        file = tmp_path / "token"
        file.write_text("tok-3")
        file.chmod(0o644)
        settings = load(SMALL + "account: {token_file: ./token}\n")

        assert settings.token == Token("tok-3")
        assert "can be read by everyone; run: chmod 600 ./token" in settings.warnings[0]

    def test_found_where_services_keep_it(self, load: Load, tmp_path: Path) -> None:
        """systemd credentials and Docker secrets need no key, the variable wins over both."""
        (tmp_path / "run-secrets").mkdir()
        (tmp_path / "run-secrets" / "clore_token").write_text("docker")
        (tmp_path / "cred").mkdir()
        (tmp_path / "cred" / "clore-token").write_text("systemd")
        here = str(tmp_path / "cred")

        assert load(SMALL).token == Token("docker")
        assert load(SMALL, CREDENTIALS_DIRECTORY=here).token == Token("systemd")
        assert load(SMALL, CREDENTIALS_DIRECTORY=here, CLORE_TOKEN="env").token == Token("env")

    def test_missing_token_is_no_error_until_it_is_needed(self, load: Load) -> None:
        """`check` needs none; `run` is told where to put it."""
        settings = load(SMALL)

        with pytest.raises(ConfigError, match=r"CLORE_TOKEN is not set.*account\.token_file"):
            settings.require_token()

    def test_missing_token_file_is_told(self, load: Load) -> None:
        """`check` on another machine passes with a warning, `run` refuses."""
        settings = load(SMALL + "account: {token_file: /nowhere/token}\n")

        assert "no such file" in settings.warnings[0]
        with pytest.raises(ConfigError, match="/nowhere/token"):
            settings.require_token()

    def test_inline_token_must_be_asked_for(self, load: Load) -> None:
        """A token in the file works only with a key that says so, and the file is checked."""
        text = SMALL + "account: {allow_inline_token: true, token: tok-4}\n"

        assert load(text).token == Token("tok-4")

    def test_never_shows_itself(self) -> None:
        """Neither repr, str, format nor a pickle holds the token."""
        token = Token("canary")

        assert "canary" not in f"{token} {token!r} {[token]}"
        assert hash(token) == hash(Token("canary"))
        with pytest.raises(TypeError):
            pickle.dumps(token)


class TestSecretReferences:
    """Launch secrets may stand elsewhere."""

    def test_from_environment_and_files(self, load: Load, tmp_path: Path) -> None:
        """Both kinds of reference work for every secret."""
        (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA me@here\n")
        text = strategy("")
        text = text.replace(
            "{image: ubuntu}",
            "{image: u, ssh_key: {file: key.pub}, ssh_password: {env: PW}, env: {K: {env: PW}, E: ''}}",
        )
        launch = load(text, PW="secret-1").policy.targets[0].launch

        assert launch.ssh_key == "ssh-ed25519 AAAA me@here"
        assert launch.ssh_password == "secret-1"
        assert launch.env == (("K", "secret-1"), ("E", ""))

    def test_text_is_taken_as_written(self, load: Load) -> None:
        """What YAML takes for numbers and booleans stays the text that the owner wrote."""
        text = SMALL.replace("{image: ubuntu}", "{image: u, ssh_password: 0123, env: {A: yes, B: 1.10}}")
        launch = load(text).policy.targets[0].launch

        assert launch.ssh_password == "0123"
        assert launch.env == (("A", "yes"), ("B", "1.10"))


def test_docs_hold_every_key() -> None:
    """The table in the documents is the table in the code."""
    assert keys.table() in (ROOT / "docs" / "configuration.md").read_text()


def test_loading_is_fast_and_light() -> None:
    """Start-up is a promise: no schema library, no SQL, no HTTP behind reading a file."""
    script = "import sys, bidder.config; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ}
    )
    loaded = set(run.stdout.split())

    assert not loaded & {"pydantic", "sqlalchemy", "httpx", "structlog", "asyncio", "msgspec"}
