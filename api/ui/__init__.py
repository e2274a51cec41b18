"""The pages: templates, static files and their view models."""
