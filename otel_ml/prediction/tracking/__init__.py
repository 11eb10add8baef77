"""The decorator: which arguments are the features, one wrapper for each kind of function, and streams."""
