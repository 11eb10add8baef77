"""Readings of NVIDIA GPUs through NVML, and of GPU memory through the frameworks' own allocators."""
