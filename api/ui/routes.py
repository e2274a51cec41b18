"""Routes of the HTML pages. Their scripts fetch jobs from the API."""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, render_template, request

from api.bootstrap import Services
from api.ui import view_models as pages
from shared.domain.errors import ModelUnknown
from shared.domain.jobs import JobState
from shared.models.manifest import Manifest

_MIN_INTEGER: Final = 1000


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of / and /ui, HTML pages that require no API key."""
    routes = Blueprint("home", __name__)

    def manifests() -> list[Manifest]:
        return list(services.catalog().all())

    @routes.get("/")
    def home() -> str:
        name = request.args.get("model", services.settings.default_model)
        model = services.catalog.resolve(name)
        return render_template("home.html", model=model, models=manifests())

    @routes.get("/ui/jobs")
    def jobs() -> str:
        return render_template("jobs.html", states=list(JobState), models=manifests())

    @routes.get("/ui/jobs/<job_id>")
    def job(job_id: str) -> str:
        return render_template("job.html", job_id=job_id)

    @routes.get("/ui/models")
    def models() -> str:
        names = sorted({model.name for model in manifests()})
        families = [[model for model in manifests() if model.name == name] for name in names]
        default = services.catalog.resolve(services.settings.default_model)
        return render_template("models.html", families=families, default=default, pages=pages)

    @routes.get("/ui/models/<name>/<version>")
    def model(name: str, version: str) -> str:
        found = services.catalog.resolve(f"{name}@{version}")
        return render_template("model.html", model=found, pages=pages)

    routes.add_app_template_filter(_short, "short")
    routes.register_error_handler(ModelUnknown, _model_not_found)
    return routes


def _short(number: float) -> str:
    """Format a number with four significant digits, from 1000 on as an integer."""
    return f"{number:,.0f}" if abs(number) >= _MIN_INTEGER else f"{number:.4g}"


def _model_not_found(error: ModelUnknown) -> tuple[str, HTTPStatus]:
    return render_template("missing.html", detail=error.detail), HTTPStatus.NOT_FOUND
