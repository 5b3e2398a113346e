"""The way out to whatever takes OTLP: the metrics of the Prometheus port, pushed to one collector."""
