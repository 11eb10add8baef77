"""The file of a reference profile: JSON with an id, and with a checksum that shows whether it was edited."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from otel_ml import semconv
from otel_ml._figures.score_probabilities import Calibration
from otel_ml.quality._feature import ProfileError
from otel_ml.quality._feature_entry import from_entry, to_entry
from otel_ml.quality._performance import read_performance, write_performance
from otel_ml.quality._profile_content import ProfileContent
from otel_ml.quality.descriptors import read_described

FORMAT: Final = "otel-ml/reference-profile"
VERSION: Final = 5
_READABLE: Final = (1, 2, 3, 4, VERSION)
"""Formats that can be read; format 1 does not list the columns of the frame."""
_KEYED: Final = frozenset(("salt", "categories", "rare", "rare_filter"))
"""Fields that differ between two fits of the same sensitive data."""


def find_id(profile: ProfileContent) -> str:
    """Returns 12 hex digits that change with the content, apart from digests under a key and saved windows."""
    return _hash(_content(profile, _identifying), 6)


def write_profile(profile: ProfileContent, path: str | os.PathLike[str]) -> None:
    """Writes a profile as JSON; a file is replaced atomically, a device or pipe is written to."""
    content = _content(profile)
    head = {"format": FORMAT, "format_version": VERSION, "id": profile.id, "checksum": _hash(content, 8)}
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    text = json.dumps({**head, **content}, indent=1) + "\n"
    if target.exists() and not target.is_file():  # replacing /dev/null would break it for the whole system
        target.write_text(text, encoding="utf-8")
        return
    partial = target.with_name(f"{target.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(target)


def read_content(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the content of a file; raises a ProfileError for one that is missing or not of a known format."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"cannot read the profile {path}: {error.strerror}") from None
    except ValueError as error:
        raise ProfileError(f"{path} is not JSON: {error}") from None
    except RecursionError:
        raise ProfileError(f"{path} is nested too deeply to be a reference profile") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ProfileError(f"{path} is not a reference profile; `otel-ml profile` writes one")
    if content.get("format_version") not in _READABLE:
        raise ProfileError(
            f"{path} has profile format {content.get('format_version')!r}, this version reads up to {VERSION}: "
            "fit it again or update otel-ml"
        )
    return content


def read_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a profile; raises the errors of reading values that are missing or of another type."""
    return {
        "features": tuple(from_entry(entry) for entry in content["features"]),
        "output": None if content["output"] is None else from_entry(content["output"]),
        "rows": int(content["rows"]),
        "sensitive": frozenset(str(name) for name in content["sensitive"]),
        "skipped": {str(name): str(reason) for name, reason in content["skipped"].items()},
        "columns": tuple(str(name) for name in content.get("columns", ())),
        "label": from_entry(content["label"]) if content.get("label") else None,
        "performance": read_performance(content["performance"]) if content.get("performance") else None,
        "calibration": Calibration.from_content(content["calibration"]) if content.get("calibration") else None,
        "described": tuple(map(read_described, content.get("described", ()))),
        "name": content.get("name", semconv.TRAINING),
    }


def is_intact(profile: ProfileContent, content: Mapping[str, Any]) -> bool:
    """Whether a profile has the id and the checksum that its file states; raises a ValueError for a double feature."""
    names = [feature.name for feature in profile.all_features()]
    if len(set(names)) < len(names):
        raise ValueError("two features have the same name")
    has_checksum = content["format_version"] > 1
    is_same = not has_checksum or _hash(_content(profile), 8) == content.get("checksum")
    return is_same and profile.id == content.get("id")


def _content(profile: ProfileContent, kept: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> dict[str, Any]:
    # files of earlier formats have no columns or no label, and their id was made without them
    return {
        **({} if profile.name == semconv.TRAINING else {"name": profile.name}),
        "rows": profile.rows,
        "sensitive": sorted(profile.sensitive),
        "skipped": dict(profile.skipped),
        **({"columns": list(profile.columns)} if profile.columns else {}),
        "features": [kept(to_entry(feature)) for feature in profile.features],
        "output": None if profile.output is None else kept(to_entry(profile.output)),
        **({} if profile.label is None else {"label": kept(to_entry(profile.label))}),
        **({} if profile.performance is None else {"performance": write_performance(profile.performance)}),
        **({"described": [one.content() for one in profile.described]} if profile.described else {}),
        **({} if profile.calibration is None else {"calibration": profile.calibration._asdict()}),
    }


def _identifying(entry: dict[str, Any]) -> dict[str, Any]:
    left_out = {"windows"} | (_KEYED if "salt" in entry else frozenset())
    return {name: value for name, value in entry.items() if name not in left_out}


def _hash(content: dict[str, Any], size: int) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
