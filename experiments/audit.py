"""`make audit`: known vulnerabilities of the locked packages, but for those let pass by name."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field

from features.config import StrictConfig
from features.errors import OnePointError

AUDIT_YAML = Path("configs/audit.yaml")
LOCK = Path("requirements.lock")
PATIENCE_S = 600


class AuditError(OnePointError):
    """The audit could not be made; nothing is known of the packages."""


class Allowed(StrictConfig):
    """A vulnerability that passes until a day, and why it does us no harm."""

    id: str = Field(min_length=1)
    reason: str = Field(min_length=10)
    expires: date


class AuditConfig(StrictConfig):
    """`configs/audit.yaml`: what passes."""

    allowed: tuple[Allowed, ...]


@dataclass(frozen=True)
class Verdict:
    """What an audit found: ``problems`` fail it, ``notes`` are told; a line each."""

    problems: list[str]
    notes: list[str]


def judge(report: dict[str, Any], config: AuditConfig, today: date) -> Verdict:
    """Hold a report of pip-audit against what passes.

    A package that was not looked up is a problem too: pip-audit itself calls that no vulnerability.
    """
    passing = {one.id: one for one in config.allowed}
    problems, notes, met = [], [], set()
    for package in report["dependencies"]:
        name = f"{package['name']} {package.get('version', '')}".strip()
        if "skip_reason" in package:
            problems.append(f"{name}: not audited ({package['skip_reason']})")
        for found in package.get("vulns", ()):
            ids = [found["id"], *found.get("aliases", ())]
            allowed = next((passing[one] for one in ids if one in passing), None)
            if allowed is None:
                mended = ", ".join(found.get("fix_versions", ())) or "no version yet"
                problems.append(f"{name}: {found['id']}; mended in {mended}")
                continue
            met.add(allowed.id)
            line = f"{name}: {found['id']} passes until {allowed.expires} ({allowed.reason})"
            if today > allowed.expires:
                problems.append(f"{line}: that day is over; mend it, or reason again")
            else:
                notes.append(line)
    notes += [f"{one}: not found any more; take it out of the list" for one in passing.keys() - met]
    return Verdict(problems, notes)


def audit_lock(lock: Path) -> dict[str, Any]:
    """Ask pip-audit about every package of a lock file; needs the package index's service."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes"]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(  # noqa: S603 (our own command)
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise AuditError(f"pip-audit gave no answer in {PATIENCE_S} s; is it online?") from None
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1][:300]
        raise AuditError(
            f"pip-audit gave no report: {last}; it must reach the vulnerability service of the "
            "package index"
        ) from None
    packages = report["dependencies"]
    if packages and all("skip_reason" in one for one in packages):
        raise AuditError(
            f"none of {len(packages)} packages could be audited ({packages[0]['skip_reason']}); "
            "run it where the package index answers about vulnerabilities (a plain mirror does not)"
        )
    return report
