"""How features name the modes of the catalog, and which channels belong to one."""

from __future__ import annotations

from features.catalog import Catalog, Mode

MODE_NAMES: dict[Mode, tuple[str, str]] = {
    "online": ("线上", "online"),
    "remote": ("远程", "remote"),
    "offline": ("线下", "offline"),
}


def channels_of(catalog: Catalog, mode: Mode, role: str = "") -> list[str]:
    """Ids of the channels of a mode (that have the role), in catalog order."""
    return [
        channel.id
        for channel in catalog.channels
        if channel.mode == mode and (not role or role in channel.roles)
    ]
