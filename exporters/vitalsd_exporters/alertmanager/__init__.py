"""The way out to Alertmanager: incidents pushed as alerts, where nobody evaluates rules."""
