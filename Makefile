# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
SITE ?= inventories/lab

.DEFAULT_GOAL := help
.PHONY: help site verify leaks destroy test lint unit sanity build core integration rack molecule e2e soak benchmark benchmark-distance benchmark-plugins benchmark-bus benchmark-lightning reference clean venv

help: ## Say what there is to make
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 28

site: ## Bring up a site: SITE=inventories/lab (default), inventories/standalone, …; ARGS="--check --diff"
	@scripts/site $(SITE) $(ARGS)

verify: ## Say in plain words what of a site works: SITE=…
	@scripts/play $(SITE) playbooks/verify.yml $(ARGS)

leaks: ## Prove that nothing gets out of a site but where the declaration lets it: SITE=…
	@scripts/play $(SITE) playbooks/verify_leaks.yml $(ARGS)

destroy: ## Take a site away and keep its data: SITE=… ARGS="-e confirm=NAME"
	@scripts/play $(SITE) playbooks/destroy.yml $(ARGS)

test: ## Run every test, with all that they need set up first
	@tests/run

lint: ## Static checks
unit: ## Unit tests, by ansible-test and, of the lab, by pytest
sanity: ## ansible-test sanity
build: ## Build the tarball, let galaxy-importer look at it, use it from elsewhere
core: ## Tests on ansible-core 2.21 and Python 3.13, in a Debian 13 of the lab
lint unit sanity build core:
	@tests/run $@

integration: ## The modules against a real LXD and a real Incus: TARGET=lxd_instance
	@tests/run integration $(TARGET)

rack: ## Servers of the lab, and a site on three of them: TEST=tests/rack/test_servers.py
	@tests/run rack $(TEST)

molecule: ## The roles in real containers, each by itself: SCENARIO=egress_proxy
	@tests/run molecule $(SCENARIO)

e2e: ## The whole site: TEST=tests/e2e/test_reach.py
	@tests/run e2e $(TEST)

soak: ## What takes too long for every run: what that leaves out (PART=rest), servers that come and go (PART=rack), a site killed at other moments (PART=kills)
	@tests/run soak $(PART)

benchmark: ## Measure a site from nothing against a bare script of the same operations
	@benchmarks/run $(ARGS)

benchmark-distance: ## Measure a site on servers far away against one on servers near by: ARGS="--servers 3"
	@benchmarks/distance $(ARGS)

benchmark-plugins: ## Measure connection, inventory and modules against those of community.general
	@benchmarks/plugins $(ARGS)

benchmark-bus: ## Measure lines from the journal to a consumer against rsyslog and kcat, on the lab's site
	@venv=$${BCM_VENV:-$$(scripts/venv test)} && PATH=$$venv/bin:$$PATH && benchmarks/bus $(ARGS)

benchmark-lightning: ## Measure payments and a node's sync over the lab's Tor network against the same without Tor
	@benchmarks/lightning $(ARGS)

reference: ## Write docs/reference and the tables of the roles' READMEs from the documentation in the code
	@venv=$${BCM_VENV:-$$(scripts/venv test)} && PATH=$$venv/bin:$$PATH && scripts/role-readmes && scripts/reference

venv: ## Make the Python environment of the tests and print where it is
	@scripts/venv test

clean: ## Remove what the tests left in the checkout
	@rm -rf .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis .molecule tests/output ./*.tar.gz
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
