"""What only a console that others can reach needs: its token, the login of a browser, and a prefix behind a proxy."""
