"""Jobs: work that outlives a click, a page and a killed process."""
