"""Figures of performance, from pairs or from counts: formulas, bins and intervals that several rooms share."""
