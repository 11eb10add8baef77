"""What pages draw: tables whose rows and columns a script turns into charts."""
