"""What one run is: data and backbone opened, examples encoded, trained, recorded, and loaded again."""
