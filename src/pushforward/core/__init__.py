"""The seven interfaces and the types they share. Imports nothing of the house above."""
