"""Exact figures of labelled predictions, by task; equal to those of scikit-learn, and None where undefined."""
