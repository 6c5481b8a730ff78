"""The least a BentoML service can do: take the same body and answer nothing."""

from __future__ import annotations

import os

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

import bentoml


@bentoml.service(name="empty", workers=1)
class Empty:
    """What HTTP, JSON and BentoML cost by themselves."""

    @bentoml.api(route="/v1/recommend")  # type: ignore[untyped-decorator]
    async def recommend(self, customer_id: str, channel: str, limit: int) -> dict[str, str]:
        """Answer nothing."""
        return {}
