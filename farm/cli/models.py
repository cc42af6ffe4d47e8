"""``farm models``: lists, fetches and verifies the weights of detectors."""

from typing import Annotated

import typer

from farm.cli.jobs import JsonOption

app = typer.Typer(help="List, download and check detection models.", no_args_is_help=True)
NameArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL]...", help="Names of models. Default: those that farm submit needs."),
]


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models, their licences, and whether their weights are on this machine."""
    from farm.cli import display
    from farm.models.store import ModelStore
    from farm.settings import load_settings

    rows = [
        {
            "name": s.model.name,
            "title": s.model.title,
            "licence": s.model.licence,
            "sha256": s.model.sha256,
            "state": s.state,
            "path": str(s.path) if s.path else None,
            "problem": s.problem,
        }
        for s in ModelStore(load_settings()).status()
    ]
    if as_json:
        display.print_json(rows)
        return
    for row in rows:
        text = f"{row['name']}  {row['state']}  {row['licence']}  {row['title']}  {row['path'] or row['problem'] or ''}"
        display.output.print(text.rstrip(), soft_wrap=True)


@app.command("pull")
def pull(names: NameArgument = None, as_json: JsonOption = False) -> None:
    """Download weights, so that no network is needed later."""
    from farm.cli import display
    from farm.cli.model_progress import ensure_model
    from farm.domain.quality import default_models
    from farm.models.store import ModelStore
    from farm.settings import load_settings

    settings = load_settings()
    store = ModelStore(settings)
    wanted = [store.named(name) for name in names or default_models()]  # nothing is fetched if a name is wrong
    for model in wanted:
        path = ensure_model(settings, model.name, quiet=as_json, pull=True)
        if as_json:
            display.print_json({"name": model.name, "path": str(path), "sha256": model.sha256})
        else:
            display.output.print(f"{model.name}: {path}", soft_wrap=True)


@app.command("verify")
def verify(names: NameArgument = None, as_json: JsonOption = False) -> None:
    """Check the weights on this machine against their SHA-256."""
    from farm.cli import display
    from farm.domain.quality import default_models
    from farm.models.store import ModelStore
    from farm.settings import load_settings

    store = ModelStore(load_settings())
    for model in [store.named(name) for name in names or default_models()]:
        path = store.verify(model.name)
        if as_json:
            display.print_json({"name": model.name, "path": str(path), "sha256": model.sha256})
        else:
            display.output.print(f"{model.name}: {model.sha256}, as expected", soft_wrap=True)
