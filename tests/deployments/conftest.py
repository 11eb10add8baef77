"""The tests of deployments use the local servers and the tools that build.py builds."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
DEPLOY = TESTS.parent / "deploy"
sys.path[:0] = [*(str(DEPLOY / name) for name in ("local", "compose", "kubernetes")), str(TESTS / "pipeline")]
