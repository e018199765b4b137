"""The primitive operations, one class each. Modules are listed by hand; there is no scanning."""
