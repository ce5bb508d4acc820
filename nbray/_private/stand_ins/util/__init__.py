"""What Ray has in `ray.util` beside what nbray has there."""
