"""Plans as data, and the one loop that trains every stage."""
