"""What is served over HTTP: health, the control API and its page, and the listeners under them."""

from vitalsd.frontdoors import leave_unrun

leave_unrun("uvicorn")
