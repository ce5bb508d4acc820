"""`ray._common`: what Ray has moved out of `ray._private`."""
