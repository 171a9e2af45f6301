"""Models as tables for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

from trireme_cli.console import counted, say, shown
from trireme_cli.models.checkup import CHECKS, Checkup, Finding

_STATE_STYLES = {"READY": "green", "OK": "green", "LOADING": "yellow", "UNAVAILABLE": "red", "BAD": "red"}
_LIST_COLUMNS = ("name", "task", "backend", "versions", "bytes", "state", "reason")
_HIDDEN_IN_SPEC = ("name", "preprocess", "postprocess", "inputs", "outputs", "digests")


def show_list(console: Console, models: Sequence[Mapping[str, Any]]) -> None:
    """One row a model, with the columns that its source knows."""
    if not models:
        say(console, "no models")
        return
    columns = [name for name in _LIST_COLUMNS if name in models[0]]
    table = Table(*columns, box=box.SIMPLE)
    for model in models:
        table.add_row(*(_cell(name, model[name]) for name in columns))
    console.print(table)


def show_stages(console: Console, stages: Mapping[str, int]) -> None:
    """How many endpoints of each stage the gateway is connected to."""
    connected = ", ".join(f"{count} of {stage}" for stage, count in stages.items())
    say(console, f"endpoints connected: {connected or 'none'}", "dim")


def _cell(name: str, value: Any) -> str:
    if name == "versions":
        return ", ".join(map(str, value))
    if name == "bytes":
        return decimal(value)
    if name == "state":
        return f"[{_STATE_STYLES.get(value, 'default')}]{value}[/]"
    return escape(str(value))


def show_model(console: Console, model: Mapping[str, Any]) -> None:
    """Spec, tensors, steps, then each version with its files and measured quality."""
    spec = model["spec"]
    title = f"{model['name']}  ({spec['task']}, {spec['backend']})"
    table = _pairs(title)
    table.add_row("directory", escape(model["directory"]))
    for side in ("inputs", "outputs"):
        for tensor in spec[side]:
            table.add_row(side[:-1], escape(f"{tensor['name']}  {tensor['datatype']}  {tensor['shape']}"))
    for stage in ("preprocess", "postprocess"):
        for step in spec[stage]:
            parameters = json.dumps(step["parameters"], ensure_ascii=False) if step["parameters"] else ""
            table.add_row(f"{stage} step", escape(f"{step['name']} {parameters}".strip()))
    for name, value in spec.items():
        if name not in _HIDDEN_IN_SPEC and name not in ("task", "backend"):
            table.add_row(name, escape(_compact(value)))
    console.print(table)
    for note in model["notes"]:
        say(console, note, "yellow")
    for version in model["versions"]:
        _show_version(console, version)


def _show_version(console: Console, version: Mapping[str, Any]) -> None:
    table = Table(
        "file",
        "size",
        Column("SHA-256", overflow="fold"),
        "pinned",
        title=f"version {version['version']}",
        box=box.SIMPLE,
    )
    for file in version["files"]:
        table.add_row(
            escape(file["name"]), decimal(file["bytes"]), file["sha256"], "yes" if file["pinned"] else ""
        )
    table.add_section()
    table.add_row("all", decimal(version["bytes"]), version["digest"] or "-", "")
    console.print(table)
    if version["problem"]:
        say(console, f"problem: {version['problem']}", "bold red")
    if not version["golden"]:
        say(console, "no golden.json: this version is warmed up and checked with made-up input", "yellow")
    if version["quality"] is None:
        say(console, "no quality.json: nobody has written down how good this version is", "yellow")
        return
    quality = _pairs(f"measured quality of version {version['version']}")
    for name, value in flatten(version["quality"]):
        quality.add_row(escape(name), escape(shown(value)))
    console.print(quality)


def flatten(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Nested maps as dotted names, in their order."""
    if not isinstance(value, dict):
        return [(prefix, json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value)]
    pairs: list[tuple[str, Any]] = []
    for name, inner in value.items():
        pairs.extend(flatten(inner, f"{prefix}.{name}" if prefix else str(name)))
    return pairs


def show_checkup(console: Console, checkup: Checkup) -> None:
    """One row a version, one column a check, then what is wrong, in full."""
    table = Table("model", "version", *CHECKS, box=box.SIMPLE)
    for finding in checkup.findings:
        table.add_row(escape(finding.model), finding.version, *(_mark(finding, check) for check in CHECKS))
    console.print(table)
    for finding in checkup.findings:
        for reason in finding.reasons:
            say(console, f"{finding.model}/{finding.version or '*'}: {reason}", "red")
    for check, why in checkup.not_checked.items():
        say(console, f"{check}: not checked: {why}", "yellow")
    bad = sum(not finding.ok for finding in checkup.findings)
    total = len(checkup.findings)
    left_out = f", {counted(len(checkup.not_checked), 'check')} not made" if checkup.not_checked else ""
    say(console, f"{total - bad} of {total} good{left_out}", "green" if checkup.ok else "bold red")


def _mark(finding: Finding, check: str) -> str:
    ok = finding.checks.get(check)
    return "[dim]-[/]" if ok is None else "[green]good[/]" if ok else "[bold red]BAD[/]"


def _pairs(title: str) -> Table:
    columns = (Column(no_wrap=True, overflow="fold"), Column(overflow="fold"))
    return Table(*columns, title=title, title_justify="left", show_header=False, box=box.SIMPLE)


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{name}={shown(inner)}" for name, inner in value.items() if inner not in (None, [], ())
        )
    return shown(value)
