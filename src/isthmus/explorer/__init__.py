"""Beside the command line: a fitted model in the browser, to look at and to play with, on this machine alone."""
