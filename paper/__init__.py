"""The article: LaTeX sources here; its equations and figures in ``generated/``, made by a command."""
