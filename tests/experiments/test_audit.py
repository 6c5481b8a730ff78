"""The audit: what passes has a reason and a day, and what was not looked at is no pass."""

import json
import subprocess
from datetime import date

import pytest

from experiments.audit import AUDIT_YAML, AuditConfig, AuditError, audit_lock, judge
from features.config import load_yaml, parse_config
from features.errors import ConfigError
from serving.config import ROOT

REPORT = {
    "dependencies": [
        {"name": "sound", "version": "1.0", "vulns": []},
        {
            "name": "leaky",
            "version": "2.0",
            "vulns": [
                {
                    "id": "PYSEC-2026-1",
                    "aliases": ["CVE-2026-0001"],
                    "fix_versions": ["2.1"],
                    "description": "…",
                }
            ],
        },
    ],
    "fixes": [],
}
TODAY = date(2026, 7, 1)


def allow(one: str, expires: str) -> AuditConfig:
    entry = {"id": one, "reason": "only its server is affected", "expires": expires}
    return parse_config({"allowed": [entry]}, AuditConfig, "audit.yaml")


def test_a_vulnerability_fails_with_the_version_that_mends_it():
    verdict = judge(REPORT, AuditConfig(allowed=()), TODAY)
    assert verdict.problems == ["leaky 2.0: PYSEC-2026-1; mended in 2.1"]


@pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-0001"])
def test_what_is_listed_passes_by_id_or_alias_until_its_last_day(name):
    verdict = judge(REPORT, allow(name, "2026-07-01"), TODAY)
    assert verdict.problems == []
    assert "only its server is affected" in verdict.notes[0]


def test_what_has_expired_fails_again():
    verdict = judge(REPORT, allow("CVE-2026-0001", "2026-06-30"), TODAY)
    assert "passes until 2026-06-30" in verdict.problems[0]
    assert "that day is over" in verdict.problems[0]


def test_what_is_listed_and_gone_is_told():
    verdict = judge(REPORT, allow("CVE-2025-9", "2027-01-01"), TODAY)
    assert "CVE-2025-9: not found any more; take it out of the list" in verdict.notes
    assert len(verdict.problems) == 1


def test_a_package_that_was_not_looked_up_is_a_problem():
    report = {"dependencies": [{"name": "far", "skip_reason": "not found"}]}
    assert judge(report, AuditConfig(allowed=()), TODAY).problems == [
        "far: not audited (not found)"
    ]


@pytest.mark.parametrize(
    ("stdout", "stderr", "says"),
    [
        ("", "ERROR: Connection refused", "no report: ERROR: Connection refused; it must reach"),
        (
            json.dumps({"dependencies": [{"name": "a", "skip_reason": "not found on the index"}]}),
            "No known vulnerabilities found",
            "none of 1 packages could be audited",
        ),
    ],
)
def test_an_audit_that_reached_nobody_is_no_audit(monkeypatch, tmp_path, stdout, stderr, says):
    done = subprocess.CompletedProcess([], 0, stdout, stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(AuditError, match=says):
        audit_lock(tmp_path / "requirements.lock")


def test_a_reason_and_a_day_are_required():
    with pytest.raises(ConfigError, match=r"allowed.0.expires' is missing"):
        parse_config({"allowed": [{"id": "X", "reason": "it is harmless"}]}, AuditConfig, "a.yaml")
    with pytest.raises(ConfigError, match=r"allowed.0.reason"):
        parse_config(
            {"allowed": [{"id": "X", "reason": "-", "expires": "2026-01-01"}]}, AuditConfig, "a"
        )


def test_the_list_of_this_repository_can_be_read():
    load_yaml(ROOT / AUDIT_YAML, AuditConfig)
