"""`course evaluate`: a protocol's sets of pictures, their features in shards, and the page made of them.

`protocol` reads the text file, `methods` samples a block of pictures, `folder` is what lies on disk, `run` the loop
over shards, `measure` the numbers, `page` and `figures` what is shown, `command` what is typed,
`store` what is kept of a finished run for the chapters to show.
"""
