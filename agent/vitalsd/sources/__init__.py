"""Ways of reading a worker from outside, one file each; every file here registers itself."""
