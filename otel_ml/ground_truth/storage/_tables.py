"""The tables of the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

from otel_ml._digests import digest

if TYPE_CHECKING:
    import sqlalchemy as sa

KEY: Final = ("id", "model", "version", "role")
"""Columns of the key of a prediction; the id comes first, since labels are looked up by it."""
LABEL_COLUMNS: Final = ("label", "number", "labeled_at")
"""Columns of a prediction's label. An earlier version kept them with the prediction."""
PREDICTIONS: Final = "otel_ml_predictions"
LABELS: Final = "otel_ml_labels"
LABEL_KEY_LENGTH: Final = 64
"""Characters of a label that are its key; a longer one has a digest, since PostgreSQL indexes 2,704 bytes at most."""
LATER = frozenset({"classes", "repeated", "probabilities", "segments"})
"""Columns that the predictions of an earlier version do not have."""


class Tables:
    """Predictions, their labels, labels that wait, further ids, sets of declared classes, and bins of labels.

    Args:
        sqlalchemy: The module.
        missing: Columns of the predictions that a store of an earlier version, which is only read, does not have.
        is_former: Whether such a store keeps its rows under the id alone.
        has_label_columns: Whether such a store keeps the labels with the predictions.
    """

    predictions: sa.Table
    labels: Any
    """The table of labels, or the query that reads them from the predictions of an earlier version."""
    waiting: sa.Table
    aliases: sa.Table
    classes: sa.Table
    label_bins: sa.Table

    def __init__(
        self,
        sqlalchemy: Any,
        *,
        missing: Collection[str] = (),
        is_former: bool = False,
        has_label_columns: bool = False,
    ) -> None:
        sa = self._sa = sqlalchemy
        self._missing = missing
        self.is_former = is_former
        self._metadata = sa.MetaData()
        self.predictions = self._predictions(self._label(nullable=True) if has_label_columns else [])
        self.labels = self._former_labels() if has_label_columns else self._labels()
        self.waiting = self._waiting()
        self.aliases = sa.Table(
            "otel_ml_aliases",
            self._metadata,
            *self._key(),
            sa.Column("leads_to", sa.Text),
            sa.Column("predicted_at", sa.Double(), nullable=False, index=True),
        )
        self.classes = sa.Table(
            "otel_ml_classes",
            self._metadata,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("names", sa.Text, nullable=False),
        )
        self.label_bins = sa.Table(
            "otel_ml_label_bins",
            self._metadata,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("profile_id", sa.Text, nullable=False),
            sa.Column("bins", sa.Text, nullable=False),
        )

    @property
    def keyed(self) -> tuple[sa.Table, ...]:
        """The tables that an earlier version kept under the id alone."""
        return self.predictions, self.waiting, self.aliases

    def create(self, connection: sa.Connection) -> None:
        """Creates missing tables."""
        self._metadata.create_all(connection)

    def of_prediction(self, predictions: Any = None, labels: Any = None) -> Any:
        """Returns the condition that a label is that of a prediction, in the tables or in aliases of them."""
        predictions, labels = self._given(predictions, labels)
        return self._sa.and_(*(labels.c[name] == predictions.c[name] for name in KEY))

    def columns(self, names: Iterable[str], predictions: Any = None, labels: Any = None) -> list[Any]:
        """Returns columns of predictions joined with their labels.

        A store of an earlier version, which is only read, does not have all of them: it has null in their place.

        Args:
            names: The columns.
            predictions: An alias of the table.
            labels: An alias of the table.
        """
        predictions, labels = self._given(predictions, labels)
        found, nothing = {**labels.c, **predictions.c}, self._sa.null()
        return [found.get(name, nothing.label(name)) for name in names]

    def _given(self, predictions: Any, labels: Any) -> tuple[Any, Any]:
        return (
            self.predictions if predictions is None else predictions,
            self.labels if labels is None else labels,
        )

    def _key(self) -> list[Any]:
        return [self._sa.Column(name, self._sa.Text, primary_key=True) for name in KEY]

    def _label(self, *, nullable: bool) -> list[Any]:
        kit = self._sa
        return [
            kit.Column("label", kit.Text, nullable=nullable),
            kit.Column("number", kit.Double()),
            kit.Column("labeled_at", kit.Double(), nullable=nullable),
        ]

    def _labels(self) -> sa.Table:
        table: sa.Table = self._sa.Table(
            LABELS,
            self._metadata,
            *self._key(),
            *self._label(nullable=False),
            self._sa.Index("otel_ml_labels_labeled_at", "model", "labeled_at"),
            sqlite_with_rowid=False,
        )
        return table

    def _waiting(self) -> sa.Table:
        kit = self._sa
        table: sa.Table = kit.Table(
            "otel_ml_waiting_labels",
            self._metadata,
            kit.Column("id", kit.Text, primary_key=True),
            kit.Column("label", kit.Text, nullable=False),
            kit.Column("number", kit.Double()),
            kit.Column("labeled_at", kit.Double(), nullable=False),
            kit.Column("model", kit.Text, primary_key=True),
            kit.Column("label_key", kit.Text, primary_key=True),
        )
        return table

    def _former_labels(self) -> sa.Subquery:
        columns = self.predictions.c
        query = self._sa.select(*(columns[name] for name in (*KEY, *LABEL_COLUMNS)))
        labels: sa.Subquery = query.where(columns.label.is_not(None)).subquery("labels")
        return labels

    def _predictions(self, more: list[Any]) -> sa.Table:
        kit = self._sa
        number = kit.Double()
        later = (
            kit.Column("classes", kit.Text),
            kit.Column("repeated", kit.Integer, nullable=False, server_default="0"),
            kit.Column("probabilities", kit.LargeBinary),
            kit.Column("segments", kit.Text),
        )
        table: sa.Table = kit.Table(
            PREDICTIONS,
            self._metadata,
            *self._key(),
            kit.Column("task", kit.Text, nullable=False),
            kit.Column("positive", kit.Text),
            kit.Column("predicted_at", number, nullable=False),
            kit.Column("predicted", kit.Text),
            kit.Column("value", number),
            kit.Column("score", number),
            kit.Column("trace_id", kit.Text, nullable=False),
            kit.Column("span_id", kit.Text, nullable=False),
            kit.Column("sampled", kit.Boolean, nullable=False),
            *more,
            *(column for column in later if column.name not in self._missing),
            kit.Index("otel_ml_predictions_predicted_at", "model", "predicted_at"),
        )
        return table


def label_key(label: str) -> str:
    """Returns what a label is known by in the table of waiting ones."""
    return label if len(label) <= LABEL_KEY_LENGTH else digest(label)
