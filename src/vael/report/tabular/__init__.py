"""Figures and pages of tables: columns side by side, and how good a synthetic table is."""
