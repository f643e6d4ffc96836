"""From a run to what people look at."""
