# What a person types. Each target installs what it lacks; the work is in deploy/scripts, deploy/demo and tests/bench.

SHELL := /bin/bash
.DEFAULT_GOAL := help
SOURCE ?= postgres
N ?= 20
SECONDS_EACH ?= 20

.PHONY: help demo clean-demo test check bench pictures kill fuzz site install

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## load a demo application database into an Iceberg lake, query it, tell MIT Learn, draw the architecture
	@deploy/demo/run.sh

clean-demo: ## stop and remove all that the demo made
	@deploy/demo/clean.sh

test: ## formats, lints, licences, documentation, unit, property and acceptance tests
	@deploy/scripts/test.sh all

check: ## formats, lints and licences only
	@deploy/scripts/test.sh check

bench: ## measure against the COPY floor and dlt; writes tests/bench/runs/latest.json
	@tests/bench/run.sh

pictures: ## measure the architecture's pictures beside Graphviz, LikeC4 and Mermaid; writes the tables of docs/c4gen.md
	@tests/bench/pictures/run.sh

kill: ## kill a program again and again: make kill SOURCE=postgres|mysql|mariadb|mongodb|postgres-full|webhook N=20
	@deploy/scripts/kill.sh "$(SOURCE)" "$(N)"

fuzz: ## feed foreign bytes to the readers of ol-webhook: make fuzz SECONDS_EACH=20
	@deploy/scripts/fuzz.sh "$(SECONDS_EACH)"

site: ## draw the architecture site into docs/architecture, and write what else of it is checked in
	@deploy/scripts/site.sh

install: ## only install what is missing
	@deploy/scripts/install.sh base
