"""`ptv2 compare`: methods that are all tuned, by equally many trials each."""
