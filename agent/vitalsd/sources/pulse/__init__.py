"""Whether workers show life, looked at each second, apart from the rounds of sampling."""
