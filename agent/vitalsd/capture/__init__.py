"""Evidence that is taken from a running service: engines, and the policy that says what may be taken when."""
