"""The performance of a model on a data set, from counts and sums that add up over its parts."""
