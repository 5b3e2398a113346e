"""What is served over HTTP: health, the control API and its page, and the listeners under them."""
