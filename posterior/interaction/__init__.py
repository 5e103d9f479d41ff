"""What particles do to each other: the forces between them, and the spaces in which they are told apart."""
