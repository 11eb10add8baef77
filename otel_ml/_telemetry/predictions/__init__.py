"""Everything in the engine that knows what a prediction is: cells, points, record templates and rendering."""
