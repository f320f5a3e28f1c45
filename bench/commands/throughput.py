"""``fvbench throughput``."""

from typing import Annotated

import typer

from bench.commands.options import Device, Json, Plain, Plugin, print_result


def throughput(
    context: typer.Context,
    methods: Annotated[
        str | None, typer.Option(help="Names, separated by commas; default: all.")
    ] = None,
    features: Annotated[
        str, typer.Option(help="Shape of a video's features: C,T,H,W.")
    ] = "2048,8,1,1",
    videos: Annotated[int, typer.Option(help="Unique videos.", min=1)] = 2745,
    queries: Annotated[int, typer.Option(help="Queries of an episode, in total.", min=1)] = 5,
    way: Annotated[int, typer.Option(help="Classes of an episode.", min=1)] = 5,
    shot: Annotated[int, typer.Option(help="Support videos of each class.", min=1)] = 1,
    batch_size: Annotated[int, typer.Option(help="Episodes scored at once.", min=1, max=2500)] = 64,
    repeats: Annotated[int, typer.Option(help="Timings of each stage.", min=5)] = 5,
    device: Device = "auto",
    plugin: Plugin = None,
    plain: Plain = False,
    json: Json = False,
) -> None:
    """Measure how fast methods are on random features.

    No data set is needed.

    The stages are encode (once per video, in clips/s), adapt (gather and adapt to the support set)
    and score (gather and score the queries), both in episodes/s; total is the cost of ten thousand
    episodes over all videos, encoding included. Each method runs in a process of its own, in random
    order; after a warm-up every stage is timed several times, with the device synchronised. Rates
    are compared with what this device reaches in a matrix product and in a copy.

    exit status
      0  done
      2  nothing measured: bad input

    Example: fvbench throughput --methods protonet,otam --features 96,8,6,6 --videos 100 --queries 5
    """
    from bench.machine.device import choose_device
    from bench.machine.progress import Reporter
    from bench.machine.surroundings import own_output
    from bench.plugins.registry import all_methods, choose
    from bench.throughput.plan import Sizes, feature_shape
    from bench.throughput.record import as_table, measured, measured_apart

    chosen = choose(methods, all_methods(), plain)
    sizes = Sizes(feature_shape(features), videos, way, shot, queries)
    place = choose_device(device)
    if len(chosen) == 1:
        with own_output():
            records = measured(chosen[0], sizes, place, batch_size, repeats)
    else:
        arguments = [
            f"--{option.replace('_', '-')}={value}"
            for option, value in context.params.items()
            if option not in {"methods", "plain", "plugin", "json"}
        ]
        arguments += [f"--plugin={path}" for path in plugin or ()] + ["--plain"] * plain
        records = measured_apart([method.name for method in chosen], arguments, Reporter())
    print_result([record.content() for record in records] if json else as_table(records))
