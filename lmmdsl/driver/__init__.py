"""What turns a request into products: sources, sessions, settings, outputs and the Python interface."""
