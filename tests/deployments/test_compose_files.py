"""The compose file after the steps of deploy/README.md in an empty folder. No container engine was used."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import jsonschema
import prepare
import pytest
import yaml
from compose_file import ROOT, ComposeFile, cloned, prepared

PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+")
ABSOLUTE = re.compile(r"(?<![\w/:.])/[\w/.-]+")
PROGRAMS = {
    "collector": "/bin/wget",
    "prometheus": "promtool",
    "alertmanager": "wget",
    "loki": "/usr/bin/loki",
    "tempo": "/tempo",
    "grafana": "curl",
}
"""The program of each image that can ask for its health. Those of Loki and Tempo have neither a shell nor wget."""


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> ComposeFile:
    """The prepared file in a folder that was empty before."""
    root = cloned(tmp_path_factory.mktemp("customer") / "otel-ml")
    done = prepared(root)
    assert done.returncode == 0, done.stderr
    return ComposeFile(root / "deploy" / "compose" / "compose.yaml")


def test_compose_understands_the_file(compose: ComposeFile) -> None:
    """The file with its variables is valid against the schema of the compose specification, without unknown keys."""
    schema = json.loads((ROOT / "tests" / "data" / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(compose.loaded)


def test_images_are_pinned(compose: ComposeFile) -> None:
    """Every image has a full version, and that of the Collector is the one that builder.yaml builds."""
    images = {name: service["image"] for name, service in compose.services.items()}
    assert [image for image in images.values() if not PINNED.fullmatch(image)] == []
    version = yaml.safe_load((ROOT / "collector" / "builder.yaml").read_text(encoding="utf-8"))["dist"]["version"]
    assert images["collector"] == f"otel-ml-collector:{version}"
    build = compose.services["collector"]["build"]
    assert (compose.path.parent / build["context"] / build["dockerfile"]).is_file()


def test_ports_are_published_on_loopback_only(compose: ComposeFile) -> None:
    """No port can be reached from another machine, and what has no password is not published at all."""
    ports = {name: service.get("ports", []) for name, service in compose.services.items()}
    assert [port for each in ports.values() for port in each if not port.startswith("127.0.0.1:")] == []
    assert {name for name, each in ports.items() if each} == {"collector", "grafana"}


def test_what_has_no_password_is_not_reached_by_services(compose: ComposeFile) -> None:
    """A container that joins the network for services reaches the Collector and nothing else."""
    joined = {name for name, service in compose.services.items() if "services" in service["networks"]}
    assert joined == {"collector"}
    assert compose.loaded["networks"]["storage"]["internal"] is True
    for name in ("prometheus", "loki", "tempo"):
        assert compose.services[name]["networks"] == ["storage"]


def test_every_service_has_a_health_check_that_its_image_can_run(compose: ComposeFile) -> None:
    """Each check asks a port of its own by a program that the image has (grafana/loki#21078, grafana/tempo#6536, eko/pihole-exporter#268)."""
    assert set(compose.services) == set(PROGRAMS)
    for name, service in compose.services.items():
        kind, program, *rest = service["healthcheck"]["test"]
        assert (kind, program) == ("CMD", PROGRAMS[name])
        assert re.search(r"http://127\.0\.0\.1:\d+", rest[-1])
        assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
    image = (ROOT / "collector" / "Containerfile").read_text(encoding="utf-8")
    assert re.search(r"^COPY --from=docker\.io/library/busybox:\d+\.\d+\.\d+-musl \S+ /bin/wget$", image, re.MULTILINE)


def test_the_order_of_start_has_conditions(compose: ComposeFile) -> None:
    """Grafana waits until its sources are ready; the Collector does not, so that a back end that fails costs no data."""
    conditions = {
        name: {other: each["condition"] for other, each in service.get("depends_on", {}).items()}
        for name, service in compose.services.items()
    }
    sources = ("prometheus", "loki", "tempo")
    assert {name: each for name, each in conditions.items() if each} == {
        "collector": dict.fromkeys(sources, "service_started"),
        "grafana": dict.fromkeys(sources, "service_healthy"),
    }


def owner(compose: ComposeFile) -> tuple[int, int]:
    """The user and group that have the data."""
    found = (compose.path.parent / "data").stat()
    return found.st_uid, found.st_gid


def test_containers_are_confined(compose: ComposeFile) -> None:
    """No root, no capability, a read-only disk; memory, scratch space and logs have a bound, and stopping has time."""
    for service in compose.services.values():
        assert service["user"] == "{}:{}".format(*owner(compose))
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"] == ["/tmp:size=64m"]
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}
        assert {"mem_limit", "stop_grace_period"} <= set(service)


def test_mounts_work_under_selinux_and_after_an_edit(compose: ComposeFile) -> None:
    """Each mount is a folder with `z`: a secret has no label else, and a file stays the old one when it is replaced (docker/compose#13396, containers/podman-compose#573, prometheus/prometheus#2544)."""
    mounts = [mount for name in compose.services for mount in compose.mounts(name)]
    assert [mount for mount in mounts if not mount.source.is_dir() or "z" not in mount.options] == []
    data = compose.path.parent / "data"
    assert [mount for mount in mounts if ("ro" in mount.options) == mount.source.is_relative_to(data)] == []
    assert "secrets" not in compose.loaded


def test_prepare_checks_what_is_mounted(compose: ComposeFile) -> None:
    """The folders that prepare.py looks at are those that are mounted."""
    root = compose.path.parents[2]
    sources = {mount.source for name in compose.services for mount in compose.mounts(name)}
    folder = compose.path.parent
    of_repository = {path for path in sources if not path.is_relative_to(folder)}
    checked = {root / name for name in prepare.MOUNTED}
    assert {path for path in of_repository if not checked & {path, *path.parents}} == set()
    assert {path for path in checked if not any(each.is_relative_to(path) for each in of_repository)} == set()
    assert {path.relative_to(folder) for path in sources - of_repository} == {
        *(Path("data", name) for name in prepare.DATA),
        *(Path("secrets", name) for name in prepare.SECRETS),
    }


def test_the_containers_can_read_and_write_their_mounts(compose: ComposeFile) -> None:
    """Every mounted file can be read by the user of the containers, who owns the folders that they write to (grafana/loki#19904, grafana/tempo#3601)."""
    user, group = owner(compose)
    for name in compose.services:
        for mount in compose.mounts(name):
            prepare.check_readable(mount.source, ["."], user, group)
            if "ro" not in mount.options:
                assert (mount.source.stat().st_uid, stat.S_IMODE(mount.source.stat().st_mode)) == (user, 0o700)


def test_every_path_is_mounted(compose: ComposeFile) -> None:
    """Each path in a command or a variable is a file that is mounted, a folder to write to, or in the image."""
    for name, service in compose.services.items():
        texts = [*service.get("command", []), *service.get("environment", {}).values()]
        for path in {path for text in texts for path in ABSOLUTE.findall(str(text))}:
            assert Path(compose.on_host(name, path)).exists(), f"{name}: {path}"
            assert compose.on_host(name, path) != path


@pytest.mark.parametrize(("name", "file"), [("loki", "loki/loki.yaml"), ("tempo", "tempo/tempo.yaml")])
def test_what_a_server_writes_is_kept(compose: ComposeFile, name: str, file: str) -> None:
    """Every path in the configuration of Loki and Tempo is below the folder that is mounted to be written."""
    (kept,) = (mount.target for mount in compose.mounts(name) if "ro" not in mount.options)
    text = re.sub("#.*", "", (ROOT / "deploy" / file).read_text(encoding="utf-8"))
    paths = re.findall(r": (/\S+)", text)
    assert [path for path in paths if not Path(path).is_relative_to(kept)] == []
    assert paths != []


def test_grafana_finds_its_dashboards_and_keeps_its_data_sources(compose: ComposeFile) -> None:
    """Dashboards are where the provider looks, and no update unloads the data sources (grafana/grafana#132528)."""
    files = (compose.path.parents[1] / "grafana" / "provisioning" / "dashboards").glob("*.y*ml")
    paths = [each["options"]["path"] for file in files for each in yaml.safe_load(file.read_text())["providers"]]
    assert [list(Path(compose.on_host("grafana", path)).glob("*.json")) != [] for path in paths] == [True]
    environment = compose.services["grafana"]["environment"]
    assert [key for key in environment if key.endswith(("_PASSWORD", "_SECRET_KEY"))] == []
    assert environment["GF_PLUGINS_PREINSTALL_AUTO_UPDATE"] == "false"
    assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


def test_every_source_of_grafana_is_a_service(compose: ComposeFile) -> None:
    """The data sources, and the Collector's back ends, are names and ports of this file."""
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/otel-ml.yaml").read_text())["datasources"]
    addresses = [source["url"] for source in sources]
    addresses += [value for value in compose.services["collector"]["environment"].values() if "://" in value]
    addresses += ["http://" + target for target in re.findall(r"alertmanager:\d+", prometheus_file())]
    found = {tuple(re.fullmatch(r"http://(\w+):(\d+)(?:/.*)?", each).groups()) for each in addresses}  # type: ignore[union-attr]
    assert found == {
        ("prometheus", "9090"),
        ("alertmanager", "9093"),
        ("loki", "3100"),
        ("tempo", "3200"),
        ("tempo", "4318"),
    }


def prometheus_file() -> str:
    """prometheus.yml."""
    return (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")


def test_every_volume_has_a_bound() -> None:
    """Prometheus is bounded by time and size, Loki and Tempo, which know no size, by time (braiins/farm-proxy#9)."""
    retention = yaml.safe_load(prometheus_file())["storage"]["tsdb"]["retention"]
    assert set(retention) == {"time", "size"}
    loki = yaml.safe_load((ROOT / "deploy" / "loki" / "loki.yaml").read_text(encoding="utf-8"))
    assert (loki["compactor"]["retention_enabled"], loki["limits_config"]["retention_period"]) == (True, "744h")
    tempo = yaml.safe_load((ROOT / "deploy" / "tempo" / "tempo.yaml").read_text(encoding="utf-8"))
    assert tempo["backend_worker"]["compaction"]["block_retention"] == "336h"
