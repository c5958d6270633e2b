"""Its settings. The tests of another process than the worker override TASKS."""

from __future__ import annotations

import os

import django

SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "support.django_site.urls"
INSTALLED_APPS = [
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "fluxqueue.django",
    "support.django_site.parcels",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    alias: {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{os.environ['DJANGO_SITE_FOLDER']}/{alias}.sqlite3",
        # An open connection would be kept, if nothing closed it.
        "CONN_MAX_AGE": 0,
    }
    for alias in ("default", "other")
}
BACKEND = "fluxqueue.django.FluxQueueBackend"
QUEUES = ["default", "mails", "nobody"]
PARCELS = "support.django_site.parcels.tasks"
TASK_OPTIONS = {
    f"{PARCELS}.{name}": {"max_retries": 2, "retry_delay": 0.05, "jitter": False}
    for name in ("fail_at_first", "fail_at_first_async", "fail", "fail_async")
}
TASKS = {
    "default": {
        "BACKEND": BACKEND,
        "QUEUES": QUEUES,
        "OPTIONS": {"TASK_OPTIONS": TASK_OPTIONS},
    }
}
LOGGING_CONFIG = None
