"""One module a page: what it reads, and the template that shows it."""
