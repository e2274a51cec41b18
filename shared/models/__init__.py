"""Model manifests and the registry of published versions."""
