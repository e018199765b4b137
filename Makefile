# make demo   check and compile a spec to PyTorch, ONNX and a picture, and compare the two
# make test   run all tests
# make check  format, lint, types, tests and generated files, as before a commit
# Each creates .venv with the pinned versions of constraints.txt. Choose another interpreter with PYTHON=...

PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13 python3.14,\
	$(if $(shell $(name) -c 'import sys; print("yes" if sys.version_info >= (3, 11) else "")' 2>/dev/null),$(name))))
VENV := .venv
SPEC := specs/llava_v1_5.lmm
OUT := build/demo
JOBS ?= 2
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check clean

demo: $(VENV)/installed-all
	$(VENV)/bin/lmmc check $(SPEC)
	$(VENV)/bin/lmmc compile $(SPEC) --variant tiny --to torch -o $(OUT)/torch
	$(VENV)/bin/lmmc compile $(SPEC) --variant tiny --to onnx -o $(OUT)/onnx
	$(VENV)/bin/lmmc draw $(SPEC) -o $(OUT)/llava_v1_5.svg
	$(VENV)/bin/lmmc verify $(SPEC) --variant tiny
	@echo "The module, the ONNX package and the picture are in $(OUT)/"

test: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -n $(JOBS)

check: $(VENV)/installed-test
	$(VENV)/bin/python tools/check.py

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-all: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e '.[all]'
	@touch $@

$(VENV)/installed-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e '.[all,test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
