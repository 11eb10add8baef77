"""User data at the door: features and results become plain bounded values, or are refused."""
