"""Configuration: arguments, then ``LEPTON_SDK_*`` variables, then the config file, then the vendor's own variables."""

from __future__ import annotations

from lepton_sdk._config.load import Config, load_config
from lepton_sdk._config.section import Section, read_section
from lepton_sdk._config.show import config_to_dict, shown_address

__all__ = ["Config", "Section", "config_to_dict", "load_config", "read_section", "shown_address"]
