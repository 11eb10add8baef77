"""Rows of predictions with features, outputs and labels, and the profile that is made of them.

Sources: evidentlyai/evidently#65, ray-project/ray#13347 (a traceback for a port of another service).
"""

from __future__ import annotations

import json
import random
import socket
import threading

import pytest
from console_feed import batch, failure, label, logs, now, prediction

from otel_ml import ReferenceProfile
from otel_ml.cli import main

MINUTE = 60 * 10**9


def rows(console, **query):
    """All pages of rows, and how many rows their events leave out."""
    found, omitted, after = [], 0, ""
    while True:
        text = "&".join(f"{key}={value}" for key, value in ({"model": "fraud"} | query).items())
        page = console.get(f"/api/rows?{text}{after}")
        found += page["rows"]
        omitted += page["rows_omitted"]
        if page["next"] is None:
            return found, omitted
        after = f"&after={page['next']}"


def test_rows_have_features_output_and_newest_label(console):
    """Rows of single predictions and of batches come in the order of time, without failures and other models."""
    console.feed(
        logs(
            prediction("p-1", features={"age": 41}, at=now()),
            batch("b-1", 2, at=now() + 1),
            failure("f-1", at=now() + 2),
            prediction("o-1", attributes={"ml.model.name": "other"}, at=now() + 3),
        ),
        logs(label("p-1", "0", at=now() + 4), label("p-1", "1", at=now() + 5), label("b-1.1", "1", at=now() + 6)),
    )
    assert rows(console) == (
        [
            {"id": "p-1", "features": {"age": 41}, "prediction": "1", "score": 0.93, "label": "1"},
            {"id": "b-1.0", "features": {"age": 20}, "prediction": "0", "score": 0.1, "label": None},
            {"id": "b-1.1", "features": {"age": 21}, "prediction": "0", "score": 0.1, "label": "1"},
        ],
        0,
    )


def test_pages_have_each_row_once(console):
    """More events than a page has, many at one moment, come on several pages, each row once."""
    console.feed(logs(*(prediction(f"p-{number}", at=now() + number // 100) for number in range(450))))
    found, _ = rows(console)
    assert sorted(row["id"] for row in found) == sorted(f"p-{number}" for number in range(450))


def test_a_window_and_a_version_restrict_the_rows(console):
    """`since` is part of the window, `until` is not."""
    at = [now() + minute * MINUTE for minute in range(3)]
    console.feed(logs(*(prediction(f"p-{place}", at=moment) for place, moment in enumerate(at))))
    found, _ = rows(console, since=f"{at[1] / 1e9 - 30:.6f}", until=f"{at[2] / 1e9 - 30:.6f}")
    assert [row["id"] for row in found] == ["p-1"]
    assert rows(console, version="9") == rows(console, role="shadow") == ([], 0)


@pytest.mark.parametrize(
    "query", ["", "model=", "model=m&after=x", "model=m&after=1.", "model=m&until=soon", "model=m&limit=3"]
)
def test_a_wrong_query_is_refused_with_one_line(console, query):
    """A missing model, an unreadable moment or place and an unknown parameter are 400."""
    answer = console.send(f"/api/rows?{query}")
    assert (answer.status, list(answer.json())) == (400, ["error"])


def served(size: int, shift: int = 0):
    """Predictions and their labels."""
    rng = random.Random(size)
    predictions, labels = [], []
    for number in range(size):
        features = {"age": rng.randint(20, 60) + shift, "channel": rng.choice(["app", "web"])}
        score = rng.random()
        at = now() - MINUTE + number
        outcome = "bad" if score > 0.5 else "good"
        predictions.append(prediction(f"p-{number}", features=features, score=score, outcome=outcome, at=at))
        labels.append(label(f"p-{number}", "bad" if rng.random() < score else "good", at=at + 1))
    return predictions, labels


def profile(console, path, *more: str) -> int:
    served_by = [
        "profile",
        "--from-console",
        console.address,
        "--model",
        "fraud",
        "--since",
        "1h",
        "--until",
        "2100-01-01",
    ]
    return main([*served_by, "--output", str(path), *more])


def test_a_profile_is_made_of_what_a_console_keeps(console, tmp_path, capsys):
    """It has the features, the scores, the labels and the performance of the window, and its name."""
    predictions, labels = served(400)
    console.feed(logs(*predictions), logs(*labels[:300]))
    assert profile(console, tmp_path / "may.json", "--name", "may", "--exclude", "age", "--sensitive", "ssn") == 0
    made = ReferenceProfile.load(tmp_path / "may.json")
    assert (made.name, made.rows, [feature.name for feature in made.features]) == ("may", 400, ["channel"])
    assert made.sensitive == {"ssn"}
    assert (sum(made.output.counts), len(made.output.counts)) == (400, 20)
    assert sorted(made.label.categories) == ["bad", "good"]
    assert sum(made.label.counts) == 300
    assert made.performance.rows == 300
    assert made.performance.figures["auc"] == pytest.approx(0.83, abs=0.06)
    told = capsys.readouterr()
    assert "profile 'may'" in told.out
    assert "400 predictions, 300 with a label" in told.err


def test_a_window_of_a_console_stands_beside_the_training_data(console, tmp_path, capsys):
    """`--beside` counts features, scores and labels into the bins of a profile; so it does with files."""
    rng = random.Random(7)
    training = {"channel": ["app", "web"] * 50, "p": [rng.random() for _ in range(100)], "y": ["good", "bad"] * 50}
    before = ReferenceProfile.fit(training, score={"bad": "p"}, label="y")
    path = tmp_path / "profile.json"
    before.save(path)
    predictions, labels = served(400)
    console.feed(logs(*predictions), logs(*labels[:300]))
    assert profile(console, path, "--name", "may", "--beside", str(path)) == 0
    data = tmp_path / "june.csv"
    data.write_text("channel\n" + "web\n" * 7)
    files = ["--data", str(data), "--name", "june", "--beside", str(path), "--output", str(path)]
    capsys.readouterr()
    assert main(["profile", *files]) == 0
    assert "beside it the window 'may'\n  beside it the window 'june'\n" in capsys.readouterr().out
    made = ReferenceProfile.load(path)
    assert made.id == before.id
    windows = {each.name: {name: sum(counts) for name, counts in each.windows} for each in made.all_features()}
    assert windows == {"channel": {"may": 400, "june": 7}, "__prediction__": {"may": 400}, "__label__": {"may": 300}}
    assert main(["profile", *files[:2], *files[4:]]) == 2


def test_a_regression_that_a_console_keeps_has_a_profile(console, tmp_path):
    """Numbers as predictions are the output, and labels are numbers too."""
    events = [prediction(f"p-{n}", features={"age": n % 40}, at=now() - n) for n in range(300)]
    for number, event in enumerate(events):
        event.body.string_value = json.dumps({"features": {"age": number % 40}, "prediction": number / 7})
    console.feed(logs(*events), logs(*(label(f"p-{n}", str(n / 7 + 1), correct=None, at=now()) for n in range(300))))
    assert profile(console, tmp_path / "may.json", "--name", "may", "--numeric", "age", "--json") == 0
    made = ReferenceProfile.load(tmp_path / "may.json")
    assert (made.performance.task, made.performance.figures["mae"]) == ("regression", pytest.approx(1.0))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "--name"),
        (["--name", "may", "--score", "p"], "--score is for --data"),
        (["--name", "last_week"], "reference that moves"),
        (["--name", ""], "--name"),
        (["--name", " "], "one line of 1 to 64 characters"),
        (["--name", "may", "--since", "soon"], "neither an age"),
        (["--name", "may", "--role", "shadow"], "no prediction of 'fraud'"),
    ],
)
def test_what_is_missing_is_named(console, tmp_path, capsys, more, message):
    """Each is one line and exit code 2."""
    predictions, _ = served(30)
    console.feed(logs(*predictions))
    assert profile(console, tmp_path / "p.json", *more) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "p.json").exists()


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9", "http://127.0.0.1:port", "http://a b", "file:///etc/passwd", "127.0.0.1:4318"]
)
def test_an_address_without_a_console_is_named(tmp_path, capsys, address):
    """No answer and no address of a page are one line and exit code 2."""
    arguments = ["--model", "m", "--name", "may", "--output", str(tmp_path / "p.json")]
    assert main(["profile", "--from-console", address, *arguments]) == 2
    assert address in capsys.readouterr().err


GRPC = b"\x00\x00\x18\x04\x00\x00\x00\x00\x00"
OTHERS = [GRPC, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"]
OTHERS += [b"HTTP/1.1 200 OK\r\n\r\n" + text for text in (b"[]", b"null", b'{"status": "success", "data": {}}')]


@pytest.mark.parametrize("answer", OTHERS)
def test_another_service_at_the_address_is_named(tmp_path, capsys, answer):
    """A port that speaks gRPC, or an API with other JSON, is one line and exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        arguments = ["--model", "m", "--name", "may", "--output", str(tmp_path / "p.json")]
        assert main(["profile", "--from-console", address, *arguments]) == 2
        serving.join()
    said = f"otel-ml profile: no console answers at {address}: another service does\n"
    assert capsys.readouterr().err == said
