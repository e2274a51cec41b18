"""What HTTP needs and no business logic: authentication, bodies, errors, headers."""
