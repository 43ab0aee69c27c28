"""The faces of the library; no logic of their own."""
