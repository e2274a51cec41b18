"""Kernel matrices as blocked matrix products."""
