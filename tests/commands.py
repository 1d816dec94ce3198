"""The subcommands of `brainclust` as functions of their arguments, as a user types them."""
from collections.abc import Callable, Sequence

from brainclust.app.commands import main


def command(name: str) -> Callable[[Sequence[object]], int]:
    """Return a subcommand, which returns its exit status."""
    return lambda arguments=(): main([name, *map(str, arguments)])


run_command, audit_command, predict_command, name_command, check_command = map(
    command, ("run", "audit", "predict", "name", "check"))
compare_command, card_command, export_command, app_command, fetch_command, embed_command = map(
    command, ("compare", "card", "export", "app", "fetch", "embed"))
