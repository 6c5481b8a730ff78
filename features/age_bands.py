"""Age bands that reports break down by: those of the banks' own tag `age_band`."""

from __future__ import annotations

AGE_BANDS = (
    (0, "under 26"),
    (26, "26-35"),
    (36, "36-45"),
    (46, "46-59"),
    (60, "60-64"),
    (65, "65 and over"),
)
"""First age of each band (full years) and its name."""


def age_band(age: int | None) -> str:
    """Name the band of an age in full years; 'unknown' where it is not known.

    >>> age_band(64), age_band(65), age_band(None)
    ('60-64', '65 and over', 'unknown')
    """
    if age is None:
        return "unknown"
    return next(name for first, name in reversed(AGE_BANDS) if age >= first)
