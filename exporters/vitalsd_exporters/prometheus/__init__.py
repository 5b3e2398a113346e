"""The way out to Prometheus: what is measured, as text on a port that is open like any exporter's."""

from vitalsd.frontdoors import leave_unrun

leave_unrun("prometheus_client")
