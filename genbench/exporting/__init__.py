"""Trained generators as one file that runs without genbench: torch.export, ONNX or TorchScript.

`network` makes one module of what a run draws, `formats` writes and runs it in each format, and
`export` keeps a file only if it draws the samples of the run. `format` is imported without torch.
"""
