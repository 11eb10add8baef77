"""Log lines, exceptions and messages of programs that write for a terminal, in any language."""

from __future__ import annotations

import hashlib

import pytest
from console_feed import logs, pairs, record, span, traces
from opentelemetry.proto.trace.v1.trace_pb2 import Span

JAVA = "java.lang.IllegalStateException: no such column\n" + "\n".join(
    f"\tat com.example.scoring.features.Stage{number}.applyTheTransformation(Stage{number}.java:{number})"
    for number in range(400)
)
CAUSE = "Caused by: java.sql.SQLException: the column AGEP was dropped"


def stored(console, trace):
    """The only span of a trace."""
    (found,) = console.get(f"/api/traces/{trace}")["spans"]
    return found


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("\x1b[2K\x1b[1Gprogress 9 %", "progress 9 %"),
        ("\x1b[1A\x1b[?25lready\x1b[?25h", "ready"),
        ("see \x1b]8;;https://example.com\x07the docs\x1b]8;;\x07.", "see the docs."),
        ("see \x1b]8;id=1;https://example.com\x1b\\the docs\x1b]8;;\x1b\\.", "see the docs."),
        ("\x1b[r\x1b[m\x1b(B\x1b[1;24rbooted\x1b=", "booted"),
        ("\x1b[38:2::255:128:0mwarm\x1b[0m", "warm"),
        ("half of a code \x1b[", "half of a code \ufffd["),
        ("an escape\x1b\nalone", "an escape\ufffd\nalone"),
    ],
)
def test_what_a_terminal_does_not_print_is_not_in_the_text(console, sent, text):
    """Colours, moves of the cursor and the addresses of links are left out of a line.

    Sources: concourse/concourse#7464, pycontribs/ansi2html#130, posit-dev/positron#5819.
    """
    trace = hashlib.md5(sent.encode(), usedforsecurity=False).hexdigest()
    console.feed(logs(record(sent, trace=trace)))
    (line,) = console.get(f"/api/traces/{trace}")["logs"]
    assert line["body"] == text


def test_an_exception_with_colours_reads_like_any_other(console):
    """Frames and messages come with colours from notebooks and libraries for pretty errors (tokio-rs/tracing#3476)."""
    trace = "c4" * 16
    failed = span(trace=trace, own="c4" * 8, error=True)
    failed.status.message = "\x1b[31mKeyError\x1b[0m: age"
    facts = {
        "exception.type": "KeyError",
        "exception.message": "\x1b[1mage\x1b[0m",
        "exception.stacktrace": "\x1b[32m-> 1\x1b[0m",
    }
    failed.events.append(Span.Event(name="exception", attributes=pairs(facts)))
    console.feed(traces(failed))
    assert stored(console, trace)["status_message"] == "KeyError: age"
    (shown,) = console.get(f"/api/traces/{trace}")["exceptions"]
    assert (shown["message"], shown["stacktrace"]) == ("age", "-> 1")


def test_data_keeps_what_a_terminal_would_not_print(console):
    """A value that is no text of a program shows what is in it; it can be the reason of a failure."""
    trace = "c5" * 16
    console.feed(traces(span(trace=trace, own="c5" * 8, attributes={"country": "\x1b[31mDE"})))
    assert stored(console, trace)["attributes"]["country"] == "\ufffd[31mDE"


def test_a_long_stack_trace_keeps_its_first_and_its_last_lines(console):
    """Java has the place at the start and the cause at the end; a limit takes the middle (grafana/grafana#103685).

    Source: open-telemetry/opentelemetry-java#5187.
    """
    trace = "c6" * 16
    failed = span(trace=trace, own="c6" * 8, error=True)
    facts = {"exception.type": "IllegalStateException", "exception.stacktrace": f"{JAVA}\n{CAUSE}"}
    failed.events.append(Span.Event(name="exception", attributes=pairs(facts)))
    console.feed(traces(failed))
    kept = stored(console, trace)["events"][0]["attributes"]["exception.stacktrace"]
    assert kept.startswith(JAVA[:4096])
    assert kept.endswith(CAUSE)
    assert len(kept) == 16384
    page = console.send(f"/traces/{trace}").body.decode()
    assert "no such column" in page
    assert "Stage0.java" in page
    assert CAUSE in page
