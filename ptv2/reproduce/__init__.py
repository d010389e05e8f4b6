"""`ptv2 reproduce`: tables and figures of the paper or of one's own, with the runs that they need."""
