"""What commands read of a console."""
