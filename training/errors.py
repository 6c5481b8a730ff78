"""Errors of the training room."""

from __future__ import annotations

from features.errors import OnePointError


class TrainingError(OnePointError):
    """A model cannot be trained from this source with this configuration."""


class ReleaseError(OnePointError):
    """A release is incomplete, altered or does not do what it did when it was made."""


class PromotionError(OnePointError):
    """A release cannot be promoted or rolled back as asked; nothing was moved."""
