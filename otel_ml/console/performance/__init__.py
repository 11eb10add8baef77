"""The performance of one model from stored counts: so far, estimated before labels, by segment and by version."""
