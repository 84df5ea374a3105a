# make demo   see it working, on a machine with python3, make and root or sudo
# make test   prove it
# make check  style, types, and that what is generated is up to date
# make bench  measure it against floors of the same run
# make cluster  a Kubernetes to play with, until Ctrl-C; it says what `vibespace init` is told of it
# make bench-kubernetes  the same of a cluster, against kubectl
# make soak   use it for an hour without a pause, and see that it does not grow
# make generate  after a change of protos/
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check generate bench bench-kubernetes soak cluster system test-system test-go

VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# What is slow to make and the same for every checkout is kept here.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vibespace
# To make, a space ends a name: where one is on the way there, it is kept in this checkout, and called from here.
ifneq ($(words $(CACHE)),1)
override CACHE := .cache
endif
BASE := $(CACHE)/debian.tar
absolute = $(if $(filter /%,$(1)),$(1),$(CURDIR)/$(1))
# Programs that compile their modules anew at every start are slower by a fifth, which no installed one is.
unexport PYTHONDONTWRITEBYTECODE
export VIBESPACE_TEST_CACHE := $(call absolute,$(CACHE)/engine)
export VIBESPACE_TEST_BASE := $(call absolute,$(BASE))
export VIBESPACE_TEST_CLUSTER := $(call absolute,$(CACHE)/cluster)

# Podman with all it asks for at run time, a Debian to start from, and what the tests look through.
PACKAGES := podman netavark aardvark-dns runc iptables catatonit uidmap slirp4netns fuse-overlayfs \
            mmdebstrap git openssh-client openssh-server python3-venv procps strace tmux zsh fish man-db
# Tests alone run on Docker as well, and start their own; nobody needs its service. The others are what a node of a
# Kubernetes asks for, which they start too.
TEST_PACKAGES := docker.io rootlesskit iproute2 containerd containernetworking-plugins conntrack socat

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed $(BASE)
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/demo "$(call absolute,$(BASE))"

test: test-go $(VENV)/.installed $(BASE) test-system
	$(BIN)/pytest --numprocesses=2 --dist=loadgroup --durations=15 $(TESTS)

check: $(VENV)/.installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" buf lint
	PATH="$(CURDIR)/$(BIN):$$PATH" buf format --diff --exit-code
	PATH="$(CURDIR)/$(BIN):$$PATH" buf breaking --against protos/promised.binpb
	$(BIN)/python -m frontends.generate --check

generate: $(VENV)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" buf format --write
	$(BIN)/python -m frontends.generate

bench: $(VENV)/.installed $(BASE)
	$(BIN)/python -m tests.bench $(BENCH)

cluster: $(VENV)/.installed $(BASE) test-system test-go
	@$(BIN)/python -m tests.cluster

bench-kubernetes: $(VENV)/.installed $(BASE) test-system test-go
	$(BIN)/python -m tests.bench.kubernetes

soak: $(VENV)/.installed $(BASE)
	$(BIN)/python -m tests.soak $(SOAK)

# Installs only what is missing, so that nothing asks for root on a machine that has it all.
define install
@missing="$$(for p in $(1); do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || echo $$p; done)"; \
if [ -n "$$missing" ]; then \
  $(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -q -y --no-install-recommends $$missing; \
fi
endef

system:
	$(call install,$(PACKAGES))

test-system:
	$(call install,$(TEST_PACKAGES))

# The cluster that tests run on is built from modules. It is said before an hour of tests, not after it.
test-go:
	@PATH="$$PATH:/usr/local/go/bin"; command -v go >/dev/null && go version | awk '{split(substr($$3, 3), v, "."); \
	  exit !(v[1] > 1 || v[2] >= 24)}' || { echo "The Kubernetes tests need Go 1.24 or newer, to build their cluster: \
	https://go.dev/dl" >&2; exit 1; }

$(VENV)/.installed: pyproject.toml | system
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

$(BASE): | system
	@mkdir -p $(CACHE)
	$(SUDO) tools/base-tar $@
