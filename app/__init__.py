"""The web page: a gradio application around drn."""
