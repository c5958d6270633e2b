"""What client, worker and scheduler share about OpenTelemetry.

`semconv` has the names. Everything else here imports `opentelemetry`, and is
itself imported only where there is an SDK to talk to.
"""
