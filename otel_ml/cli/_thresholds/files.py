"""The file of thresholds, and the rule files that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otel_ml.cli._terminal import CommandError
from otel_ml.cli._thresholds.limit_rules import limit_rules
from otel_ml.cli._thresholds.objective_rules import objective_rules
from otel_ml.cli._thresholds.parts import RuleFile
from otel_ml.cli._thresholds.settings import Thresholds, ThresholdsError, parse


def read(path: Path, defaults: Path | None = None) -> Thresholds:
    """Reads a file of thresholds.

    Args:
        path: The file.
        defaults: A file with what the first one does not have.

    Raises:
        CommandError: It cannot be read or is wrong; one line says where.
    """
    base = read(defaults) if defaults is not None else None
    try:
        return parse(_content(path), base)
    except ThresholdsError as error:
        raise CommandError(f"{path}: {error}") from None


def rule_files(thresholds: Thresholds) -> list[RuleFile]:
    """The rule files that depend on thresholds."""
    return [
        RuleFile("limits", "The limits of the alerts.", limit_rules(thresholds)),
        RuleFile("objectives", "Objectives, and how fast they are spent.", objective_rules(thresholds)),
    ]


def _content(path: Path) -> object:
    try:
        import yaml
    except ImportError:
        raise CommandError("PyYAML is missing: pip install 'otel-ml[rules]'") from None

    class UniqueNames(yaml.SafeLoader):
        """YAML takes the last of two values with one name; the first one would be ignored without a word."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            names = [key.value for key, _ in node.value]
            for at, (key, _) in enumerate(node.value):
                if key.value in names[:at]:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(path.read_text(encoding="utf-8"), UniqueNames)  # noqa: S506 - a safe loader
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path}: not a text file in UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise CommandError(f"{path}: {where}{getattr(error, 'problem', None) or 'not YAML'}") from None
