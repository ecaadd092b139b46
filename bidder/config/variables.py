"""Which variables of a workload's environment are secrets.

All of them, but for words that say nothing: ``LOG_LEVEL: warning`` would black out the level of every
line of the log. To tell a secret by its looks was rejected: a password may be a word. What is let be is
a short list, and the names that the owner gave to something that is shown anyway.
"""

import re
from collections.abc import Iterable
from typing import Final

# Digits of a port or a size; a longer number may be a code.
_NUMBER: Final = re.compile(r"[0-9]{1,5}\Z")
_SECRETIVE: Final = re.compile(
    r"TOKEN|KEY|SECRET|PASS|PWD|PASSWD|AUTH|CRED|PRIVATE|PIN|CODE|COOKIE|SESSION|SALT|SEED|PHRASE|LOGIN"
    r"|MNEMONIC|SIGN|CERT|JWT|WEBHOOK|LICEN[CS]E"
)
_WORDS: Final = frozenset(
    word
    for line in (
        "critical fatal error warning warn notice info debug trace verbose quiet silent",
        "true false none null auto default enabled disabled always never strict",
        "live paper demo test tests testing dev devel development stage staging prod production local",
        "console json text plain html yaml utf-8 utf8 ascii c.utf-8 en_us.utf-8 posix etc/utc",
        "http https tcp localhost 127.0.0.1 0.0.0.0 root user worker server client",
        "cuda nvidia cpu gpu all compute compute,utility graphics float16 float32 bfloat16 fp16 int8",
        "noninteractive xterm xterm-256color bash python python3 linux running waiting idle ready",
    )
    for word in line.split()
)


def is_secret(name: str, value: str, shown: Iterable[str] = ()) -> bool:
    """Return whether the value of a variable must not be shown.

    ``shown`` are names that the owner gave to the account and to strategies. Whatever the value, a name
    that speaks of a secret makes it one.
    """
    if _SECRETIVE.search(name.upper()):
        return True
    text = value.strip()
    return not (text.casefold() in _WORDS or text in shown or _NUMBER.match(text))
