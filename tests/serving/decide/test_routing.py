"""Stay, transfer towards a person, return."""

from __future__ import annotations

import pytest

from serving.decide.routing import route


@pytest.mark.parametrize(
    ("reach", "handle", "expected"),
    [
        ("mobile_bank", "mobile_bank", "stay"),
        ("mobile_bank", "video", "transfer"),
        ("sms", "mobile_bank", "transfer"),
        ("video", "wealth_manager", "transfer"),
        ("teller", "wealth_manager", "transfer"),
        ("teller", "smart_counter", "return"),
        ("teller", "mobile_bank", "return"),
        ("wealth_manager", "video", "return"),
        ("remote_agent", "wechat_bank", "return"),
    ],
)
def test_route(rules, reach, handle, expected):
    channels = rules.catalog.channel_by_id
    assert route(channels[reach], channels[handle]) == expected
