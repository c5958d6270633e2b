"""An example: a web shop whose work is done by FluxQueue."""
