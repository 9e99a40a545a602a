"""Pictures cleaned, translated, edited and swapped."""
