"""The console as a person uses it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.support.platform import ROOT, Platform

GOOD, BAD = "这家酒店非常好，服务热情", "质量太差了，非常失望"
SAMPLES = ROOT / "models" / "digits" / "samples"


def go(page: Page, console: Platform) -> None:
    page.goto(console.url)
    expect(page.locator("input[name=model]:checked")).to_have_count(1)


def pick(page: Page, model: str) -> None:
    page.get_by_role("radio", name=re.compile(rf"^{model}\b")).check()


def run(page: Page) -> None:
    """Presses the button and waits for the answer, of which the request id is a part."""
    page.evaluate("document.getElementById('facts').replaceChildren()")
    page.locator("#run").click()
    expect(page.locator("#facts button.id, #problem .problem").first).to_be_visible()


def shell(page: Page, folder: Path) -> Any:
    """What the shown command answers."""
    command = page.locator("#curl").text_content() or ""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)
