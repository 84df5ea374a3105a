"""The command line, made from the API descriptors when it runs."""
