"""What runs inside of a sandbox: sent there as text, so its files import nothing but the standard library."""
