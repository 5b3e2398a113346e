"""What is made of a CPU profile: folded stacks in; a flame graph, a speedscope file and the top functions out."""
