"""User data at the boundary: features and results become plain bounded values, or are refused."""
