"""
`vitalsd top`: workers and incidents on a terminal, as they change.

A thread reads the agent's stream, `Picture` keeps what it says, and the screens draw what of it is in view.
Nothing that waits for the network runs in the loop that draws. Only `cli.top` imports this: textual is large.
"""
