"""Bounded approximations that settle most rows."""
