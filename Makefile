# Everything a fresh machine needs. `make quickstart` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: quickstart evidence docs pictures test test-slow docker-test gpu-check check clean

INSTALL := $(BIN)/python -m pip install --quiet --progress-bar on --constraint constraints.txt --editable

# What runs sweeps. The tests add their extras to it: they run against exactly what the quickstart runs on.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	touch $@

$(VENV)/.extras: $(VENV)/.installed
	$(INSTALL) '.[test,check]'
	touch $@

quickstart: $(VENV)/.installed  ## prepare the built-in corpus, sweep, show the Pareto table and picture
	$(BIN)/frostline data prepare stdlib --vocab 1024
	$(BIN)/frostline run search_spaces/quickstart.yaml --out runs/quickstart
	$(BIN)/frostline report runs/quickstart
	$(BIN)/frostline pareto runs/quickstart

# Held out of the evidence's texts: one play, the sonnets, one epic.
HELD_OUT := shakespeare_hamlet shakespeare_sonnets milton_paradise_regained

evidence: $(VENV)/.installed  ## docs/evidence.md again, with its texts, runs and pictures: about two hours on two cores
	$(BIN)/python docs/build_evidence.py texts build/texts
	$(BIN)/frostline data prepare gutenberg --vocab 512 --text build/texts $(HELD_OUT:%=--val-files build/texts/%.txt)
	$(BIN)/frostline run search_spaces/seed_paper/controlled.yaml --scale cpu --out runs/controlled_cpu
	$(BIN)/python docs/build_evidence.py page runs/controlled_cpu

docs: $(VENV)/.installed  ## what is written from the code: settings, columns, JSON Schema, list of files
	$(BIN)/python -m trainer.settings_page > docs/settings.md
	$(BIN)/python -m results.tables.schema > results/SCHEMA.md
	$(BIN)/python -m search_spaces.json_schema
	$(BIN)/python docs/build_file_list.py

pictures: $(VENV)/.extras  ## docs/page_light.png and page_dark.png: the page of the quickstart, in a browser
	$(BIN)/python benchmarks/page.py --page runs/quickstart/report/index.html --pictures docs

test: $(VENV)/.extras  ## the suite but for what is slow: minutes
	$(BIN)/python -m pytest -m "not slow and not docker" --numprocesses auto --maxprocesses 4 --dist worksteal

test-slow: $(VENV)/.extras  ## the rest: whole sweeps on a real Ray that are killed, artifacts of the study's size
	$(BIN)/python -m pytest -m slow

docker-test: $(VENV)/.extras  ## the image, and a cluster of containers with faults: needs a Docker engine, or root to start one
	$(INSTALL) '.[docker]'
	bash tests/docker/start_engine.sh
	$(BIN)/python -m pytest -m docker -s tests/docker

gpu-check: $(VENV)/.extras  ## everything that needs a card, in ten minutes: build/gpu_check/gpu_check.md
	$(BIN)/python benchmarks/gpu_check.py --out build/gpu_check

check: $(VENV)/.extras  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:  ## remove what make, the tools and the runs made; prepared data and runs stay
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
