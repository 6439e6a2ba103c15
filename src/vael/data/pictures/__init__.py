"""Pictures of any sizes: patches to train on, and tiles that cover a picture."""
