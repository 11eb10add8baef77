"""Everything in the engine that knows what an HTTP request is: cells, points and server spans."""
