"""OpenTelemetry code that client, worker and scheduler share.

`semconv` has the names. Everything else here imports `opentelemetry`, and is itself
imported only if there is an SDK.
"""
