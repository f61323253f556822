"""`batchd completion SHELL`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_BATCHD_COMPLETE"  #: click's own name for it


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands in bash, zsh or fish.

    bash: eval "$(batchd completion bash)" in ~/.bashrc; zsh likewise in ~/.zshrc; fish: batchd
    completion fish > ~/.config/fish/completions/batchd.fish
    """
    of = get_completion_class(shell)
    assert of is not None
    root = ctx.find_root().command
    # Not its source(): that runs a bash to ask for its version, and there may be none here.
    made = of(root, {}, "batchd", _VARIABLE)
    click.echo(made.source_template % made.source_vars())
