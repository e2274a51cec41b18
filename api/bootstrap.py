"""The parts the routes use, wired from the settings; tests wire others."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import uuid_utils

from api.background.admission import Backlog, WaterMarks
from api.background.batch_loader import Together
from api.background.group_commit import Intake, IntakeLimits
from api.background.instrumentation import (
    counted_publish,
    counted_store,
    traced_accept,
    traced_publish,
)
from api.background.long_polling import Waiter
from api.background.notification_listener import Listener
from api.background.publisher import Publisher
from api.background.state_collector import Standing
from api.http.auth import Access, KeyAccess, OpenAccess
from api.http.decompression import BodyLimits
from api.http.stream_limit import StreamLimit
from api.jobs.csv_chunker import CutLimits
from api.jobs.manifest_store import ManifestStore
from api.jobs.model_catalog import LiveCatalog
from api.jobs.model_readiness import ModelReadiness
from api.jobs.submit_csv import CsvLimits, ReceiveCsv
from api.jobs.submit_rows import SubmitJob, SubmitLimits
from api.jobs.upload_repository import DatabaseUploads
from api.jobs.validate_only import ValidateCsv, ValidateRows
from api.schemas.job_options import ReadOptions
from api.schemas.webhook_option import ReadWebhook
from shared.broker.client import MessageQueue
from shared.broker.heartbeats import HeartbeatStore, HeartbeatThread, ProcessHeartbeat, ProcessKind
from shared.broker.notifications import News
from shared.db.clock import DatabaseClock, database_clock
from shared.db.engine import Database, open_database
from shared.db.jobs.submit import store_group
from shared.db.queries.jobs import read_jobs
from shared.db.queries.listing import backlog, running_rows, versions
from shared.db.queries.results import StoredResult, WholeJob, read_whole_jobs, read_whole_results
from shared.db.webhooks import read_due
from shared.domain.jobs import Job, JobId
from shared.observability.metrics import ApiMetrics
from shared.observability.tracing import Traces, open_traces
from shared.settings import Settings

MOST_INLINE: Final = 1000
"""The most rows whose results are told with their job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything the routes need."""

    settings: Settings
    database: Database
    clock: DatabaseClock
    queue: MessageQueue
    catalog: LiveCatalog
    manifests: ManifestStore
    intake: Intake
    publisher: Publisher
    waiter: Waiter
    listener: Listener
    heartbeat: HeartbeatThread
    model_ready: ModelReadiness
    look_up: Together[JobId, Job]
    results_of: Together[JobId, list[StoredResult]]
    look_up_whole: Together[JobId, WholeJob]
    downloads: StreamLimit
    event_streams: StreamLimit
    backlog: Backlog
    standing: Standing
    metrics: ApiMetrics
    traces: Traces
    access: Access
    submit: SubmitJob
    receive: ReceiveCsv
    validate_rows: ValidateRows
    validate_csv: ValidateCsv

    @property
    def body_limits(self) -> BodyLimits:
        """How large the body of a CSV may be."""
        settings = self.settings
        return BodyLimits(bytes=settings.max_upload_bytes, ratio=settings.max_compression_ratio)

    def start(self) -> None:
        """Start the threads: after the server has forked."""
        self.publisher.start()
        self.intake.start()
        self.waiter.start()
        self.listener.start()
        self.heartbeat.start()

    def stop(self) -> None:
        """Store what was taken in, publish it, and close."""
        self.heartbeat.stop()
        self.listener.stop()
        self.intake.close()
        self.publisher.close()
        self.database.close()
        self.traces.close()


def new_job_id(moment: datetime) -> JobId:
    """Return a UUIDv7 of `moment`: ids sort by time, so the newest jobs lie together on disk."""
    return JobId(str(uuid_utils.uuid7(nanoseconds=int(moment.timestamp() * 1e6) * 1000)))


def build_services(settings: Settings) -> Services:
    """Wire the real parts; connections open at first use."""
    database = _database(settings)
    clock = database_clock(database)
    queue = MessageQueue(settings.redis_url.get_secret_value(), settings.message_limits)
    metrics = ApiMetrics()
    traces = open_traces(settings, "drybeans-api")
    publisher = Publisher(traced_publish(counted_publish(queue.publish, metrics), traces))
    intake = _intake(settings, database, publisher, metrics)
    accept = traced_accept(intake.submit, traces)
    catalog = LiveCatalog(settings.model_root)
    manifests = ManifestStore(database, catalog)
    read_options = _read_options(settings, catalog)
    marks = WaterMarks(high=settings.high_water_rows, low=settings.low_water_rows)
    waiting = Backlog(lambda: database.read(backlog), marks)
    waiter = Waiter(lambda ids: database.read(lambda c: versions(c, ids)))
    return Services(
        settings=settings,
        database=database,
        clock=clock,
        queue=queue,
        catalog=catalog,
        manifests=manifests,
        intake=intake,
        publisher=publisher,
        look_up=Together(lambda ids: database.read(lambda c: read_jobs(c, ids))),
        results_of=Together(lambda ids: database.read(lambda c: read_whole_results(c, ids))),
        look_up_whole=Together(
            lambda ids: database.read(lambda c: read_whole_jobs(c, ids, most=MOST_INLINE))
        ),
        waiter=waiter,
        listener=Listener(News(settings.redis_url.get_secret_value()).listen, waiter),
        heartbeat=_heartbeat(settings),
        model_ready=ModelReadiness(HeartbeatStore(settings.redis_url.get_secret_value()).read),
        access=KeyAccess(database) if settings.api_keys else OpenAccess(),
        downloads=StreamLimit(settings.max_downloads),
        event_streams=StreamLimit(settings.max_event_streams),
        backlog=waiting,
        metrics=metrics,
        traces=traces,
        standing=_standing(settings, database, queue, waiting, catalog),
        validate_rows=ValidateRows(read_options=read_options, instances=settings.max_instances),
        validate_csv=ValidateCsv(read_options=read_options, cut=_cut_limits(settings)),
        submit=SubmitJob(
            read_options=read_options,
            accept=accept,
            limits=_submit_limits(settings),
            now=clock,
            new_id=lambda: new_job_id(clock()),
            store_manifest=manifests.store,
        ),
        receive=ReceiveCsv(
            read_options=read_options,
            accept=accept,
            store=_uploads(settings, database, publisher, traces),
            limits=_csv_limits(settings),
            now=clock,
            new_id=lambda: new_job_id(clock()),
            store_manifest=manifests.store,
        ),
    )


def _heartbeat(settings: Settings) -> HeartbeatThread:
    store = HeartbeatStore(settings.redis_url.get_secret_value())
    return HeartbeatThread(ProcessHeartbeat(kind=ProcessKind.API, store=store))


def _database(settings: Settings) -> Database:
    return open_database(
        settings.database_url.get_secret_value(),
        connections=settings.api_connections,
        answer_seconds=settings.database_answer_seconds,
    )


def _uploads(
    settings: Settings, database: Database, publisher: Publisher, traces: Traces
) -> DatabaseUploads:
    return DatabaseUploads(
        database=database,
        publish=publisher.offer,
        outbox=settings.outbox,
        patience=timedelta(seconds=settings.upload_patience_seconds),
        traces=traces,
    )


def _read_options(settings: Settings, catalog: LiveCatalog) -> ReadOptions:
    read_webhook = ReadWebhook(
        enabled=bool(settings.webhook_masters), allowed=settings.webhook_allowed
    )
    return ReadOptions(
        resolve=catalog.resolve,
        default_model=settings.default_model,
        longest=settings.retention,
        read_webhook=read_webhook,
    )


def _standing(
    settings: Settings,
    database: Database,
    queue: MessageQueue,
    waiting: Backlog,
    catalog: LiveCatalog,
) -> Standing:
    heartbeats = HeartbeatStore(settings.redis_url.get_secret_value())
    return Standing(
        ping_database=database.ping,
        ping_redis=queue.ping,
        backlog=waiting.look,
        running=lambda: database.read(running_rows),
        webhooks=lambda: database.read(read_due),
        messages=queue.waiting,
        heartbeats=heartbeats.read,
        now=database_clock(database),
        catalog=catalog,
    )


def _intake(
    settings: Settings, database: Database, publisher: Publisher, metrics: ApiMetrics
) -> Intake:
    limits = IntakeLimits(
        jobs=settings.intake_jobs,
        bytes=settings.intake_bytes,
        group=settings.group_jobs,
        seconds=settings.database_answer_seconds,
    )
    return Intake(
        counted_store(lambda group: store_group(database, group, settings.outbox), metrics),
        publisher.offer,
        limits,
    )


def _submit_limits(settings: Settings) -> SubmitLimits:
    return SubmitLimits(
        instances=settings.max_instances,
        chunk_rows=settings.chunk_rows,
        interactive_rows=settings.interactive_max_rows,
        deadline=settings.deadline,
    )


def _cut_limits(settings: Settings) -> CutLimits:
    return CutLimits(
        piece_bytes=settings.chunk_bytes,
        line_bytes=settings.max_line_bytes,
        max_rows=settings.max_job_rows,
    )


def _csv_limits(settings: Settings) -> CsvLimits:
    return CsvLimits(
        cut=_cut_limits(settings),
        interactive_rows=settings.interactive_max_rows,
        deadline=settings.deadline,
    )
