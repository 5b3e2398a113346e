"""The life of a finding: opened, repeated, resolved, told in a sentence, and kept over restarts of the agent."""
