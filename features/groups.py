"""Feature groups: what a model's explanation is summed into."""

from __future__ import annotations

from typing import Literal

Group = Literal[
    "asset_size", "life_stage", "activity", "channel_history", "holdings", "experience", "demand"
]

GROUPS: dict[Group, tuple[str, str]] = {
    "asset_size": ("资产规模", "asset size"),
    "life_stage": ("年龄与生命阶段", "age and life stage"),
    "activity": ("活跃度", "activity"),
    "channel_history": ("渠道历史", "channel history"),
    "holdings": ("产品持有", "holdings"),
    "experience": ("客户体验", "experience"),
    "demand": ("市场需求", "demand across the bank"),
}
"""Feature groups with their names zh and en; explanations are summed into them."""
