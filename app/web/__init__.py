"""The pages: a gradio app, and how it is served."""
