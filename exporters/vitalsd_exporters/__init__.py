"""Ways out: Prometheus, health, API."""
