"""Tables of several runs beside the paper's numbers: description, cells, entries, notes and files."""
