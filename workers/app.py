"""The Celery application of a worker process: ``celery -A workers.app worker``, started by :mod:`workers.process`."""

import workers.signals  # noqa: F401 - connects the handlers
from farm.broker import celery_app
from farm.settings import load_settings

app = celery_app(load_settings())
app.conf.imports = ("workers.tasks",)
