"""Writes the manifests that the Helm chart has too, so that both come from one source, the chart.

    python deploy/kubernetes/render.py          after a change of deploy/helm/otel-ml

ConfigMaps are not written: the kustomizations make them from the files in collector/, alertmanager/ and prometheus/.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHART = HERE.parent / "helm" / "otel-ml"
RELEASE = "otel-ml"
GATEWAY = ("gateway.enabled=true", "collector.image=otel-ml-collector-gateway:0.161.0")
HEADER = "# Written by render.py from deploy/helm/otel-ml: change it there.\n"

sys.path.insert(0, str(HERE.parent / "local"))
import build  # noqa: E402  (found by the line above)


@dataclass(frozen=True)
class Piece:
    """One file, and how it comes from the chart."""

    file: str
    template: str
    namespace: str = RELEASE
    values: tuple[str, ...] = ()
    """As `--set` takes them."""


PIECES = (
    Piece("base/collector.yaml", "collector"),
    Piece("gateway/gateway.yaml", "gateway", values=GATEWAY),
    Piece("alertmanager/alertmanager.yaml", "alertmanager"),
    Piece(
        "nodes/nodes.yaml",
        "nodes",
        "otel-ml-nodes",
        (
            "nodes.enabled=true",
            "nodes.gpu.enabled=true",
            f"nodes.endpoint=http://{RELEASE}-collector.{RELEASE}.svc:4318",
        ),
    ),
    Piece(
        "operator/service_monitors.yaml",
        "monitoring",
        values=("monitoring.serviceMonitor=true",),
    ),
)


def template(helm: Path, arguments: Sequence[str]) -> str:
    """What `helm template` prints for the chart."""
    command = [str(helm), "template", RELEASE, str(CHART), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"render: {' '.join(command)}\n{done.stderr}")
    return done.stdout


def render(helm: Path, piece: Piece) -> str:
    """The text of one file."""
    values = [part for value in piece.values for part in ("--set", value)]
    shown = template(helm, ["-n", piece.namespace, "--show-only", f"templates/{piece.template}.yaml", *values])
    # In a kustomization the name of the ConfigMap changes with its content, which restarts the pods too.
    shown = re.sub(r"\n +annotations:\n +checksum/config: .*", "", shown)
    shown = re.sub(r"^# Source: .*\n", "", shown, flags=re.MULTILINE)
    return HEADER + re.sub(r"\n\n+---", "\n---", shown)


def main(arguments: list[str] | None = None) -> int:
    """The command line: one path per file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    helm = build.build("helm")
    for piece in PIECES:
        (HERE / piece.file).write_text(render(helm, piece), encoding="utf-8")
        print(HERE / piece.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
