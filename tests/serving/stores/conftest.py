"""A decision store on each database it may live in."""

from collections.abc import Iterator

import pytest

from serving.stores.decisions import DecisionStore


@pytest.fixture
def store(address) -> Iterator[DecisionStore]:
    opened = DecisionStore.open(address)
    yield opened
    opened.close()
