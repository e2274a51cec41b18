"""The pages for people: HTML of what manifests say; they fetch jobs from the API themselves."""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, render_template, request

from api.bootstrap import Services
from api.ui import view_models as pages
from shared.domain.errors import ModelUnknown
from shared.domain.jobs import JobState
from shared.models.manifest import Manifest

_WHOLE: Final = 1000


def blueprint(services: Services) -> Blueprint:
    """Make GET / and what lies under /ui: all are HTML, and need no key."""
    routes = Blueprint("home", __name__)

    def every() -> list[Manifest]:
        return list(services.catalog().all())

    @routes.get("/")
    def home() -> str:
        name = request.args.get("model", services.settings.default_model)
        model = services.catalog.resolve(name)
        return render_template("home.html", model=model, models=every())

    @routes.get("/ui/jobs")
    def jobs() -> str:
        return render_template("jobs.html", states=list(JobState), models=every())

    @routes.get("/ui/jobs/<job_id>")
    def job(job_id: str) -> str:
        return render_template("job.html", job_id=job_id)

    @routes.get("/ui/models")
    def models() -> str:
        names = sorted({model.name for model in every()})
        families = [[model for model in every() if model.name == name] for name in names]
        default = services.catalog.resolve(services.settings.default_model)
        return render_template("models.html", families=families, default=default, pages=pages)

    @routes.get("/ui/models/<name>/<version>")
    def model(name: str, version: str) -> str:
        found = services.catalog.resolve(f"{name}@{version}")
        return render_template("model.html", model=found, pages=pages)

    routes.add_app_template_filter(_short, "short")
    routes.register_error_handler(ModelUnknown, _missing)
    return routes


def _short(number: float) -> str:
    """Write a number in four digits, and one that is longer before its point as a whole."""
    return f"{number:,.0f}" if abs(number) >= _WHOLE else f"{number:.4g}"


def _missing(error: ModelUnknown) -> tuple[str, HTTPStatus]:
    return render_template("missing.html", detail=error.detail), HTTPStatus.NOT_FOUND
