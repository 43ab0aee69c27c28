"""Tests of the house itself: floors, completeness, the book, the verbs, the bench."""
