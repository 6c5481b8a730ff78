"""Journeys in the bank's tables: steps of applications, and whether they led to completion."""

from __future__ import annotations

from features.spine import MICROSECONDS_A_DAY

COMPLETION_DAYS = 30


def steps_taken(since: int, before: int, interactions: str = "interactions") -> str:
    """Write SQL for begun steps whose 30 days lie in [since, before), and whether each led on.

    A step (`apply` or `step` with product and stage) counts where it was taken; ``done`` is true
    where the product was completed within 30 days of it. Steps whose 30 days are not over count
    nowhere, or the quickly done would stand for all. All columns of ``interactions`` are kept.
    """
    window = COMPLETION_DAYS * MICROSECONDS_A_DAY
    return f"""
        select step.*, exists (
            select 1 from {interactions} done
            where done.kind = 'complete' and done.customer_id = step.customer_id
              and done.product = step.product and done.event_time >= step.event_time
              and done.event_time < step.event_time + {window}) as done
        from {interactions} step
        where step.kind in ('apply', 'step') and step.product is not null
          and step.stage is not null
          and step.event_time >= {since} and step.event_time + {window} <= {before}"""  # noqa: S608
