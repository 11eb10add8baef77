"""The engine: providers, readers, processors, senders and the ledger; the only room that knows the OTel SDK."""
