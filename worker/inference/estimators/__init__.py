"""Compile fitted scikit-learn estimators."""
