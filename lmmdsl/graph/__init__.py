"""The checked program: definitions, their parts and their dataflow graphs."""
