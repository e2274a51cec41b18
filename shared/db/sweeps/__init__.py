"""Statements of the sweeper: recover, reconcile and prune."""
