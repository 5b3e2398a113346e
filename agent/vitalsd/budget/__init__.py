"""`vitalsd budget`: what a command and its children did to their loops, heaps and errors, held against limits."""
