# `make demo` runs the main job, `make test` the tests; each does all the set-up it needs.

RATE ?= 18.5MiB
KILLS ?= 100
# Tests mostly wait for processes that they start, so more of them run at a time than there are cores.
JOBS ?= 3
PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test test-slow check lint types layers wheel image bench bench-growth bench-load bench-idle bench-sidecar soak bench-transfer bench-files bench-gossip format clean help

help:
	@echo "make demo [SIZE=1.16GiB] [RATE=18.5MiB]   a mesh of three reads a model, with figures"
	@echo "make test                                 the tests"
	@echo "make test-slow                            the tests that take longer"
	@echo "make check                                tests, lint, types, layers, built wheel"
	@echo "make image                                build the container image, and look into it"
	@echo "make bench [SIZE=512MiB] [ROUNDS=4] [CELLS=warm-1,...] [SUBJECTS=meshcache,...]"
	@echo "                                          reads beside JuiceFS, rclone, weed mount, s3fs; as root"
	@echo "make bench-growth                         cost over agents, files, members, as root"
	@echo "make bench-load                           loads beside the origin's speed and parallel downloads"
	@echo "make bench-transfer                       blocks from an agent beside nginx, to one receiver"
	@echo "make bench-files                          many files: listing, mounting, names, memory"
	@echo "make soak [KILLS=100]                     kill a mount's worker, and its agent, under readers"
	@echo "make bench-idle                           CPU and memory of agents that nobody asks"
	@echo "make bench-sidecar                        a pod's sidecar: join, mount, first read, end"
	@echo "make bench-gossip [MEMBERS=10]            membership beside serf and kinship, as root"

# The stamp is newer than what says what to install.
.venv/ready: pyproject.toml constraints.txt .ci/setup
	.ci/setup

demo: .venv/ready
	$(PYTHON) -m benchmarks.demo --size $(or $(SIZE),1.16GiB) --rate $(RATE)

test: .venv/ready
	$(PYTHON) -m pytest -m "not slow" -n $(JOBS) --dist loadfile

test-slow: .venv/ready
	$(PYTHON) -m pytest -m slow

check: test lint types layers wheel

lint: .venv/ready
	ruff check .
	ruff format --check .

types: .venv/ready
	mypy

layers: .venv/ready
	lint-imports

wheel: .venv/ready
	.ci/wheel

image: .venv/ready
	.ci/image

bench: .venv/ready
	command -v s3fs >/dev/null || apt-get install -y -qq --no-install-recommends s3fs
	command -v nginx >/dev/null || apt-get install -y -qq --no-install-recommends nginx-light
	$(PYTHON) -m benchmarks run $(if $(SIZE),--size $(SIZE)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(CELLS),--cells "$(CELLS)") $(if $(SUBJECTS),--subjects "$(SUBJECTS)")

bench-growth: .venv/ready
	$(PYTHON) -m benchmarks.growth

bench-load: .venv/ready
	$(PYTHON) -m benchmarks.loads

soak: .venv/ready
	$(PYTHON) -m benchmarks.survive --kills $(KILLS)

bench-idle: .venv/ready
	$(PYTHON) -m benchmarks.idle

bench-sidecar: .venv/ready
	$(PYTHON) -m benchmarks.sidecar

bench-transfer: .venv/ready
	command -v nginx >/dev/null || apt-get install -y -qq --no-install-recommends nginx-light
	$(PYTHON) -m benchmarks.transfer

bench-files: .venv/ready
	$(PYTHON) -m benchmarks.files

bench-gossip: .venv/ready
	command -v serf >/dev/null || apt-get install -y -qq --no-install-recommends serf
	$(PYTHON) -m benchmarks.membership run $(if $(MEMBERS),--members $(MEMBERS))
	$(PYTHON) -m benchmarks.membership table
	$(PYTHON) -m benchmarks.membership plot

format: .venv/ready
	ruff check --fix .
	ruff format .

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
