from __future__ import annotations

import numpy as np
import pyarrow as pa

from experiments.simulated_bank.recorder import ID_FORMS
from experiments.simulated_bank.table_log import TableLog, decimals, fen
from experiments.simulated_bank.timeline import NEVER

END = 1_000
WORDS = {
    ("ratings", "channel"): ("teller", "video"),
    ("ratings", "stage"): ("application",),
    ("contacts", "channel"): ("push", "none"),
    ("contacts", "offer"): ("cd_3y",),
    ("contacts", "policy"): ("as_is",),
    ("contacts", "purpose"): ("marketing", "service"),
    ("contacts", "refusal_reason"): ("price", "no_need"),
}


def log() -> TableLog:
    return TableLog(WORDS, ID_FORMS, END)


def test_what_is_filled_in_after_the_end_is_empty():
    table = log()
    moments = np.array([999, 1_000, NEVER])
    table.add(
        "contacts", contact_id=[1, 2, 3], customer_id=[1, 1, 1], event_time=[1, 2, 3],
        available_at=[1, 2, 3], channel="push", offer="cd_3y", refused_at=moments,
        refusal_reason=[0, 1, -1], delivered_at=moments[::-1],
    )  # fmt: skip
    kept = table.columns("contacts")
    assert kept["refused_at"].tolist() == [999, NEVER, NEVER]
    assert kept["refusal_reason"].tolist() == [0, -1, -1]
    assert kept["delivered_at"].tolist() == [NEVER, NEVER, 999]


def test_rows_known_after_the_end_are_left_out_and_a_key_stands_once():
    table = log()
    table.add(
        "ratings", customer_id=[2, 1, 1, 1, 3], event_time=[5, 5, 5, 7, 9],
        available_at=[6, 6, 6, 7, 1_000], channel=[0, 1, 1, 1, 0], score=[1, 2, 3, 4, 5],
    )  # fmt: skip
    kept = table.columns("ratings")
    assert kept["customer_id"].tolist() == [1, 1, 2]
    assert kept["score"].tolist() == [2, 4, 1]


def test_decimals_are_exact_and_know_null():
    cny = [0.1, -1.0, 0.005, 12_345_678_901.23, float("nan")]
    got = decimals(fen(cny))
    assert got.type == pa.decimal128(18, 2)
    assert [None if one is None else str(one) for one in got.to_pylist()] == [
        "0.10", "-1.00", "0.00", "12345678901.23", None,
    ]  # fmt: skip
