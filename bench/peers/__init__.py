"""Libraries of peers that we are measured beside, and how a service loads each; no dependency of ours."""
