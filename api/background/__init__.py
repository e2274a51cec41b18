"""Threads that the API starts at boot, and what they share."""
