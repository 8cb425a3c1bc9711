"""Measure and compare methods: pairs, methods, scores, test sets, tables and figures."""
