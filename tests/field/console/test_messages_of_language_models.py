"""Values that are texts of their own: messages of language models, JSON in an attribute or a log line."""

from __future__ import annotations

import html
import json

import pytest
from console_feed import TRACE, logs, record, span, traces

from otel_ml.console.web._json_text import indented

MESSAGES = [
    {"role": "user", "parts": [{"type": "text", "content": 'Why was "17" refused, {sir}? [é]\nPlease.'}]},
    {"role": "assistant", "parts": [], "usage": {}, "score": 12345678901234567890.10},
]


def shown_on(console, path):
    """The text of a page as the browser has it."""
    return html.unescape(console.send(path).body.decode())


@pytest.mark.parametrize("text", [json.dumps(MESSAGES), json.dumps(MESSAGES, ensure_ascii=False, indent=7)])
def test_messages_are_read_line_by_line(console, text):
    """JSON in an attribute has a line for each value, and no value is written in another way.

    Sources: jaegertracing/jaeger-ui#3829, mlflow/mlflow#21812, briancaffey/hermes-otel#185, genkit-ai/genkit#2937.
    """
    trace = f"{len(text):032x}"
    console.feed(traces(span("chat", trace=trace, attributes={"gen_ai.input.messages": text})))
    shown = shown_on(console, f"/traces/{trace}")
    assert '[\n  {\n    "role": "user",\n    "parts": [\n      {\n        "type": "text",\n' in shown
    assert '    "parts": [],\n    "usage": {},\n    "score": ' in shown
    assert json.loads(indented(text)) == MESSAGES
    big = '[{"n": 12345678901234567890.100, "n": 1e400, "long": "' + "x" * 80 + '"}]'
    assert indented(big).split("\n")[2:4] == ['    "n": 12345678901234567890.100,', '    "n": 1e400,']


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', "{not json, but long enough to be taken for a text of many values, one a line}", "[" * 30 + "]" * 30 + " " * 20,
     "[" + "9" * 5000 + "]", "[" * 5000],
    ids=["short", "not JSON", "deep", "a vast number", "an open end"],
)  # fmt: skip
def test_other_texts_stay_as_they_are(text):
    """What is short, deep or no JSON is shown as it was sent."""
    assert indented(text) == text


@pytest.mark.parametrize("form", ["text", "value"])
def test_a_long_value_can_be_read_to_its_end(console, form):
    """The page cuts a long prompt and leads to all of it, as text or as a value with fields.

    Sources: SigNoz/signoz#7348, langwatch/langwatch#5835.
    """
    trace, end = {"text": "c1", "value": "c2"}[form] * 16, "the very last word"
    prompt = "word " * 2000 + end
    sent = span("chat", trace=trace, attributes={"prompt": prompt} if form == "text" else {"short": "x"})
    if form == "value":
        pair = sent.attributes.add(key="prompt")
        pair.value.kvlist_value.values.add(key="content").value.string_value = prompt
    console.feed(traces(sent))
    first = shown_on(console, f"/traces/{trace}")
    link = f"/traces/{trace}?span={sent.span_id.hex()}"
    assert end not in first
    assert f'<a href="{link}#s-{sent.span_id.hex()}">all of it</a>' in first
    assert first.count(">all of it</a>") == 1
    whole = shown_on(console, link)
    assert end in whole
    assert ">all of it</a>" not in whole


def test_fields_of_a_log_line_are_read_line_by_line(console):
    """A structured body is one line in lists and several on its own (GoogleCloudPlatform/opentelemetry-operations-go#904)."""
    line = record("", at=0)
    for name, text in {"message": "Error in stream connection", "logger_name": "model.server", "level": "WARN"}.items():
        line.body.kvlist_value.values.add(key=name).value.string_value = text
    console.feed(traces(span()), logs(line, service="structured"))
    listed = shown_on(console, "/logs?service=structured&text=stream+connection")
    assert '{"message":"Error in stream connection","logger_name":"model.server"' in listed
    opened = [part.split('"')[0] for part in listed.split('href="') if "record=" in part]
    assert '{\n  "message": "Error in stream connection",\n' in shown_on(console, opened[0])
    assert '{"message":"Error in stream connection"' in shown_on(console, f"/traces/{TRACE}")
