"""Arrays and numbers as images, charts, text and HTML pages; knows no run and no network."""
