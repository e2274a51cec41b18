"""The OpenAPI document, built from the routes and from the types that check and write."""
