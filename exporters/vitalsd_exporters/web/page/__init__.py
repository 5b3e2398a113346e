"""The page of the control port: its files as they are in the package, and the stream that it lives on."""
