"""The Celery application of a worker process: ``celery -A workers.app worker``, started by :mod:`workers.process`."""

import workers.signals  # noqa: F401 - connects the handlers
from farm.broker import celery_app
from farm.messages import queue_of
from farm.settings import load_settings
from workers import identity

app = celery_app(load_settings(), queue=queue_of(identity.name()))
app.conf.imports = ("workers.tasks",)
