"""The version, which all SDKs share."""

from importlib.metadata import version

__version__ = version("fastn")
