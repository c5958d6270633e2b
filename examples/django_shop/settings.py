"""The settings: Django's own, and TASKS for FluxQueue."""

from __future__ import annotations

import os
from pathlib import Path

import django

FOLDER = Path(__file__).parent

DEBUG = True
SECRET_KEY = "only for this example"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
INSTALLED_APPS = [
    # Django 6 has the framework itself.
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "fluxqueue.django",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.csrf.CsrfViewMiddleware",
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
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", FOLDER / "shop.sqlite3"),
    }
}
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

# The Redis is that of FLUXQUEUE_REDIS_URL.
TASKS = {
    "default": {
        "BACKEND": "fluxqueue.django.FluxQueueBackend",
        "QUEUES": ["default", "mails"],
        "OPTIONS": {
            "ENQUEUE_ON_COMMIT": "default",
            "TASK_OPTIONS": {"shop.tasks.charge": {"max_retries": 5, "retry_delay": 0.2}},
        },
    }
}
