"""A node's sampler in a container, and a sidecar that waits for its service.

compassvpn/agent#101, open-telemetry/opentelemetry-collector-contrib#16307, prometheus-community/helm-charts#447.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from otel_ml.cli import main
from otel_ml.config import ConfigError
from otel_ml.resource_sampler import HostSource, ProcessSource, ResourceSampler, select_sources
from otel_ml.resource_sampler._target_process import NamedProcess

ROW = ": 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n"


@pytest.fixture
def host(tree):
    """A host's root, whose first process has other mounts and interfaces than the container."""
    tree.write("proc/stat", "cpu  100 0 0 0 0 0 0 0 0 0\ncpu0 100 0 0 0 0 0 0 0 0 0\n")
    tree.write("proc/1/mounts", "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /data ext4 rw 0 0\n")
    tree.write("proc/self/mounts", "overlay / overlay rw 0 0\n")
    tree.write("proc/1/net/dev", f"head\nhead\neth0{ROW}veth1{ROW}")
    tree.write("proc/net/dev", f"head\nhead\neth9{ROW}")
    tree.interface("eth0", "device/vendor")
    tree.interface("veth1", link=9)
    (tree.root / "data").mkdir()
    return tree


def test_mounts_and_interfaces_are_those_of_the_host(host):
    """Space is asked for below the host's root, and points keep the host's names."""
    asked = []

    def statvfs(point):
        asked.append(point)
        return SimpleNamespace(f_frsize=1, f_blocks=10, f_bfree=5, f_bavail=5)

    source = HostSource(host_root=f"{host.root}/", parts=("cpu", "filesystem", "network"), statvfs=statvfs)
    readings = source.read().readings
    assert asked == [f"{host.root}/", f"{host.root}/data"]
    points = {r.attributes.get("system.filesystem.mountpoint") for r in readings}
    interfaces = {r.attributes.get("network.interface.name") for r in readings}
    assert (points - {None}, interfaces - {None}) == ({"/", "/data"}, {"eth0"})


def test_the_command_takes_the_hosts_root(host, capsys):
    """One reading shows the host's CPU time; a mount that was asked for is read below the root."""
    assert main(["sampler", "--json", "--host-root", str(host.root), "--mount", "/data", "--mount", "/gone"]) == 0
    document = json.loads(capsys.readouterr().out)
    user = [
        r["value"] for r in document["readings"] if r["attributes"].get("cpu.mode") == "user" and r["source"] == "host"
    ]
    points = {r["attributes"].get("system.filesystem.mountpoint") for r in document["readings"]}
    assert (user[0], points - {None}) == (1.0, {"/data"})
    assert {"filesystem /gone"} <= {gap["what"] for gap in document["missing"]}


@pytest.mark.parametrize(
    ("mode", "root", "reason"),
    [("sidecar", "", "is for the mode node"), ("node", "/nothing/there", "there is no proc/stat below it")],
)
def test_a_wrong_root_is_one_line(host, mode, root, reason):
    """A typing error is not a machine without figures."""
    with pytest.raises(ConfigError, match=reason):
        select_sources(mode, host_root=root or host.root)


def test_waiting_says_for_what(tree, caplog):
    """From the first tick on the log names the process; a name that /proc hides looks the same, and is mentioned."""
    tree.write("proc/stat", "")
    source = ProcessSource(NamedProcess("gunicorn", proc=tree.proc), proc=tree.proc)
    ResourceSampler(sources=[source], budget=64).tick()
    assert caplog.messages == [
        (
            "otel-ml: process named gunicorn cannot be read (vanished: there is none, it has ended, or /proc hides it from this "
            "user (hidepid)): its readings are absent"
        )
    ]
