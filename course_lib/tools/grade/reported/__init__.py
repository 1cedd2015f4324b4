"""Everything that is written from the results of a class; nothing here runs or reads a notebook."""
