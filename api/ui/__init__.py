"""The web pages: routes, templates, static files and view models."""
