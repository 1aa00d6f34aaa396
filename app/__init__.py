"""What people touch: the command line and the pages. The only package that imports gradio."""
