"""The tools that an assistant gets: each reads the JSON API of a console."""
