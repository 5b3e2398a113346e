"""What becomes of a round of sampling, and of each stall between two: where everything known of a worker meets."""
