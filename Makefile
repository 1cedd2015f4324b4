# make book | test | serve | lab | lint | clean.  Works with GNU make 3.81 (macOS) and later.

SHELL := /bin/sh
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c '$(ENOUGH)' >/dev/null 2>&1 && { echo $$p; break; }; done)
endif
BIN := .venv/bin
SITE := _build/html
PORT := 8000
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout 300 \
	-p tests.second_device --durations 30 --durations-min 20
stop = { printf '\n%s\n' $(1) >&2; exit 1; }

.PHONY: book test serve lab lint clean environment

book: environment
	@$(BIN)/course build || $(call stop,"The book could not be built: the lines above say which page and why.")

environment:
	@test -n "$(PYTHON)" || $(call stop,"The course needs Python 3.11 or newer and found none: install it or name it with make book PYTHON=/path/to/python3.11")
	@$(PYTHON) course_lib/tools/environment.py install

test: environment
	@$(PYTHON) course_lib/tools/environment.py system
	@$(BIN)/course build --check || $(call stop,"A committed notebook differs from its master: run make book and commit notebooks/ and solutions/.")
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check . || $(call stop,"Code style: make lint says more.")
	@$(BIN)/course build || $(call stop,"The book could not be built: the lines above say which page and why.")
	@OMP_NUM_THREADS=1 $(PYTEST) tests notebooks solutions

serve:
	@test -f $(SITE)/index.html || $(call stop,"There is no site yet: run make book first.")
	@echo "The course is at http://127.0.0.1:$(PORT)/ until you press Ctrl-C"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(SITE)

lab: environment
	@cd notebooks && ../$(BIN)/jupyter lab

lint: environment
	@$(BIN)/ruff check . && $(BIN)/ruff format --diff .

clean:
	rm -rf _build .cache .pytest_cache .ruff_cache
