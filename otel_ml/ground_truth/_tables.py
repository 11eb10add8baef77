"""The tables of the store; adds those that a store of an earlier version lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa


class Tables:
    """Predictions with their labels, labels that wait, further ids of predictions, and sets of declared classes."""

    predictions: sa.Table
    waiting: sa.Table
    aliases: sa.Table
    classes: sa.Table

    def __init__(self, sqlalchemy: Any) -> None:
        sa = self._sa = sqlalchemy
        self._metadata = sa.MetaData()
        self.predictions = self._predictions()
        self.waiting = sa.Table(
            "otel_ml_waiting_labels",
            self._metadata,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("label", sa.Text, nullable=False),
            sa.Column("number", sa.Double()),
            sa.Column("labeled_at", sa.Double(), nullable=False),
        )
        self.aliases = sa.Table(
            "otel_ml_aliases",
            self._metadata,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("leads_to", sa.Text),
            sa.Column("predicted_at", sa.Double(), nullable=False, index=True),
        )
        self.classes = sa.Table(
            "otel_ml_classes",
            self._metadata,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("names", sa.Text, nullable=False),
        )

    def _predictions(self) -> sa.Table:
        kit = self._sa
        number = kit.Double()
        table: sa.Table = kit.Table(
            "otel_ml_predictions",
            self._metadata,
            kit.Column("id", kit.Text, primary_key=True),
            *(kit.Column(name, kit.Text, nullable=False) for name in ("model", "version", "role", "task")),
            kit.Column("positive", kit.Text),
            kit.Column("predicted_at", number, nullable=False),
            kit.Column("predicted", kit.Text),
            kit.Column("value", number),
            kit.Column("score", number),
            kit.Column("trace_id", kit.Text, nullable=False),
            kit.Column("span_id", kit.Text, nullable=False),
            kit.Column("sampled", kit.Boolean, nullable=False),
            kit.Column("classes", kit.Text),
            kit.Column("label", kit.Text),
            kit.Column("number", number),
            kit.Column("labeled_at", number),
            kit.Index("otel_ml_predictions_predicted_at", "model", "predicted_at"),
            kit.Index("otel_ml_predictions_labeled_at", "model", "labeled_at"),
        )
        return table

    def create(self, connection: sa.Connection) -> None:
        """Creates missing tables, and the columns that an earlier version did not have."""
        self._metadata.create_all(connection)
        columns = {column["name"] for column in self._sa.inspect(connection).get_columns(self.predictions.name)}
        if "classes" not in columns:
            connection.execute(self._sa.text(f"ALTER TABLE {self.predictions.name} ADD COLUMN classes TEXT"))
