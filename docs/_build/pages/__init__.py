"""One module for each page of the reference; each has `page()`, which returns its Markdown."""
