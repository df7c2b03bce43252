# The two that a fresh machine needs: make repro, make test. Each sets up .venv by itself.
NAMED := $(origin PYTHON)
override PYTHON := $(or $(PYTHON),python3)
BIN := $(CURDIR)/.venv/bin
# found before .venv is on PATH, which may hold one of the same name
override PYTHON := $(or $(shell PATH='$(subst $(BIN):,,$(PATH))' command -v '$(PYTHON)'),$(PYTHON))
# dvc starts `python` for each stage: the one of .venv
export PATH := $(BIN):$(PATH)
# dvc runs each stage by the user's own shell; some read files that put another Python first on PATH
export SHELL := /bin/sh
# with the first `python -m stages.<name>` would not look in this folder; with the others it would
# import other versions, or pip install elsewhere than in .venv
unexport PYTHONSAFEPATH PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT

.PHONY: repro test smoke drive dream rounds lint bench verify study report

repro: .venv/installed
	dvc repro

test: .venv/installed
	pytest -n 2 --dist loadfile --no-loadscope-reorder

# an official episode by a published model, or several side by side: videos/drive.mp4
# make drive ARGUMENTS=--human
drive: .venv/installed
	python -m play $(ARGUMENTS)

# the dreams of the best published VAE and VAE-GAN, side by side, as one page that opens offline: videos/dream.html
dream: .venv/installed
	python -m play.dream $(ARGUMENTS)

# rounds of driving and learning on, after the pipeline (docs/rounds.md): make rounds ROUNDS=3
ROUNDS ?= 10
rounds: .venv/installed
	python -m rounds $(ROUNDS)

lint: .venv/installed
	ruff check .
	ruff format --check .
	mypy

# side by side with others, on one core, in fp32 and where the processor has it in bf16: bench/results.json
bench: .venv/installed
	python -c 'import envpool, onnx' 2>/dev/null || pip install --quiet -c constraints.txt '.[bench]'
	python -m bench $(ARGUMENTS)
	-python -m bench $(ARGUMENTS) --precision bf16

# VAE against VAE-GAN over training seeds, and controls: every cell without a result in results/runs
# make study ARGUMENTS="-S presets.laptop.evaluate.episodes=1024": the 1,024 tracks of results/runs
study: .venv/installed
	python -m study run $(ARGUMENTS)

# results/report.html, and the figures and tables of docs/results.md, from what is in results/
report: .venv/installed
	python -m study report

# the same bytes under other circumstances, kills at random moments, disks that fill, input tried at
# large, a million steps of the environment: verify/results.json
verify: .venv/installed
	-python -c 'import atheris' 2>/dev/null || pip install --quiet -c constraints.txt '.[fuzz]'
	python -m verify

# the whole pipeline at the smoke scale in a copy of the working tree, which is thrown away
smoke: .venv/installed
	python -m verify.smoke

# .venv is made anew where its Python is gone, the folder was moved, what is to be installed has
# changed, or a PYTHON that was named on the command line has another version
STAMP := $(CURDIR) $(shell cat pyproject.toml constraints.txt | cksum)
ifneq "$(shell test -x .venv/bin/python && cat .venv/installed 2>/dev/null)" "$(STAMP)"
.PHONY: .venv/installed
endif
ifeq "$(NAMED)" "command line"
VERSION := -c 'import sys; print(sys.version)'
WANTED := $(shell "$(PYTHON)" $(VERSION))
ifneq "$(WANTED)" "$(shell test -x .venv/bin/python && .venv/bin/python $(VERSION))"
.PHONY: .venv/installed
endif
endif

AGAIN := make $(or $(MAKECMDGOALS),repro) PYTHON=python3.12
.venv/installed:
	@command -v "$(PYTHON)" >/dev/null || { echo "error: $(PYTHON): no such Python; name another: $(AGAIN)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("error: Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is " + sys.version.split()[0] + "; name another: $(AGAIN)")'
	@case "$$(command -v '$(PYTHON)')" in "$(BIN)"/*|.venv/*) echo "error: $(PYTHON) is in .venv, which is made anew; name another" >&2; exit 1;; esac
	rm -rf .venv
	"$(PYTHON)" -m venv .venv
	"$(BIN)/pip" install --quiet -c constraints.txt '.[dev,cluster]'
	printf '%s\n' "$(STAMP)" > $@
