"""One file for each kind of attack, tried as somebody would who means it: real requests, and nothing may have changed.

What is tried elsewhere is not tried again here; docs/security.md says which test shows what.
"""
