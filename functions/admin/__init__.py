"""Console and operator actions: JSON in, JSON out."""
