"""Brings encoded records to the first hop: senders, delivery, transports, spool and replay."""
