"""A trained run as a service over HTTP: what the commands and the functions of a run give, in JSON."""

from vael.service.service import Limits, Service
from vael.service.serving import serve

__all__ = ["Limits", "Service", "serve"]
