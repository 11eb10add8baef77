"""What the engine and the stand-alone sampler share to export OTLP: client, answers, retry rule, log lines, ledger."""
