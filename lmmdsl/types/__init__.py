"""Types of the values that flow through a model."""
