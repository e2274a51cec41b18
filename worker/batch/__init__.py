"""Run one message: claim, predict, commit."""
