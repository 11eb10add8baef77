"""Requests of services whose SDK has the HTTP names from before the stable conventions."""

from __future__ import annotations

import re

from console_feed import span, traces

OLD = {"http.method": "POST", "http.target": "/score?x=1", "http.flavor": "1.1"}


def test_a_status_code_by_its_older_name_is_one(console):
    """Python's instrumentations send ``http.status_code`` unless told otherwise (SigNoz/signoz#9056)."""
    sent = [
        span(own=f"{place:016x}", trace=f"{place:032x}", attributes=OLD | {"http.status_code": code})
        for place, code in enumerate((200, 422, 404), 1)
    ]
    console.feed(traces(*sent, service="older"))
    found = console.get("/api/requests?service=older&status_code=4")["requests"]
    assert {(row["method"], row["route"], row["status_code"]) for row in found} == {
        ("POST", "/score", 422),
        ("POST", "/score", 404),
    }
    (service,) = console.get("/api/overview")["services"]
    assert (service["requests"], service["refused"]) == (3, 2)
    page = console.send(f"/traces/{2:032x}").body.decode()
    assert re.search("<dt>Status</dt><dd>422</dd>", page)
