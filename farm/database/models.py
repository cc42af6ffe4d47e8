"""The tables. Times are seconds since the epoch by the coordinator's clock; JSON columns hold parts of messages."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from farm.domain.lifecycle import AttemptStatus, ChunkStatus, Kind
from farm.domain.stages import JobStatus

# SQLite can only drop named constraints, and both databases then use the same names
_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own spelling
        dict[str, Any]: JSON,
        list[str]: JSON,
        int: BigInteger,
        float: Double,
        str: String,
    }


_FAILED = text("cause IS NOT NULL")


def _serial() -> Mapped[int]:
    # SQLite assigns ids only to a column of exactly the type INTEGER
    return mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


class Job(Base):
    """One submitted video and its options. ``interrupted``: the status that resume and retry go back to.

    ``encoder``: FFmpeg's name of the encoder that its segments need. ``open_chunks``: how many chunks of the current
    stage are not done; the transition that completes a chunk decrements it. ``permanent``: it failed, and would fail
    again in the same way. ``source_size``: of the file, in bytes. ``found``: :class:`farm.domain.found.Found` as JSON,
    once the job was linked. ``plan``: the key of the copy of its :class:`Plan` in the store.
    ``repairs``: how often what it had written was damaged or missing, and made again. ``review``: a person has to
    approve its masks; ``approved``: the number of the last edit that a person let into them, -1 where nobody has to;
    ``masked``: of the last edit that its masks contain; ``unmatched``: the numbers of edits whose track was not found.
    ``published``: the SHA-256 of the video that it published last. ``audit``: how its output is looked at before it is
    published, :meth:`farm.domain.residuals.Audit.request`, and ``strict``: not published while it shows a face;
    ``audited``: what the last audit found, see :mod:`farm.jobs.auditing`. ``main``: the job that this is a companion
    of: it redacts the video or the cover ``stream`` of the same source, see :mod:`farm.jobs.companions`.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(default=JobStatus.PLANNING.value, index=True)
    interrupted: Mapped[str | None]
    reason: Mapped[str | None]
    source: Mapped[str]
    output: Mapped[str]
    overwrite: Mapped[bool] = mapped_column(default=False)
    container: Mapped[str]
    options: Mapped[dict[str, Any]]
    plan: Mapped[str]
    model_sha256: Mapped[str]
    frames: Mapped[int]
    seconds: Mapped[float]
    created_at: Mapped[float]
    finished_at: Mapped[float | None]
    encoder: Mapped[str] = mapped_column(default="", server_default="")
    open_chunks: Mapped[int] = mapped_column(default=0, server_default="0")
    permanent: Mapped[bool] = mapped_column(default=False, server_default=false())
    source_size: Mapped[int | None]
    found: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    repairs: Mapped[int] = mapped_column(default=0, server_default="0")
    review: Mapped[bool] = mapped_column(default=False, server_default=false())
    approved: Mapped[int] = mapped_column(default=-1, server_default="-1")
    masked: Mapped[int] = mapped_column(default=0, server_default="0")
    unmatched: Mapped[list[int]] = mapped_column(JSON, default=list, server_default="[]")
    published: Mapped[str | None]
    audit: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    strict: Mapped[bool] = mapped_column(default=False, server_default=false())
    audited: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    main: Mapped[str | None] = mapped_column(index=True)
    stream: Mapped[int | None]


class Plan(Base):
    """The plan of a job. Not a column of the job: SQLite writes all of a row whenever one of its columns changes."""

    __tablename__ = "plans"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    manifest: Mapped[str] = mapped_column(Text)


class Edit(Base):
    """An edit of a job's masks, never changed and never deleted. ``number``: from 1, in the order of their coming.

    ``body``: :meth:`farm.domain.edits.Edit.body`.
    """

    __tablename__ = "edits"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[int] = _serial()
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    number: Mapped[int]
    at: Mapped[float]
    author: Mapped[str]
    reason: Mapped[str]
    body: Mapped[dict[str, Any]]


class Chunk(Base):
    """One chunk in one stage, or one errand, with the artefact that was accepted for it, and the ``name`` of that.

    ``request``: what is to be done beside what the job's options say.
    """

    __tablename__ = "chunks"
    __table_args__ = (UniqueConstraint("job_id", "stage", "index"), Index("ix_chunks_status_id", "status", "id"))

    id: Mapped[int] = _serial()
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    stage: Mapped[str]
    index: Mapped[int]
    frames: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(default="", server_default="", index=True)
    inputs: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    request: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    status: Mapped[str] = mapped_column(default=ChunkStatus.PENDING.value)
    not_before: Mapped[float] = mapped_column(default=0.0)
    artefact: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    reused: Mapped[bool] = mapped_column(default=False)
    spent: Mapped[dict[str, Any]] = mapped_column(default=dict)

    job: Mapped[Job] = relationship()
    attempts: Mapped[list["Attempt"]] = relationship(back_populates="chunk", order_by="Attempt.id")


class Attempt(Base):
    """One try at one chunk. ``token`` identifies it in every message; ``cause``: what a failure is attributed to,
    ``task``, ``infrastructure`` or ``farm`` (see :class:`farm.domain.lifecycle.RetryLimits`). ``death``: how its
    process ended amid its frames (see :class:`farm.domain.lifecycle.DeathKind`); then ``frames`` says where.
    """

    __tablename__ = "attempts"
    # every dispatch asks which attempts failed
    __table_args__ = (Index("ix_attempts_cause", "cause", sqlite_where=_FAILED, postgresql_where=_FAILED),)

    id: Mapped[int] = _serial()
    chunk_id: Mapped[int] = mapped_column(ForeignKey("chunks.id"), index=True)
    number: Mapped[int]
    token: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default=AttemptStatus.QUEUED.value, index=True)
    worker: Mapped[str | None]
    cause: Mapped[str | None]
    reason: Mapped[str | None]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    lease_until: Mapped[float]
    frames: Mapped[int] = mapped_column(default=0)
    moved_at: Mapped[float]
    finished_at: Mapped[float | None]
    reset: Mapped[bool] = mapped_column(default=False)
    death: Mapped[str | None]

    chunk: Mapped[Chunk] = relationship(back_populates="attempts")


class Worker(Base):
    """A consuming process, as it reported itself. ``encoders``: those it has opened; ``runtimes``: of detectors.

    ``draining``: it stops after its chunk. ``held``: what a person asked for, ``drain`` or ``block``, until unblocked;
    with who, when and why.
    """

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    incarnation: Mapped[str]
    host: Mapped[str]
    device: Mapped[str]
    pid: Mapped[int]
    alive: Mapped[bool] = mapped_column(default=True)
    started_at: Mapped[float]
    seen_at: Mapped[float]
    encoders: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    runtimes: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    draining: Mapped[bool] = mapped_column(default=False, server_default=false())
    held: Mapped[str | None]
    held_by: Mapped[str | None]
    held_at: Mapped[float | None]
    held_why: Mapped[str | None]

    @property
    def takes_orders(self) -> bool:
        """Whether it is to be given orders."""
        return self.alive and not self.draining and self.held is None


class Leader(Base):
    """The coordinator that leads. ``beat`` grows with each heartbeat, so that no clocks have to be compared."""

    __tablename__ = "leaders"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(default="")
    host: Mapped[str] = mapped_column(default="")
    pid: Mapped[int] = mapped_column(default=0)
    beat: Mapped[int] = mapped_column(default=0)
    seen_at: Mapped[float] = mapped_column(default=0.0)


class Identity(Base):
    """The database's own name, in its only row. A store records which databases use it."""

    __tablename__ = "identity"

    name: Mapped[str] = mapped_column(primary_key=True)


class Note(Base):
    """What the user should know of a job, one line each, in the order of ``id``."""

    __tablename__ = "notes"
    __table_args__ = (UniqueConstraint("job_id", "text"),)

    id: Mapped[int] = _serial()
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    text: Mapped[str]


class Event(Base):
    """What happened, in the order of ``id``. ``kind``: what changed its status (:class:`farm.domain.lifecycle.Kind`).

    ``before`` and ``after``: the status, where one changed. ``chunk``: its index in ``stage``; None where the event is
    about the whole job or about a worker. ``attempt``: its number. ``text``: the reason, for people; may be empty.
    """

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_job_id_chunk", "job_id", "chunk"),)

    id: Mapped[int] = _serial()
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    at: Mapped[float]
    text: Mapped[str]
    kind: Mapped[str] = mapped_column(default=Kind.NOTE.value, server_default=Kind.NOTE.value)
    stage: Mapped[str | None]
    chunk: Mapped[int | None]
    attempt: Mapped[int | None]
    worker: Mapped[str | None]
    before: Mapped[str | None]
    after: Mapped[str | None]


class Outgoing(Base):
    """The outbox: an order to be published after the commit of the transaction that wrote it."""

    __tablename__ = "outbox"

    id: Mapped[int] = _serial()
    token: Mapped[str]
    queue: Mapped[str]
    body: Mapped[dict[str, Any]]
