"""Statements that move jobs and chunks from one state to the next."""
