"""SQLite files of an agent, and the thread that each is written by: what incidents and history have in common."""
