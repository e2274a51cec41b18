"""The rules of jobs, chunks and rows, in plain values: imports the standard library only."""
