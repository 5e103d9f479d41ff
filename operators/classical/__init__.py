"""Classical reconstructions, without any model of images."""
