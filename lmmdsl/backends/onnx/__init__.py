"""ONNX backend: graphs, weights and packages, written without tracing."""
