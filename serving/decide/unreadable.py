"""The state of a customer whose record cannot be read: nothing is known, so every veto holds."""

from __future__ import annotations

from datetime import datetime

from features.state import CustomerState
from features.tables import TABLES


def unknown_state(customer_id: str, as_of: datetime) -> CustomerState:
    """Stand in for a state the store cannot give; decide on it, and every veto holds.

    With `customers` among the missing tables the gates know that this is no bank without a table
    but a record that cannot be read: restrictions hold too, where the bank keeps them.
    """
    return CustomerState(customer_id=customer_id, as_of=as_of, missing=tuple(TABLES))
