"""The online store: one key gives a customer's feature vector and state.

A store is of one feature-set version and one moment, in a SQLite file or in Redis. Publishing
makes a new one beside the old and moves to it in one step: who reads sees the whole of one version
or of the other, never a mixture.
"""

from features.online.location import RedisAddress, location
from features.online.publishing import (
    customer_rows,
    part_count,
    publish,
    publish_customers,
    publish_rows,
)
from features.online.record import OnlineRecord, OnlineStoreError, OnlineStoreUnreachable
from features.online.store import OnlineStore

__all__ = [
    "OnlineRecord", "OnlineStore", "OnlineStoreError", "OnlineStoreUnreachable", "RedisAddress",
    "customer_rows", "location", "part_count", "publish",
    "publish_customers", "publish_rows",
]  # fmt: skip
