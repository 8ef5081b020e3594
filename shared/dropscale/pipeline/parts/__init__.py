"""What the use cases are made of: steps they share, and the ports to the world."""
