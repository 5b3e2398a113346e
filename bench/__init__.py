"""Every figure the README quotes, one file and one command each: `python -m bench` lists them."""
