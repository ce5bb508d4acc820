"""Modules that Ray has and nbray has under the name `ray` only (see `nbray.as_ray`).

Owns what Ray has elsewhere than nbray, and what libraries import though they can do without it.
Rule: Ray's tree; what cannot be had raises when it is used, and names the way to it.
"""
