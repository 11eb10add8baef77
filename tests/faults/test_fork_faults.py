"""Cases 11 and 12: forks under load, and how children exit."""

from __future__ import annotations

import re

import pytest


def children_points(receiver):
    """Returns each received series of the SDK counter, by program, instance and start, with its last value."""
    return {
        (
            point.attributes[0].value.string_value,
            next(p.value.string_value for p in resource.resource.attributes if p.key == "service.instance.id"),
            point.start_time_unix_nano,
        ): point.as_int
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "user.counter"
        for point in metric.sum.data_points
        if point.as_int  # new series come with a point at zero
    }


def forks(run, receiver, figure, count):
    program = run("forks.py", count)
    status = program.wait(600)

    assert status == 0, program.output
    assert program.wait_for_line("statuses") == f"statuses {{0: {count}}}", program.output
    assert program.wait_for_line("flushed") == "flushed True"
    points = children_points(receiver)
    parents = {instance for where, instance, _ in points if where == "parent"}
    children = {key: value for key, value in points.items() if key[0] == "child"}
    assert len(parents) == 1
    assert list(children.values()) == [1] * count
    assert parents.isdisjoint(instance for _, instance, _ in children)
    spans = [span.name for span in receiver.spans()]
    logs = [record.body.string_value for record in receiver.logs()]
    assert (spans.count("child"), logs.count("child")) == (count, count)
    assert receiver.duplicates() == 0
    slowest = float(re.sub(r"[^0-9.e-]", "", program.wait_for_line("slowest").removeprefix("slowest")))
    figure(
        11,
        forks=count,
        hangs=program.output.count("hang"),
        repeated_counts=sum(children.values()) - count,
        duplicated=receiver.duplicates(),
        slowest_fork_ms=slowest * 1000,
    )


def test_case_11_forking_while_every_lock_is_in_use(run, receiver, figure):
    """No child hangs, each starts at zero with its own id, and neither child nor parent loses anything."""
    forks(run, receiver, figure, 25)


@pytest.mark.slow
def test_case_11_a_thousand_forks(run, receiver, figure):
    """The same, 1,000 times."""
    forks(run, receiver, figure, 1000)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        pytest.param(
            method,
            kind,
            marks=[] if method == "fork" or (method, kind) == ("forkserver", "process") else [pytest.mark.slow],
        )
        for method in ("fork", "spawn", "forkserver")
        for kind in ("process", "executor", "pool")
    ],
)
def test_case_12_children_of_multiprocessing_lose_nothing(run, receiver, figure, method, kind):
    """A child that exits normally sends what it has, with every start method."""
    program = run("children.py", method, kind)

    assert program.wait() == 0, program.output
    names = [span.name for span in receiver.spans()]
    assert names == ["predict m"] * 4, program.output
    assert len(receiver.logs()) == 4
    figure(12, method=method, kind=kind, lost=4 - len(names))
