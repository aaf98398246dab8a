"""The query side of a model, compiled by OpenVINO to run without PyTorch."""
