"""`ray.util.tracing`: switched off."""
