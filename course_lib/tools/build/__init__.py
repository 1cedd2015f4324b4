"""The builder: from one master per chapter in book/ to the student notebook, the complete notebook and the site.

project.py       where things lie and what _config.yml says: addresses, table of contents
masters.py       a master's text as a list of blocks, each with its line
rules.py         what a master must obey, each breach one sentence with file and line
bibliography.py  references.bib as text for notebooks
markdown.py      MyST Markdown turned into plain Markdown
notebooks.py     the student notebook and the complete one
lint.py          ruff on the notebooks' cells, told in the master's lines
compare.py       committed notebooks against what their masters give
numbering.py     a chapter's own number on the site
execute.py       running the complete notebook, with a cache that knows the library
ledger.py        the claims of all chapters, as a table
frames.py        pictures of sliders as files beside the pages
pages.py         a chapter as a page of the site
plain_script.py  the playground as one script, for pages opened as files
plain_pages.py   pages that are no chapters, with what the builder knows filled in
site.py          the staged site, jupyter-book, and what is checked afterwards
command.py       `course build`
"""
