"""Scripts that are written beside an exported file; they import nothing of Neocog."""
