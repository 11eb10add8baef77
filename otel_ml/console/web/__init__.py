"""What a browser sees: the JSON API, the pages, their parameters, templates and static files."""
