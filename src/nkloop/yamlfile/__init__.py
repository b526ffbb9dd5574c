"""YAML files people write: read with line and column, checked against a model, every problem told at once."""

from nkloop.yamlfile.problems import Finding, validate_yaml
from nkloop.yamlfile.reader import Positions, YamlSyntaxError, load_yaml

__all__ = ["Finding", "Positions", "YamlSyntaxError", "load_yaml", "validate_yaml"]
