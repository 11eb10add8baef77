"""Rule files that follow from one file of limits and objectives, `deploy/prometheus/thresholds.yaml`."""
