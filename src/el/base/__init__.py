"""What all packages share: errors, files, parameters, downloads, progress and text."""
