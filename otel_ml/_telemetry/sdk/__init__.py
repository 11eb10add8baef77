"""What we build from the OpenTelemetry SDK or wrap around it: providers, processors, samplers and ids."""
