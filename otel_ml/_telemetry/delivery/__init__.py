"""Bytes on their way to the first hop: senders, transports, answers, spool, replay and the ledger."""
