"""Before the wall: what students handed in, whose it is and which notebook counts. Bytes are read here, none is run."""
