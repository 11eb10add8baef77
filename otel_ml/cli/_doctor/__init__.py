"""What `otel-ml doctor` looks at beside the back end."""
