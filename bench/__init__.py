"""Measurements of drybeans beside what people would build or write instead; see README.md."""
