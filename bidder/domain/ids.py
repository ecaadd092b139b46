"""Identifiers that must never be mixed up: a server's number never fits where an order's goes."""

from typing import NewType

ServerId = NewType("ServerId", int)
OrderId = NewType("OrderId", int)
AccountName = NewType("AccountName", str)
