# make repro   run the pipeline on the full MNIST; first pull what the default remote has of it
# make push    share what is computed here through the default remote
# make test    run the tests
# make verify  mend what a kill or a failing disk has damaged, or remove it: repro makes it again
# make check   format, lint, types, and whether dvc.lock is this commit's
# make compare what differs from BASE (main), as Markdown for a pull request: compare.md
# make merge   BRANCH into this one; the results that both changed are made again
# make predict which digits IMAGE shows, and why: prediction.png
# make notebook brings the notebook and its text together, without outputs
# make lock    pin the newest versions that pyproject.toml allows
.PHONY: repro push test verify check compare merge predict notebook lock

PYTHON ?= python3
BASE ?= main
# Make would read it as its own language: of a$b, a; of $(shell ...), what that prints.
unexport BASE BRANCH IMAGE
export PATH := $(CURDIR)/.venv/bin:$(PATH)

repro: .venv/.installed
	@python -m share pull
	dvc repro

push: .venv/.installed
	@python -m share push

test: .venv/.installed
	pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

verify: .venv/.installed
	@python -m tools.verify

check: .venv/.installed
	ruff format --check
	ruff check
	mypy
	! dvc repro --dry --allow-missing 2>&1 | grep -E '^(Running stage|ERROR)'

# A branch may have any name, so that neither make nor the shell must read it.
compare: .venv/.installed
	@$(if $(value BASE),,$(error name a revision: make compare BASE=main))
	@python -m tools.compare '$(subst ','\'',$(value BASE))'

# In a rebase, a cherry-pick or a stash, git says how it goes on.
merge: .venv/.installed
	@$(if $(value BRANCH),,$(error name a branch: make merge BRANCH=main))
	@python -m merge -- '$(subst ','\'',$(value BRANCH))'
	@$(MAKE) --no-print-directory repro
	@git add --all dvc.lock reports
	@if git rev-parse --quiet --verify MERGE_HEAD > /dev/null; \
		then git commit --no-edit --cleanup=strip; else git status; fi

predict: .venv/.installed
	@$(if $(value IMAGE),,$(error name a picture: make predict IMAGE=photo.jpg))
	@python -m predict -- '$(subst ','\'',$(value IMAGE))'

notebook: .venv/.installed
	@python -m notebooks

.venv/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and "Digitline needs Python 3.11 to 3.14; name one: make PYTHON=python3.12 ...")'
	@git rev-parse --git-dir > /dev/null || { echo "Digitline needs git, and a clone of its repository: DVC works in no ZIP of it"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	dvc repro --quiet check_params bundle_vega
	@touch $@

# The keys stay, their versions are written anew.
LIBRARIES = $(shell cut -d: -f1 stages/libraries.yaml)

# One version of each library for every Python, so that the results are the same.
lock:
	uv pip compile pyproject.toml --extra cluster --extra dev --extra s3 --universal --python-version 3.11 \
		--fork-strategy fewest --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command 'make lock' --output-file requirements.txt --upgrade
	sed -nE 's/^($(subst $() ,|,$(LIBRARIES)))==([^ ]+).*/\1: "\2"/p' requirements.txt > stages/libraries.yaml
