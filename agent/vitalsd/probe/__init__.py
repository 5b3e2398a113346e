"""The probe: our code inside other people's processes, and how it gets there."""
