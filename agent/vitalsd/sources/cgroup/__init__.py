"""Control groups, version 2 and version 1: which one a process is in, and what its accounts say."""
