"""What the pages of one record draw: spans over time, exceptions, features beside their training distribution."""
