"""Why `make up` cannot go on."""


class LaunchFailed(Exception):
    """A sentence for the person who typed `make up`; no client ever sees it."""
