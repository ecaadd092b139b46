"""The shapes of the exchange's answers, and how they become domain values.

Money is read exactly from the JSON text. What one listing or offer gets wrong costs that one only;
an order of ours that cannot be read as far as it takes to look after it makes the whole answer
unreadable, because an order that silently vanishes would be placed again. Secrets (``init_token``)
are not even declared here, so they are never decoded.
"""

from bidder.exchange.wire.account import hosted_server, hosted_servers, orders, wallets
from bidder.exchange.wire.market import book, marketplace

__all__ = ["book", "hosted_server", "hosted_servers", "marketplace", "orders", "wallets"]
