"""What binds a model to the running telemetry: instruments, limits and counts that all of its handles share."""
