"""The designs that are compared, each on a database of its own: drybeans and the stock design."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil

from bench.parts import MODELS, Service
from bench.servers import Place
from bench.stock.models import make_tables
from bench.usage import listener
from shared.db.engine import open_database
from shared.db.migrate import upgrade
from tests.servers import free_port


@contextmanager
def drybeans(
    place: Place, *, workers: int = 2, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Return drybeans on `place`, migrated and not yet started."""
    port = free_port()
    with place.database("drybeans") as url:
        database = open_database(url, answer_seconds=60)
        upgrade(database)
        database.close()
        environment = {
            "DRYBEANS_DATABASE_URL": url,
            "DRYBEANS_REDIS_URL": place.redis_url(0),
            "DRYBEANS_MODEL_ROOT": str(MODELS),
            "DRYBEANS_PORT": str(port),
            "DRYBEANS_WORKERS": str(workers),
            "DRYBEANS_LOG_LEVEL": "warning",
        }
        commands = {
            "api": ("-m", "gunicorn", "-c", "api/gunicorn_conf.py", "api.wsgi:app"),
            "worker": ("-m", "worker.main"),
            "sweeper": ("-m", "worker.sweep"),
        }
        with Service(
            name="drybeans",
            folder=place.folder,
            port=port,
            database_url=url,
            environment=environment | dict(settings or {}),
            commands=commands,
        ) as service:
            yield service


@contextmanager
def stock(place: Place, *, workers: int = 2) -> Iterator[Service]:
    """Return the stock design on `place`, not yet started; it has as many API processes as workers.

    Threads suit an API that waits for the database most of the time.
    """
    port = free_port()
    with place.database("stock") as url:
        make_tables(url)
        environment = {
            "STOCK_DATABASE_URL": url,
            "STOCK_REDIS_URL": place.redis_url(1),
            "STOCK_MODEL": str(MODELS),
        }
        listening = ("-b", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "warning")
        threads = ("-w", str(workers), "-k", "gthread", "--threads", "16", "--keep-alive", "75")
        celery = ("-m", "celery", "-A", "bench.stock.tasks", "worker", "-c", str(workers))
        commands = {
            "api": ("-m", "gunicorn", *listening, *threads, "bench.stock.app:create_app()"),
            "worker": (*celery, "--loglevel", "warning"),
        }
        with Service(
            name="stock",
            folder=place.folder,
            port=port,
            database_url=url,
            environment=environment,
            commands=commands,
        ) as service:
            yield service


def server_roots(place: Place) -> dict[str, psutil.Process]:
    """Return the processes of the servers, as far as they run on this machine."""
    roots = {"redis": psutil.Process(place.redis.pid)}
    found = listener(place.database_port) if place.database_port else None
    return roots | ({place.kind: found} if found else {})
