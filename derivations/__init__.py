"""Numbered documents that derive at run time what they state, and their generated text.

A document ``NN_name.py`` is Python in the percent format: it opens as a notebook through jupytext,
and ``python -m derivations`` executes it and writes ``NN_name.md`` and ``NN_name.tex`` beside it.
To work in a notebook, start it from the root of the repository with
``PYTHONPATH=$PWD jupyter lab derivations``.
"""
