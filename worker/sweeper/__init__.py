"""The sweeper: recover orphaned work, enforce deadlines, prune."""
