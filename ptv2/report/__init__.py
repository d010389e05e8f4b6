"""What finished runs say together: statistics, rankings, tables and the HTML page. Prints and trains nothing."""
