"""Writes docs/steps.md from the step classes; with --check only compares, and exits 1 if it is stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from trireme_common.steps_doc import render
from trireme_postprocess import steps as postprocess
from trireme_preprocess import steps as preprocess

PAGE = Path(__file__).resolve().parent.parent / "docs" / "steps.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    page = render((preprocess.VOCABULARY, postprocess.VOCABULARY))
    if not check:
        PAGE.write_text(page, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == page:
        return 0
    print(f"{PAGE} is stale: python scripts/generate_steps_doc.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
