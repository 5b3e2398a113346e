"""The configuration: its model, how it is loaded from every side, and how it is shown and described."""
