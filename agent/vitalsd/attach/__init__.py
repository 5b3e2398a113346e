"""
Brings the Node probe into a service that runs already: Node's inspector is opened by SIGUSR1, told to load the
probe, and closed again at once.

Only a person asks for it (`vitalsd probe attach`), and the daemon imports nothing of it. `facts` looks, `refusal`
decides, `attaching` acts, and nothing is sent to a process before it has been looked at.
"""
