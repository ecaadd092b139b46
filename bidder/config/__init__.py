"""Configuration: one YAML file and the environment -> checked ``Settings`` around a ``Policy``.

Everything that is wrong is told at once, each thing on one line with file, line, key, value and
remedy. Secrets come from the environment or from files, and stand in no message.
"""

from bidder.config.keys import KEYS, Key
from bidder.config.load import EXCHANGE_URL, load_settings
from bidder.config.problems import ConfigProblems
from bidder.config.secrets import Token
from bidder.config.settings import LogSettings, Settings

__all__ = [
    "EXCHANGE_URL",
    "KEYS",
    "ConfigProblems",
    "Key",
    "LogSettings",
    "Settings",
    "Token",
    "load_settings",
]
