"""Use cases of the API: submit, read, cancel, export. No Flask."""
