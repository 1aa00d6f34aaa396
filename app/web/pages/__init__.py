"""One file a page; each has `build(services)`."""
