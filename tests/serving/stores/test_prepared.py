"""Statements run by the driver's own cursor, on each database a store may live in."""

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError

from serving.stores.decisions import DecisionStore
from serving.stores.prepared import KeptOpen, Prepared
from serving.stores.schema import STORE_FACTS

NEW = Prepared(STORE_FACTS.insert())
BY_NAME = Prepared(select(STORE_FACTS).where(STORE_FACTS.c.name == bindparam("name")))
PLANTED = {"name": "planted", "value": "Zhang San 13800138000"}


def test_an_error_of_the_driver_is_sqlalchemys_and_names_no_value(store: DecisionStore):
    with store.engine.begin() as connection:
        NEW.run_many(connection, [PLANTED])
    with pytest.raises(IntegrityError) as refused, store.engine.begin() as connection:
        NEW.run_many(connection, [{**PLANTED, "name": "of this transaction"}, PLANTED])
    assert "INSERT INTO store_facts" in str(refused.value)
    assert "Zhang" not in str(refused.value).replace(str(refused.value.orig), "")
    assert not refused.value.connection_invalidated
    kept = KeptOpen(store.engine)
    assert kept.rows(BY_NAME, {"name": "planted"}) == [PLANTED]
    assert kept.rows(BY_NAME, {"name": "of this transaction"}) == []
    kept.close()
