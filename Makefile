# make repro   run the pipeline on the full MNIST; first pull what the default remote has of it
# make test    run the tests
# make verify  find what a kill or a failing disk has damaged: make repro makes it again
# make check   format, lint, types, and whether dvc.lock is this commit's
# make compare what differs from BASE (main), as Markdown for a pull request: compare.md
# make predict which digits IMAGE shows, and why: prediction.png
# make lock    pin the newest versions that pyproject.toml allows
.PHONY: repro test verify check compare predict lock .venv

# The one of .venv, unless another is named.
PYTHON ?= $(shell command -v .venv/bin/python3 || echo python3)
BASE ?= main
# Make would read it as its own language: of a$b, a; of $(shell ...), what that prints.
unexport BASE IMAGE
# For what the commands start. Make 3.81, macOS', does not look there itself.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Of a remote that cannot list its files, as HTTP, DVC pulls outputs alone, and warns.
repro: .venv
	@if ! .venv/bin/dvc remote default > /dev/null 2>&1; then .venv/bin/dvc repro; \
	elif .venv/bin/dvc pull --run-cache --allow-missing; then .venv/bin/dvc repro --pull; \
	else echo "Nothing could be pulled: all is computed."; .venv/bin/dvc repro; fi

test: .venv
	.venv/bin/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

verify: .venv
	@.venv/bin/python -m tools.verify

check: .venv
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	@.venv/bin/python -m tools.check_lock

# A branch may have any name, so that neither make nor the shell must read it.
compare: .venv
	@$(if $(value BASE),,$(error name a revision: make compare BASE=main))
	@.venv/bin/python -m tools.compare '$(subst ','\'',$(value BASE))'

predict: .venv
	@$(if $(value IMAGE),,$(error name a picture: make predict IMAGE=photo.jpg))
	@.venv/bin/python -m predict -- '$(subst ','\'',$(value IMAGE))'

# What .venv is made of, decided by content: Python's version, this folder, whose path is in its
# commands, and the pins, which are what pyproject.toml asks for. What is not whole has no stamp.
STAMP = .venv/.installed
SUPPORTED = import sys; v = sys.version_info; print("%d.%d" % v[:2]) if (3, 11) <= v < (3, 15) \
	else sys.exit("Digitline needs Python 3.11 to 3.13 (nobody has tried 3.14); name one: make PYTHON=python3.12 ...")
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check

.venv:
	@if [ -L .venv ] || [ -f .venv ]; then echo ".venv is a link or a file: remove it, and make builds one of its own" >&2; exit 1; fi
	@git rev-parse --git-dir > /dev/null || { echo "Digitline needs git, and a clone of its repository: DVC works in no ZIP of it"; exit 1; }
	@version=$$($(PYTHON) -c '$(SUPPORTED)') || exit; \
	parts() { echo "$$version"; pwd -P; cat requirements.txt; }; \
	if parts | cmp -s - $(STAMP); then exit; fi; \
	echo "make: .venv is made of requirements.txt"; \
	rm -f $(STAMP); \
	$(PYTHON) -m venv --clear .venv && $(PIP) --require-hashes --requirement requirements.txt \
		&& $(PIP) --no-deps --no-build-isolation --editable . && parts > $(STAMP) \
		|| { echo "requirements.txt could not be installed: make tries again" >&2; exit 1; }; \
	.venv/bin/dvc repro --quiet check_params bundle_vega  # what editors and DVC's page read

# The keys stay, their versions are written anew.
LIBRARIES = $(shell cut -d: -f1 stages/libraries.yaml)

# One version of each library for every Python, so that the results are the same.
lock:
	uv pip compile pyproject.toml --extra cluster --extra dev --extra s3 --universal --python-version 3.11 \
		--fork-strategy fewest --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command 'make lock' --output-file requirements.txt --upgrade
	sed -nE 's/^($(subst $() ,|,$(LIBRARIES)))==([^ ]+).*/\1: "\2"/p' requirements.txt > stages/libraries.yaml
