"""Readings of Linux: host, process, container and pressure, from /proc, /sys and control groups."""
