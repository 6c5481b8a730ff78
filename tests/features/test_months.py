"""The bank's calendar months, against Python's own calendar."""

from datetime import date, timedelta

import narwhals.stable.v2 as nw
import pyarrow as pa

from features.sources import connect, lazy
from features.tags.months import day_of_month, month_number

EPOCH = date(1970, 1, 1)


def test_every_day_of_130_years():
    days = range((date(2100, 1, 1) - EPOCH).days)
    con = connect(threads=1)
    con.register("days", pa.table({"day": pa.array(days, pa.int64())}))
    frame = lazy(con.table("days")).select(
        "day",
        number=month_number(nw.col("day")),
        of_month=day_of_month(nw.col("day")),
    )
    rows = frame.sort("day").to_native().fetchall()
    assert len(rows) == len(days)
    for day, number, of_month in rows:
        told = EPOCH + timedelta(days=day)
        assert of_month == told.day, told
        assert number == (told.year - 1968) * 12 + told.month - 3, told
