"""Sends what the OpenAPI document allows, and what it does not, and holds every answer to it."""
