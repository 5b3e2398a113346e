"""What works here and for that process, what does not, and how to change it: facts, checks of them, a report."""
