"""llmcp: an LLM control plane that runs where your code runs.

Importing this package does nothing but name its version: every layer is imported by whom it serves.
"""

__version__ = "0.1.0"
