"""What one run is: data and backbone opened, examples prepared, trained, recorded, and loaded again."""
