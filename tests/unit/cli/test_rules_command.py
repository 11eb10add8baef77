"""`otel-ml rules`: writes rules and alerts."""

from __future__ import annotations

from otel_ml.cli import main


def test_the_choice_of_the_reference_outlives_an_update(tmp_path, capsys):
    """The file that users edit is written once and then kept; all others are written again."""
    assert main(["rules", "--output", str(tmp_path)]) == 0
    choice, other = tmp_path / "rules" / "alert_reference.yaml", tmp_path / "rules" / "verdict.yaml"
    assert 'ml_model_name=~""' in choice.read_text()
    choice.write_text("mine")
    other.write_text("old")
    capsys.readouterr()
    assert main(["rules", "--output", str(tmp_path)]) == 0
    assert (choice.read_text(), other.read_text() == "old") == ("mine", False)
    told = capsys.readouterr()
    assert str(choice) not in told.out
    assert f"{choice}: kept" in told.err
