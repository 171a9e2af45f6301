"""A check of the whole repository: spec, digests, and each stage's own part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trireme_cli.models.stage_checks import STAGES, CheckerFailed, Verdict, is_installed, run_checker
from trireme_common.errors import SpecError
from trireme_common.repository import Scan, content_digest

CHECKS = ("model.yaml", "digests", *STAGES)

Advance = Callable[[str], None]


@dataclass
class Finding:
    """What is known of one version: for every check that was made, whether it is good, and why not."""

    model: str
    version: str
    checks: dict[str, bool] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(self.checks.values())

    def note(self, check: str, ok: bool, reason: str = "") -> None:
        self.checks[check] = self.checks.get(check, True) and ok
        if not ok:
            self.reasons.append(f"{check}: {reason or 'refused without a reason'}")


class Checkup:
    """Findings of one repository, check after check."""

    def __init__(self, found: Scan) -> None:
        self._found = found
        self.not_checked: dict[str, str] = {}
        """Checks that could not be made at all, and why."""
        self._findings: dict[tuple[str, str], Finding] = {}
        for files in found.versions:
            self._finding(files.spec.name, str(files.version)).note("model.yaml", True)
        for name, reason in found.broken:
            self._finding(name, "").note("model.yaml", False, reason)

    @property
    def findings(self) -> list[Finding]:
        return [self._findings[key] for key in sorted(self._findings)]

    @property
    def ok(self) -> bool:
        """Whether nothing bad was found and every checker that is here came to its end."""
        broken = any(is_installed(stage) for stage in self.not_checked)
        return not broken and all(finding.ok for finding in self.findings)

    def steps(self) -> int:
        """How often `advance` will be called."""
        return len(self._found.versions) + len(STAGES)

    def check_digests(self, advance: Advance) -> None:
        """Reads every file and compares it with what model.yaml pins."""
        for files in self._found.versions:
            advance(f"digests of {files.spec.name}")
            finding = self._finding(files.spec.name, str(files.version))
            try:
                content_digest(files, with_model=True)
            except (SpecError, OSError) as error:
                finding.note("digests", False, str(error))
            else:
                finding.note("digests", True)

    def check_stages(self, models_dir: Path, advance: Advance) -> None:
        """Lets each service build its part of every model."""
        for stage in STAGES:
            advance(f"{stage} builds its part")
            if not is_installed(stage):
                self.not_checked[stage] = f"trireme_{stage}.check is not installed in this Python"
                continue
            try:
                for verdict in run_checker(stage, models_dir):
                    self._note(stage, verdict)
            except (CheckerFailed, OSError) as error:
                self.not_checked[stage] = str(error)

    def report(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        models = [
            {"model": f.model, "version": f.version, "ok": f.ok, "checks": f.checks, "reasons": f.reasons}
            for f in self.findings
        ]
        return {"ok": self.ok, "models": models, "not_checked": self.not_checked}

    def _note(self, stage: str, verdict: Verdict) -> None:
        if (verdict.model, verdict.version) in self._findings:
            self._findings[verdict.model, verdict.version].note(stage, verdict.ok, verdict.reason)
            return
        # A verdict on the model as a whole speaks of each of its versions.
        for finding in [f for f in self._findings.values() if f.model == verdict.model]:
            finding.note(stage, verdict.ok, verdict.reason)

    def _finding(self, model: str, version: str) -> Finding:
        return self._findings.setdefault((model, version), Finding(model, version))
