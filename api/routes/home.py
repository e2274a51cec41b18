"""The page at the root."""

from flask import Blueprint, render_template

from api.services import Services


def blueprint(services: Services) -> Blueprint:
    """Make GET /."""
    routes = Blueprint("home", __name__)

    @routes.get("/")
    def home() -> str:
        manifest = services.catalog.resolve(services.settings.default_model)
        return render_template("home.html", model=manifest)

    return routes
