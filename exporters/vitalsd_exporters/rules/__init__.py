"""
The rules of Prometheus for our metrics, as data: what it records, what it alerts on, and at which thresholds.

`python -m vitalsd_exporters.rules` writes them as files; the agent does not import any of this.
"""
