"""Strikes the running parts with faults and counts what became of every accepted job."""
