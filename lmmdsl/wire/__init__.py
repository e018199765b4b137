"""What leaves or enters as JSON: one pydantic model per document."""
