"""Load and verify model artifacts."""
