"""What all have in common that push: who is asked how, one message at a time, and nobody waits for them."""
