"""Keys to try a service out with: one an audience, readable in the work folder, for demos only."""

from __future__ import annotations

import os
from pathlib import Path

from features.errors import OnePointError, did_you_mean
from serving.keys import AUDIENCES, EVERY_CHANNEL, READING, VERBS, add_key, revoke_key

KEY_VARIABLE = "ONEPOINT_API_KEY"
TRIAL = "trial-"


def write_trial_keys(keys: Path, clear: Path) -> dict[str, str]:
    """Add a key for each audience to ``keys`` and leave them readable in ``clear``, a line each.

    Earlier trial keys are revoked. A bank deletes ``clear`` and makes keys of its own with
    `python -m serving keys add`.
    """
    drawn: dict[str, str] = {}
    for audience in AUDIENCES:
        name = f"{TRIAL}{audience}"
        if keys.is_file() and f"name: {name}\n" in keys.read_text("utf-8"):
            revoke_key(keys, name)
        verbs = READING if audience == "reviewer" else VERBS
        chosen = [verb for verb in VERBS if verb in verbs]
        drawn[audience] = add_key(keys, name, audience, [EVERY_CHANNEL], chosen)
    clear.unlink(missing_ok=True)
    with os.fdopen(os.open(clear, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write("".join(f"{audience}={key}\n" for audience, key in drawn.items()))
    return drawn


def trial_key(clear: Path, scope: str) -> str:
    """Give the key to ask with: `ONEPOINT_API_KEY`, else the trial key of an audience."""
    given = os.environ.get(KEY_VARIABLE)
    if given:
        return given
    if not clear.is_file():
        raise OnePointError(
            f"no key to ask with: set {KEY_VARIABLE} (`python -m serving keys add` makes one); "
            f"there are no trial keys in {clear}"
        )
    lines = clear.read_text("utf-8").splitlines()
    keys = {name: key for name, _, key in (line.partition("=") for line in lines)}
    if scope not in keys:
        raise OnePointError(f"--scope '{scope}': no such key; {did_you_mean(scope, keys)}")
    return keys[scope]
