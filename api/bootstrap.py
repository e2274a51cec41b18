"""The composition root: build the services that the routes use from the settings."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import uuid_utils

from api.background.admission import AdmissionControl, AdmissionLimits
from api.background.batch_loader import BatchLoader
from api.background.group_commit import GroupCommitLimits, GroupCommitWriter
from api.background.instrumentation import (
    count_commits,
    count_publications,
    trace_commits,
    trace_publications,
)
from api.background.long_polling import JobWatcher
from api.background.notification_listener import NotificationSubscriber
from api.background.publisher import Publisher
from api.background.state_collector import StateCollector
from api.http.auth import AnonymousAuthenticator, Authenticator, KeyAuthenticator
from api.http.decompression import BodyLimits
from api.http.rate_limit import RateLimiter
from api.http.stream_limit import StreamLimit
from api.jobs.csv_chunker import ChunkLimits
from api.jobs.manifest_store import ManifestStore
from api.jobs.model_catalog import ModelCatalog
from api.jobs.model_readiness import ModelReadiness
from api.jobs.submit_csv import CsvLimits, SubmitCsv
from api.jobs.submit_rows import SubmitLimits, SubmitRows
from api.jobs.upload_repository import DatabaseUploadRepository
from api.jobs.validate_only import ValidateCsv, ValidateRows
from api.schemas.job_options import ReadOptions
from api.schemas.webhook_option import ReadWebhook
from shared.broker.client import MessageQueue
from shared.broker.heartbeats import HeartbeatStore, HeartbeatThread, ProcessHeartbeat, ProcessKind
from shared.broker.notifications import NotificationChannel
from shared.db.clock import DatabaseClock, database_clock
from shared.db.engine import Database, open_database
from shared.db.jobs.submit import store_group
from shared.db.queries.jobs import read_jobs
from shared.db.queries.listing import backlog, running_rows, versions
from shared.db.queries.results import (
    JobWithResults,
    StoredResult,
    read_jobs_with_results,
    read_small_results,
)
from shared.db.webhooks import read_due
from shared.domain.jobs import Job, JobId
from shared.observability.metrics import ApiMetrics
from shared.observability.tracing import Traces, open_traces
from shared.settings import Settings

MAX_INLINE_ROWS: Final = 1000
"""The maximum number of rows whose results are returned with their job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything the routes need."""

    settings: Settings
    database: Database
    clock: DatabaseClock
    queue: MessageQueue
    catalog: ModelCatalog
    manifests: ManifestStore
    group_commit: GroupCommitWriter
    publisher: Publisher
    job_watcher: JobWatcher
    subscriber: NotificationSubscriber
    heartbeat: HeartbeatThread
    model_ready: ModelReadiness
    load_job: BatchLoader[JobId, Job]
    load_results: BatchLoader[JobId, list[StoredResult]]
    load_job_with_results: BatchLoader[JobId, JobWithResults]
    downloads: StreamLimit
    event_streams: StreamLimit
    admission: AdmissionControl
    state_collector: StateCollector
    metrics: ApiMetrics
    traces: Traces
    authenticator: Authenticator
    submit_rows: SubmitRows
    submit_csv: SubmitCsv
    validate_rows: ValidateRows
    validate_csv: ValidateCsv

    @property
    def body_limits(self) -> BodyLimits:
        """The size limits of a CSV body."""
        settings = self.settings
        return BodyLimits(bytes=settings.max_upload_bytes, ratio=settings.max_compression_ratio)

    def start(self) -> None:
        """Start the threads; call it after the server has forked."""
        self.publisher.start()
        self.group_commit.start()
        self.job_watcher.start()
        self.subscriber.start()
        self.heartbeat.start()

    def stop(self) -> None:
        """Commit and publish pending submissions, then close the connections."""
        self.heartbeat.stop()
        self.subscriber.stop()
        self.group_commit.close()
        self.publisher.close()
        self.database.close()
        self.traces.close()


def new_job_id(moment: datetime) -> JobId:
    """Return a UUIDv7 of `moment`: ids sort by time, so the newest jobs are adjacent on disk."""
    return JobId(str(uuid_utils.uuid7(nanoseconds=int(moment.timestamp() * 1e6) * 1000)))


def build_services(settings: Settings) -> Services:
    """Build the services of production; connections open at first use."""
    database = _database(settings)
    clock = database_clock(database)
    queue = MessageQueue(settings.redis_url.get_secret_value(), settings.message_limits)
    metrics = ApiMetrics()
    traces = open_traces(settings, "drybeans-api")
    publisher = Publisher(trace_publications(count_publications(queue.publish, metrics), traces))
    group_commit = _group_commit(settings, database, publisher, metrics)
    accept = trace_commits(group_commit.submit, traces)
    catalog = ModelCatalog(settings.model_root)
    manifests = ManifestStore(database, catalog)
    read_options = _read_options(settings, catalog)
    marks = AdmissionLimits(high=settings.high_water_rows, low=settings.low_water_rows)
    admission = AdmissionControl(lambda: database.read(backlog), marks)
    job_watcher = JobWatcher(lambda ids: database.read(lambda c: versions(c, ids)))
    return Services(
        settings=settings,
        database=database,
        clock=clock,
        queue=queue,
        catalog=catalog,
        manifests=manifests,
        group_commit=group_commit,
        publisher=publisher,
        load_job=BatchLoader(lambda ids: database.read(lambda c: read_jobs(c, ids))),
        load_results=BatchLoader(lambda ids: database.read(lambda c: read_small_results(c, ids))),
        load_job_with_results=BatchLoader(
            lambda ids: database.read(
                lambda c: read_jobs_with_results(c, ids, most=MAX_INLINE_ROWS)
            )
        ),
        job_watcher=job_watcher,
        subscriber=NotificationSubscriber(
            NotificationChannel(settings.redis_url.get_secret_value()).listen, job_watcher
        ),
        heartbeat=_heartbeat(settings),
        model_ready=ModelReadiness(HeartbeatStore(settings.redis_url.get_secret_value()).read),
        authenticator=_authenticator(settings, database),
        downloads=StreamLimit(settings.max_downloads),
        event_streams=StreamLimit(settings.max_event_streams),
        admission=admission,
        metrics=metrics,
        traces=traces,
        state_collector=_state_collector(settings, database, queue, admission, catalog),
        validate_rows=ValidateRows(read_options=read_options, instances=settings.max_instances),
        validate_csv=ValidateCsv(read_options=read_options, chunk_limits=_chunk_limits(settings)),
        submit_rows=SubmitRows(
            read_options=read_options,
            accept=accept,
            limits=_submit_limits(settings),
            now=clock,
            new_id=lambda: new_job_id(clock()),
            store_manifest=manifests.store,
        ),
        submit_csv=SubmitCsv(
            read_options=read_options,
            accept=accept,
            store=_uploads(settings, database, publisher, traces),
            limits=_csv_limits(settings),
            now=clock,
            new_id=lambda: new_job_id(clock()),
            store_manifest=manifests.store,
        ),
    )


def _authenticator(settings: Settings, database: Database) -> Authenticator:
    if not settings.api_keys:
        return AnonymousAuthenticator()
    return KeyAuthenticator(database, RateLimiter(settings.redis_url.get_secret_value()))


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
) -> DatabaseUploadRepository:
    return DatabaseUploadRepository(
        database=database,
        publish=publisher.enqueue,
        dispatch_policy=settings.dispatch_policy,
        idle_timeout=timedelta(seconds=settings.upload_patience_seconds),
        traces=traces,
    )


def _read_options(settings: Settings, catalog: ModelCatalog) -> ReadOptions:
    read_webhook = ReadWebhook(
        enabled=bool(settings.webhook_masters), allowed=settings.webhook_allowed
    )
    return ReadOptions(
        resolve=catalog.resolve,
        default_model=settings.default_model,
        max_retention=settings.retention,
        read_webhook=read_webhook,
    )


def _state_collector(
    settings: Settings,
    database: Database,
    queue: MessageQueue,
    admission: AdmissionControl,
    catalog: ModelCatalog,
) -> StateCollector:
    heartbeats = HeartbeatStore(settings.redis_url.get_secret_value())
    return StateCollector(
        ping_database=database.ping,
        ping_redis=queue.ping,
        backlog=admission.queued_rows,
        running=lambda: database.read(running_rows),
        webhooks=lambda: database.read(read_due),
        messages=queue.queue_length,
        heartbeats=heartbeats.read,
        now=database_clock(database),
        catalog=catalog,
    )


def _group_commit(
    settings: Settings, database: Database, publisher: Publisher, metrics: ApiMetrics
) -> GroupCommitWriter:
    limits = GroupCommitLimits(
        jobs=settings.intake_jobs,
        bytes=settings.intake_bytes,
        group=settings.group_jobs,
        seconds=settings.database_answer_seconds,
    )
    return GroupCommitWriter(
        count_commits(
            lambda group: store_group(database, group, settings.dispatch_policy), metrics
        ),
        publisher.enqueue,
        limits,
    )


def _submit_limits(settings: Settings) -> SubmitLimits:
    return SubmitLimits(
        instances=settings.max_instances,
        chunk_rows=settings.chunk_rows,
        interactive_rows=settings.interactive_max_rows,
        deadline=settings.deadline,
    )


def _chunk_limits(settings: Settings) -> ChunkLimits:
    return ChunkLimits(
        piece_bytes=settings.chunk_bytes,
        line_bytes=settings.max_line_bytes,
        max_rows=settings.max_job_rows,
    )


def _csv_limits(settings: Settings) -> CsvLimits:
    return CsvLimits(
        chunk_limits=_chunk_limits(settings),
        interactive_rows=settings.interactive_max_rows,
        deadline=settings.deadline,
    )
