"""Random files of /proc and of control groups, drawn from a fixed seed."""

from __future__ import annotations

import logging
import os
import random
import shutil
import socket
from pathlib import Path

import psutil
import pytest

from otel_ml import _guard
from otel_ml.resource_sampler import ContainerSource, HostSource, ProcessSource, ResourceSampler

DATA = Path(__file__).parents[1] / "data"
GROUPS = ("cgroup_hybrid", "cgroup_v1_docker", "cgroup_v2_nested", "cgroup_v2_private", "cgroup_v2_root")
LARGEST = 2**63 - 1

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")


def socket_at(path):
    with socket.socket(socket.AF_UNIX) as listening:
        if len(os.fsencode(path)) < 100:
            listening.bind(str(path))


KINDS = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "itself": lambda path: path.symlink_to(path),
    "folder": lambda path: path.mkdir(),
    "nothing": lambda path: None,
    "socket": socket_at,
}
TEXTS = {
    "empty": lambda old, dice: b"",
    "noise": lambda old, dice: dice.randbytes(dice.choice([10, 3000, 20000])),
    "overflow": lambda old, dice: old.replace(b"0", b"99999999999999999999"),
    "negative": lambda old, dice: old.replace(b" ", b" -"),
    "no text": lambda old, dice: b"\xff\xfe" + old + b"\xff",
    "long": lambda old, dice: old * 2000,
    "cut": lambda old, dice: old[: dice.randrange(len(old) + 1)],
}


def spoil(path, dice):
    kind = dice.choice([*KINDS, *TEXTS])
    if kind in TEXTS:
        path.write_bytes(TEXTS[kind](path.read_bytes(), dice))
    else:
        path.unlink()
        KINDS[kind](path)


@pytest.mark.parametrize("seed", range(40))
def test_random_files_cost_their_own_figures_only(tmp_path, seed):
    """Nothing hangs, no code of ours fails, no point leaves its range, no descriptor stays open."""
    logging.disable(logging.CRITICAL)
    _guard.reset()
    dice = random.Random(seed)
    node, tree = tmp_path / "node", tmp_path / "tree"
    shutil.copytree(DATA / "proc_node", node)
    shutil.copytree(DATA / dice.choice(GROUPS), tree)
    sources = [
        HostSource(proc=node, sys=node / "sys", utilization=True, per_cpu=dice.random() < 0.3, mounts=["/"]),
        ProcessSource(4242, proc=node, utilization=True, pss=True, boot_clock=lambda: 1e9),
        ContainerSource(proc=tree / "proc", root=tree),
    ]
    sampler = ResourceSampler(sources=sources, budget=64)
    before, wrong = psutil.Process().num_fds(), []
    for tick in range(3):
        files = sorted(path for folder in (node, tree) for path in folder.rglob("*") if path.is_file())
        for path in dice.sample(files, min(len(files), dice.randint(1, 5)) if tick else 0):
            spoil(path, dice)
        for source in sources:
            source.close()
        for name, points in sampler.tick().items():
            is_share = name.startswith(("system.", "container.")) and name.endswith("utilization")
            wrong += [(name, value) for value, _ in points if not 0 <= value <= LARGEST or (is_share and value > 1)]
    logging.disable(logging.NOTSET)
    assert wrong == []
    assert _guard.counts() == {}
    assert psutil.Process().num_fds() <= before  # garbage of earlier tests may be closed meanwhile
