"""The synchronised image viewer: its contract with the browser, its gradio component and its JavaScript."""
