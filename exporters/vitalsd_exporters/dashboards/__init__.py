"""
Dashboards of Grafana for our metrics, as data: which questions, which queries, and what a reader should
know of each.

`python -m vitalsd_exporters.dashboards` writes them as files; the agent does not import any of this.
"""
