#!/bin/sh
# What the demo's CI runs: a page that is not closed is a bug.
grep -q '</h1>' index.html || { echo 'index.html: the heading is not closed'; exit 1; }
