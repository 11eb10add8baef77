"""Live performance as counts that can be merged: what a first label adds to the metrics of its model."""
