"""The demo's ports, refused while they are taken or are none: before anything is started."""

from __future__ import annotations

from collections.abc import Iterable

from vitalsd.demo.worker import HOST
from vitalsd.errors import UsageError
from vitalsd.settings.types import split_listen
from vitalsd_exporters.web.sockets import bind

__all__ = ["check_addresses"]

HIGHEST_PORT = 65535


def check_addresses(listen: str, control_listen: str, ports: Iterable[int]) -> None:
    """Say which option to change, if one of them cannot be served."""
    wanted = list(ports)
    last = HIGHEST_PORT + 1 - len(wanted)
    if not 0 < wanted[0] <= last:
        raise UsageError(
            f"--port is {wanted[0]}: the services need {len(wanted)} ports, the first between 1 and {last}."
        )
    places = [(listen, "--listen"), (control_listen, "--control-listen")]
    places += [(f"{HOST}:{number}", "--port") for number in wanted]
    taken = []
    try:
        for address, option in places:
            if _port_of(address, option) == 0:
                raise UsageError(f"{option} is {address}, and port 0 is any port: choose one.")
            taken += bind(address, option)
    finally:
        for bound in taken:
            bound.close()


def _port_of(address: str, option: str) -> int:
    try:
        return split_listen(address)[1]
    except ValueError as error:
        raise UsageError(f"{option} is {address}: {error}.") from None
