"""Where a search keeps its trials: in memory, or where several machines search together and go on later.

A kept study stands beside the daemon's tables, not among them: both would want a table of revisions by
the same name.
"""

import time
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from bidder.errors import BadInput

if TYPE_CHECKING:
    from optuna import Study

_SCHEMA: Final = "bidder_tuning"
# Who begins a study together with others may find its tables half made.
_TRIES: Final = 8
_LONGEST_WAIT_SECONDS: Final = 0.5


def opened(url: str | None, name: str) -> "Study":
    """Return the study of that name, a new one where there is none; ``url`` None keeps nothing.

    Raises:
        BadInput: optuna is not installed, or the study cannot be kept there.
    """
    try:
        import optuna
    except ImportError:
        raise BadInput("bidder tune needs the extra `tune`; install bidder[tune]") from None
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for tried in range(1, _TRIES + 1):
        try:
            return _begun_or_joined(url, name)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as exc:
            if tried == _TRIES or isinstance(exc, ImportError):
                raise BadInput(
                    f"the study cannot be kept ({type(exc).__name__}); see the database's URL"
                ) from exc
        time.sleep(SystemRandom().uniform(0, _LONGEST_WAIT_SECONDS))
    raise AssertionError("each try returns or raises")


def _begun_or_joined(url: str | None, name: str) -> "Study":
    import optuna

    def sampler(seed: int | None) -> optuna.samplers.BaseSampler:
        # Trials that run at the same time must not all be drawn at the same place.
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)

    storage = optuna.storages.get_storage(url)
    try:
        return optuna.create_study(
            storage=storage, study_name=name, sampler=sampler(1), direction="maximize"
        )
    except optuna.exceptions.DuplicatedStudyError:
        # Drawn by the seed of who began it, each trial here would be one of theirs again.
        return optuna.load_study(storage=storage, study_name=name, sampler=sampler(None))


def url_beside(database_url: str) -> str:
    """Return where a study is kept beside the daemon's tables: a file of its own, or a schema.

    A SQLite database in memory keeps none. Raises StoreFailed where the database does not answer.
    """
    from sqlalchemy import create_engine, make_url, text

    from bidder.store.engine import transaction

    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        file = url.database
        return f"sqlite:///{file}.tuning" if file and file != ":memory:" else "sqlite://"
    engine = create_engine(url)
    try:
        with transaction(engine, writing=True) as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}"))
    finally:
        engine.dispose()
    own = url.update_query_dict({"options": f"-csearch_path={_SCHEMA}"})
    return own.render_as_string(hide_password=False)
